#include "jobs/merge/merge_trim.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/varint.h"
#include "jobs/merge/merge_kernel.h"
#include "jobs/merge/merge_statistic.h"
#include "jobs/merge/merge_vector.h"
#include "tensor/elementwise.h"

enum { KEY_BITS = 0x7fffffff };

/* What a method keeps of the deltas in order of magnitude. */
struct rule {
    /* Which order statistic, from 0; false: all are kept. */
    bool (*rank)(const struct merge_step *step, size_t i, uint64_t elements,
                 uint64_t *ret_rank);
    bool largest; /* as many as are above it and itself, the first of equals */
    bool above;   /* what is above it; else also what equals it */
    bool signs;   /* and then the signs that what is left elects */
};

/* Order statistics of one model's deltas under one drop. */
struct pick {
    size_t model;
    size_t point; /* the first with this drop */
    struct merge_statistic statistic;
};

/* What is kept of a model at a point. */
struct cut {
    size_t pick; /* SIZE_MAX: all are kept */
    size_t rank; /* of the pick */
    uint32_t key;
    bool in_order;       /* some that equal the key stay, and others not ... */
    uint64_t stay, here; /* ... of this part; else all do or none */
};

enum phase { COUNT, SIGNS, DONE };

struct trims {
    const struct rule *rule;
    size_t models, points;
    enum phase phase;
    size_t pick_count;
    struct pick *picks;    /* [models x points] */
    struct cut *cuts;      /* [points][models] */
    uint64_t elements;     /* of the scope */
    uint64_t bytes;        /* for all picks; 0: no limit */
    uint64_t signed_count; /* elements whose signs are counted ... */
    int64_t *signs;        /* ... [points] */
};

/* What a drop left of `count` elements, a multiple of MERGE_GROUP, not scaled;
 * draws NULL: all is left. */
INLINE void subtract(const void *task, const void *base, const float *draws,
                     float threshold, bool bf16, float *delta, size_t count)
{
    for (size_t group = 0; group < count; group += MERGE_GROUP) {
        for (size_t v = 0; v < VECTORS; v++) {
            size_t at = group + v * WIDTH;
            size_t next = v == 0 ? count : 0;
            floats left, from, drawn;

            load_input(task, at, next, bf16, &left);
            load_input(base, at, next, bf16, &from);
            left -= from;
            if (draws != NULL) {
                LOAD(drawn, draws + at);
                left = (floats)((masks)left & (masks)(drawn >= threshold));
            }
            STORE(left, delta + at);
        }
    }
}

ISA_CLONES
static void kept_delta(const float *task, const float *base, const float *draws,
                       float threshold, float *delta, size_t count)
{
    subtract(task, base, draws, threshold, false, delta, count);
}

ISA_CLONES
static void narrow_delta(const void *task, const void *base, float *delta,
                         size_t count)
{
    subtract(task, base, NULL, 0.0F, true, delta, count);
}

ISA_CLONES
static void narrow_kept_delta(const void *task, const void *base,
                              const float *draws, float threshold, float *delta,
                              size_t count)
{
    subtract(task, base, draws, threshold, true, delta, count);
}

ISA_CLONES
static void scale_delta(double scale, float *delta, size_t count)
{
    for (size_t at = 0; at < count; at += WIDTH) {
        floats kept;

        LOAD(kept, delta + at);
        kept = NARROW(scale * WIDEN(kept));
        STORE(kept, delta + at);
    }
}

