#include "cli/command.h"

#include <stddef.h>

#include "cli/board.h"
#include "cli/follow.h"
#include "cli/selector.h"
#include "cli/session.h"
#include "cli/trial_table.h"

enum { PAGE = 1000 };

struct trials_settings {
    const char *states, *sort, *columns, *format;
    int64_t limit; /* 0: all */
    bool failed;
};

#define AT(member) offsetof(struct trials_settings, member)
static const struct option options[] = {
    { .name = "state",
      .type = OPTION_TEXT,
      .offset = AT(states),
      .value = "S,...",
      .help = "Only these: waiting, running, done, failed, cancelled" },
    { .name = "failed",
      .type = OPTION_SWITCH,
      .offset = AT(failed),
      .help = "Those that failed, and why; `sinter retry --failed` runs them" },
    { .name = "sort",
      .type = OPTION_TEXT,
      .offset = AT(sort),
      .value = "KEY[:desc]",
      .help = "By a column; trials without it come last" },
    { .name = "limit",
      .letter = 'n',
      .type = OPTION_NUMBER,
      .offset = AT(limit),
      .least = 0,
      .most = INT64_MAX,
      .value = "N",
      .help = "At most so many rows" },
    { .name = "columns",
      .type = OPTION_TEXT,
      .offset = AT(columns),
      .value = "LIST",
      .help = "Names or patterns: id,lambda*,mean.value" },
    { .name = "output",
      .letter = 'o',
      .type = OPTION_TEXT,
      .offset = AT(format),
      .otherwise = "table",
      .value = "FORMAT",
      .help = "table, json, jsonl, csv, tsv, md or ids" },
    { .name = NULL },
};
#undef AT

struct request {
    struct session session;
    json_t *status, *spec, *names;
    const char *sweep; /* id */
    const char *states, *columns;
    enum table_format format;
    uint64_t left; /* rows still to print */
};

static void request_release(struct request *r)
{
    session_release(&r->session);
    json_decref(r->status);
    json_decref(r->spec);
    json_decref(r->names);
}

static void print_ids(const struct cli *cli, const struct request *r,
                      const json_t *trials)
{
    for (size_t i = 0; i < json_array_size(trials); i++)
        fprintf(cli->out.stream, "%s/%lld\n", r->sweep,
                (long long)json_int_or(json_array_get(trials, i), "trial", 0));
}

/* One page of rows, with the head line on the first. */
static void print_page(const struct cli *cli, const struct request *r,
                       const json_t *trials, bool first, struct buf *dropped)
{
    struct table *t = NULL;

    if (r->format == TABLE_IDS) {
        print_ids(cli, r, trials);
        return;
    }
    t = table_new();
    trial_table_columns(t, r->spec, r->names, trials);
    trial_table_rows(t, r->names, trials);
    if (first)
        table_print(t, r->format, &cli->out, dropped);
    else
        table_print_rows(t, r->format, &cli->out);
    table_free(t);
}

static void cut(json_t *trials, uint64_t most)
{
    while (json_array_size(trials) > most)
        (void)json_array_remove(trials, json_array_size(trials) - 1);
}

/* Formats without column widths need no more than a page in memory. */
MUST_CHECK static struct status stream(struct cli *cli, struct request *r)
{
    uint64_t from = 0;
    bool more = true;

    while (more && r->left > 0) {
        AUTO(json_release) json_t *trials = NULL;

        TRY_PLAIN(board_trials(&r->session, r->sweep, from, PAGE, &trials));
        more = json_array_size(trials) == PAGE;
        if (r->states != NULL)
            TRY_PLAIN(trial_filter(r->states, trials));
        cut(trials, r->left);
        print_page(cli, r, trials, from == 0, NULL);
        r->left -= json_array_size(trials);
        from += PAGE;
    }
    return SUCCESS;
}

static void tell(const struct cli *cli, const struct request *r, size_t shown,
                 size_t all, const struct buf *dropped)
{
    if (all == 0)
        cli_note(cli, "no trial of %s is like that; all: sinter trials %s",
                 r->sweep, r->sweep);
    else if (shown < all)
        cli_note(cli, "%zu of %zu rows", shown, all);
    if (dropped->size > 0)
        cli_note(cli, "too narrow for: %s", dropped->data);
}

