#include "cli/command.h"

#include <stddef.h>
#include <stdlib.h>

#include "cli/control.h"
#include "cli/session.h"

struct priority_settings {
    const char *weight;
};

static const struct option options[] = {
    { .name = "weight",
      .type = OPTION_TEXT,
      .offset = offsetof(struct priority_settings, weight),
      .value = "W",
      .help = "Its share among sweeps of one priority (1 is usual)" },
    { .name = NULL },
};

static void tell(const struct cli *cli, const char *sweep, const json_t *answer)
{
    cli_note(cli, "%s has priority %lld, weight %g", sweep,
             (long long)json_int_or(answer, "value", 0),
             json_real_or(answer, "weight", 1.0));
}

MUST_CHECK static struct status read_weight(struct cli *cli, const char *text,
                                            json_t *arguments)
{
    char *end = NULL;
    double weight;

    if (text == NULL)
        return SUCCESS;
    weight = strtod(text, &end);
    if (end == text || *end != '\0')
        return cli_usage(cli, "--weight is a number, not \"%s\"", text);
    (void)json_object_set_new(arguments, "weight", json_real(weight));
    return SUCCESS;
}

MUST_CHECK static struct status read_value(struct cli *cli, const char *text,
                                           json_t *arguments)
{
    char *end = NULL;
    long value = strtol(text, &end, 10);

    if (end == text || *end != '\0')
        return cli_usage(cli, "a priority is a number, -100 to 100, not \"%s\"",
                         text);
    (void)json_object_set_new(arguments, "value", json_integer(value));
    return SUCCESS;
}

MUST_CHECK static struct status run(struct cli *cli)
{
    const struct priority_settings *settings = cli->settings;
    AUTO(session_release) struct session session = { .client = NULL };
    AUTO(json_release) json_t *arguments = json_object();
    const struct control control = { "priority", "hurried", arguments, tell };
    char sweep[128];

    if (cli->operand_count < 2 && settings->weight == NULL)
        return cli_usage(cli, "which priority? write `sinter priority %s 5`",
                         cli->operands[0]);
    TRY_PLAIN(
        control_operand(cli, &control, cli->operands[0], sweep, sizeof sweep));
    TRY_PLAIN(read_weight(cli, settings->weight, arguments));
    if (cli->operand_count == 2)
        TRY_PLAIN(read_value(cli, cli->operands[1], arguments));
    TRY_PLAIN(session_open(cli, &session));
    return control_sweep(cli, &session, &control, sweep);
}

const struct command command_priority = {
    .name = "priority",
    .summary = "Put a sweep before others, or give it a larger share",
    .usage = "SWEEP [N]",
    .details = "  -100 to 100; of two sweeps the higher goes first, always. "
               "Below zero: after `--`.\n",
    .group = COMMAND_CONTROL,
    .options = options,
    .settings_size = sizeof(struct priority_settings),
    .least = 1,
    .most = 2,
    .run = run,
};
