#include "cli/command.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/follow.h"
#include "cli/prepare.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/trial.h"
#include "cli/verify.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/memory.h"

enum { VERIFY_PRIORITY = 100 };

struct verify_settings {
    const char *stage;
    bool local;
};

#define AT(member) offsetof(struct verify_settings, member)
static const struct option options[] = {
    { .name = "stage",
      .type = OPTION_TEXT,
      .offset = AT(stage),
      .value = "NAME",
      .help = "Only this stage or evaluator" },
    { .name = "local",
      .type = OPTION_SWITCH,
      .offset = AT(local),
      .help = "On this machine and from the sources on, not on the farm" },
    { .name = NULL },
};
#undef AT

struct job {
    struct session session; /* where it was computed */
    struct session again;   /* where it is computed now; of --local */
    char *state;            /* directory of that farm; NULL: none */
    const char **commands;
    struct trial trial;
    json_t *document; /* of the verification */
    json_t *done;     /* its status at the end */
    char *digest;     /* of the model; NULL: it was never exported */
    json_t *rows;
};

static void job_release(struct job *j)
{
    struct status ignored = SUCCESS;

    session_release(&j->again);
    session_release(&j->session);
    if (j->state != NULL)
        ignored = file_remove_tree(j->state);
    (void)ignored; /* a leftover among temporary files */
    free(j->state);
    free(j->commands);
    free(j->digest);
    trial_release(&j->trial);
    json_decref(j->document);
    json_decref(j->done);
    json_decref(j->rows);
}

MUST_CHECK static struct status check_done(const struct trial *t)
{
    const char *state = json_text_or(t->json, "state", "?");

    if (strcmp(state, "done") == 0)
        return SUCCESS;
    return FAIL(STATUS_FAILED,
                "#%llu of %s is %s: there are no results to compare",
                (unsigned long long)t->number, t->name, state);
}

/* No two verifications are one computation. */
static void make_nonce(char *text, size_t size)
{
    (void)snprintf(text, size, "%llx-%lx-%llx",
                   (unsigned long long)clock_wall_ms(), (unsigned long)getpid(),
                   (unsigned long long)clock_now());
}

MUST_CHECK static struct status make_document(struct cli *cli, struct job *j)
{
    const struct verify_settings *settings = cli->settings;
    const struct trial *t = &j->trial;
    AUTO(json_release)
    json_t *names = verify_names(t->json, t->spec, settings->stage);
    char nonce[64];

    if (json_array_size(names) == 0)
        return FAIL(STATUS_NOT_FOUND, "#%llu of %s has no %s%s",
                    (unsigned long long)t->number, t->name,
                    settings->stage == NULL ? "jobs" : "stage ",
                    settings->stage == NULL ? "" : settings->stage);
    make_nonce(nonce, sizeof nonce);
    j->document =
        compiled_verify_document(t->compiled, t->values, names, nonce);
    /* somebody waits for it */
    (void)json_object_set_new(j->document, "priority",
                              json_integer(VERIFY_PRIORITY));
    return SUCCESS;
}

/* A farm of its own that knows nothing. */
MUST_CHECK static struct status start_private(struct cli *cli, struct job *j)
{
    const char *directory = getenv("TMPDIR");
    struct local_settings settings = { .purpose = "verify",
                                       .commands = j->commands };
    struct local *farm = NULL;

    session_release(&j->session);
    j->state = xasprintf("%s/sinter-verify-XXXXXX",
                         directory == NULL ? "/tmp" : directory);
    if (mkdtemp(j->state) == NULL)
        return cli_here(cli, FAIL(STATUS_FAILED,
                                  "cannot make a directory in "
                                  "%s",
                                  directory == NULL ? "/tmp" : directory));
    settings.state = j->state;
    TRY_PLAIN(cli_here(cli, local_start(&settings, &farm)));
    return session_open_local(cli, farm, &j->again);
}

/* Where it is computed, with workers. */
MUST_CHECK static struct status take_farm(struct cli *cli, struct job *j,
                                          struct session **ret_session)
{
    const struct verify_settings *settings = cli->settings;

    j->commands = prepare_commands(j->trial.spec);
    *ret_session = settings->local ? &j->again : &j->session;
    if (settings->local)
        TRY_PLAIN(start_private(cli, j));
    if ((*ret_session)->local == NULL)
        return SUCCESS;
    local_allow((*ret_session)->local, j->commands);
    return cli_here(cli, local_start_workers((*ret_session)->local, 1, 1));
}