/* The last ones in rows of their own. */
static void kept_rest(const struct merge_step *step,
                      const struct merge_chunk *chunk, size_t i, size_t first,
                      float *delta)
{
    float task[MERGE_GROUP] = { 0 };
    float base[MERGE_GROUP] = { 0 };
    float draws[MERGE_GROUP] = { 0 };
    size_t count = chunk->count - first;
    size_t size = count * sizeof *task;

    if (chunk->narrow) {
        size_t at = first * dtype_size(DTYPE_BF16);

        dtype_to_f32(DTYPE_BF16, (const char *)chunk->narrow_task[i] + at, task,
                     count);
        dtype_to_f32(DTYPE_BF16, (const char *)chunk->narrow_base + at, base,
                     count);
    } else {
        memcpy(task, chunk->task[i] + first, size);
        memcpy(base, chunk->base + first, size);
    }
    if (chunk->draws[i] == NULL) {
        kept_delta(task, base, draws, 0.0F, task, MERGE_GROUP);
    } else {
        memcpy(draws, chunk->draws[i] + first, size);
        kept_delta(task, base, draws, step->threshold[i], task, MERGE_GROUP);
        scale_delta(step->scale[i], task, MERGE_GROUP);
    }
    memcpy(delta + first, task, size);
}

void merge_delta(const struct merge_step *step, const struct merge_chunk *chunk,
                 size_t i, float *delta)
{
    size_t whole = chunk->count - chunk->count % MERGE_GROUP;

    if (chunk->draws[i] == NULL && !chunk->narrow) {
        elementwise_subtract(chunk->task[i], chunk->base, delta, chunk->count);
        return;
    }
    if (chunk->draws[i] == NULL)
        narrow_delta(chunk->narrow_task[i], chunk->narrow_base, delta, whole);
    else if (chunk->narrow)
        narrow_kept_delta(chunk->narrow_task[i], chunk->narrow_base,
                          chunk->draws[i], step->threshold[i], delta, whole);
    else
        kept_delta(chunk->task[i], chunk->base, chunk->draws[i],
                   step->threshold[i], delta, whole);
    if (chunk->draws[i] != NULL &&
        (step->scale[i] < 1.0 || step->scale[i] > 1.0))
        scale_delta(step->scale[i], delta, whole);
    if (whole < chunk->count)
        kept_rest(step, chunk, i, whole, delta);
}

static struct trims *trims_new(const struct rule *rule, size_t models,
                               size_t points)
{
    struct trims *t = xnew(struct trims);

    t->rule = rule;
    t->models = models;
    t->points = points;
    t->picks = xcalloc(models * points, sizeof *t->picks);
    t->cuts = xcalloc(models * points, sizeof *t->cuts);
    t->signs = xcalloc(points, sizeof *t->signs);
    return t;
}

static void trims_free(void *tally)
{
    struct trims *t = tally;

    for (size_t k = 0; k < t->models * t->points; k++)
        merge_statistic_release(&t->picks[k].statistic);
    free(t->picks);
    free(t->cuts);
    free(t->signs);
    free(t);
}

static void trims_limit(void *tally, uint64_t bytes)
{
    struct trims *t = tally;

    t->bytes = bytes;
}

static struct cut *cut_of(const struct trims *t, size_t point, size_t i)
{
    return t->cuts + point * t->models + i;
}

static bool same_drop(const struct merge_step *a, const struct merge_step *b,
                      size_t i)
{
    return !a->method->draws ||
           !(a->threshold[i] < b->threshold[i] ||
             a->threshold[i] > b->threshold[i] || a->scale[i] < b->scale[i] ||
             a->scale[i] > b->scale[i]);
}

static size_t find_pick(struct trims *t, const struct merge_step *steps,
                        size_t point, size_t i)
{
    size_t k = 0;

    while (k < t->pick_count &&
           (t->picks[k].model != i ||
            !same_drop(&steps[t->picks[k].point], &steps[point], i)))
        k++;
    return k;
}

static enum merge_round next_round(const struct trims *t)
{
    if (t->phase == COUNT)
        return merge_statistic_round(&t->picks[0].statistic) ==
                       MERGE_ROUND_SAMPLE
                   ? MERGE_ROUND_SAMPLE
                   : MERGE_ROUND_FULL;
    return t->phase == SIGNS ? MERGE_ROUND_FULL : MERGE_ROUND_DONE;
}

