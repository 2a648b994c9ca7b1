#include "cli/command.h"

#include "cli/board.h"
#include "cli/selector.h"
#include "cli/session.h"

/* A plain word that names no sweep may name a worker. */
MUST_CHECK static struct status ask(struct session *session, const char *text,
                                    const struct selector *selector,
                                    json_t **ret_answer)
{
    bool whole = selector->trial == 0 && !selector->best;
    uint64_t trial = 0;
    struct status st;

    if (!whole) {
        TRY_PLAIN(board_trial_of(session, selector, &trial));
        return session_ask(session, "why",
                           json_pack("{s:s, s:I}", "sweep", selector->sweep,
                                     "trial", (json_int_t)trial),
                           ret_answer);
    }
    st = session_ask(session, "why", json_pack("{s:s}", "sweep", text),
                     ret_answer);
    if (st.code != STATUS_NOT_FOUND)
        return st;
    return session_ask(session, "why", json_pack("{s:s}", "worker", text),
                       ret_answer);
}

MUST_CHECK static struct status run(struct cli *cli)
{
    const char *text = cli->operand_count == 0 ? "@last" : cli->operands[0];
    AUTO(session_release) struct session session = { .client = NULL };
    AUTO(json_release) json_t *answer = NULL;
    struct selector selector;

    TRY_PLAIN(selector_parse(text, &selector));
    TRY_PLAIN(session_open(cli, &session));
    TRY_PLAIN(ask(&session,
                  selector.trial == 0 && !selector.best ? selector.sweep : text,
                  &selector, &answer));
    if (cli->options->json)
        cli_print_document(cli, "why", answer);
    else
        fprintf(cli->out.stream, "%s\n", json_text_or(answer, "reason", "?"));
    return SUCCESS;
}

const struct command command_why = {
    .name = "why",
    .summary = "Say in one sentence why something waits, failed or stopped",
    .usage = "[SWEEP|TRIAL|WORKER]",
    .details = "  sinter why s-7f3a    sinter why s-7f3a/61    sinter why "
               "host-1\n",
    .group = COMMAND_WATCH,
    .most = 1,
    .run = run,
};
