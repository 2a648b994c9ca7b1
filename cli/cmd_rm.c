#include "cli/command.h"

#include "cli/control.h"

static void tell(const struct cli *cli, const char *sweep, const json_t *answer)
{
    (void)answer;
    cli_note(cli, "%s is forgotten; `sinter gc` gives back what only it needed",
             sweep);
}

MUST_CHECK static struct status run(struct cli *cli)
{
    static const struct control control = { "rm", "removed", NULL, tell };

    return control_sweeps(cli, &control);
}

const struct command command_rm = {
    .name = "rm",
    .summary = "Forget sweeps that have ended",
    .usage = "SWEEP...",
    .details = "  Its trials are gone for good; results that other sweeps "
               "could use stay known\n  until `sinter gc`.\n",
    .group = COMMAND_CONTROL,
    .least = 1,
    .most = SIZE_MAX,
    .run = run,
};
