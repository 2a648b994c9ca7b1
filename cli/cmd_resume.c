#include "cli/command.h"

#include "cli/control.h"

static void tell(const struct cli *cli, const char *sweep, const json_t *answer)
{
    (void)answer;
    cli_note(cli, "%s goes on", sweep);
}

MUST_CHECK static struct status run(struct cli *cli)
{
    static const struct control control = { "resume", "resumed", NULL, tell };

    return control_sweeps(cli, &control);
}

const struct command command_resume = {
    .name = "resume",
    .summary = "Go on with paused sweeps",
    .usage = "SWEEP...",
    .group = COMMAND_CONTROL,
    .least = 1,
    .most = SIZE_MAX,
    .run = run,
};
