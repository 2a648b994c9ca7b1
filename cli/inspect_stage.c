#include "cli/inspect_stage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/export.h"
#include "cli/inspect_selection.h"
#include "cli/selector.h"
#include "cli/trial.h"
#include "common/file.h"
#include "common/memory.h"

/* SWEEP/12, where no path is called so; the hub has no such names. */
static bool names_trial(const char *operand)
{
    struct selector s;
    struct status st = selector_parse(operand, &s);

    return !status_failed(&st) && (s.trial != 0 || s.best) &&
           strpbrk(s.sweep, "/:") == NULL && access(operand, F_OK) != 0;
}

bool inspect_stage_is(const struct cli *cli, const struct inspect_stage *stage)
{
    const char *operand = cli->operands[0];

    return stage->name != NULL || stage->output != NULL || *operand == '@' ||
           names_trial(operand) || inspect_selection_is(operand);
}

/* Shown, drawn or printed as JSON. */
MUST_CHECK static struct status show(struct cli *cli, const char *directory,
                                     const char *svg)
{
    AUTO(json_release) json_t *report = NULL;
    AUTO(json_release) json_t *body = NULL;

    TRY_PLAIN(cli_here(cli, inspect_selection_load(directory, &report)));
    if (svg != NULL)
        TRY_PLAIN(
            cli_here(cli, inspect_selection_draw(directory, report, svg)));
    body = json_pack("{s:O}", "selection", report);
    if (cli->options->json)
        cli_print_document(cli, "inspect", body);
    else
        inspect_selection_print(cli, report);
    return SUCCESS;
}

static bool is_wanted(const json_t *job, const char *name)
{
    if (name != NULL)
        return strcmp(json_text_or(job, "stage", ""), name) == 0;
    return strcmp(json_text_or(job, "kind", ""), "select") == 0;
}

/* The job of the stage; NOT_FOUND says what there is. */
MUST_CHECK static struct status find_job(const struct trial *t,
                                         const char *name,
                                         const json_t **ret_job)
{
    const json_t *jobs = json_object_get(t->json, "jobs");

    for (size_t i = 0; i < json_array_size(jobs); i++) {
        *ret_job = json_array_get(jobs, i);
        if (is_wanted(*ret_job, name))
            return SUCCESS;
    }
    if (name == NULL)
        return FAIL(STATUS_NOT_FOUND,
                    "#%llu of %s selects no data; --stage names a stage that "
                    "does",
                    (unsigned long long)t->number, t->name);
    return FAIL(STATUS_NOT_FOUND, "#%llu of %s has no stage \"%s\"",
                (unsigned long long)t->number, t->name, name);
}

MUST_CHECK static struct status find_artifact(const struct trial *t,
                                              const char *name,
                                              const char **ret_digest)
{
    const json_t *job = NULL;

    TRY_PLAIN(find_job(t, name, &job));
    if (strcmp(json_text_or(job, "kind", ""), "select") != 0)
        return FAIL(STATUS_INVALID, "stage \"%s\" selects no data", name);
    *ret_digest =
        json_text_or(json_object_get(job, "result"), "artifact", NULL);
    if (*ret_digest == NULL)
        return FAIL(STATUS_FAILED,
                    "stage \"%s\" of #%llu is %s: it left no "
                    "files to look at",
                    json_text_or(job, "stage", "?"),
                    (unsigned long long)t->number,
                    json_text_or(job, "state", "?"));
    return SUCCESS;
}

/* `directory`: where its files go. */
MUST_CHECK static struct status show_stage(struct cli *cli,
                                           const struct inspect_stage *stage,
                                           const char *directory)
{
    AUTO(session_release) struct session session = { .client = NULL };
    AUTO(trial_release) struct trial trial = { .number = 0 };
    const char *digest = NULL;
    bool present;

    TRY_PLAIN(session_open(cli, &session));
    TRY_PLAIN(trial_load(&session, cli->operands[0], &trial));
    TRY_PLAIN(find_artifact(&trial, stage->name, &digest));
    TRY_PLAIN(export_artifact(cli, &session, digest, directory, &present));
    return show(cli, directory, stage->svg);
}

MUST_CHECK static struct status show_for_now(struct cli *cli,
                                             const struct inspect_stage *stage)
{
    const char *base = getenv("TMPDIR");
    AUTO(free_pointer)
    char *parent =
        xasprintf("%s/sinter-inspect-XXXXXX", base == NULL ? "/tmp" : base);
    AUTO(free_pointer) char *directory = NULL;
    struct status st, ignored;

    if (mkdtemp(parent) == NULL)
        return cli_here(
            cli, FAIL(file_error(errno), "%s: %s", parent, strerror(errno)));
    directory = xasprintf("%s/files", parent);
    st = show_stage(cli, stage, directory);
    ignored = file_remove_tree(parent);
    (void)ignored; /* a leftover among temporary files */
    return st;
}

struct status inspect_stage(struct cli *cli, const struct inspect_stage *stage)
{
    if (cli->operand_count > 1)
        return cli_usage(cli, "one selection at a time");
    if (inspect_selection_is(cli->operands[0]))
        return show(cli, cli->operands[0], stage->svg);
    if (stage->output == NULL)
        return show_for_now(cli, stage);
    return show_stage(cli, stage, stage->output);
}
