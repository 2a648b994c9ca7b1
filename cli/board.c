#include "cli/board.h"

#include <string.h>

#include "cli/number.h"
#include "cli/selector.h"
#include "cli/table.h"
#include "cli/view.h"
#include "common/memory.h"

enum { PAGE = 1000 };

/* Weights of columns: what goes first on a narrow terminal goes lowest. */
enum { WEIGHT_MAIN = 50, WEIGHT_COUNT = 30 };

struct status board_trials(struct session *s, const char *sweep, uint64_t from,
                           uint64_t most, json_t **ret_trials)
{
    AUTO(json_release) json_t *all = json_array();

    while (json_array_size(all) < most) {
        AUTO(json_release) json_t *page = NULL;
        uint64_t left = most - json_array_size(all);
        json_t *rows = NULL;

        TRY_PLAIN(
            session_ask(s, "trials",
                        json_pack("{s:s, s:I, s:I}", "sweep", sweep, "from",
                                  (json_int_t)from, "limit",
                                  (json_int_t)(left < PAGE ? left : PAGE)),
                        &page));
        TRY_PLAIN(json_member_array(page, "trials", &rows));
        (void)json_array_extend(all, rows);
        if (!json_is_integer(json_object_get(page, "next")))
            break;
        from = (uint64_t)json_int_or(page, "next", 0);
    }
    *ret_trials = json_incref(all);
    return SUCCESS;
}

MUST_CHECK static struct status load(struct session *s, const char *sweep,
                                     const char *metric, bool maximize,
                                     struct board *b)
{
    AUTO(json_release) json_t *trials = NULL;
    const char *objective = NULL;
    bool goal = false;

    TRY_PLAIN(session_ask(s, "status", json_pack("{s:s}", "sweep", sweep),
                          &b->status));
    TRY_PLAIN(
        session_ask(s, "spec", json_pack("{s:s}", "sweep", sweep), &b->spec));
    objective = view_objective(b->spec, &goal);
    if (metric != NULL && (objective == NULL || strcmp(metric, objective) != 0))
        goal = maximize;
    b->maximize = goal;
    if (metric == NULL)
        metric = objective;
    if (metric == NULL)
        return SUCCESS;
    b->metric = xstrdup(metric);
    TRY_PLAIN(board_trials(s, json_text_or(b->status, "id", sweep), 0,
                           UINT64_MAX, &trials));
    leaderboard_make(b->spec, trials, metric, b->maximize, &b->ranks);
    return SUCCESS;
}

struct status board_load(struct session *s, const char *sweep,
                         const char *metric, bool maximize,
                         struct board *ret_board)
{
    struct status st;

    memset(ret_board, 0, sizeof *ret_board);
    st = load(s, sweep, metric, maximize, ret_board);
    if (status_failed(&st))
        board_release(ret_board);
    return st;
}

void board_release(struct board *b)
{
    leaderboard_release(&b->ranks);
    json_decref(b->status);
    json_decref(b->spec);
    free(b->metric);
    memset(b, 0, sizeof *b);
}

/* What the table shows, chosen from the sweep. */
struct columns {
    json_t *varying; /* names, without "seed" */
    json_t *metrics;
    size_t main;
};

static void columns_init(struct columns *c, const struct board *b)
{
    json_t *all = view_varying(b->spec);

    c->varying = json_array();
    for (size_t i = 0; i < json_array_size(all); i++) {
        json_t *name = json_array_get(all, i);

        if (strcmp(json_string_value(name), "seed") != 0)
            (void)json_array_append(c->varying, name);
    }
    json_decref(all);
    c->metrics = view_metrics(b->spec, &c->main);
}

static void columns_release(struct columns *c)
{
    json_decref(c->varying);
    json_decref(c->metrics);
}

static bool is_metric(const struct board *b, const json_t *name)
{
    return strcmp(json_string_value(name), b->metric) == 0;
}

