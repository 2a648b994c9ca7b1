/* evaluate_command.c -- numbers from a program of the user's.
 *
 *     command: [lm_eval, --model_args, "pretrained=${model_dir}",
 *               --output_path, "${out}"]
 *     read: {file: "${out}/ ** /results_*.json",    (without the blanks)
 *            metrics: {exact: "results.gsm8k.exact_match"}}
 *     timeout: 2h
 *
 * ${model_dir} is the model as a directory, ${out} an empty one; SINTER_CPUS is
 * how many threads it should use. Numbers come
 * from JSON (a file, or standard output) or from lines of standard output by
 * regular expressions. */
#include <fnmatch.h>
#include <ftw.h>
#include <inttypes.h>
#include <math.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/model_files.h"
#include "jobs/program.h"
#include "jobs/recipe.h"

enum {
    ARGUMENTS = 256,
    OUTPUT_LIMIT = 16 << 20, /* bytes of standard output or of a result file */
    PATTERN_LIMIT = 1024,
};

static const char *const needs_words[] = { "nothing", "files", NULL };

static const struct catalog_key argument_row[] = {
    { .name = "*", .type = KEY_TEXT, .help = "program, then arguments" },
    { .name = NULL },
};

static const struct catalog_key metric_row[] = {
    { .name = "*",
      .type = KEY_TEXT,
      .help = "members of the JSON, joined by dots: results.gsm8k.exact" },
    { .name = NULL },
};

static const struct catalog_key read_keys[] = {
    { .name = "metrics",
      .type = KEY_MAP_OF,
      .keys = metric_row,
      .help = "where in the JSON each number is" },
    { .name = "file",
      .type = KEY_TEXT,
      .help = "JSON file, * and ** allowed; standard output if not given" },
    { .name = "stdout",
      .type = KEY_ANY,
      .help = "regular expression whose first group is the number `value`, "
              "or a map of names to such" },
    { .name = NULL },
};

static const struct catalog_key keys[] = {
    { .name = "model",
      .type = KEY_MODEL,
      .help = "what is measured; the trial's model if not given" },
    { .name = "command",
      .type = KEY_LIST,
      .required = true,
      .keys = argument_row,
      .help = "program and arguments; ${model_dir} and ${out} are replaced" },
    { .name = "read",
      .type = KEY_MAP,
      .required = true,
      .keys = read_keys,
      .help = "where the numbers are" },
    { .name = "needs",
      .type = KEY_WORD,
      .words = needs_words,
      .help = "files: the model is written as ${model_dir}" },
    { .name = "timeout",
      .type = KEY_DURATION,
      .help = "the program is ended after this long" },
    { .name = NULL },
};

static bool names_model_dir(const json_t *command)
{
    AUTO(free_pointer) char *text = json_canonical(command);

    return strstr(text, "${model_dir}") != NULL;
}

static bool is_expression(const char *text)
{
    regex_t compiled;
    bool good = regcomp(&compiled, text, REG_EXTENDED | REG_NEWLINE) == 0;

    if (!good)
        return false;
    good = compiled.re_nsub >= 1;
    regfree(&compiled);
    return good;
}

static bool check_expressions(json_t *map, struct catalog_problem *ret_problem)
{
    const char *name;
    json_t *text;

    json_object_foreach(map, name, text)
    {
        if (!json_is_string(text) || !is_expression(json_string_value(text)))
            return catalog_refuse(
                ret_problem, "/read/stdout", "'^ppl=([0-9.]+)'",
                "not a regular expression with a group for the number");
    }
    return true;
}

static bool normalise(json_t *body, struct catalog_problem *ret_problem)
{
    const json_t *command = json_object_get(body, "command");
    json_t *read = json_object_get(body, "read");
    json_t *lines = json_object_get(read, "stdout");
    size_t metrics = json_object_size(json_object_get(read, "metrics"));

    if (json_array_size(command) == 0)
        return catalog_refuse(ret_problem, "/command",
                              "command: [PROGRAM, ARGUMENT]",
                              "there is no program");
    if (json_array_size(command) >= ARGUMENTS)
        return catalog_refuse(ret_problem, "/command", "",
                              "too many arguments");
    if ((lines != NULL) == (metrics != 0))
        return catalog_refuse(
            ret_problem, "/read",
            "read: {metrics: {exact: results.exact}}, or "
            "{stdout: {acc: 'acc=([0-9.]+)'}}",
            "it takes either `metrics` (JSON) or `stdout` (regular "
            "expression)");
    if (lines != NULL && json_object_get(read, "file") != NULL)
        return catalog_refuse(
            ret_problem, "/read/file", "keep one",
            "`file` is for JSON; `stdout` reads standard output");
    if (json_is_string(lines))
        (void)json_object_set_new(read, "stdout",
                                  json_pack("{sO}", "value", lines));
    if (!check_expressions(json_object_get(read, "stdout"), ret_problem))
        return false;
    if (names_model_dir(command))
        (void)json_object_set_new(body, "needs", json_string("files"));
    return true;
}

