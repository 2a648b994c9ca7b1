#include "cli/command.h"

#include <string.h>

#include "cli/follow.h"
#include "cli/number.h"
#include "cli/progress.h"
#include "cli/selector.h"
#include "cli/session.h"
#include "cli/table.h"
#include "common/memory.h"

static long long number_of(const json_t *object, const char *name)
{
    return (long long)json_int_or(object, name, 0);
}

static void print_counts(const struct cli *cli, const json_t *status)
{
    static const char *const names[] = { "running", "waiting", "failed",
                                         "cancelled", "excluded" };
    const json_t *jobs = json_object_get(status, "jobs");
    FILE *out = cli->out.stream;

    fprintf(out, "trials   %lld of %lld done", number_of(status, "done"),
            number_of(status, "trials"));
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (number_of(status, names[i]) > 0)
            fprintf(out, ", %lld %s", number_of(status, names[i]), names[i]);
    }
    fprintf(out,
            "\njobs     %lld of %lld done, %lld running; %lld computed "
            "for this sweep, %lld were known\n",
            number_of(jobs, "done"), number_of(jobs, "total"),
            number_of(jobs, "running"), number_of(jobs, "computed"),
            number_of(jobs, "known"));
}

static void print_best(const struct cli *cli, const json_t *status)
{
    const json_t *best = json_object_get(status, "best");
    const json_t *objective = json_object_get(status, "objective");
    char text[512];

    if (!json_is_object(best))
        return;
    progress_best(best, cli->out.utf8, text, sizeof text);
    fprintf(cli->out.stream, "best     %s %s\n",
            json_text_or(objective, "metric", ""), text);
}

static void print_rate(const struct cli *cli, const json_t *status)
{
    const json_t *eta = json_object_get(status, "eta_s");
    double rate = json_real_or(status, "rate_per_s", 0.0);
    long long workers = number_of(status, "workers");
    char left[NUMBER_TEXT];

    if (strcmp(json_text_or(status, "state", ""), "running") != 0)
        return;
    if (rate > 0.0)
        fprintf(cli->out.stream, "rate     %.3g trials/s on %lld worker%s",
                rate, workers, number_plural((uint64_t)workers));
    else
        fprintf(cli->out.stream, "workers  %lld", workers);
    if (json_is_number(eta)) {
        number_duration((int64_t)(json_number_value(eta) * 1000.0), left);
        fprintf(cli->out.stream, ", about %s left", left);
    }
    fputc('\n', cli->out.stream);
}

/* `ours`: the broker is there for this command only, without workers. */
static void print_trouble(const struct cli *cli, const json_t *status,
                          bool ours)
{
    const json_t *first = json_object_get(status, "first_failure");
    const char *store = json_text_or(status, "store_error", NULL);
    const char *obstacle = json_text_or(status, "obstacle", NULL);
    FILE *out = cli->out.stream;

    if (obstacle != NULL)
        fprintf(out, "waits    %s\n",
                ours ? "nothing runs here now; `sinter run` with its file "
                       "goes on"
                     : obstacle);

    if (json_is_object(first)) {
        fprintf(out, "failure  %s#%lld in %s: %s%s\n", terminal_red(&cli->out),
                number_of(first, "trial"), json_text_or(first, "stage", "?"),
                json_text_or(first, "message", "?"), terminal_plain(&cli->out));
        fprintf(out, "         sinter logs %s/%lld\n",
                json_text_or(status, "id", "@last"), number_of(first, "trial"));
    }
    if (store != NULL)
        fprintf(out, "store    %s\n", store);
}

static void print_stages(const struct cli *cli, const json_t *status)
{
    static const char *const columns[] = { "done", "total", "running",
                                           "failed" };
    const json_t *stages = json_object_get(status, "stages");
    struct table *t = NULL;

    if (json_array_size(stages) == 0)
        return;
    t = table_new();
    table_column(t, "stage", TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "kind", TABLE_TEXT, 1);
    for (size_t i = 0; i < COUNT_OF(columns); i++)
        table_column(t, columns[i], TABLE_RIGHT, TABLE_ALWAYS);
    for (size_t i = 0; i < json_array_size(stages); i++) {
        const json_t *stage = json_array_get(stages, i);

        table_add_value(t, json_object_get(stage, "name"));
        table_add_value(t, json_object_get(stage, "kind"));
        for (size_t j = 0; j < COUNT_OF(columns); j++)
            table_add_value(t, json_object_get(stage, columns[j]));
    }
    fputc('\n', cli->out.stream);
    table_print(t, TABLE_PEOPLE, &cli->out, NULL);
    table_free(t);
}

MUST_CHECK static struct status run(struct cli *cli)
{
    const char *text = cli->operand_count == 0 ? "@last" : cli->operands[0];
    AUTO(session_release) struct session session = { .client = NULL };
    AUTO(json_release) json_t *status = NULL;
    struct selector selector;

    TRY_PLAIN(selector_parse(text, &selector));
    TRY_PLAIN(session_open(cli, &session));
    TRY_PLAIN(follow_status(&session, selector.sweep, &status));
    if (cli->options->json) {
        cli_print_document(cli, "status", status);
        return SUCCESS;
    }
    if (cli->options->quiet) {
        fprintf(cli->out.stream, "%s\n", json_text_or(status, "id", "?"));
        return SUCCESS;
    }
    fprintf(cli->out.stream, "%s%s  %s  %s%s\n", terminal_bold(&cli->out),
            json_text_or(status, "name", "?"), json_text_or(status, "id", "?"),
            progress_state(status), terminal_plain(&cli->out));
    print_counts(cli, status);
    print_best(cli, status);
    print_rate(cli, status);
    print_trouble(cli, status, session.local != NULL);
    print_stages(cli, status);
    return SUCCESS;
}

const struct command command_status = {
    .name = "status",
    .summary = "One sweep: counts, best, rate, time left, first failure",
    .usage = "[SWEEP]",
    .group = COMMAND_WATCH,
    .most = 1,
    .run = run,
};
