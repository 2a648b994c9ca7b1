#include "cli/leaderboard.h"

#include <math.h>
#include <string.h>

#include "common/map.h"
#include "common/memory.h"
#include "sweep/pairs.h"

static bool value_of(const json_t *trial, const char *metric, double *ret_value)
{
    const json_t *value =
        json_object_get(json_object_get(trial, "metrics"), metric);

    if (value == NULL || !json_is_number(value))
        return false;
    *ret_value = json_number_value(value);
    return isfinite(*ret_value);
}

struct estimate leader_estimate(const struct leader *l, const char *metric)
{
    size_t most = json_array_size(l->trials);
    AUTO(free_pointer) double *values = xcalloc(most + 1, sizeof *values);
    size_t count = 0;

    for (size_t i = 0; i < most; i++)
        count += value_of(json_array_get(l->trials, i), metric, &values[count])
                     ? 1
                     : 0;
    return estimate_of_pairs(values, count, pairs_of_metric(l->spec, metric));
}

static json_t *point_of(const json_t *trial)
{
    json_t *values = json_object_get(trial, "values");
    json_t *point = values == NULL ? json_object() : json_copy(values);

    (void)json_object_del(point, "seed");
    return point;
}

/* The leader of the trial's point, made if it is the first of it. */
static struct leader *find_or_add(struct map *points, struct leaderboard *b,
                                  const json_t *trial)
{
    AUTO(json_release) json_t *point = point_of(trial);
    AUTO(free_pointer) char *key = json_canonical(point);
    size_t *at = map_get_text(points, key);
    struct leader *l = NULL;

    if (at != NULL)
        return &b->items[*at];
    at = xnew(size_t);
    *at = b->count;
    (void)map_put_text(points, key, at);
    b->items = xrealloc(b->items, (b->count + 1) * sizeof *b->items);
    l = &b->items[b->count++];
    memset(l, 0, sizeof *l);
    l->values = json_incref(point);
    l->trials = json_array();
    return l;
}

static void choose_trial(struct leader *l, const char *metric, bool maximize)
{
    double best = 0.0;
    double value = 0.0;

    for (size_t i = 0; i < json_array_size(l->trials); i++) {
        const json_t *trial = json_array_get(l->trials, i);

        if (!value_of(trial, metric, &value))
            continue;
        l->measured++;
        if (l->trial == 0 || (maximize ? value > best : value < best)) {
            best = value;
            l->trial = (uint64_t)json_int_or(trial, "trial", 0);
        }
    }
}

static int by_mean(const void *a, const void *b, void *maximize)
{
    const struct leader *x = a;
    const struct leader *y = b;
    double d = *(const bool *)maximize ? y->objective.mean - x->objective.mean
                                       : x->objective.mean - y->objective.mean;

    if (d < 0.0 || d > 0.0)
        return d < 0.0 ? -1 : 1;
    return x->trial < y->trial ? -1 : x->trial > y->trial;
}

static void leader_release(struct leader *l)
{
    json_decref(l->values);
    json_decref(l->trials);
}

static void keep_measured(struct leaderboard *b)
{
    size_t kept = 0;

    for (size_t i = 0; i < b->count; i++) {
        if (b->items[i].objective.count == 0) {
            leader_release(&b->items[i]);
            continue;
        }
        b->items[kept++] = b->items[i];
    }
    b->unmeasured = b->count - kept;
    b->count = kept;
}

static bool is_tied(const struct leaderboard *b)
{
    const struct estimate *x = NULL;
    const struct estimate *y = NULL;

    if (b->count < 2)
        return false;
    x = &b->items[0].objective;
    y = &b->items[1].objective;
    return fabs(x->mean - y->mean) <= hypot(x->error, y->error);
}

void leaderboard_make(const json_t *spec, const json_t *trials,
                      const char *metric, bool maximize,
                      struct leaderboard *ret_board)
{
    struct map *points = map_new();

    memset(ret_board, 0, sizeof *ret_board);
    for (size_t i = 0; i < json_array_size(trials); i++) {
        json_t *trial = json_array_get(trials, i);
        struct leader *l = find_or_add(points, ret_board, trial);

        l->replicates++;
        (void)json_array_append(l->trials, trial);
    }
    for (size_t i = 0; i < ret_board->count; i++) {
        struct leader *l = &ret_board->items[i];

        l->spec = spec;
        l->objective = leader_estimate(l, metric);
        choose_trial(l, metric, maximize);
    }
    for (size_t i = 0; i < map_count(points); i++)
        free(map_at(points, i, NULL, NULL));
    map_free(points);
    keep_measured(ret_board);
    if (ret_board->count > 1)
        qsort_r(ret_board->items, ret_board->count, sizeof *ret_board->items,
                by_mean, &maximize);
    ret_board->tied = is_tied(ret_board);
}

void leaderboard_release(struct leaderboard *b)
{
    for (size_t i = 0; i < b->count; i++)
        leader_release(&b->items[i]);
    free(b->items);
    b->items = NULL;
    b->count = 0;
}
