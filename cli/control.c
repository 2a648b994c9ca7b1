#include "cli/control.h"

#include <stdio.h>

#include "cli/command.h"
#include "cli/selector.h"
#include "cli/session.h"

struct status control_operand(struct cli *cli, const struct control *control,
                              const char *operand, char *ret_sweep, size_t room)
{
    struct selector selector;

    TRY_PLAIN(selector_parse(operand, &selector));
    if (selector.trial != 0 || selector.best)
        return cli_usage(cli, "a sweep is %s as a whole; write `sinter %s %s`",
                         control->doing, cli->command->name, selector.sweep);
    (void)snprintf(ret_sweep, room, "%s", selector.sweep);
    return SUCCESS;
}

struct status control_sweep(struct cli *cli, struct session *session,
                            const struct control *control, const char *sweep)
{
    AUTO(json_release) json_t *answer = NULL;
    json_t *arguments = json_pack("{s:s}", "sweep", sweep);

    if (control->arguments != NULL)
        (void)json_object_update(arguments, control->arguments);
    TRY_PLAIN(session_ask(session, control->verb, arguments, &answer));
    if (cli->options->json)
        cli_print_line(cli, control->verb, answer);
    control->tell(cli, sweep, answer);
    return SUCCESS;
}

struct status control_sweeps(struct cli *cli, const struct control *control)
{
    AUTO(session_release) struct session session = { .client = NULL };
    char sweep[sizeof(((struct selector *)0)->sweep)];

    /* Mistakes before anything is done. */
    for (size_t i = 0; i < cli->operand_count; i++)
        TRY_PLAIN(control_operand(cli, control, cli->operands[i], sweep,
                                  sizeof sweep));
    TRY_PLAIN(session_open(cli, &session));
    for (size_t i = 0; i < cli->operand_count; i++) {
        TRY_PLAIN(control_operand(cli, control, cli->operands[i], sweep,
                                  sizeof sweep));
        TRY_PLAIN(control_sweep(cli, &session, control, sweep));
    }
    return SUCCESS;
}