static json_t *metrics(const json_t *body)
{
    const json_t *read = json_object_get(body, "read");
    json_t *from = json_object_get(read, "metrics");
    json_t *names = json_array();
    const char *name;
    json_t *value;

    if (from == NULL)
        from = json_object_get(read, "stdout");
    if (json_is_string(from))
        (void)json_array_append_new(names, json_string("value"));
    json_object_foreach(from, name, value)(void)
        json_array_append_new(names, json_string(name));
    return names;
}

/* --- the job -------------------------------------------------------------- */

struct command {
    const json_t *params;
    struct job_context *context;
    struct recipe_model *model; /* NULL: not asked for */
    char *model_dir;            /* NULL: not asked for */
    char *out;
    char *arguments[ARGUMENTS + 1];
    struct buf output;
    json_t *metrics;
};

static void release(struct command *c)
{
    recipe_close(c->model);
    free(c->model_dir);
    free(c->out);
    for (size_t i = 0; i < ARGUMENTS; i++)
        free(c->arguments[i]);
    buf_release(&c->output);
    json_decref(c->metrics);
}

static struct status check_allowed(const struct command *c)
{
    const json_t *first =
        json_array_get(json_object_get(c->params, "command"), 0);
    const char *program = json_string_value(first);
    const char *slash = program == NULL ? NULL : strrchr(program, '/');
    const char *name = slash == NULL ? program : slash + 1;
    const char *const *allowed = c->context->allowed_commands;

    if (name == NULL || *name == '\0')
        return FAIL(STATUS_INVALID, "`command` names no program");
    for (; allowed != NULL && *allowed != NULL; allowed++)
        if (strcmp(*allowed, name) == 0)
            return SUCCESS;
    return FAIL(STATUS_DENIED,
                "this worker may not run %s; start it with --allow-command "
                "%s (`sinter run FILE` allows the programs of its file)",
                name, name);
}

static struct status write_model(struct command *c)
{
    AUTO(st_writer_release) struct st_writer *w = NULL;
    struct st_writer_settings settings = { .directory = c->model_dir };

    TRY_PLAIN(st_writer_new(&settings, recipe_tensors(c->model), &w));
    TRY_PLAIN(model_files_add(w, c->model, c->context));
    return st_writer_finish(w);
}

static struct status prepare_model(struct command *c)
{
    json_t *model;

    if (strcmp(json_text_or(c->params, "needs", ""), "files") != 0)
        return SUCCESS;
    TRY_PLAIN(json_member_object(c->params, "model", &model));
    TRY_PLAIN(recipe_open(model, c->context, &c->model));
    c->model_dir = xasprintf("%s/model", c->context->scratch);
    return write_model(c);
}

/* `text` with ${model_dir} and ${out} replaced; the caller frees. */
static struct status fill_in(const struct command *c, const char *text,
                             char **ret_text)
{
    const struct {
        const char *name, *value;
    } words[] = { { "${model_dir}", c->model_dir }, { "${out}", c->out } };
    struct buf b;

    buf_init(&b, 1 << 20);
    while (*text != '\0') {
        size_t size = 1;
        const char *piece = text;
        struct status s;

        for (size_t i = 0; i < COUNT_OF(words); i++)
            if (words[i].value != NULL &&
                strncmp(text, words[i].name, strlen(words[i].name)) == 0) {
                piece = words[i].value;
                size = strlen(words[i].name);
            }
        s = buf_add(&b, piece, piece == text ? 1 : strlen(piece));
        if (status_failed(&s)) {
            buf_release(&b);
            return s;
        }
        text += size;
    }
    *ret_text = buf_take(&b);
    return SUCCESS;
}

static struct status fill_arguments(struct command *c)
{
    const json_t *command = json_object_get(c->params, "command");

    if (json_array_size(command) > ARGUMENTS)
        return FAIL(STATUS_INVALID, "`command` has too many arguments");
    for (size_t i = 0; i < json_array_size(command); i++) {
        const json_t *item = json_array_get(command, i);
        AUTO(free_pointer) char *number = NULL;

        if (!json_is_string(item))
            number = json_canonical(item); /* a swept number or a bool */
        TRY_PLAIN(fill_in(c, number == NULL ? json_string_value(item) : number,
                          &c->arguments[i]));
    }
    return SUCCESS;
}

