#include "cli/command.h"

#include <stddef.h>

#include "cli/board.h"
#include "cli/follow.h"
#include "cli/selector.h"
#include "cli/trial_table.h"

struct best_settings {
    int64_t count;
    const char *metric;
    bool minimize;
};

#define AT(member) offsetof(struct best_settings, member)
static const struct option options[] = {
    { .name = "count",
      .letter = 'n',
      .type = OPTION_NUMBER,
      .offset = AT(count),
      .otherwise = "10",
      .least = 1,
      .most = 1000000,
      .value = "K",
      .help = "Points to show" },
    { .name = "metric",
      .type = OPTION_TEXT,
      .offset = AT(metric),
      .value = "NAME",
      .help = "Rank by this metric instead of the objective" },
    { .name = "minimize",
      .type = OPTION_SWITCH,
      .offset = AT(minimize),
      .help = "Less of that metric is better" },
    { .name = NULL },
};
#undef AT

static void print_ids(const struct cli *cli, const struct board *b, size_t most)
{
    for (size_t i = 0; i < b->ranks.count && i < most; i++)
        fprintf(cli->out.stream, "%s/%llu\n",
                json_text_or(b->status, "id", "@last"),
                (unsigned long long)b->ranks.items[i].trial);
}

/* Nothing is ranked: is there such a metric at all? */
MUST_CHECK static struct status check_metric(struct cli *cli,
                                             const struct board *board,
                                             const char *metric)
{
    AUTO(json_release) json_t *names = NULL;
    struct status st;

    if (metric == NULL || board->ranks.count > 0)
        return SUCCESS;
    st = trial_columns(board->spec, metric, &names);
    return status_failed(&st) ? cli_usage(cli, "%s", st.message) : SUCCESS;
}

MUST_CHECK static struct status run(struct cli *cli)
{
    const struct best_settings *settings = cli->settings;
    const char *text = cli->operand_count == 0 ? "@last" : cli->operands[0];
    AUTO(session_release) struct session session = { .client = NULL };
    AUTO(board_release) struct board board = { .metric = NULL };
    AUTO(json_release) json_t *body = NULL;
    struct selector selector;

    TRY_PLAIN(selector_parse(text, &selector));
    TRY_PLAIN(session_open(cli, &session));
    TRY_PLAIN(board_load(&session, selector.sweep, settings->metric,
                         !settings->minimize, &board));
    TRY_PLAIN(check_metric(cli, &board, settings->metric));
    follow_store(cli, board.status);
    if (cli->options->json) {
        body = board_json(&board, (size_t)settings->count);
        cli_print_document(cli, "best", body);
    } else if (cli->options->quiet) {
        print_ids(cli, &board, (size_t)settings->count);
    } else {
        board_print(cli, &board, (size_t)settings->count);
    }
    return SUCCESS;
}

const struct command command_best = {
    .name = "best",
    .summary = "Best points, with the error of their mean over seeds",
    .usage = "[SWEEP]",
    .details = "  Replicates of a point (other seeds) are one row: mean and "
               "standard error.\n  The trial shown is the best of them.\n",
    .group = COMMAND_RESULTS,
    .options = options,
    .settings_size = sizeof(struct best_settings),
    .most = 1,
    .run = run,
};
