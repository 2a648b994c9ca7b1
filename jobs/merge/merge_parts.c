#include "jobs/merge/merge_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/merge/merge_pass.h"
#include "tensor/reduce.h"

/* ---- what reaches which round ------------------------------------------ */

/* Rounds of global surveys without hints, and since when a number matters:
 * 2 r: for what is counted in round r, 2 r + 1: for what it comes to. */
static const struct rounds {
    const char *name; /* of the method */
    size_t rounds;
    struct {
        enum merge_parameter parameter;
        size_t since;
    } numbers[4]; /* ends with MERGE_PARAMETERS */
} table[] = {
    /* magnitudes, once more around the ranks, signs */
    { "ties", 3, { { MERGE_DENSITY, 1 }, { MERGE_PARAMETERS, 0 } } },
    { "dare_ties",
      3,
      { { MERGE_DENSITY, 0 },
        { MERGE_TRIM_DENSITY, 1 },
        { MERGE_PARAMETERS, 0 } } },
    /* magnitudes, around the bounds, scores, around the ranks */
    { "pcb",
      4,
      { { MERGE_CLAMP_QUANTILE, 1 },
        { MERGE_RATIO, 5 },
        { MERGE_PARAMETERS, 0 } } },
    { "dare_pcb",
      4,
      { { MERGE_DENSITY, 0 },
        { MERGE_CLAMP_QUANTILE, 1 },
        { MERGE_RATIO, 5 },
        { MERGE_PARAMETERS, 0 } } },
};

static const struct rounds *rounds_of(const struct merge_method *method)
{
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        if (strcmp(table[i].name, method->name) == 0)
            return &table[i];
    }
    return NULL;
}

size_t merge_parts_rounds(const struct merge_config *c)
{
    const struct merge_survey *survey = merge_config_survey(c);
    const struct rounds *rounds = rounds_of(c->method);

    if (survey == NULL || !survey->global || survey->save == NULL ||
        rounds == NULL)
        return 0;
    return rounds->rounds;
}

enum merge_reach merge_parts_reach(const struct merge_method *method,
                                   enum merge_parameter parameter, size_t round)
{
    const struct rounds *rounds = rounds_of(method);

    for (size_t i = 0;
         rounds != NULL && rounds->numbers[i].parameter != MERGE_PARAMETERS;
         i++) {
        size_t since = rounds->numbers[i].since;

        if (rounds->numbers[i].parameter != parameter)
            continue;
        if (since <= 2 * round)
            return MERGE_REACHES_COUNT;
        return since == 2 * round + 1 ? MERGE_REACHES_SETTLE
                                      : MERGE_REACHES_NOT;
    }
    return MERGE_REACHES_NOT;
}

/* ---- a part of the elements -------------------------------------------- */

/* One of the merge, of so many. */
struct share {
    uint64_t part, parts;
    struct buf *counted;
};

/* Elements of the tensor before the first that is not of an earlier part;
 * `before`: elements of earlier tensors. */
static uint64_t cut_at(const struct merge_plan *plan, size_t tensor,
                       uint64_t before, uint64_t part, uint64_t parts)
{
    uint64_t count = plan->layout.items[tensor].count;
    uint64_t at =
        plan->elements / parts * part + plan->elements % parts * part / parts;

    if (at <= before)
        return 0;
    if (at - before >= count)
        return count;
    return (at - before) / REDUCE_CHUNK * REDUCE_CHUNK;
}

static uint64_t elements_before(const struct merge_plan *plan, size_t tensor)
{
    uint64_t before = 0;

    for (size_t i = 0; i < tensor; i++)
        before += plan->entries[i].merged ? plan->layout.items[i].count : 0;
    return before;
}

static struct merge_part part_of(const struct merge_plan *plan, size_t tensor,
                                 uint64_t before, uint64_t part, uint64_t parts)
{
    if (!plan->entries[tensor].merged)
        return (struct merge_part){ 0, 0 };
    return (struct merge_part){
        cut_at(plan, tensor, before, part, parts),
        cut_at(plan, tensor, before, part + 1, parts),
    };
}

