#include "cli/command.h"

#include "cli/board.h"
#include "cli/follow.h"
#include "cli/selector.h"
#include "cli/session.h"

MUST_CHECK static struct status watch(struct cli *cli, struct session *s,
                                      const char *sweep)
{
    AUTO(json_release) json_t *status = NULL;
    AUTO(board_release) struct board board = { .metric = NULL };

    TRY_PLAIN(follow_to_verdict(
        cli, s, sweep, cli->options->json ? FOLLOW_JSON : FOLLOW_PROGRESS,
        &status));
    if (cli->options->json || cli->options->quiet)
        return SUCCESS;
    TRY_PLAIN(board_load(s, sweep, NULL, true, &board));
    board_print(cli, &board, 5);
    return SUCCESS;
}

MUST_CHECK static struct status run(struct cli *cli)
{
    const char *text = cli->operand_count == 0 ? "@last" : cli->operands[0];
    AUTO(session_release) struct session session = { .client = NULL };
    AUTO(json_release) json_t *status = NULL;
    struct selector selector;
    const char *id = NULL;

    TRY_PLAIN(selector_parse(text, &selector));
    TRY_PLAIN(session_open(cli, &session));
    TRY_PLAIN(follow_status(&session, selector.sweep, &status));
    id = json_text_or(status, "id", selector.sweep);
    /* A broker of our own has no workers: it would be a wait for ever. */
    if (session.local != NULL &&
        json_int_or(status, "running", 0) + json_int_or(status, "waiting", 0) >
            0)
        return FAIL(STATUS_FAILED,
                    "nothing works on %s now: `sinter run` "
                    "with its file goes on",
                    id);
    return watch(cli, &session, id);
}

const struct command command_watch = {
    .name = "watch",
    .summary = "Follow a sweep until it ends",
    .usage = "[SWEEP]",
    .details = "  On a terminal a block that is redrawn in place, else a "
               "plain line every 5 %\n  or 30 s. Ctrl-C ends the watching, "
               "not the sweep. With --json one line of\n  JSON for every "
               "change. Exit 7 if too many trials failed.\n",
    .group = COMMAND_WATCH,
    .most = 1,
    .run = run,
};