MUST_CHECK static struct status compute(struct cli *cli, struct job *j)
{
    AUTO(json_release) json_t *again = NULL;
    char sweep[SINTER_ID];
    struct session *s = NULL;
    bool duplicate = false;

    TRY_PLAIN(take_farm(cli, j, &s));
    TRY_PLAIN(session_submit(s, j->document, sweep, &duplicate));
    TRY_PLAIN(follow_sweep(cli, s, sweep, FOLLOW_PROGRESS, &j->done));
    if (json_int_or(j->done, "done", 0) == 0)
        return FAIL(STATUS_FAILED, "#%llu of %s cannot be computed again: %s",
                    (unsigned long long)j->trial.number, j->trial.name,
                    json_text_or(json_object_get(j->done, "first_failure"),
                                 "message",
                                 json_text_or(j->done, "state", "?")));
    TRY_PLAIN(session_ask(s, "trial",
                          json_pack("{s:s, s:i}", "sweep", sweep, "trial", 1),
                          &again));
    j->rows = verify_compare(j->trial.json, again, j->digest);
    return SUCCESS;
}

static size_t count_rows(const struct job *j, const char *verdict)
{
    size_t count = 0;

    for (size_t i = 0; i < json_array_size(j->rows); i++)
        count += strcmp(json_text_or(json_array_get(j->rows, i), "verdict", ""),
                        verdict) == 0;
    return count;
}

static void add_cell(struct table *t, const json_t *value)
{
    char text[64];

    if (json_is_number(value)) {
        json_format_real(json_number_value(value), text, sizeof text);
        table_add(t, text, NULL);
    } else {
        (void)snprintf(text, sizeof text, "%.16s",
                       json_is_string(value) ? json_string_value(value) : "-");
        table_add(t, text, NULL);
    }
}

static void print_table(const struct cli *cli, const struct job *j)
{
    struct table *t = table_new();

    table_column(t, "stage", TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "what", TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "was", TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "is", TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "verdict", TABLE_TEXT, TABLE_ALWAYS);
    for (size_t i = 0; i < json_array_size(j->rows); i++) {
        const json_t *row = json_array_get(j->rows, i);

        table_add(t, json_text_or(row, "stage", "?"), NULL);
        table_add(t, json_text_or(row, "what", "?"), NULL);
        add_cell(t, json_object_get(row, "was"));
        add_cell(t, json_object_get(row, "is"));
        table_add(t, json_text_or(row, "verdict", "?"), NULL);
    }
    table_print(t, TABLE_PEOPLE, &cli->out, NULL);
    table_free(t);
}

static void tell(struct cli *cli, const struct job *j)
{
    unsigned long long number = j->trial.number;
    const char *name = j->trial.name;
    size_t differ = count_rows(j, "differs");
    size_t same = count_rows(j, "same");
    AUTO(json_release)
    json_t *body = json_pack("{s:O, s:s, s:I, s:b, s:O}", "sweep",
                             json_object_get(j->trial.status, "id"), "name",
                             name, "trial", (json_int_t)number, "equal",
                             (int)(differ == 0), "rows", j->rows);

    if (differ > 0)
        cli->exit = CLI_DIFFERS;
    if (cli->options->json) {
        cli_print_document(cli, "verify", body);
        return;
    }
    print_table(cli, j);
    if (differ > 0)
        cli_note(cli, "#%llu of %s is not what it was: %zu of %zu differ",
                 number, name, differ, same + differ);
    else
        cli_note(cli,
                 "#%llu of %s is what it was: %zu of %zu compared are "
                 "the same",
                 number, name, same, same);
    if (count_rows(j, "new") > 0)
        cli_note(cli,
                 "%zu could not be compared: nothing was known before (the "
                 "digest of a model is known when it was exported)",
                 count_rows(j, "new"));
}

MUST_CHECK static struct status work(struct cli *cli, struct job *j)
{
    TRY_PLAIN(session_open(cli, &j->session));
    TRY_PLAIN(trial_load(&j->session, cli->operands[0], &j->trial));
    TRY_PLAIN(check_done(&j->trial));
    TRY_PLAIN(make_document(cli, j));
    TRY_PLAIN(trial_digest(&j->session, &j->trial, &j->digest));
    TRY_PLAIN(compute(cli, j));
    tell(cli, j);
    return SUCCESS;
}

MUST_CHECK static struct status run(struct cli *cli)
{
    struct job j;
    struct status st;

    memset(&j, 0, sizeof j);
    st = work(cli, &j);
    job_release(&j);
    return st;
}

const struct command command_verify = {
    .name = "verify",
    .summary = "Compute a trial again and compare digests and numbers",
    .usage = "TRIAL",
    .details =
        "  Every stage and evaluator of the trial is run anew, each from the "
        "inputs it had;\n  nothing is answered from what is known. Exit 9 if "
        "a digest or a number differs.\n",
    .group = COMMAND_RESULTS,
    .options = options,
    .settings_size = sizeof(struct verify_settings),
    .least = 1,
    .most = 1,
    .run = run,
};