bool merge_part_has(const struct merge *m, size_t tensor, uint64_t part,
                    uint64_t parts)
{
    const struct merge_plan *plan = merge_plan_of(m);
    struct merge_part range =
        part_of(plan, tensor, elements_before(plan, tensor), part, parts);

    return range.first < range.end;
}

/* Instead of merge_walk(), by the only worker. */
static void count_share(struct merge_worker *w)
{
    const struct merge_plan *plan = w->work->plan;
    const struct share *share = w->work->walk_self;
    uint64_t before = 0;

    if (!merge_begin_known(w))
        return;
    for (size_t i = 0; i < plan->layout.count; i++) {
        struct merge_part range =
            part_of(plan, i, before, share->part, share->parts);

        if (plan->entries[i].merged)
            before += plan->layout.items[i].count;
        if (range.first == range.end)
            continue;
        merge_set_steps(w, i);
        merge_count(w, i, range, true);
    }
    if (!atomic_load(&w->work->stopped))
        w->work->failure = w->work->survey->save(w->tally, share->counted);
}

struct status merge_count_part(struct merge *m,
                               const struct merge_runtime *runtime,
                               struct merge_saved statistics, uint64_t part,
                               uint64_t parts, struct buf *ret_counted)
{
    struct share share = { part, parts, ret_counted };
    struct merge_runtime alone = *runtime;
    struct merge_work work;

    alone.threads = 1;
    work = merge_work_of(m, &alone);
    if (work.survey == NULL || work.survey->save == NULL)
        return FAIL(STATUS_INVALID, "%s counts nothing of the whole model",
                    merge_plan_of(m)->configs->method->name);
    work.known = statistics.bytes;
    work.known_size = statistics.size;
    work.walk = count_share;
    work.walk_self = &share;
    return merge_carry_out(m, &work, NULL);
}

/* ---- all parts --------------------------------------------------------- */

struct tallies {
    const struct merge_survey *survey;
    size_t count;
    void **items;
};

static void tallies_release(struct tallies *t)
{
    for (size_t i = 0; i < t->count; i++)
        t->survey->tally_free(t->items[i]);
    free(t->items);
}

static struct status load_all(struct tallies *t, const struct merge_plan *plan,
                              const struct merge_step *step,
                              const struct merge_saved *counted, size_t parts)
{
    t->items = xcalloc(parts, sizeof *t->items);
    for (size_t i = 0; i < parts; i++) {
        t->items[t->count++] = t->survey->tally_new(merge_most_models(plan), 1);
        (void)t->survey->begin(t->items[i], step, 1, plan->elements, false);
        TRY(t->survey->load(t->items[i], counted[i].bytes, counted[i].size),
            "part %zu", i + 1);
    }
    return SUCCESS;
}

static struct status check_fit(const struct tallies *t,
                               const struct merge_plan *plan)
{
    size_t fit = t->survey->fit(t->items, t->count, plan->elements);

    if (fit == t->count)
        return SUCCESS;
    if (fit == 0)
        return FAIL(STATUS_INVALID,
                    "the %zu parts do not add up to the %" PRIu64
                    " elements of this merge in one round; count them anew",
                    t->count, plan->elements);
    return FAIL(STATUS_INVALID,
                "part %zu is not of the round, or not of the merge, of part "
                "1; count all parts of the round anew",
                fit + 1);
}

struct status merge_settle_parts(struct merge *m,
                                 const struct merge_saved *counted,
                                 size_t parts, struct buf *ret_statistics)
{
    const struct merge_plan *plan = merge_plan_of(m);
    AUTO(tallies_release)
    struct tallies t = { .survey = merge_config_survey(plan->configs) };
    struct merge_step step;

    merge_plan_step(plan, SIZE_MAX, 0, &step);
    TRY_PLAIN(load_all(&t, plan, &step, counted, parts));
    TRY(check_fit(&t, plan), "merge_settle");
    (void)merge_survey_settle(t.survey, t.items, parts, &step, 1,
                              plan->elements);
    return t.survey->save(t.items[0], ret_statistics);
}
