#include "sweep/spec.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/option.h"
#include "sweep/compiled.h"
#include "sweep/spec_parts.h"

/* ---- what libyaml cannot say well ------------------------------------- */

/* Bytes of `${name}` at `text`; 0: it is none. */
static size_t braces_length(const char *text, size_t left)
{
    size_t length = 2;

    if (left < 4 || text[0] != '$' || text[1] != '{')
        return 0;
    while (length < left && length < LIMIT_NAME + 2 &&
           (isalnum((unsigned char)text[length]) || text[length] == '_' ||
            text[length] == '.' || text[length] == '-'))
        length++;
    return length > 2 && length < left && text[length] == '}' ? length + 1 : 0;
}

/* `{density: ${d}}`: the brace ends a plain scalar, so libyaml stops at it or
 * at what follows. The last such reference of the line that is not behind the
 * failure and not in quotes; its length, or 0. */
static size_t find_braces(const struct spec_input *input,
                          struct yaml_place failed,
                          struct yaml_place *ret_place, const char **ret_text)
{
    size_t size = 0;
    size_t found = 0;
    const char *line = yaml_line(input->text, input->size, failed.line, &size);
    char quote = '\0';
    uint32_t column = 0;

    for (size_t i = 0; i < size && column < failed.column; i++) {
        size_t length = quote == '\0' ? braces_length(line + i, size - i) : 0;

        column += ((unsigned char)line[i] & 0xC0) == 0x80 ? 0 : 1;
        if (line[i] == quote)
            quote = '\0';
        else if (quote == '\0' && (line[i] == '"' || line[i] == '\''))
            quote = line[i];
        if (length == 0)
            continue;
        found = length;
        *ret_text = line + i;
        *ret_place = (struct yaml_place){ .line = failed.line,
                                          .column = column,
                                          .length = (uint32_t)length };
    }
    return found;
}

static bool add_braces(struct spec *s, struct yaml_place failed)
{
    struct yaml_place place;
    const char *text = NULL;
    int length = (int)find_braces(s->input, failed, &place, &text);

    if (length == 0)
        return false;
    problem_suggest(problem_add(s->problems, PROBLEM_BRACES, place,
                                "`%.*s` cannot stand inside { }", length, text),
                    "write $%.*s, or quote it: \"%.*s\"", length - 3, text + 2,
                    length, text);
    return true;
}

/* A tab at the failure with nothing but blanks before it. */
static bool is_tab(const struct spec_input *input, struct yaml_place place)
{
    size_t length = 0;
    const char *line = yaml_line(input->text, input->size, place.line, &length);

    if (place.column > length || line[place.column - 1] != '\t')
        return false;
    for (uint32_t i = 0; i + 1 < place.column; i++) {
        if (line[i] != ' ' && line[i] != '\t')
            return false;
    }
    return true;
}

static void add_syntax(struct spec *s, const struct status *st,
                       struct yaml_place place)
{
    if (st->code == STATUS_INVALID && add_braces(s, place))
        return;
    if (st->code == STATUS_NOT_FOUND && s->kind == NULL)
        problem_suggest(
            problem_add(s->problems, PROBLEM_SYNTAX, place, "%s", st->message),
            "begin with sinter: 1, or with what `sinter init` "
            "prints");
    else if (st->code == STATUS_INVALID && is_tab(s->input, place))
        problem_suggest(problem_add(s->problems, PROBLEM_SYNTAX, place,
                                    "a tab cannot indent in YAML"),
                        "use blanks");
    else
        problem_add(s->problems,
                    st->code == STATUS_CORRUPT ? PROBLEM_TWICE : PROBLEM_SYNTAX,
                    place, "%s", st->message);
}

static bool read_yaml(struct spec *s)
{
    struct yaml_place place;
    struct status st =
        yaml_parse(s->input->text, s->input->size, &s->yaml, &place);

    if (status_failed(&st)) {
        add_syntax(s, &st, place);
        return false;
    }
    s->root = yaml_root(s->yaml);
    if (s->root->type == YAML_MAP)
        return true;
    problem_suggest(problem_add(s->problems, PROBLEM_WRONG_TYPE, s->root->place,
                                s->kind != NULL ? "the file is no map of keys"
                                                : "a sweep file is a map of "
                                                  "keys"),
                    s->kind != NULL ? "write KEY: VALUE lines"
                                    : "begin with sinter: 1");
    return false;
}

