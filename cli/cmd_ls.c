#include "cli/command.h"

#include <stddef.h>

#include "cli/follow.h"
#include "cli/number.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "cli/table.h"
#include "common/clock.h"

struct ls_settings {
    bool all;
};

static const struct option options[] = {
    { .name = "all",
      .letter = 'a',
      .type = OPTION_SWITCH,
      .offset = offsetof(struct ls_settings, all),
      .help = "Also those that exports made" },
    { .name = NULL },
};

static void remove_hidden(json_t *sweeps)
{
    for (size_t i = json_array_size(sweeps); i > 0; i--) {
        if (json_bool_or(json_array_get(sweeps, i - 1), "hidden", false))
            (void)json_array_remove(sweeps, i - 1);
    }
}

static void add_row(struct table *t, const json_t *sweep, bool utf8)
{
    const json_t *best = json_object_get(sweep, "best");
    int64_t failed = json_int_or(sweep, "failed", 0);
    int64_t at_ms = json_int_or(sweep, "submitted_ms", 0);
    char text[NUMBER_TEXT];

    table_add_value(t, json_object_get(sweep, "id"));
    table_add_value(t, json_object_get(sweep, "name"));
    table_add(t, progress_state(sweep), NULL);
    (void)snprintf(text, sizeof text, "%lld/%lld",
                   (long long)json_int_or(sweep, "done", 0),
                   (long long)json_int_or(sweep, "trials", 0));
    table_add(t, text, NULL);
    (void)snprintf(text, sizeof text, "%lld", (long long)failed);
    table_add(t, failed == 0 ? "" : text, NULL);
    if (json_is_object(best))
        progress_score(best, utf8, text);
    table_add(t, json_is_object(best) ? text : "", NULL);
    number_duration(clock_wall_ms() - at_ms, text);
    table_add(t, at_ms == 0 ? "" : text, NULL);
}

static void print_table(const struct cli *cli, const json_t *sweeps)
{
    struct table *t = table_new();

    table_column(t, "sweep", TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "name", TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "state", TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "done", TABLE_RIGHT, 50);
    table_column(t, "failed", TABLE_RIGHT, 40);
    table_column(t, "best", TABLE_RIGHT, 30);
    table_column(t, "age", TABLE_RIGHT, 20);
    for (size_t i = 0; i < json_array_size(sweeps); i++)
        add_row(t, json_array_get(sweeps, i), cli->out.utf8);
    table_print(t, cli->options->quiet ? TABLE_IDS : TABLE_PEOPLE, &cli->out,
                NULL);
    table_free(t);
}

MUST_CHECK static struct status run(struct cli *cli)
{
    const struct ls_settings *settings = cli->settings;
    AUTO(session_release) struct session session = { .client = NULL };
    AUTO(json_release) json_t *answer = NULL;
    json_t *sweeps = NULL;

    TRY_PLAIN(session_open(cli, &session));
    TRY_PLAIN(session_ask(&session, "sweeps", NULL, &answer));
    TRY_PLAIN(json_member_array(answer, "sweeps", &sweeps));
    follow_store(cli, json_array_get(sweeps, 0)); /* one for all */
    if (!settings->all)
        remove_hidden(sweeps);
    if (cli->options->json)
        cli_print_document(cli, "sweeps", answer);
    else if (json_array_size(sweeps) == 0)
        cli_note(cli, "no sweeps yet; submit one: sinter submit FILE, or "
                      "sinter run FILE");
    else
        print_table(cli, sweeps);
    return SUCCESS;
}

const struct command command_ls = {
    .name = "ls",
    .summary = "List sweeps with state, progress and best value",
    .usage = "",
    .group = COMMAND_WATCH,
    .options = options,
    .settings_size = sizeof(struct ls_settings),
    .run = run,
};
