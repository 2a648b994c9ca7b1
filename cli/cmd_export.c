#include "cli/command.h"

#include <stddef.h>

#include "cli/board.h"
#include "cli/export.h"
#include "cli/selector.h"
#include "cli/session.h"

struct export_settings {
    const char *directory;
    int64_t shard_bytes;
};

#define AT(member) offsetof(struct export_settings, member)
static const struct option options[] = {
    { .name = "output",
      .letter = 'o',
      .type = OPTION_TEXT,
      .offset = AT(directory),
      .value = "DIR",
      .help = "Directory to make; must not exist" },
    { .name = "shard-size",
      .type = OPTION_BYTES,
      .offset = AT(shard_bytes),
      .value = "SIZE",
      .help = "Split the weights into files of at most this size" },
    { .name = NULL },
};
#undef AT

static void tell(const struct cli *cli, const struct export_wish *wish,
                 const struct export_outcome *outcome)
{
    AUTO(json_release)
    json_t *body =
        json_pack("{s:s, s:I, s:s, s:s, s:b}", "sweep", wish->sweep, "trial",
                  (json_int_t)wish->trial, "directory", wish->directory,
                  "digest", outcome->digest, "present", (int)outcome->present);

    if (cli->options->json) {
        cli_print_document(cli, "export", body);
        return;
    }
    fprintf(cli->out.stream, "%s\n", wish->directory);
    cli_note(cli,
             outcome->present ? "holds #%llu of %s already (digest %.12s)"
                              : "written: #%llu of %s (digest %.12s)",
             (unsigned long long)wish->trial, wish->sweep, outcome->digest);
}

MUST_CHECK static struct status run(struct cli *cli)
{
    const struct export_settings *settings = cli->settings;
    AUTO(session_release) struct session session = { .client = NULL };
    struct export_outcome outcome;
    struct selector selector;
    struct export_wish wish;

    if (settings->directory == NULL)
        return cli_usage(cli, "where to? say -o DIR");
    TRY_PLAIN(selector_parse(cli->operands[0], &selector));
    TRY_PLAIN(cli_here(cli, export_check(settings->directory)));
    TRY_PLAIN(session_open(cli, &session));
    wish.sweep = selector.sweep;
    wish.directory = settings->directory;
    wish.shard_bytes = settings->shard_bytes;
    TRY_PLAIN(board_trial_of(&session, &selector, &wish.trial));
    if (session.local != NULL)
        TRY_PLAIN(local_start_workers(session.local, 1, 1));
    TRY_PLAIN(export_trial(cli, &session, &wish, &outcome));
    tell(cli, &wish, &outcome);
    return SUCCESS;
}

const struct command command_export = {
    .name = "export",
    .summary = "Write the model of a trial as a directory",
    .usage = "TRIAL",
    .details = "  TRIAL is SWEEP/12 or SWEEP/best. The directory appears "
               "whole or not at all.\n",
    .group = COMMAND_RESULTS,
    .options = options,
    .settings_size = sizeof(struct export_settings),
    .least = 1,
    .most = 1,
    .run = run,
};
