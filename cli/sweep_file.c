#include "cli/sweep_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/file.h"
#include "common/limits.h"
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "sources/source.h"

MUST_CHECK static struct status read_stdin(char **ret_text, size_t *ret_size)
{
    char piece[4096];
    struct buf all;
    struct status st = SUCCESS;
    size_t got = 0;

    buf_init(&all, LIMIT_SPEC);
    while (!status_failed(&st) &&
           (got = fread(piece, 1, sizeof piece, stdin)) > 0)
        st = buf_add(&all, piece, got);
    if (status_failed(&st)) {
        buf_release(&all);
        return status_wrap(st, "standard input");
    }
    *ret_size = all.size;
    *ret_text = buf_take(&all);
    return SUCCESS;
}

/* Absolute directory against which relative sources are taken. */
MUST_CHECK static struct status directory_of(const char *path,
                                             char **ret_directory)
{
    AUTO(free_pointer) char *parent = NULL;
    const char *slash = strrchr(path, '/');
    char *full = NULL;

    if (slash == NULL)
        parent = xstrdup(".");
    else
        parent = slash == path ? xstrdup("/")
                               : xstrndup(path, (size_t)(slash - path));
    full = realpath(parent, NULL);
    if (full == NULL)
        return FAIL(file_error(errno), "%s: %s", parent, strerror(errno));
    *ret_directory = full;
    return SUCCESS;
}

MUST_CHECK static struct status read_text(const char *path,
                                          struct sweep_file *f)
{
    bool is_stdin = strcmp(path, "-") == 0;

    if (is_stdin)
        TRY_PLAIN(read_stdin(&f->text, &f->input.size));
    else
        TRY_PLAIN(file_read(path, LIMIT_SPEC, &f->text, &f->input.size));
    TRY_PLAIN(directory_of(is_stdin ? "." : path, &f->directory));
    f->input.file = is_stdin ? "<stdin>" : path;
    f->input.text = f->text;
    f->input.directory = f->directory;
    return SUCCESS;
}

static void set_overrides(struct sweep_file *f, const struct option_list *list)
{
    size_t count = list == NULL ? 0 : list->count;

    f->overrides = xcalloc(count + 1, sizeof *f->overrides);
    for (size_t i = 0; i < count; i++)
        f->overrides[i].text = list->items[i];
    f->input.overrides = f->overrides;
    f->input.override_count = count;
}

MUST_CHECK static struct status fill(struct sweep_file *f, const char *path,
                                     const struct option_list *overrides)
{
    struct status st;

    TRY_PLAIN(read_text(path, f));
    set_overrides(f, overrides);
    st = spec_compile(&f->input, job_catalog(), &f->document, &f->problems);
    if (status_failed(&st)) {
        f->document = NULL;
        return sweep_file_errors(f) > 0 ? SUCCESS : st;
    }
    return sweep_file_refresh(f);
}

struct status sweep_file_read(struct cli *cli, const char *path,
                              const struct option_list *overrides,
                              struct sweep_file *ret_file)
{
    struct status st;

    memset(ret_file, 0, sizeof *ret_file);
    st = fill(ret_file, path, overrides);
    if (!status_failed(&st))
        return SUCCESS;
    sweep_file_release(ret_file);
    return cli_here(cli, st);
}

/* Problems on stderr; without a document the command ends. */
MUST_CHECK static struct status want_document(struct cli *cli, const char *path,
                                              struct sweep_file *f)
{
    size_t errors = 0;

    sweep_file_report(cli, f);
    if (f->document != NULL)
        return SUCCESS;
    errors = sweep_file_errors(f);
    sweep_file_release(f);
    cli->failure_exit = CLI_SPEC;
    cli->reported = cli->options->json;
    return FAIL(STATUS_INVALID, "%s has %zu error%s; nothing was started", path,
                errors, errors == 1 ? "" : "s");
}

struct status sweep_file_load(struct cli *cli, const char *path,
                              const struct option_list *overrides,
                              struct sweep_file *ret_file)
{
    TRY_PLAIN(sweep_file_read(cli, path, overrides, ret_file));
    return want_document(cli, path, ret_file);
}

/* A path beside the file goes before one from here. */
static char *locate(void *self, const char *text)
{
    const struct sweep_file *f = self;
    AUTO(free_pointer) char *beside = NULL;

    if (text[0] != '/' && strstr(text, "://") == NULL) {
        beside = xasprintf("%s/%s", f->directory, text);
        if (file_exists(beside))
            return source_url(beside);
    }
    return source_url(text);
}

MUST_CHECK static struct status fill_body(struct sweep_file *f,
                                          const char *path, const char *kind,
                                          const struct option_list *overrides)
{
    struct status st;

    TRY_PLAIN(read_text(path, f));
    set_overrides(f, overrides);
    f->input.locate = locate;
    f->input.self = f;
    st = spec_compile_body(&f->input, job_catalog(), kind, &f->document,
                           &f->problems);
    if (status_failed(&st))
        f->document = NULL;
    return status_failed(&st) && sweep_file_errors(f) == 0 ? st : SUCCESS;
}

struct status sweep_file_body(struct cli *cli, const char *path,
                              const char *kind,
                              const struct option_list *overrides,
                              struct sweep_file *ret_file)
{
    struct status st;

    memset(ret_file, 0, sizeof *ret_file);
    st = fill_body(ret_file, path, kind, overrides);
    if (!status_failed(&st))
        return want_document(cli, path, ret_file);
    sweep_file_release(ret_file);
    return cli_here(cli, st);
}

void sweep_file_release(struct sweep_file *f)
{
    compiled_free(f->compiled);
    json_decref(f->document);
    free(f->overrides);
    free(f->directory);
    free(f->text);
    memset(f, 0, sizeof *f);
}

static void report_json(const struct cli *cli, const struct sweep_file *f,
                        const struct spec_problem *problem)
{
    AUTO(json_release) json_t *one = spec_problem_json(problem, &f->input);
    AUTO(json_release) json_t *all = json_object();
    AUTO(free_pointer) char *text = NULL;

    (void)json_object_set(all, problem->warning ? "warning" : "error", one);
    text = json_canonical(all);
    fprintf(cli->err.stream, "%s\n", text);
}

void sweep_file_report(const struct cli *cli, const struct sweep_file *f)
{
    for (size_t i = 0; i < f->problems.count; i++) {
        if (cli->options->json)
            report_json(cli, f, &f->problems.items[i]);
        else
            spec_print_problem(&f->problems.items[i], &f->input,
                               cli->err.colour, cli->err.stream);
    }
    if (f->problems.more > 0)
        cli_note(cli, "... and %zu more", f->problems.more);
}

size_t sweep_file_errors(const struct sweep_file *f)
{
    size_t errors = f->problems.more;

    for (size_t i = 0; i < f->problems.count; i++)
        errors += f->problems.items[i].warning ? 0 : 1;
    return errors;
}

struct status sweep_file_refresh(struct sweep_file *f)
{
    AUTO(free_pointer) char *text = json_canonical(f->document);
    struct compiled *fresh = NULL;

    TRY(compiled_parse(text, strlen(text), &fresh), "%s", f->input.file);
    compiled_free(f->compiled);
    f->compiled = fresh;
    return SUCCESS;
}

void sweep_file_idempotency(const json_t *document, char ret_text[DIGEST_TEXT])
{
    AUTO(free_pointer) char *text = json_canonical(document);
    struct digest d = digest_of(text, strlen(text));

    digest_to_text(&d, ret_text);
}