static struct status run_program(struct command *c)
{
    const char *token = c->context->token == NULL ? "" : c->context->token;
    const uint64_t threads = c->context->threads > 1 ? c->context->threads : 1;
    int epoch = (int)strcspn(token, "/");
    AUTO(free_pointer)
    char *first = xasprintf("SINTER_EPOCH=%.*s", epoch, token);
    AUTO(free_pointer)
    char *second = xasprintf("SINTER_ATTEMPT=%s",
                             token[epoch] == '/' ? token + epoch + 1 : "");
    AUTO(free_pointer)
    char *cpus = xasprintf("SINTER_CPUS=%" PRIu64, threads);
    AUTO(free_pointer)
    char *omp = xasprintf("OMP_NUM_THREADS=%" PRIu64, threads);
    AUTO(free_pointer)
    char *blas = xasprintf("OPENBLAS_NUM_THREADS=%" PRIu64, threads);
    /* The list ends before those of libraries if one will do: what the worker
     * was started with stays. */
    const char *environment[] = { first, second, cpus, threads > 1 ? omp : NULL,
                                  blas,  NULL };
    const struct program p = {
        .command = c->arguments,
        .directory = c->context->scratch,
        .environment = environment,
        .timeout_ms = json_int_or(c->params, "timeout", 0),
    };

    return program_run(&p, c->context, &c->output);
}

/* --- numbers of JSON ------------------------------------------------------ */

/* First file, in order of names, that matches; nftw() takes no argument. */
static struct {
    const char *pattern, *shorter;
    char *found;
} search;

static int visit(const char *path, const struct stat *st, int type,
                 struct FTW *ftw)
{
    (void)st;
    (void)ftw;
    if (type != FTW_F)
        return 0;
    if (fnmatch(search.pattern, path, 0) != 0 &&
        fnmatch(search.shorter, path, 0) != 0)
        return 0;
    if (search.found == NULL || strcmp(path, search.found) < 0) {
        free(search.found);
        search.found = xstrdup(path);
    }
    return 0;
}

/* Without the first "/ **" (no blank): ** may stand for no folder at all. */
static char *without_stars(const char *pattern)
{
    const char *stars = strstr(pattern, "/**/");

    if (stars == NULL)
        return xstrdup(pattern);
    return xasprintf("%.*s%s", (int)(stars - pattern), pattern, stars + 3);
}

static struct status find_file(const struct command *c, const char *pattern,
                               char **ret_path)
{
    AUTO(free_pointer) char *shorter = without_stars(pattern);

    search.pattern = pattern;
    search.shorter = shorter;
    search.found = NULL;
    (void)nftw(c->context->scratch, visit, 16, FTW_PHYS);
    if (search.found == NULL)
        return FAIL(STATUS_FAILED, "%s ended well but left no file %.200s",
                    c->arguments[0], pattern);
    *ret_path = search.found;
    return SUCCESS;
}

static struct status parse_output(const struct command *c, json_t **ret_json)
{
    const json_t *read = json_object_get(c->params, "read");
    const char *file = json_text_or(read, "file", NULL);
    AUTO(free_pointer) char *pattern = NULL;
    AUTO(free_pointer) char *path = NULL;

    if (file == NULL)
        return json_parse(c->output.size == 0 ? "" : c->output.data,
                          c->output.size, "standard output", ret_json);
    TRY_PLAIN(fill_in(c, file, &pattern));
    TRY_PLAIN(find_file(c, pattern, &path));
    return json_parse_file(path, OUTPUT_LIMIT, ret_json);
}

/* Follows "a.b.0.c"; NULL if it leads nowhere. */
static const json_t *follow(const json_t *json, const char *path)
{
    while (json != NULL && *path != '\0') {
        size_t size = strcspn(path, ".");
        char *end;
        AUTO(free_pointer) char *name = xstrndup(path, size);

        if (json_is_array(json)) {
            size_t at = strtoul(name, &end, 10);

            json = *end == '\0' ? json_array_get(json, at) : NULL;
        } else {
            json = json_object_get(json, name);
        }
        path += size + (path[size] == '.');
    }
    return json;
}

