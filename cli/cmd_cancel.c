#include "cli/command.h"

#include <stddef.h>
#include <string.h>

#include "cli/control.h"

struct cancel_settings {
    const char *reason;
};

static const struct option options[] = {
    { .name = "reason",
      .type = OPTION_TEXT,
      .offset = offsetof(struct cancel_settings, reason),
      .otherwise = "asked by a user",
      .value = "TEXT",
      .help = "Kept with the sweep" },
    { .name = NULL },
};

static void tell(const struct cli *cli, const char *sweep, const json_t *answer)
{
    const char *state = json_text_or(answer, "state", "cancelled");

    if (strcmp(state, "cancelled") != 0) {
        cli_note(cli, "%s has ended already (%s)", sweep, state);
        return;
    }
    cli_note(cli,
             "%s is cancelled; finished trials are kept, `sinter retry %s` "
             "goes on",
             sweep, sweep);
}

MUST_CHECK static struct status run(struct cli *cli)
{
    const struct cancel_settings *settings = cli->settings;
    AUTO(json_release)
    json_t *arguments = json_pack("{s:s}", "reason", settings->reason);
    const struct control control = { "cancel", "cancelled", arguments, tell };

    return control_sweeps(cli, &control);
}

const struct command command_cancel = {
    .name = "cancel",
    .summary = "Stop sweeps; what is done stays",
    .usage = "SWEEP...",
    .group = COMMAND_CONTROL,
    .options = options,
    .settings_size = sizeof(struct cancel_settings),
    .least = 1,
    .most = SIZE_MAX,
    .run = run,
};
