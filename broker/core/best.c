#include "broker/core/best.h"

#include "broker/core/jobs.h"
#include "common/memory.h"

#include <math.h>
#include <stdlib.h>

static json_t *results_of(const struct sched *s, const struct trial *trial)
{
    json_t *results = json_object();

    for (size_t i = 0; i < trial->need_count; i++) {
        const struct need *need = &trial->needs[i];
        struct wire_bytes text = jobs_result_text(s, need->job);
        json_t *result = json_loadb(text.data, text.size, 0, NULL);

        if (result != NULL)
            (void)json_object_set_new(
                results, trial->sweep->stages[need->stage].name, result);
    }
    return results;
}

/* The objective of a trial that ends; NAN: it has none. */
static double score_of(const struct sched *s, const struct trial *trial,
                       const char *metric)
{
    AUTO(json_release) json_t *results = results_of(s, trial);
    AUTO(json_release) json_t *metrics = NULL;
    struct status st =
        compiled_metrics(trial->sweep->compiled, results, &metrics);
    const json_t *value =
        status_failed(&st) ? NULL : json_object_get(metrics, metric);

    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* A point in its order, and the trial that stands for it. */
struct candidate {
    uint64_t trial; /* the best of its replicates */
    struct estimate score;
};

static bool is_better(double a, double b, bool maximize)
{
    return maximize ? a > b : a < b;
}

/* The point whose first trial is `first`; `fresh` is just ending. False: it
 * has no score yet. */
static bool rate_point(const struct sweep *sweep, uint64_t first,
                       uint64_t fresh, bool maximize,
                       struct candidate *ret_point)
{
    uint64_t replicates = compiled_replicates(sweep->compiled);
    AUTO(free_pointer) double *values = xcalloc(replicates, sizeof *values);
    size_t count = 0;

    for (uint64_t i = first; i < first + replicates; i++) {
        double value = sweep->scores[i];

        if ((i != fresh && sweep->trials[i] != TRIAL_DONE) || !isfinite(value))
            continue;
        if (count == 0 ||
            is_better(value, sweep->scores[ret_point->trial], maximize))
            ret_point->trial = i;
        values[count++] = value;
    }
    ret_point->score = estimate_of_pairs(
        values, count, compiled_objective(sweep->compiled).pairs);
    return count > 0;
}

static void lead(struct sweep *sweep, const struct candidate *point)
{
    sweep->has_best = true;
    sweep->best_trial = point->trial;
    sweep->best = point->score;
}

static bool goes_before(const struct candidate *a, const struct sweep *sweep,
                        bool maximize)
{
    if (!sweep->has_best || a->score.mean != sweep->best.mean)
        return !sweep->has_best ||
               is_better(a->score.mean, sweep->best.mean, maximize);
    return a->trial < sweep->best_trial;
}

/* The leader lost by its newest replicate: look at all points again. */
static void search(struct sweep *sweep, uint64_t fresh, bool maximize)
{
    uint64_t replicates = compiled_replicates(sweep->compiled);
    struct candidate point;

    sweep->has_best = false;
    for (uint64_t i = 0; i < sweep->trial_count; i += replicates) {
        if (rate_point(sweep, i, fresh, maximize, &point) &&
            goes_before(&point, sweep, maximize))
            lead(sweep, &point);
    }
}

static void consider_point(struct sweep *sweep, uint64_t fresh, double value,
                           bool maximize)
{
    uint64_t replicates = compiled_replicates(sweep->compiled);
    uint64_t first = fresh - fresh % replicates;
    bool leads = sweep->has_best && sweep->best_trial >= first &&
                 sweep->best_trial < first + replicates;
    struct candidate point;

    if (sweep->scores == NULL)
        sweep->scores = xcalloc(sweep->trial_count, sizeof *sweep->scores);
    sweep->scores[fresh] = value;
    if (!rate_point(sweep, first, fresh, maximize, &point))
        return;
    if (leads && is_better(sweep->best.mean, point.score.mean, maximize))
        search(sweep, fresh, maximize);
    else if (leads || goes_before(&point, sweep, maximize))
        lead(sweep, &point);
}

void best_consider(const struct sched *s, const struct trial *trial)
{
    struct sweep *sweep = trial->sweep;
    struct objective objective = compiled_objective(sweep->compiled);
    struct candidate point = { .trial = trial->index };
    double value;

    if (objective.metric == NULL)
        return;
    value = score_of(s, trial, objective.metric);
    if (compiled_replicates(sweep->compiled) > 1) {
        consider_point(sweep, trial->index, value, objective.maximize);
        return;
    }
    point.score = estimate_of(&value, 1);
    if (isfinite(value) && goes_before(&point, sweep, objective.maximize))
        lead(sweep, &point);
}

void best_grow(struct sweep *sweep, uint64_t before)
{
    if (sweep->scores == NULL)
        return;
    sweep->scores =
        xrealloc(sweep->scores, sweep->trial_count * sizeof *sweep->scores);
    for (uint64_t i = before; i < sweep->trial_count; i++)
        sweep->scores[i] = 0.0;
}
