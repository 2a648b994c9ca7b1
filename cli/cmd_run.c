#include "cli/command.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "cli/board.h"
#include "cli/crew.h"
#include "cli/export.h"
#include "cli/follow.h"
#include "cli/interrupt.h"
#include "cli/local.h"
#include "cli/number.h"
#include "cli/outputs.h"
#include "cli/prepare.h"
#include "cli/report.h"
#include "cli/session.h"
#include "cli/sweep_file.h"
#include "cli/trial_table.h"
#include "common/memory.h"

enum {
    LOCK_MS = 1000, /* for a short command that holds the state */
    BOARD = 10,     /* points shown at the end */
    TRIALS = 20,    /* trials, where no objective makes points better */
};

struct run_settings {
    int64_t workers, slots;
    const char *store;
    struct option_list set;
};

#define AT(member) offsetof(struct run_settings, member)
static const struct option options[] = {
    { .name = "workers",
      .letter = 'j',
      .type = OPTION_NUMBER,
      .offset = AT(workers),
      .otherwise = "0",
      .least = 0,
      .most = 1024,
      .value = "N",
      .help = "Workers, which share processors and memory; 0: one for "
              "each processor, or fewer where jobs ask for more" },
    { .name = "slots",
      .type = OPTION_NUMBER,
      .offset = AT(slots),
      .otherwise = "1",
      .least = 1,
      .most = 1024,
      .value = "N",
      .help = "Jobs at once in each worker" },
    { .name = "store",
      .type = OPTION_TEXT,
      .offset = AT(store),
      .value = "URL",
      .help = "redis://HOST instead of SQLite; kept for this directory" },
    SWEEP_FILE_SET(AT(set)),
    { .name = NULL },
};
#undef AT

/* One `sinter run` from start to end. */
struct job {
    struct sweep_file file;
    struct crew crew;
    struct session session;
    struct outputs outputs;
    const char **commands;
    char sweep[SINTER_ID];
    int64_t known;  /* jobs done before we started */
    json_t *status; /* at the end */
    struct board board;
    struct report *report; /* NULL: the file asks for none */
    json_t *exports;
};

static void job_release(struct job *j)
{
    session_release(&j->session);
    report_free(j->report);
    board_release(&j->board);
    outputs_release(&j->outputs);
    json_decref(j->status);
    json_decref(j->exports);
    free(j->commands);
    sweep_file_release(&j->file);
}

MUST_CHECK static struct status prepare(struct cli *cli, struct job *j)
{
    const struct run_settings *settings = cli->settings;
    const struct crew wanted = { (size_t)settings->workers,
                                 (size_t)settings->slots };
    const struct crew_machine machine = local_machine();

    TRY_PLAIN(sweep_file_load(cli, cli->operands[0], &settings->set, &j->file));
    TRY_PLAIN(crew_choose(&machine, j->file.document, &wanted, &j->crew));
    TRY_PLAIN(prepare_sources(cli, &j->file, true));
    TRY_PLAIN(outputs_read(j->file.document, &j->outputs));
    for (size_t i = 0; i < j->outputs.count; i++)
        TRY_PLAIN(cli_here(cli, export_check(j->outputs.directories[i])));
    j->commands = prepare_commands(j->file.document);
    j->exports = json_array();
    return SUCCESS;
}

MUST_CHECK static struct status start(struct cli *cli, struct job *j)
{
    const struct run_settings *settings = cli->settings;
    char purpose[128];
    struct local_settings local = {
        .state = cli->options->state,
        .store = settings->store,
        .purpose = purpose,
        .wait_ms = LOCK_MS,
        .commands = j->commands,
    };
    struct local *farm = NULL;

    (void)snprintf(purpose, sizeof purpose, "run %.100s", cli->operands[0]);
    TRY_PLAIN(cli_here(cli, local_start(&local, &farm)));
    return session_open_local(cli, farm, &j->session);
}

/* Who runs a sweep that was paused wants it to go on: nobody else uses this
 * farm. */