/* ---- keys at the top -------------------------------------------------- */

static bool is_top_key(const struct spec *s, const char *name)
{
    static const char *const plain[] = {
        "sinter",     "name",      "description", "tags",        "project",
        "priority",   "weight",    "vars",        "sources",     "stages",
        "parameters", "cases",     "derive",      "constraints", "replicates",
        "evaluate",   "objective", "strategy",    "limits",      "retries",
        "resources",  "outputs",   "report",
    };
    for (size_t i = 0; i < COUNT_OF(plain); i++) {
        if (strcmp(plain[i], name) == 0)
            return true;
    }
    return strncmp(name, "x-", 2) == 0 ||
           catalog_find_body(s->catalog, name) != NULL;
}

static void check_top_keys(struct spec *s)
{
    for (size_t i = 0; i < s->root->count; i++) {
        const struct yaml_node *key = s->root->pairs[i].key;

        if (!is_top_key(s, key->text))
            spec_unknown_key(s, "", NULL, key);
    }
}

/* A pasted mergekit file lacks one line and an indent: say that once, not a
 * mistake for each of its keys. */
static bool is_bare_body(struct spec *s)
{
    const struct yaml_pair *method = yaml_find(s->root, "merge_method");

    if (method == NULL || yaml_get(s->root, "merge") != NULL)
        return false;
    problem_suggest(problem_add(s->problems, PROBLEM_NO_BODY,
                                method->key->place,
                                "this reads like a mergekit file"),
                    "put it under merge: and begin with sinter: 1");
    return true;
}

static void read_version(struct spec *s)
{
    const struct yaml_node *node = yaml_get(s->root, "sinter");

    if (node == NULL)
        problem_suggest(problem_add(s->problems, PROBLEM_MISSING_KEY,
                                    s->root->place,
                                    "the file does not say its format"),
                        "begin with sinter: 1");
    else if (node->type != YAML_INTEGER || node->integer != 1)
        problem_suggest(problem_add(s->problems, PROBLEM_BAD_VERSION,
                                    node->place,
                                    "this program reads `sinter: 1` only"),
                        "write sinter: 1");
    (void)json_object_set_new(s->document, "sinter", json_integer(1));
}

/* "runs/dare.sweep.yaml" -> "dare". */
static char *name_of_file(const char *file)
{
    const char *slash = strrchr(file, '/');
    char *name = xstrdup(slash == NULL ? file : slash + 1);

    name[strcspn(name, ".")] = '\0';
    if (strlen(name) >= LIMIT_NAME)
        name[LIMIT_NAME - 1] = '\0';
    for (char *p = name; *p != '\0'; p++) {
        if (!isalnum((unsigned char)*p) && *p != '_' && *p != '-')
            *p = '-';
    }
    if (!isalpha((unsigned char)name[0])) {
        free(name);
        return xstrdup("sweep");
    }
    return name;
}

static void read_name(struct spec *s)
{
    const struct yaml_node *node = yaml_get(s->root, "name");
    char *name = NULL;

    if (node == NULL)
        name = name_of_file(s->input->file);
    else if (node->text == NULL)
        problem_suggest(problem_add(s->problems, PROBLEM_WRONG_TYPE,
                                    node->place, "`name` takes a text"),
                        "this is %s", yaml_type_name(node));
    else if (spec_check_name(s, node, "a sweep", false))
        name = xstrdup(node->text);
    if (name != NULL)
        (void)json_object_set_new(s->document, "name", json_string(name));
    free(name);
}

