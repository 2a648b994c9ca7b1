#include "cli/command.h"

#include <stddef.h>

#include "cli/selector.h"
#include "cli/session.h"

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

MUST_CHECK static struct status run(struct cli *cli)
{
    const struct cancel_settings *settings = cli->settings;
    AUTO(session_release) struct session session = { .client = NULL };

    TRY_PLAIN(session_open(cli, &session));
    for (size_t i = 0; i < cli->operand_count; i++) {
        AUTO(json_release) json_t *answer = NULL;
        struct selector selector;

        TRY_PLAIN(selector_parse(cli->operands[i], &selector));
        if (selector.trial != 0 || selector.best)
            return cli_usage(cli,
                             "a sweep is cancelled as a whole; write "
                             "`sinter cancel %s`",
                             selector.sweep);
        TRY_PLAIN(session_ask(&session, "cancel",
                              json_pack("{s:s, s:s}", "sweep", selector.sweep,
                                        "reason", settings->reason),
                              &answer));
        if (cli->options->json)
            cli_print_line(cli, "cancel", answer);
        cli_note(cli,
                 "%s is cancelled; finished trials are kept, `sinter "
                 "retry %s` goes on",
                 selector.sweep, selector.sweep);
    }
    return SUCCESS;
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