/* Equal ranks of points are counted once. */
static enum merge_round trims_begin(void *tally, const struct merge_step *steps,
                                    size_t points, uint64_t elements,
                                    bool hints)
{
    struct trims *t = tally;

    t->pick_count = 0;
    t->elements = elements;
    for (size_t at = 0; at < t->models * t->points; at++)
        t->cuts[at].pick = SIZE_MAX;
    t->signed_count = 0;
    memset(t->signs, 0, t->points * sizeof *t->signs);
    for (size_t at = 0; at < points * steps->models; at++) {
        size_t p = at / steps->models;
        size_t i = at % steps->models;
        struct cut *cut = cut_of(t, steps[p].point, i);
        struct pick *pick;
        uint64_t rank;

        if (!t->rule->rank(&steps[p], i, elements, &rank)) {
            /* Without hints all merges have the same rounds. */
            if (hints || !t->rule->signs)
                continue;
            rank = 0;
        }
        cut->pick = find_pick(t, steps, p, i);
        pick = &t->picks[cut->pick];
        if (cut->pick == t->pick_count) {
            t->pick_count++;
            pick->model = i;
            pick->point = p;
            merge_statistic_begin(&pick->statistic, SELECT_MAGNITUDE, elements,
                                  points, hints);
        }
        cut->rank = merge_statistic_want(&pick->statistic, rank);
    }
    for (size_t k = 0; k < t->pick_count; k++)
        merge_statistic_limit(&t->picks[k].statistic, t->bytes, t->pick_count);
    t->phase = t->pick_count > 0 ? COUNT : t->rule->signs ? SIGNS : DONE;
    return next_round(t);
}

static void trims_count(void *tally, const struct merge_step *steps,
                        size_t points, const struct merge_chunk *chunk)
{
    struct trims *t = tally;

    if (t->phase == SIGNS) {
        t->signed_count += chunk->count;
        merge_count_signs(steps, points, chunk, t->signs);
        return;
    }
    for (size_t k = 0; k < t->pick_count; k++) {
        struct pick *pick = t->picks + k;

        if (pick->statistic.done)
            continue;
        merge_delta(&steps[pick->point], chunk, pick->model, chunk->row);
        merge_statistic_add(&pick->statistic, chunk->row, chunk->count);
    }
}

static uint64_t equal_in(const struct trims *t, size_t pick, float value)
{
    return select_equal(t->picks[pick].statistic.select, value);
}

/* The equal ones that stay are the first by index: earlier parts take theirs
 * before later ones. */
static void hand_out(void *const *tallies, size_t threads, size_t at,
                     const struct select_found *found, uint64_t stay)
{
    struct trims *first = tallies[0];
    size_t pick = first->cuts[at].pick;
    uint64_t later = 0;

    for (size_t k = 1; k < threads; k++)
        later += equal_in(tallies[k], pick, found->value);
    for (size_t k = 0; k < threads; k++) {
        struct trims *t = tallies[k];
        struct cut *cut = t->cuts + at;

        cut->here =
            k == 0 ? found->equal - later : equal_in(t, pick, found->value);
        cut->stay = cut->here < stay ? cut->here : stay;
        stay -= cut->stay;
    }
}

static void set_cut(void *const *tallies, size_t threads, size_t at,
                    uint64_t elements)
{
    struct trims *first = tallies[0];
    struct cut *cut = first->cuts + at;
    const struct merge_statistic *s = &first->picks[cut->pick].statistic;
    struct select_found found = select_result(s->select, cut->rank);
    uint64_t keep = elements - s->ranks[cut->rank];
    uint64_t stay = select_cut_at(&found, elements, keep).equal;
    uint32_t key;

    memcpy(&key, &found.value, sizeof key);
    for (size_t k = 0; k < threads; k++) {
        struct cut *own = ((struct trims *)tallies[k])->cuts + at;

        own->key = key;
        own->in_order = first->rule->largest && stay < found.equal;
        own->here = 1;
        own->stay = first->rule->above ? 0 : 1;
    }
    if (first->rule->largest && stay < found.equal)
        hand_out(tallies, threads, at, &found, stay);
}