MUST_CHECK static struct status wake(struct job *j, const json_t *status,
                                     bool *ret_woken)
{
    AUTO(json_release) json_t *answer = NULL;

    *ret_woken =
        json_bool_or(status, "paused", false) && !follow_has_ended(status);
    if (!*ret_woken)
        return SUCCESS;
    return session_ask(&j->session, "resume",
                       json_pack("{s:s}", "sweep", j->sweep), &answer);
}

/* Submitted before the first worker is there, so that what was known can be
 * told from what is computed now. */
MUST_CHECK static struct status submit(struct cli *cli, struct job *j)
{
    AUTO(json_release) json_t *status = NULL;
    size_t workers = j->crew.workers;
    bool duplicate = false;
    bool woken = false;
    int64_t trials = 0;

    TRY_PLAIN(
        session_submit(&j->session, j->file.document, j->sweep, &duplicate));
    TRY_PLAIN(follow_status(&j->session, j->sweep, &status));
    TRY_PLAIN(wake(j, status, &woken));
    j->known = json_int_or(json_object_get(status, "jobs"), "done", 0);
    trials = json_int_or(status, "trials", 0);
    cli_note(cli, "%s  %s  %lld trial%s, %zu worker%s%s",
             json_text_or(status, "name", "?"), j->sweep, (long long)trials,
             number_plural((uint64_t)trials), workers, number_plural(workers),
             !duplicate                 ? ""
             : woken                    ? "; it was paused, and goes on"
             : follow_has_ended(status) ? "; it was run before"
                                        : "; going on where it was");
    if (!follow_has_ended(status))
        cli_note(cli, "to look at while it runs: %s/#%s",
                 local_page(j->session.local), j->sweep);
    return cli_here(cli, local_start_workers(j->session.local, j->crew.workers,
                                             j->crew.slots));
}

static void tell_stopped(const struct cli *cli, const struct job *j)
{
    cli_note(cli,
             "stopped; what is done is kept in %s. The same command goes "
             "on: sinter run %s",
             cli->options->state, j->file.input.file);
}

static int64_t computed(const struct job *j)
{
    return json_int_or(json_object_get(j->status, "jobs"), "done", 0) -
           j->known;
}

/* Winners as directories, as `outputs` of the file says. */
MUST_CHECK static struct status export_winners(struct cli *cli, struct job *j)
{
    for (size_t i = 0; i < j->outputs.count && i < j->board.ranks.count; i++) {
        struct export_wish wish = {
            .sweep = j->sweep,
            .trial = j->board.ranks.items[i].trial,
            .directory = j->outputs.directories[i],
            .shard_bytes = j->outputs.shard_bytes,
        };
        struct export_outcome outcome;

        TRY_PLAIN(export_trial(cli, &j->session, &wish, &outcome));
        (void)json_array_append_new(
            j->exports,
            json_pack("{s:I, s:s, s:s, s:b}", "trial", (json_int_t)wish.trial,
                      "directory", wish.directory, "digest", outcome.digest,
                      "present", (int)outcome.present));
        cli_note(cli,
                 outcome.present ? "#%llu is in %s already, unchanged"
                                 : "#%llu is written to %s",
                 (unsigned long long)wish.trial, wish.directory);
    }
    return SUCCESS;
}

static void print_json(const struct cli *cli, const struct job *j)
{
    AUTO(json_release)
    json_t *body =
        json_pack("{s:s, s:O, s:I, s:I, s:O}", "sweep", j->sweep, "status",
                  j->status, "computed", (json_int_t)computed(j), "known",
                  (json_int_t)j->known, "exports", j->exports);

    if (j->board.metric != NULL)
        (void)json_object_set_new(body, "best", board_json(&j->board, BOARD));
    if (j->report != NULL)
        (void)json_object_set_new(body, "report", report_json(j->report));
    cli_print_document(cli, "run", body);
}