static bool has_seeds(const struct board *b)
{
    return json_int_or(json_object_get(b->spec, "replicates"), "count", 1) > 1;
}

/* Is there a model, and will nobody write it unasked? */
static bool can_export(const struct board *b)
{
    const json_t *outputs = json_object_get(b->spec, "outputs");

    return json_array_size(json_object_get(b->spec, "stages")) > 0 &&
           strcmp(json_text_or(outputs, "keep", "none"), "none") == 0;
}

static void add_columns(struct table *t, const struct columns *c,
                        const struct board *b)
{
    table_column(t, "rank", TABLE_RIGHT, TABLE_ALWAYS);
    table_column(t, "trial", TABLE_TEXT, TABLE_ALWAYS);
    for (size_t i = 0; i < json_array_size(c->varying); i++) {
        const char *name = json_string_value(json_array_get(c->varying, i));

        table_column(t, name,
                     strcmp(name, "case") == 0 ? TABLE_TEXT : TABLE_RIGHT,
                     TABLE_ALWAYS - 1);
    }
    table_column(t, b->metric, TABLE_TEXT, TABLE_ALWAYS);
    for (size_t i = 0; i < c->main; i++) {
        const json_t *name = json_array_get(c->metrics, i);

        if (!is_metric(b, name))
            table_column(t, json_string_value(name), TABLE_MEASURED,
                         WEIGHT_MAIN);
    }
    if (has_seeds(b))
        table_column(t, "seeds", TABLE_RIGHT, WEIGHT_COUNT);
}

static void add_row(struct table *t, const struct columns *c,
                    const struct board *b, size_t rank, bool utf8)
{
    const struct leader *l = &b->ranks.items[rank];
    char text[NUMBER_TEXT];

    (void)snprintf(text, sizeof text, "%zu", rank + 1);
    table_add(t, text, NULL);
    (void)snprintf(text, sizeof text, "#%llu", (unsigned long long)l->trial);
    table_add(t, text, NULL);
    for (size_t i = 0; i < json_array_size(c->varying); i++) {
        const char *name = json_string_value(json_array_get(c->varying, i));

        table_add_value(t, json_object_get(l->values, name));
    }
    number_with_error(l->objective.mean, l->objective.error, utf8, text);
    table_add(t, text, NULL);
    for (size_t i = 0; i < c->main; i++) {
        const json_t *name = json_array_get(c->metrics, i);
        AUTO(json_release) json_t *mean = NULL;
        struct estimate e;

        if (is_metric(b, name))
            continue;
        e = leader_estimate(l, json_string_value(name));
        mean = e.count == 0 ? NULL : json_real(e.mean);
        table_add_value(t, mean);
    }
    if (!has_seeds(b))
        return;
    if (l->measured == l->replicates)
        (void)snprintf(text, sizeof text, "%zu", l->replicates);
    else
        (void)snprintf(text, sizeof text, "%zu/%zu", l->measured,
                       l->replicates);
    table_add(t, text, NULL);
}

static void tell_empty(const struct cli *cli, const struct board *b)
{
    const char *id = json_text_or(b->status, "id", "@last");

    if (b->metric == NULL)
        cli_note(cli,
                 "%s names no objective: choose one with --metric, or "
                 "see `sinter trials %s`",
                 id, id);
    else
        cli_note(cli,
                 "no trial of %s has %s yet (%lld of %lld done); see "
                 "`sinter status %s`",
                 id, b->metric, (long long)json_int_or(b->status, "done", 0),
                 (long long)json_int_or(b->status, "trials", 0), id);
}