static void settle_pick(void *const *tallies, size_t threads, size_t k,
                        uint64_t elements)
{
    struct merge_statistic **parts = xcalloc(threads, sizeof(void *));

    for (size_t i = 0; i < threads; i++)
        parts[i] = &((struct trims *)tallies[i])->picks[k].statistic;
    merge_statistic_settle(parts, threads, elements);
    free(parts);
}

/* Each share has picks of its own. */
static void trims_settle_share(void *const *tallies, size_t threads,
                               uint64_t elements, size_t share, size_t shares)
{
    struct trims *first = tallies[0];

    for (size_t k = share; first->phase == COUNT && k < first->pick_count;
         k += shares) {
        if (first->picks[k].statistic.done)
            continue;
        settle_pick(tallies, threads, k, elements);
        for (size_t at = 0; at < first->models * first->points; at++) {
            if (first->picks[k].statistic.done && first->cuts[at].pick == k)
                set_cut(tallies, threads, at, elements);
        }
    }
}

/* Are all thresholds known? */
static bool all_done(const struct trims *t)
{
    bool done = true;

    for (size_t k = 0; k < t->pick_count; k++)
        done = done && t->picks[k].statistic.done;
    return done;
}

/* Each part now knows the signs of all. */
static void settle_signs(void *const *tallies, size_t threads)
{
    struct trims *first = tallies[0];

    for (size_t k = 1; k < threads; k++) {
        const struct trims *t = tallies[k];

        first->signed_count += t->signed_count;
        for (size_t p = 0; p < first->points; p++)
            first->signs[p] += t->signs[p];
    }
    for (size_t k = 1; k < threads; k++)
        memcpy(((struct trims *)tallies[k])->signs, first->signs,
               first->points * sizeof *first->signs);
}

static enum phase next_phase(void *const *tallies, size_t threads)
{
    struct trims *first = tallies[0];

    if (first->phase == SIGNS) {
        settle_signs(tallies, threads);
        return DONE;
    }
    if (!all_done(first))
        return COUNT;
    return first->rule->signs ? SIGNS : DONE;
}

static enum merge_round trims_settle(void *const *tallies, size_t threads,
                                     struct merge_step *steps, size_t points,
                                     uint64_t elements)
{
    enum phase phase = next_phase(tallies, threads);

    (void)steps;
    (void)points;
    (void)elements;
    for (size_t k = 0; k < threads; k++)
        ((struct trims *)tallies[k])->phase = phase;
    return next_round(tallies[0]);
}

ISA_CLONES
static uint64_t count_equal(const float *x, size_t count, uint32_t key)
{
    uint32_t equal = 0;

    for (size_t i = 0; i < count; i++) {
        uint32_t bits;

        memcpy(&bits, x + i, sizeof bits);
        equal += (bits & KEY_BITS) == key;
    }
    return equal;
}

struct merge_kept merge_trim_kept(const struct merge_step *step,
                                  const struct merge_chunk *chunk, size_t i)
{
    const struct trims *t = chunk->tally;
    struct cut *cut = cut_of(t, step->point, i);
    uint64_t equal;

    if (cut->pick == SIZE_MAX)
        return (struct merge_kept){ 0, 0 };
    if (cut->stay == 0)
        return (struct merge_kept){ cut->key + 1, 0 };
    if (cut->stay == cut->here)
        return (struct merge_kept){ cut->key, 0 };
    merge_delta(step, chunk, i, chunk->row);
    equal = count_equal(chunk->row, chunk->count, cut->key);
    if (equal > cut->stay) {
        struct merge_kept kept = { cut->key + 1, cut->stay };

        cut->stay = 0;
        return kept;
    }
    cut->stay -= equal;
    cut->here -= equal;
    return (struct merge_kept){ cut->key, 0 };
}

