#include "cli/command.h"

#include <stddef.h>
#include <string.h>

#include "cli/board.h"
#include "cli/follow.h"
#include "cli/number.h"
#include "cli/prepare.h"
#include "cli/session.h"
#include "cli/sweep_file.h"

struct submit_settings {
    bool watch, wait;
    struct option_list set;
};

#define AT(member) offsetof(struct submit_settings, member)
static const struct option options[] = {
    { .name = "watch",
      .letter = 'w',
      .type = OPTION_SWITCH,
      .offset = AT(watch),
      .help = "Follow it until it ends, then print the best" },
    { .name = "wait",
      .type = OPTION_SWITCH,
      .offset = AT(wait),
      .help = "Wait silently until it ends" },
    SWEEP_FILE_SET(AT(set)),
    { .name = NULL },
};
#undef AT

static void tell(const struct cli *cli, const struct sweep_file *file,
                 const char *sweep, bool duplicate, bool follows)
{
    AUTO(json_release) json_t *body = NULL;
    uint64_t trials = compiled_trial_count(file->compiled);

    if (cli->options->json && !follows) {
        body = json_pack("{s:s, s:s, s:b, s:I}", "sweep", sweep, "name",
                         compiled_name(file->compiled), "duplicate",
                         (int)duplicate, "trials", (json_int_t)trials);
        cli_print_document(cli, "submit", body);
        return;
    }
    if (!cli->options->json)
        fprintf(cli->out.stream, "%s\n", sweep);
    (void)fflush(cli->out.stream);
    if (!duplicate)
        cli_note(cli, "%s submitted: %llu trial%s",
                 compiled_name(file->compiled), (unsigned long long)trials,
                 number_plural(trials));
    else if (follows)
        cli_note(cli, "%s was submitted before", compiled_name(file->compiled));
    if (!follows && !duplicate)
        cli_note(cli, "follow: sinter watch %s", sweep);
}

/* The same file again: what has become of it since? */
MUST_CHECK static struct status tell_state(const struct cli *cli,
                                           struct session *s, const char *sweep)
{
    AUTO(json_release) json_t *status = NULL;
    const char *name;

    TRY_PLAIN(follow_status(s, sweep, &status));
    name = json_text_or(status, "name", "?");
    if (strcmp(json_text_or(status, "state", "?"), "done") == 0)
        cli_note(cli, "%s was submitted before and is done: sinter best %s",
                 name, sweep);
    else if (follow_has_ended(status))
        cli_note(cli,
                 "%s was submitted before and %s; `sinter retry %s` goes on",
                 name,
                 strcmp(json_text_or(status, "state", "?"), "cancelled") == 0
                     ? "was cancelled"
                     : "has failed",
                 sweep);
    else if (json_bool_or(status, "paused", false))
        cli_note(cli,
                 "%s was submitted before and is paused; `sinter resume %s` "
                 "goes on",
                 name, sweep);
    else
        cli_note(cli,
                 "%s was submitted before; the same sweep goes on: sinter "
                 "watch %s",
                 name, sweep);
    return SUCCESS;
}

MUST_CHECK static struct status wait_for(struct cli *cli, struct session *s,
                                         const char *sweep, bool watch)
{
    AUTO(json_release) json_t *status = NULL;
    AUTO(board_release) struct board board = { .metric = NULL };

    TRY_PLAIN(follow_to_verdict(
        cli, s, sweep, watch ? FOLLOW_PROGRESS : FOLLOW_SILENT, &status));
    if (cli->options->json)
        cli_print_document(cli, "status", status);
    if (!watch || cli->options->json || cli->options->quiet)
        return SUCCESS;
    TRY_PLAIN(board_load(s, sweep, NULL, true, &board));
    board_print(cli, &board, 5);
    return SUCCESS;
}

MUST_CHECK static struct status run(struct cli *cli)
{
    const struct submit_settings *settings = cli->settings;
    AUTO(sweep_file_release) struct sweep_file file = { .text = NULL };
    AUTO(session_release) struct session session = { .client = NULL };
    char sweep[SINTER_ID];
    bool duplicate = false;
    bool follows = settings->watch || settings->wait;

    TRY_PLAIN(sweep_file_load(cli, cli->operands[0], &settings->set, &file));
    TRY_PLAIN(prepare_sources(cli, &file, false));
    TRY_PLAIN(session_open_farm(cli, &session));
    TRY_PLAIN(session_submit(&session, file.document, sweep, &duplicate));
    tell(cli, &file, sweep, duplicate, follows);
    if (!follows)
        return duplicate ? tell_state(cli, &session, sweep) : SUCCESS;
    return wait_for(cli, &session, sweep, settings->watch);
}

const struct command command_submit = {
    .name = "submit",
    .summary = "Send a sweep to the farm",
    .usage = "FILE",
    .details = "  Prints the sweep's id. The same file again is the same "
               "sweep: nothing is\n  computed twice; one that was "
               "paused stays so. Ctrl-C while waiting leaves\n  the sweep "
               "running. Without a farm, see `sinter run`.\n",
    .group = COMMAND_START,
    .options = options,
    .settings_size = sizeof(struct submit_settings),
    .least = 1,
    .most = 1,
    .run = run,
};
