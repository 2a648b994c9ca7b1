#include "cli/command.h"

#include "cli/control.h"

static void tell(const struct cli *cli, const char *sweep, const json_t *answer)
{
    long long running = (long long)json_int_or(answer, "running", 0);

    if (running > 0)
        cli_note(cli,
                 "%s is paused; %lld job%s still run%s; `sinter resume %s` "
                 "goes on",
                 sweep, running, running == 1 ? "" : "s",
                 running == 1 ? "s" : "", sweep);
    else
        cli_note(cli, "%s is paused; `sinter resume %s` goes on", sweep, sweep);
}

MUST_CHECK static struct status run(struct cli *cli)
{
    static const struct control control = { "pause", "paused", NULL, tell };

    return control_sweeps(cli, &control);
}

const struct command command_pause = {
    .name = "pause",
    .summary = "Start nothing new of a sweep; what runs may finish",
    .usage = "SWEEP...",
    .details = "  A pause does not count towards limits.time.\n",
    .group = COMMAND_CONTROL,
    .least = 1,
    .most = SIZE_MAX,
    .run = run,
};
