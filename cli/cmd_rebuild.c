#include "cli/command.h"

#include "cli/session.h"
#include "common/clock.h"

enum { POLL_MS = 200, PATIENCE_MS = 60 * 1000 };

MUST_CHECK static struct status ask(struct session *session, bool begin,
                                    bool *ret_over)
{
    json_t *answer = NULL;

    TRY_PLAIN(session_ask(session, "rebuild",
                          json_pack("{s:b}", "begin", (int)begin), &answer));
    *ret_over = !json_bool_or(answer, "away", false);
    json_decref(answer);
    return SUCCESS;
}

MUST_CHECK static struct status run(struct cli *cli)
{
    AUTO(session_release) struct session session = { .client = NULL };
    int64_t until = clock_now() + PATIENCE_MS * NS_PER_MS;
    bool over = false;

    TRY_PLAIN(session_open(cli, &session));
    TRY_PLAIN(ask(&session, true, &over));
    while (!over) {
        if (session_sleep(&session, POLL_MS))
            return FAIL(STATUS_CANCELLED,
                        "interrupted; the broker goes on with it");
        if (clock_now() > until)
            return FAIL(STATUS_UNAVAILABLE,
                        "the broker goes on trying, but its store is not back "
                        "after %d s: `sinter why` and the broker's log say why",
                        PATIENCE_MS / 1000);
        TRY_PLAIN(ask(&session, false, &over));
    }
    cli_note(cli, "the store was written anew from the memory of the broker");
    return SUCCESS;
}

const struct command command_rebuild = {
    .name = "rebuild",
    .summary = "Write a store that forgot anew, from the broker's memory",
    .usage = "",
    .details = "  For a Redis that was flushed, or came back with less than it "
               "had accepted: the\n  broker's alarm says so, and acknowledges "
               "nothing until then. What is left there is\n  replaced. "
               "Refused while nothing is lost.\n",
    .group = COMMAND_FARM,
    .run = run,
};