/* Fixed keys with one value; the same checks as in a body. */
static const struct catalog_key identity_texts[] = {
    { .name = "*", .type = KEY_TEXT },
    { .name = NULL },
};
static const struct catalog_key identity_keys[] = {
    { .name = "description", .type = KEY_TEXT },
    { .name = "tags", .type = KEY_LIST, .keys = identity_texts },
    { .name = "project", .type = KEY_TEXT },
    { .name = "priority", .type = KEY_INTEGER, .least = -100, .most = 100 },
    { .name = "weight",
      .type = KEY_NUMBER,
      .least = SWEEP_LEAST_WEIGHT,
      .most = SWEEP_MOST_WEIGHT },
    { .name = NULL },
};

static void read_identity(struct spec *s)
{
    read_name(s);
    for (const struct catalog_key *k = identity_keys; k->name != NULL; k++) {
        const struct yaml_pair *pair = yaml_find(s->root, k->name);
        struct value_env e = { .s = s, .what = k->name };
        json_t *value = pair == NULL ? NULL : spec_value(&e, k, pair->value);

        if (value != NULL)
            (void)json_object_set_new(s->document, k->name, value);
    }
}

/* ---- limits, retries, resources, outputs ------------------------------ */

static json_t *read_section(struct spec *s, const char *name)
{
    const struct yaml_pair *pair = yaml_find(s->root, name);

    return pair == NULL ? NULL
                        : spec_section(s, name, spec_section_keys(name), pair);
}

static void rename_key(json_t *map, const char *from, const char *to)
{
    json_t *value = json_object_get(map, from);

    if (value == NULL)
        return;
    (void)json_object_set(map, to, value);
    (void)json_object_del(map, from);
}

/* They stand in messages and on command lines as they are. */
static void check_labels(struct spec *s, const struct yaml_node *labels)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";

    for (size_t i = 0; i < labels->count; i++) {
        const struct yaml_node *value = labels->pairs[i].value;
        size_t length = value->text == NULL ? 0 : strlen(value->text);

        (void)spec_check_name(s, labels->pairs[i].key, "a label", false);
        if (value->text != NULL && (length == 0 || length >= LIMIT_NAME ||
                                    strspn(value->text, plain) != length))
            problem_suggest(
                problem_add(s->problems, PROBLEM_BAD_NAME, value->place,
                            "\"%.40s\" cannot be a label", value->text),
                "letters, digits and _ - ., at most %d", LIMIT_NAME - 1);
    }
}

/* A number of GPUs is a label like others: this program uses none itself, but
 * a command of an evaluator may. */
static void name_gpus(struct spec *s, const struct yaml_node *map,
                      json_t *needs)
{
    AUTO(json_release)
    json_t *gpus = json_incref(json_object_get(needs, "gpus"));
    json_t *labels = json_object_get(needs, "labels");
    AUTO(free_pointer) char *text = NULL;

    (void)json_object_del(needs, "gpus");
    if (json_integer_value(gpus) == 0)
        return;
    if (json_object_get(labels, "gpus") != NULL)
        problem_suggest(problem_add(s->problems, PROBLEM_NOT_TOGETHER,
                                    yaml_find(map, "gpus")->key->place,
                                    "`gpus` stands here and in `labels`"),
                        "remove one of the two");
    if (labels == NULL)
        (void)json_object_set_new(needs, "labels", labels = json_object());
    text = json_canonical(gpus);
    (void)json_object_set_new(labels, "gpus", json_string(text));
}

static void read_resources(struct spec *s)
{
    const struct yaml_node *map = yaml_get(s->root, "resources");
    const struct yaml_node *labels;
    size_t count;

    s->needs = read_section(s, "resources");
    if (s->needs == NULL)
        return;
    labels = yaml_get(map, "labels");
    if (labels != NULL && labels->type == YAML_MAP)
        check_labels(s, labels);
    name_gpus(s, map, s->needs);
    count = json_object_size(json_object_get(s->needs, "labels"));
    if (labels != NULL && count > LIMIT_LABELS)
        problem_suggest(problem_add(s->problems, PROBLEM_TOO_MANY,
                                    labels->place, "%zu labels", count),
                        "at most %d are taken, `gpus` is one of them",
                        LIMIT_LABELS);
    if (json_int_or(s->needs, "memory", 1) == 0)
        (void)json_object_del(s->needs, "memory"); /* not said */
}