static struct status keep(struct command *c, const char *name, double value)
{
    if (!isfinite(value))
        return FAIL(STATUS_FAILED, "%s gave %g as `%.60s`", c->arguments[0],
                    value, name);
    (void)json_object_set_new(c->metrics, name, json_real(value));
    return SUCCESS;
}

static struct status read_json(struct command *c, json_t *wanted)
{
    AUTO(json_release) json_t *json = NULL;
    const char *name;
    json_t *path;
    struct status s = parse_output(c, &json);

    if (status_failed(&s)) {
        s.code = STATUS_FAILED; /* the program's doing, not the sweep's */
        return status_wrap(s, "%s ended well but gave no numbers",
                           c->arguments[0]);
    }
    json_object_foreach(wanted, name, path)
    {
        const json_t *value = follow(json, json_string_value(path));

        if (!json_is_number(value))
            return FAIL(STATUS_FAILED,
                        "%s ended well but its JSON has no number at `%.120s` "
                        "for `%.60s`",
                        c->arguments[0], json_string_value(path), name);
        TRY_PLAIN(keep(c, name, json_number_value(value)));
    }
    return SUCCESS;
}

/* --- numbers of lines ----------------------------------------------------- */

/* The last match counts: programs print as they go. */
static bool last_match(const regex_t *expression, const char *text,
                       double *ret_value)
{
    regmatch_t groups[2];
    bool found = false;
    int flags = 0;

    while (regexec(expression, text, 2, groups, flags) == 0) {
        char number[64], *end;
        size_t size = (size_t)(groups[1].rm_eo - groups[1].rm_so);
        double value;

        if (groups[1].rm_so >= 0 && size > 0 && size < sizeof(number)) {
            memcpy(number, text + groups[1].rm_so, size);
            number[size] = '\0';
            value = strtod(number, &end);
            if (*end == '\0') {
                *ret_value = value;
                found = true;
            }
        }
        text += groups[0].rm_eo > 0 ? groups[0].rm_eo : 1;
        if (text[-1] != '\n')
            flags = REG_NOTBOL;
        if (*text == '\0')
            break;
    }
    return found;
}

static struct status read_line(struct command *c, const char *name,
                               const char *expression)
{
    regex_t compiled;
    double value;
    bool found;

    if (strlen(expression) > PATTERN_LIMIT ||
        regcomp(&compiled, expression, REG_EXTENDED | REG_NEWLINE) != 0)
        return FAIL(STATUS_INVALID, "`%.120s` is not a regular expression",
                    expression);
    found = c->output.size > 0 && last_match(&compiled, c->output.data, &value);
    regfree(&compiled);
    if (!found)
        return FAIL(STATUS_FAILED,
                    "%s ended well but no line of its output gives a number "
                    "for `%.60s` by %.120s",
                    c->arguments[0], name, expression);
    return keep(c, name, value);
}

static struct status read_lines(struct command *c, json_t *wanted)
{
    const char *name;
    json_t *expression;

    if (json_is_string(wanted))
        return read_line(c, "value", json_string_value(wanted));
    json_object_foreach(wanted, name, expression) TRY_PLAIN(read_line(
        c, name,
        json_is_string(expression) ? json_string_value(expression) : ""));
    return SUCCESS;
}

static struct status run_all(struct command *c)
{
    const json_t *read = json_object_get(c->params, "read");
    json_t *lines = json_object_get(read, "stdout");

    TRY_PLAIN(check_allowed(c));
    c->out = xasprintf("%s/out", c->context->scratch);
    TRY_PLAIN(file_make_directories(c->out));
    TRY_PLAIN(prepare_model(c));
    TRY_PLAIN(fill_arguments(c));
    TRY_PLAIN(run_program(c));
    if (lines != NULL)
        return read_lines(c, lines);
    return read_json(c, json_object_get(read, "metrics"));
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    AUTO(release)
    struct command c = { .params = params,
                         .context = context,
                         .metrics = json_object() };

    buf_init(&c.output, OUTPUT_LIMIT);
    TRY(run_all(&c), "command");
    *ret_result = json_pack("{sO}", "metrics", c.metrics);
    return SUCCESS;
}

extern const struct job_kind job_evaluate_command;
const struct job_kind job_evaluate_command = {
    .catalog = { .name = "evaluate.command",
                 .summary = "numbers from a program of your own",
                 .example = "command: [my_eval, --model, \"${model_dir}\"]\n"
                            "read: {metrics: {exact: results.exact_match}}\n"
                            "timeout: 2h\n",
                 .sort = STAGE_VALUE,
                 .keys = keys,
                 .normalise = normalise,
                 .metrics = metrics },
    .run = run,
};