/* Without an objective there is no best: what came out is shown as it is. */
MUST_CHECK static struct status print_trials(struct cli *cli, struct job *j)
{
    AUTO(json_release) json_t *trials = NULL;
    AUTO(json_release) json_t *names = NULL;
    int64_t all = json_int_or(j->status, "trials", 0);
    struct table *t = NULL;
    struct buf dropped;

    TRY_PLAIN(board_trials(&j->session, j->sweep, 0, TRIALS, &trials));
    TRY_PLAIN(trial_columns(j->board.spec, NULL, &names));
    if (json_array_size(trials) == 0)
        return SUCCESS;
    t = table_new();
    buf_init(&dropped, 4096);
    trial_table_columns(t, j->board.spec, names, trials);
    trial_table_rows(t, names, trials);
    table_print(t, TABLE_PEOPLE, &cli->out, &dropped);
    if (dropped.size > 0)
        cli_note(cli, "too narrow for: %s", dropped.data);
    if ((int64_t)json_array_size(trials) < all)
        cli_note(cli, "%zu of %lld trials; all: sinter trials %s",
                 json_array_size(trials), (long long)all, j->sweep);
    buf_release(&dropped);
    table_free(t);
    return SUCCESS;
}

/* The last thing on the screen, and its files beside the sweep file. */
MUST_CHECK static struct status make_report(struct cli *cli, struct job *j)
{
    TRY_PLAIN(report_load(&j->session, j->sweep, j->board.spec, &j->report));
    if (j->report == NULL)
        return SUCCESS;
    if (!cli->options->json && !cli->options->quiet)
        report_print(cli, j->report);
    return cli_here(cli,
                    report_write(cli, j->report, j->file.directory, false));
}

MUST_CHECK static struct status finish(struct cli *cli, struct job *j)
{
    struct status st;

    follow_verdict(cli, j->status);
    TRY_PLAIN(board_load(&j->session, j->sweep, NULL, true, &j->board));
    if (!cli->options->json && !cli->options->quiet && j->board.metric != NULL)
        board_print(cli, &j->board, BOARD);
    else if (!cli->options->json && !cli->options->quiet)
        TRY_PLAIN(print_trials(cli, j));
    cli_note(cli, "computed %lld job%s, already known %lld",
             (long long)computed(j), number_plural((uint64_t)computed(j)),
             (long long)j->known);
    st = make_report(cli, j);
    if (!status_failed(&st))
        st = export_winners(cli, j);
    if (cli->options->json)
        print_json(cli, j);
    else if (cli->options->quiet)
        fprintf(cli->out.stream, "%s\n", j->sweep);
    return st;
}

MUST_CHECK static struct status work(struct cli *cli, struct job *j)
{
    TRY_PLAIN(prepare(cli, j));
    TRY_PLAIN(start(cli, j));
    TRY_PLAIN(submit(cli, j));
    TRY_PLAIN(
        follow_sweep(cli, &j->session, j->sweep, FOLLOW_PROGRESS, &j->status));
    return finish(cli, j);
}

MUST_CHECK static struct status run(struct cli *cli)
{
    struct job j;
    struct status st;

    memset(&j, 0, sizeof j);
    interrupt_catch();
    st = work(cli, &j);
    if (st.code == STATUS_CANCELLED && interrupt_seen() && j.sweep[0] != '\0')
        tell_stopped(cli, &j);
    job_release(&j);
    return st;
}

const struct command command_run = {
    .name = "run",
    .summary = "Run a sweep on this machine: nothing to set up",
    .usage = "FILE",
    .details = "  Starts a broker and workers for as long as it runs, keeps "
               "everything in .sinter\n  and prints the best points. The same "
               "command again goes on, also\n  after a pause, or reports what "
               "is known. Exit 7 if too many trials failed,\n  130 after "
               "Ctrl-C. A browser shows it at the address that is printed.\n",
    .group = COMMAND_START,
    .options = options,
    .settings_size = sizeof(struct run_settings),
    .least = 1,
    .most = 1,
    .run = run,
};