static void read_limits(struct spec *s)
{
    json_t *limits = read_section(s, "limits");
    json_t *retries = read_section(s, "retries");

    read_resources(s);
    if (limits != NULL) {
        rename_key(limits, "time", "time_ms");
        rename_key(limits, "trial_time", "trial_time_ms");
        s->trial_ms = json_int_or(limits, "trial_time_ms", 0);
        rename_key(limits, "stall", "stall_ms");
        s->stall_ms = json_int_or(limits, "stall_ms", 0);
        (void)json_object_set_new(s->document, "limits", limits);
    }
    if (retries != NULL) {
        rename_key(retries, "backoff", "backoff_ms");
        (void)json_object_set_new(s->document, "retries", retries);
    }
}

/* "top 3" -> {"keep": "top", "count": 3}. */
static bool read_top(const char *keep, json_t *outputs)
{
    char *end;
    long long count;

    if (strncmp(keep, "top ", 4) != 0 || !isdigit((unsigned char)keep[4]))
        return false;
    count = strtoll(keep + 4, &end, 10);
    if (*end != '\0' || count < 1 || count > 1000)
        return false;
    (void)json_object_set_new(outputs, "keep", json_string("top"));
    (void)json_object_set_new(outputs, "count", json_integer(count));
    return true;
}

static void check_keep(struct spec *s, const char *keep, json_t *outputs,
                       struct yaml_place place)
{
    static const char *const words[] = { "none", "best", "top 3", "all", NULL };
    static const char *const later[] = { "pareto", "best per case", NULL };
    struct spec_problem *p;

    for (size_t i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], keep) == 0 && i != 2)
            return;
    }
    if (read_top(keep, outputs))
        return;
    for (size_t i = 0; later[i] != NULL; i++) {
        if (strncmp(later[i], keep, strlen("best per ")) == 0) {
            problem_add(s->problems, PROBLEM_LATER, place,
                        "`keep: %.40s` is not in this version", keep);
            return;
        }
    }
    p = problem_add(s->problems, PROBLEM_UNKNOWN_WORD, place,
                    "unknown keep \"%.60s\"", keep);
    problem_nearest(p, keep, words);
    problem_known(p, words);
}

static void read_outputs(struct spec *s)
{
    const struct yaml_node *map = yaml_get(s->root, "outputs");
    json_t *outputs = read_section(s, "outputs");
    const char *keep = json_text_or(outputs, "keep", NULL);

    if (outputs == NULL)
        return;
    if (keep != NULL)
        check_keep(s, keep, outputs, yaml_get(map, "keep")->place);
    (void)json_object_set_new(s->document, "outputs", outputs);
}

/* ---- all of it -------------------------------------------------------- */

/* Mistakes elsewhere make things look unused. */
static void check_unused(struct spec *s)
{
    if (problem_is_error(s->problems))
        return;
    for (size_t i = 0; i < s->declared_count; i++) {
        const struct declared *d = &s->declared[i];

        if (!d->used)
            problem_suggest(problem_add(s->problems, PROBLEM_UNUSED, d->place,
                                        "nothing uses `%.60s`", d->name),
                            "write $%.60s where it belongs, or remove it",
                            d->name);
    }
    spec_warn_sources(s);
}

static void compile(struct spec *s)
{
    spec_apply_overrides(s);
    if (!spec_apply_vars(s) || is_bare_body(s))
        return;
    check_top_keys(s);
    read_version(s);
    read_identity(s);
    read_limits(s);
    read_outputs(s);
    spec_read_sources(s);
    spec_read_space(s);
    spec_read_derive(s);
    spec_read_conditions(s);
    spec_read_stages(s);
    spec_read_evaluators(s);
    spec_write_space(s);
    spec_write_stages(s);
    spec_write_evaluators(s);
    spec_read_objective(s);
    spec_read_report(s);
    spec_write_stage_metrics(s);
    check_unused(s);
    if (!problem_is_error(s->problems))
        spec_check_trials(s);
}