/* A name on the command line that there is not. */
MUST_CHECK static struct status misnamed(struct cli *cli, struct status st)
{
    return status_failed(&st) ? cli_usage(cli, "%s", st.message) : SUCCESS;
}

MUST_CHECK static struct status print_whole(struct cli *cli, struct request *r)
{
    const struct trials_settings *settings = cli->settings;
    AUTO(json_release) json_t *trials = NULL;
    AUTO(json_release) json_t *body = NULL;
    struct buf dropped;
    size_t all = 0;

    TRY_PLAIN(board_trials(&r->session, r->sweep, 0, UINT64_MAX, &trials));
    if (r->states != NULL)
        TRY_PLAIN(misnamed(cli, trial_filter(r->states, trials)));
    if (settings->sort != NULL)
        TRY_PLAIN(misnamed(cli, trial_sort(r->spec, settings->sort, trials)));
    all = json_array_size(trials);
    cut(trials, r->left);
    if (r->format == TABLE_JSON) {
        body = json_pack("{s:s, s:O}", "sweep", r->sweep, "trials", trials);
        cli_print_document(cli, "trials", body);
        return SUCCESS;
    }
    buf_init(&dropped, 512);
    if (all > 0)
        print_page(cli, r, trials, true, &dropped);
    tell(cli, r, json_array_size(trials), all, &dropped);
    buf_release(&dropped);
    return SUCCESS;
}

MUST_CHECK static struct status read_settings(struct cli *cli,
                                              struct request *r)
{
    const struct trials_settings *settings = cli->settings;

    if (settings->failed && settings->states != NULL)
        return cli_usage(cli, "--failed or --state, not both");
    r->states = settings->failed ? "failed" : settings->states;
    r->columns = settings->failed && settings->columns == NULL
                     ? "id,worker,reason"
                     : settings->columns;
    r->format = table_format_find(settings->format);
    if (r->format == TABLE_FORMATS)
        return cli_usage(cli,
                         "no format `%s`; there are: table, json, jsonl, "
                         "csv, tsv, md, ids",
                         settings->format);
    if (cli->options->json)
        r->format = TABLE_JSON;
    if (cli->options->quiet && r->format == TABLE_PEOPLE)
        r->format = TABLE_IDS;
    r->left = settings->limit == 0 ? UINT64_MAX : (uint64_t)settings->limit;
    return SUCCESS;
}

MUST_CHECK static struct status run(struct cli *cli)
{
    const struct trials_settings *settings = cli->settings;
    const char *text = cli->operand_count == 0 ? "@last" : cli->operands[0];
    AUTO(request_release) struct request r = { .spec = NULL };
    struct selector selector;
    bool streams = false;

    TRY_PLAIN(read_settings(cli, &r));
    TRY_PLAIN(selector_parse(text, &selector));
    TRY_PLAIN(session_open(cli, &r.session));
    TRY_PLAIN(follow_status(&r.session, selector.sweep, &r.status));
    follow_store(cli, r.status);
    r.sweep = json_text_or(r.status, "id", selector.sweep);
    TRY_PLAIN(session_ask(&r.session, "spec",
                          json_pack("{s:s}", "sweep", r.sweep), &r.spec));
    TRY_PLAIN(misnamed(cli, trial_columns(r.spec, r.columns, &r.names)));
    streams = settings->sort == NULL && r.format != TABLE_PEOPLE &&
              r.format != TABLE_JSON && r.format != TABLE_MARKDOWN;
    return streams ? stream(cli, &r) : print_whole(cli, &r);
}

const struct command command_trials = {
    .name = "trials",
    .summary = "Table of trials",
    .usage = "[SWEEP]",
    .details = "  Columns by default: id, state, what varies, the objective "
               "and what it is made\n  of, time, worker; also: read "
               "(bytes of models that its merges\n  read), fetched (bytes "
               "from the network), reason, every parameter and every metric.\n",
    .group = COMMAND_RESULTS,
    .options = options,
    .settings_size = sizeof(struct trials_settings),
    .most = 1,
    .run = run,
};