static void tell_rest(const struct cli *cli, const struct board *b,
                      size_t shown, const struct buf *dropped)
{
    const char *id = json_text_or(b->status, "id", "@last");

    cli_note(cli, "%zu of %zu points by %s%s%s", shown,
             b->ranks.count + b->ranks.unmeasured, b->metric,
             has_seeds(b) ? ", mean over seeds" : "",
             b->ranks.tied ? ". The first two differ by less than their error."
                           : "");
    if (dropped->size > 0)
        cli_note(cli, "too narrow for: %s", dropped->data);
    if (can_export(b))
        cli_note(cli, "keep the first: sinter export %s/%llu -o DIR", id,
                 (unsigned long long)b->ranks.items[0].trial);
}

void board_print(struct cli *cli, const struct board *b, size_t most)
{
    size_t count = b->ranks.count < most ? b->ranks.count : most;
    struct table *t = NULL;
    struct columns c;
    struct buf dropped;

    if (count == 0) {
        tell_empty(cli, b);
        return;
    }
    t = table_new();
    columns_init(&c, b);
    buf_init(&dropped, 1024);
    add_columns(t, &c, b);
    for (size_t i = 0; i < count; i++)
        add_row(t, &c, b, i, cli->out.utf8);
    table_print(t, TABLE_PEOPLE, &cli->out, &dropped);
    tell_rest(cli, b, count, &dropped);
    buf_release(&dropped);
    columns_release(&c);
    table_free(t);
}

static json_t *estimate_json(const struct estimate *e)
{
    return json_pack("{s:f, s:f, s:I}", "mean", e->mean, "error", e->error,
                     "count", (json_int_t)e->count);
}

static json_t *point_json(const struct board *b, size_t rank)
{
    const struct leader *l = &b->ranks.items[rank];
    json_t *point = json_pack(
        "{s:I, s:I, s:O, s:I, s:o}", "rank", (json_int_t)rank + 1, "trial",
        (json_int_t)l->trial, "values", l->values, "replicates",
        (json_int_t)l->replicates, "objective", estimate_json(&l->objective));
    json_t *metrics = json_object();
    json_t *trials = json_array();
    size_t main = 0;
    json_t *names = view_metrics(b->spec, &main);

    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));
        struct estimate e = leader_estimate(l, name);

        if (e.count > 0)
            (void)json_object_set_new(metrics, name, estimate_json(&e));
    }
    for (size_t i = 0; i < json_array_size(l->trials); i++)
        (void)json_array_append_new(
            trials, json_integer(
                        json_int_or(json_array_get(l->trials, i), "trial", 0)));
    (void)json_object_set_new(point, "metrics", metrics);
    (void)json_object_set_new(point, "trials", trials);
    json_decref(names);
    return point;
}

json_t *board_json(const struct board *b, size_t most)
{
    json_t *points = json_array();

    for (size_t i = 0; i < b->ranks.count && i < most; i++)
        (void)json_array_append_new(points, point_json(b, i));
    return json_pack("{s:O, s:s?, s:s, s:b, s:I, s:I, s:o}", "sweep",
                     json_object_get(b->status, "id"), "metric", b->metric,
                     "goal", b->maximize ? "maximize" : "minimize", "tied",
                     (int)b->ranks.tied, "measured", (json_int_t)b->ranks.count,
                     "unmeasured", (json_int_t)b->ranks.unmeasured, "points",
                     points);
}

struct status board_trial_of(struct session *s, const struct selector *selector,
                             uint64_t *ret_trial)
{
    AUTO(board_release) struct board b = { .metric = NULL };

    if (!selector->best) {
        if (selector->trial == 0)
            return FAIL(STATUS_INVALID,
                        "which trial of %s? write %s/12 or %s/best",
                        selector->sweep, selector->sweep, selector->sweep);
        *ret_trial = selector->trial;
        return SUCCESS;
    }
    TRY_PLAIN(board_load(s, selector->sweep, NULL, true, &b));
    if (b.ranks.count == 0)
        return FAIL(STATUS_NOT_FOUND, "%s has no best trial%s", selector->sweep,
                    b.metric == NULL ? ": it names no objective"
                                     : " yet: none is done");
    *ret_trial = b.ranks.items[0].trial;
    return SUCCESS;
}