static bool trims_in_order(const void *tally)
{
    const struct trims *t = tally;
    bool in_order = false;

    for (size_t at = 0; at < t->models * t->points; at++)
        in_order =
            in_order || (t->cuts[at].pick != SIZE_MAX && t->cuts[at].in_order);
    return in_order;
}

int merge_trim_majority(const void *tally, size_t point)
{
    const struct trims *t = tally;

    return (t->signs[point] > 0) - (t->signs[point] < 0);
}

/* int(density x elements) of the largest; density 0.3 of one element is that
 * element, where mergekit gives up. */
static bool rank_largest(const struct merge_step *step, size_t i,
                         uint64_t elements, uint64_t *ret_rank)
{
    double density = step->values.number[MERGE_DENSITY][i];
    uint64_t keep = (uint64_t)((double)elements * density);

    *ret_rank = select_cut_rank(elements, keep == 0 ? 1 : keep);
    return keep < elements;
}

/* Number int(elements x rate), counted from 1. */
static bool rank_of_rate(uint64_t elements, double density, uint64_t *ret_rank)
{
    uint64_t number = (uint64_t)((double)elements * (1.0 - density));

    *ret_rank = number - 1;
    return number > 0;
}

static bool rank_above(const struct merge_step *step, size_t i,
                       uint64_t elements, uint64_t *ret_rank)
{
    return rank_of_rate(elements, step->values.number[MERGE_DENSITY][i],
                        ret_rank);
}

static bool rank_mergelm(const struct merge_step *step, size_t i,
                         uint64_t elements, uint64_t *ret_rank)
{
    double density = step->method->draws
                         ? step->values.number[MERGE_TRIM_DENSITY][0]
                         : step->values.number[MERGE_DENSITY][i];

    return rank_of_rate(elements, density, ret_rank);
}

/* Number elements - int(elements x K), counted from 1. */
static bool rank_original(const struct merge_step *step, size_t i,
                          uint64_t elements, uint64_t *ret_rank)
{
    double density = step->values.number[MERGE_DENSITY][i];
    uint64_t number = elements - (uint64_t)((double)elements * density);

    *ret_rank = number - 1;
    return number > 0;
}

static const struct rule largest = { .rank = rank_largest, .largest = true };
static const struct rule above = { .rank = rank_above, .above = true };
static const struct rule mergelm = { .rank = rank_mergelm, .signs = true };
static const struct rule original = { .rank = rank_original, .signs = true };

/* Thresholds of global surveys keep or cut all that equals them. */
static struct status trims_save(const void *tally, struct buf *bytes)
{
    const struct trims *t = tally;

    TRY_PLAIN(varint_put(bytes, t->models));
    TRY_PLAIN(varint_put(bytes, t->points));
    TRY_PLAIN(varint_put(bytes, t->phase));
    TRY_PLAIN(varint_put(bytes, t->pick_count));
    for (size_t k = 0; k < t->pick_count; k++)
        TRY_PLAIN(merge_statistic_save(&t->picks[k].statistic, bytes));
    for (size_t at = 0; at < t->models * t->points; at++)
        TRY_PLAIN(varint_put(bytes, t->cuts[at].key));
    TRY_PLAIN(varint_put(bytes, t->signed_count));
    for (size_t p = 0; p < t->points; p++)
        TRY_PLAIN(varint_put(bytes, (uint64_t)t->signs[p]));
    return SUCCESS;
}

static bool load_results(struct trims *t, const char **at, const char *end)
{
    uint64_t value;

    for (size_t k = 0; k < t->models * t->points; k++) {
        if (!varint_get(at, end, &value) || value > KEY_BITS)
            return false;
        t->cuts[k].key = (uint32_t)value;
        t->cuts[k].here = 1;
        t->cuts[k].stay = t->rule->above ? 0 : 1;
    }
    if (!varint_get(at, end, &t->signed_count) ||
        t->signed_count > (t->phase == COUNT ? 0 : t->elements))
        return false;
    for (size_t p = 0; p < t->points; p++) {
        if (!varint_get(at, end, &value) ||
            (value > t->signed_count && 0 - value > t->signed_count))
            return false;
        t->signs[p] = (int64_t)value;
    }
    return *at == end;
}

