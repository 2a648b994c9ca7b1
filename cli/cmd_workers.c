#include "cli/command.h"

#include <stddef.h>
#include <string.h>

#include "cli/number.h"
#include "cli/session.h"
#include "cli/table.h"
#include "common/buf.h"
#include "common/clock.h"

struct workers_settings {
    struct option_list drain, cordon, uncordon;
};

#define AT(member) offsetof(struct workers_settings, member)
static const struct option options[] = {
    { .name = "drain",
      .type = OPTION_LIST,
      .offset = AT(drain),
      .value = "NAME",
      .help = "Nothing new for it, and what it has not begun goes to others" },
    { .name = "cordon",
      .type = OPTION_LIST,
      .offset = AT(cordon),
      .value = "NAME",
      .help = "Nothing new for it; what it holds it may run" },
    { .name = "uncordon",
      .type = OPTION_LIST,
      .offset = AT(uncordon),
      .value = "NAME",
      .help = "It gets work again" },
    { .name = NULL },
};
#undef AT

static void add_jobs(struct table *t, const json_t *jobs)
{
    struct buf text;
    struct status st = SUCCESS;

    buf_init(&text, 512);
    for (size_t i = 0; i < json_array_size(jobs) && !status_failed(&st); i++) {
        const char *label = json_string_value(json_array_get(jobs, i));

        st = buf_print(&text, "%s%s", i == 0 ? "" : ", ",
                       label == NULL ? "?" : label);
    }
    table_add(t, text.size == 0 ? "" : text.data, NULL);
    buf_release(&text);
}

static void add_row(struct table *t, const json_t *worker)
{
    char text[NUMBER_TEXT];
    int64_t seen_ms = json_int_or(worker, "seen_ms", 0);

    table_add_value(t, json_object_get(worker, "name"));
    table_add_value(t, json_object_get(worker, "state"));
    (void)snprintf(text, sizeof text, "%lld/%lld",
                   (long long)json_int_or(worker, "busy", 0),
                   (long long)json_int_or(worker, "slots", 0));
    table_add(t, text, NULL);
    number_bytes((uint64_t)json_int_or(worker, "memory_bytes", 0), text);
    table_add(t, text, NULL);
    number_duration(clock_wall_ms() - seen_ms, text);
    table_add(t, seen_ms == 0 ? "" : text, NULL);
    table_add_value(t, json_object_get(worker, "labels"));
    add_jobs(t, json_object_get(worker, "jobs"));
}

static void print_table(const struct cli *cli, const json_t *workers)
{
    struct table *t = table_new();

    table_column(t, "worker", TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "state", TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "busy", TABLE_RIGHT, TABLE_ALWAYS);
    table_column(t, "memory", TABLE_RIGHT, 10);
    table_column(t, "seen", TABLE_RIGHT, 20);
    table_column(t, "labels", TABLE_TEXT, 5);
    table_column(t, "runs", TABLE_TEXT, 30);
    for (size_t i = 0; i < json_array_size(workers); i++)
        add_row(t, json_array_get(workers, i));
    table_print(t, cli->options->quiet ? TABLE_IDS : TABLE_PEOPLE, &cli->out,
                NULL);
    table_free(t);
}

MUST_CHECK static struct status order(struct cli *cli, struct session *session,
                                      const char *verb,
                                      const struct option_list *names,
                                      const char *done)
{
    for (size_t i = 0; i < names->count; i++) {
        AUTO(json_release) json_t *answer = NULL;

        TRY_PLAIN(session_ask(session, verb,
                              json_pack("{s:s}", "worker", names->items[i]),
                              &answer));
        if (cli->options->json)
            cli_print_line(cli, verb, answer);
        cli_note(cli, "%s %s", names->items[i], done);
    }
    return SUCCESS;
}

MUST_CHECK static struct status order_all(struct cli *cli,
                                          struct session *session)
{
    const struct workers_settings *settings = cli->settings;

    TRY_PLAIN(order(cli, session, "uncordon", &settings->uncordon,
                    "gets work again"));
    TRY_PLAIN(
        order(cli, session, "cordon", &settings->cordon, "gets nothing new"));
    return order(cli, session, "drain", &settings->drain,
                 "finishes what it has begun and gets nothing new");
}

MUST_CHECK static struct status run(struct cli *cli)
{
    const struct workers_settings *settings = cli->settings;
    AUTO(session_release) struct session session = { .client = NULL };
    AUTO(json_release) json_t *answer = NULL;
    json_t *workers = NULL;

    TRY_PLAIN(session_open(cli, &session));
    if (settings->drain.count + settings->cordon.count +
            settings->uncordon.count >
        0)
        return order_all(cli, &session);
    TRY_PLAIN(session_ask(&session, "workers", NULL, &answer));
    TRY_PLAIN(json_member_array(answer, "workers", &workers));
    if (cli->options->json)
        cli_print_document(cli, "workers", answer);
    else if (json_array_size(workers) == 0)
        cli_note(cli, session.local != NULL
                          ? "no workers: they run only while `sinter run` does"
                          : "no workers are connected; start some: "
                            "sinter-worker --broker ENDPOINT");
    else
        print_table(cli, workers);
    return SUCCESS;
}

const struct command command_workers = {
    .name = "workers",
    .summary = "List workers and what they do; drain or cordon one",
    .usage = "",
    .details = "  A cordon is by name, and outlives worker and broker: until "
               "--uncordon.\n",
    .group = COMMAND_FARM,
    .options = options,
    .settings_size = sizeof(struct workers_settings),
    .run = run,
};