/* Somebody has the wrong command in mind: say it once. */
static bool is_sweep(struct spec *s)
{
    const struct yaml_pair *version = yaml_find(s->root, "sinter");

    if (version == NULL)
        return false;
    problem_suggest(problem_add(s->problems, PROBLEM_NO_BODY,
                                version->key->place, "this is a sweep file"),
                    "use sinter run, or leave only what is under %s:", s->kind);
    return true;
}

/* The file as it would stand in a sweep file. */
static json_t *compile_body(struct spec *s)
{
    struct yaml_node *body = s->root;
    AUTO(json_release) json_t *variants = NULL;

    if (is_sweep(s))
        return NULL;
    s->root = yaml_new_map(s->yaml, body->place);
    yaml_set(s->yaml, s->root, s->kind, body->place, body);
    spec_apply_overrides(s);
    variants =
        spec_variants(s, catalog_find(s->catalog, s->kind), body, body->place,
                      NULL, (struct spec_given){ NULL, NULL }, NULL);
    return json_incref(json_object_get(json_array_get(variants, 0), "params"));
}

static void release_declared(struct declared *d)
{
    for (size_t i = 0; i < d->domain_count; i++) {
        free(d->domains[i].nodes);
        json_decref(d->domains[i].json);
    }
    free(d->domains);
}

static void release(struct spec *s)
{
    for (size_t i = 0; i < s->declared_count; i++)
        release_declared(&s->declared[i]);
    for (size_t i = 0; i < s->source_count; i++)
        json_decref(s->sources[i].json);
    for (size_t i = 0; i < s->stage_count; i++) {
        json_decref(s->stages[i].variants);
        json_decref(s->stages[i].metrics);
        json_decref(s->stages[i].shown);
    }
    for (size_t i = 0; i < s->evaluator_count; i++) {
        json_decref(s->evaluators[i].variants);
        json_decref(s->evaluators[i].metrics);
        expr_free(s->evaluators[i].parsed);
    }
    free(s->declared);
    free(s->sources);
    free(s->checked);
    map_free(s->names);
    for (size_t i = 0; i < s->extra_count; i++)
        yaml_tree_free(s->extra[i]);
    yaml_tree_free(s->yaml);
    json_decref(s->needs);
    json_decref(s->document);
}

static const struct spec_problem *first_error(
    const struct spec_problems *problems)
{
    for (size_t i = 0; i < problems->count; i++) {
        if (!problems->items[i].warning)
            return &problems->items[i];
    }
    return &problems->items[0];
}

static struct spec *begin(const struct spec_input *input,
                          const struct catalog *catalog,
                          struct spec_problems *problems)
{
    struct spec *s = xnew(struct spec);

    *problems = (struct spec_problems){ .count = 0 };
    s->input = input;
    s->catalog = catalog;
    s->problems = problems;
    s->document = json_object();
    s->names = map_new();
    return s;
}

/* What was made, unless there are errors; frees `s`. */
MUST_CHECK static struct status end(struct spec *s, json_t *made,
                                    json_t **ret_made)
{
    struct status st = SUCCESS;

    problem_sort(s->problems);
    if (problem_is_error(s->problems)) {
        const struct spec_problem *p = first_error(s->problems);

        st = FAIL(STATUS_INVALID, "%s:%u:%u: %s", s->input->file, p->line,
                  p->column, p->message);
        json_decref(made);
    } else {
        *ret_made = made;
    }
    release(s);
    free(s);
    return st;
}

struct status spec_compile(const struct spec_input *input,
                           const struct catalog *catalog, json_t **ret_document,
                           struct spec_problems *ret_problems)
{
    struct spec *s = begin(input, catalog, ret_problems);

    if (read_yaml(s))
        compile(s);
    return end(s, json_incref(s->document), ret_document);
}

struct status spec_compile_body(const struct spec_input *input,
                                const struct catalog *catalog, const char *kind,
                                json_t **ret_params,
                                struct spec_problems *ret_problems)
{
    struct spec *s = begin(input, catalog, ret_problems);
    json_t *params = NULL;

    s->kind = kind;
    if (read_yaml(s))
        params = compile_body(s);
    return end(s, params, ret_params);
}