static bool load(struct trims *t, const char *at, const char *end)
{
    uint64_t phase;

    if (!merge_statistic_is_next(&at, end, t->models) ||
        !merge_statistic_is_next(&at, end, t->points) ||
        !varint_get(&at, end, &phase) || phase > DONE ||
        !merge_statistic_is_next(&at, end, t->pick_count))
        return false;
    t->phase = (enum phase)phase;
    for (size_t k = 0; k < t->pick_count; k++) {
        if (!merge_statistic_load(&t->picks[k].statistic, &at, end))
            return false;
    }
    return load_results(t, &at, end);
}

static struct status trims_load(void *tally, const void *bytes, size_t size)
{
    const char *text = bytes;

    if (load(tally, text, text + size))
        return SUCCESS;
    return FAIL(STATUS_INVALID,
                "%zu bytes are not the statistics of this merge", size);
}

/* The same thresholds, as far as there are any. */
static bool same_round(const struct trims *a, const struct trims *b)
{
    bool same = a->phase == b->phase && a->phase != DONE;

    for (size_t at = 0; at < a->models * a->points; at++)
        same = same && a->cuts[at].key == b->cuts[at].key;
    return same;
}

static size_t fit_pick(void *const *tallies, size_t count, size_t k,
                       uint64_t elements)
{
    struct merge_statistic **parts = xcalloc(count, sizeof(void *));
    size_t fit;

    for (size_t i = 0; i < count; i++)
        parts[i] = &((struct trims *)tallies[i])->picks[k].statistic;
    fit = merge_statistic_fit(parts, count, elements);
    free(parts);
    return fit;
}

/* Are the signs of all elements there, those of none twice? */
static bool all_signed(void *const *tallies, size_t count, uint64_t elements)
{
    for (size_t i = 0; i < count; i++) {
        const struct trims *t = tallies[i];

        if (t->signed_count > elements)
            return false;
        elements -= t->signed_count;
    }
    return elements == 0;
}

static size_t trims_fit(void *const *tallies, size_t count, uint64_t elements)
{
    const struct trims *first = tallies[0];

    for (size_t i = 0; i < count; i++) {
        if (!same_round(first, tallies[i]))
            return i;
    }
    for (size_t k = 0; k < first->pick_count; k++) {
        size_t fit = fit_pick(tallies, count, k, elements);

        if (fit < count ||
            (first->phase == SIGNS && !first->picks[k].statistic.done))
            return fit < count ? fit : 0;
    }
    if (first->phase == SIGNS && !all_signed(tallies, count, elements))
        return 0;
    return count;
}

static bool trims_complete(const void *tally)
{
    const struct trims *t = tally;

    return t->phase == DONE && all_done(t);
}

#define SURVEY(name, is_global, is_anywhere)              \
    static void *name##_new(size_t models, size_t points) \
    {                                                     \
        return trims_new(&(name), models, points);        \
    }                                                     \
                                                          \
    const struct merge_survey merge_survey_##name = {     \
        .global = (is_global),                            \
        .anywhere = (is_anywhere),                        \
        .in_order = trims_in_order,                       \
        .any_chunks = (is_anywhere),                      \
        .tally_new = name##_new,                          \
        .tally_free = trims_free,                         \
        .limit = trims_limit,                             \
        .begin = trims_begin,                             \
        .count = trims_count,                             \
        .settle_share = trims_settle_share,               \
        .settle = trims_settle,                           \
        .save = (is_global) ? trims_save : NULL,          \
        .load = (is_global) ? trims_load : NULL,          \
        .fit = trims_fit,                                 \
        .complete = trims_complete,                       \
    };
SURVEY(largest, false, false)
SURVEY(above, false, true)
SURVEY(mergelm, true, true)
SURVEY(original, true, true)
#undef SURVEY
