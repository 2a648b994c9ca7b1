#include "cli/command.h"

#include <stddef.h>

#include "cli/control.h"
#include "cli/follow.h"
#include "cli/number.h"
#include "cli/session.h"

struct extend_settings {
    int64_t trials, time_ms;
};

#define AT(member) offsetof(struct extend_settings, member)
static const struct option options[] = {
    { .name = "trials",
      .type = OPTION_NUMBER,
      .offset = AT(trials),
      .least = 0,
      .most = INT64_C(100000000),
      .value = "N",
      .help = "So many trials more" },
    { .name = "time",
      .type = OPTION_MS,
      .offset = AT(time_ms),
      .value = "DUR",
      .help = "So much more time than limits.time says" },
    { .name = NULL },
};
#undef AT

static void tell(const struct cli *cli, const char *sweep, const json_t *answer)
{
    char text[NUMBER_TEXT];
    int64_t time_ms = json_int_or(answer, "time_ms", 0);

    number_duration(time_ms, text);
    cli_note(cli, "%s goes on to %lld trials%s%s", sweep,
             (long long)json_int_or(answer, "trials", 0),
             time_ms == 0 ? "" : ", at most ", time_ms == 0 ? "" : text);
}

/* What it shall be in all, so that the order can be sent again. */
static json_t *totals(const struct extend_settings *settings,
                      const json_t *status)
{
    json_t *arguments = json_object();

    if (settings->trials > 0)
        (void)json_object_set_new(
            arguments, "trials",
            json_integer(json_int_or(status, "budget", 0) + settings->trials));
    if (settings->time_ms > 0)
        (void)json_object_set_new(
            arguments, "time_ms",
            json_integer(json_int_or(status, "time_ms", 0) +
                         settings->time_ms));
    return arguments;
}

MUST_CHECK static struct status run(struct cli *cli)
{
    const struct extend_settings *settings = cli->settings;
    struct control control = { "extend", "extended", NULL, tell };
    AUTO(session_release) struct session session = { .client = NULL };
    AUTO(json_release) json_t *status = NULL;
    AUTO(json_release) json_t *arguments = NULL;
    char sweep[128];

    if (settings->trials == 0 && settings->time_ms == 0)
        return cli_usage(cli, "by what? --trials N, --time DUR or both");
    TRY_PLAIN(
        control_operand(cli, &control, cli->operands[0], sweep, sizeof sweep));
    TRY_PLAIN(session_open(cli, &session));
    TRY_PLAIN(follow_status(&session, sweep, &status));
    arguments = totals(settings, status);
    control.arguments = arguments;
    return control_sweep(cli, &session, &control,
                         json_text_or(status, "id", sweep));
}

const struct command command_extend = {
    .name = "extend",
    .summary = "Go on with a search that stopped at its number or time",
    .usage = "SWEEP",
    .details = "  The trials that are done stay; a random or Sobol search goes "
               "on in its order,\n  a grid as far as it reaches.\n",
    .group = COMMAND_CONTROL,
    .options = options,
    .settings_size = sizeof(struct extend_settings),
    .least = 1,
    .most = 1,
    .run = run,
};
