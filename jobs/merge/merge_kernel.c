#include "jobs/merge/merge_kernel.h"

#include <assert.h>
#include <math.h>

#include "jobs/merge/merge_vector.h"
#include "jobs/merge/merge_wide.h"

/* Below it mergekit takes a sum of weights for none. */
static const double weightless = 1e-8;

/* What a kernel's elements go through. Constants where kernels are made, so
 * that each has just the steps it needs. */
enum {
    ROWS = 1,   /* deltas lie in chunk->delta */
    DRAWS = 2,  /* what drops is 0 */
    SCALES = 4, /* then multiplied, rounded to float32 */
    TRIMS = 8,  /* what the survey cuts is 0 */
    BF16 = 16,  /* inputs are chunk->narrow ones */
};

/* Model i's share of the elements at + WIDTH v. */
INLINE void load(const struct merge_terms *t, const struct merge_chunk *chunk,
                 int steps, size_t i, size_t at, bool first, const floats *base,
                 doubles *ret_value)
{
    floats delta;

    if (steps & ROWS) {
        LOAD(delta, chunk->delta + i * chunk->stride + at);
    } else {
        load_input(steps & BF16 ? chunk->narrow_task[i] : chunk->task[i], at,
                   first ? chunk->count : 0, steps & BF16, &delta);
        delta -= *base;
    }
    if ((steps & DRAWS) && chunk->draws[i] != NULL) {
        floats drawn;

        LOAD(drawn, chunk->draws[i] + at);
        delta = (floats)((masks)delta & (masks)(drawn >= t->drawn[i]));
        if (steps & SCALES)
            delta = NARROW(t->scale[i] * WIDEN(delta));
    }
    if (steps & TRIMS) {
        masks size = (masks)delta & INT32_MAX;

        delta =
            (floats)((masks)delta & (masks)(size >= (int32_t)t->kept[i].least));
    }
    *ret_value = t->weight[i] * WIDEN(delta);
}

INLINE void load_base(const struct merge_chunk *chunk, size_t at, int steps,
                      floats base[VECTORS])
{
    for (size_t v = 0; v < VECTORS; v++)
        load_input(steps & BF16 ? chunk->narrow_base : chunk->base,
                   at + v * WIDTH, v == 0 ? chunk->count : 0, steps & BF16,
                   &base[v]);
}

INLINE void store(const struct merge_terms *t, size_t at,
                  const floats base[VECTORS], const doubles merged[VECTORS])
{
    for (size_t k = 0; k < t->ends; k++) {
        for (size_t v = 0; v < VECTORS; v++) {
            floats out = NARROW(WIDEN(base[v]) + t->end[k].lambda * merged[v]);

            STORE(out, t->end[k].out + at + v * WIDTH);
        }
    }
}

INLINE void sum(struct merge_terms *t, const struct merge_chunk *chunk,
                size_t count, int steps)
{
    for (size_t at = 0; at < count; at += MERGE_GROUP) {
        doubles merged[VECTORS] = { { 0.0 } };
        floats base[VECTORS];

        load_base(chunk, at, steps, base);
        for (size_t i = 0; i < t->models; i++) {
            for (size_t v = 0; v < VECTORS; v++) {
                doubles value;

                load(t, chunk, steps, i, at + v * WIDTH, v == 0, &base[v],
                     &value);
                merged[v] += value;
            }
        }
        store(t, at, base, merged);
    }
}

/* What has the elected sign, added or its mean. */
INLINE void add_elected(const struct merge_terms *t,
                        doubles values[LIMIT_MODELS][VECTORS],
                        const doubles towards[VECTORS], doubles merged[VECTORS])
{
    doubles share[VECTORS] = { { 0.0 } };

    for (size_t i = 0; i < t->models; i++) {
        for (size_t v = 0; v < VECTORS; v++) {
            truths elected = values[i][v] * towards[v] > 0.0;

            merged[v] += WHERE(elected, values[i][v]);
            share[v] += WHERE(elected, t->weight[i]);
        }
    }
    for (size_t v = 0; t->mean && v < VECTORS; v++)
        merged[v] /= share[v] + WHERE(share[v] == 0.0, 1.0);
}

INLINE void max_elected(const struct merge_terms *t,
                        doubles values[LIMIT_MODELS][VECTORS],
                        const doubles towards[VECTORS], doubles merged[VECTORS])
{
    for (size_t i = 0; i < t->models; i++) {
        for (size_t v = 0; v < VECTORS; v++) {
            doubles value = values[i][v];
            truths better = (value * towards[v] > 0.0) &
                            (value * value > merged[v] * merged[v]);

            merged[v] = (doubles)(((truths)merged[v] & ~better) |
                                  ((truths)value & better));
        }
    }
}

INLINE void elect(struct merge_terms *t, const struct merge_chunk *chunk,
                  size_t count, int steps)
{
    doubles values[LIMIT_MODELS][VECTORS];

    for (size_t at = 0; at < count; at += MERGE_GROUP) {
        doubles towards[VECTORS] = { { 0.0 } };
        doubles merged[VECTORS] = { { 0.0 } };
        floats base[VECTORS];

        load_base(chunk, at, steps, base);
        for (size_t i = 0; i < t->models; i++) {
            for (size_t v = 0; v < VECTORS; v++) {
                load(t, chunk, steps, i, at + v * WIDTH, v == 0, &base[v],
                     &values[i][v]);
                towards[v] += values[i][v];
            }
        }
        for (size_t v = 0; v < VECTORS; v++)
            towards[v] += WHERE(towards[v] == 0.0, t->zero);
        if (t->max)
            max_elected(t, values, towards, merged);
        else
            add_elected(t, values, towards, merged);
        store(t, at, base, merged);
    }
}

INLINE void count_signs(struct merge_terms *t, const struct merge_chunk *chunk,
                        size_t count, int steps)
{
    truths signs = { 0 };

    for (size_t at = 0; at < count; at += MERGE_GROUP) {
        floats base[VECTORS];

        load_base(chunk, at, steps, base);
        for (size_t v = 0; v < VECTORS; v++) {
            doubles towards = { 0.0 };

            for (size_t i = 0; i < t->models; i++) {
                doubles value;

                load(t, chunk, steps, i, at + v * WIDTH, v == 0, &base[v],
                     &value);
                towards += value;
            }
            /* A comparison that holds is -1. */
            signs += (truths)(towards < 0.0) - (truths)(towards > 0.0);
        }
    }
    for (size_t k = 0; k < WIDTH; k++)
        t->signs += signs[k];
}

#define KERNEL(name, body, steps)                                              \
    ISA_CLONES                                                                 \
    static void name##_f32(struct merge_terms *t, const struct merge_chunk *c, \
                           size_t count)                                       \
    {                                                                          \
        body(t, c, count, steps);                                              \
    }                                                                          \
                                                                               \
    ISA_CLONES                                                                 \
    static void name##_bf16(struct merge_terms *t,                             \
                            const struct merge_chunk *c, size_t count)         \
    {                                                                          \
        body(t, c, count, (steps) | BF16);                                     \
    }                                                                          \
                                                                               \
    static const struct merge_kernels name = { name##_f32, name##_bf16 };
KERNEL(sum_rows, sum, ROWS)
KERNEL(sum_all, sum, 0)
KERNEL(sum_drawn, sum, DRAWS)
KERNEL(sum_trimmed, sum, TRIMS)
KERNEL(elect_rows, elect, ROWS)
KERNEL(elect_drawn, elect, DRAWS | SCALES)
KERNEL(elect_trimmed, elect, TRIMS)
KERNEL(elect_both, elect, DRAWS | SCALES | TRIMS)
KERNEL(signs_rows, count_signs, ROWS)
KERNEL(signs_trimmed, count_signs, TRIMS)
KERNEL(signs_both, count_signs, DRAWS | SCALES | TRIMS)
#undef KERNEL

/* Kernels of one combination: without and with a drop, and of rows. */
struct kernels {
    const struct merge_kernels *all, *drawn, *rows;
    bool wide; /* merge_wide_sums() comes to the same */
};

static const struct kernels sums = { &sum_all, &sum_drawn, &sum_rows, true };
static const struct kernels sums_trimmed = { &sum_trimmed, NULL, &sum_rows,
                                             false };
static const struct kernels elections = { NULL, &elect_drawn, &elect_rows,
                                          false };
static const struct kernels elections_trimmed = { &elect_trimmed, &elect_both,
                                                  &elect_rows, false };
static const struct kernels sign_counts = { &signs_trimmed, &signs_both,
                                            &signs_rows, false };

static bool drops(const struct merge_chunk *chunk, size_t models)
{
    for (size_t i = 0; i < models; i++) {
        if (chunk->draws[i] != NULL)
            return true;
    }
    return false;
}

/* The weights; their sum, of shares, is 1 when normalize. */
static void set_weights(struct merge_terms *t, const struct merge_step *step)
{
    for (size_t i = 0; i < step->models; i++)
        t->weight[i] = step->values.number[MERGE_WEIGHT][i];
}

static void set_shares(struct merge_terms *t, const struct merge_step *step)
{
    double divisor = 0.0;

    for (size_t i = 0; i < step->models; i++)
        divisor += step->values.number[MERGE_WEIGHT][i];
    if (!step->normalize || fabs(divisor) < weightless)
        divisor = 1.0;
    for (size_t i = 0; i < step->models; i++)
        t->weight[i] = step->values.number[MERGE_WEIGHT][i] / divisor;
}

static void set_ones(struct merge_terms *t, const struct merge_step *step)
{
    for (size_t i = 0; i < step->models; i++)
        t->weight[i] = 1.0;
}

/* All but weights and zero. */
static void set_terms(struct merge_terms *t, const struct merge_step *step,
                      const struct merge_chunk *chunk, float *out, bool trims)
{
    t->models = step->models;
    t->mean = step->normalize;
    t->max = false;
    t->zero = 1.0;
    t->signs = 0;
    t->ends = 1;
    t->end[0] =
        (struct merge_end){ step->values.number[MERGE_LAMBDA][0], out, 0 };
    for (size_t i = 0; i < step->models; i++) {
        t->scale[i] = chunk->draws[i] != NULL ? step->scale[i] : 1.0;
        t->drawn[i] = chunk->draws[i] != NULL ? step->threshold[i] : 0.0F;
        t->kept[i] = (struct merge_kept){ 0, 0 };
        if (trims)
            t->kept[i] = merge_trim_kept(step, chunk, i);
    }
}

/* Some of what equals a threshold stays and some does not: rows are cut
 * before they are merged. */
static bool is_split(const struct merge_terms *t)
{
    for (size_t i = 0; i < t->models; i++) {
        if (t->kept[i].first > 0)
            return true;
    }
    return false;
}

static void cut_row(float *x, size_t count, struct merge_kept kept)
{
    for (size_t e = 0; e < count; e++) {
        uint32_t size;
        bool first;

        memcpy(&size, x + e, sizeof size);
        size &= INT32_MAX;
        first = kept.first > 0 && size + 1 == kept.least;
        kept.first -= first;
        x[e] = first || size >= kept.least ? x[e] : 0.0F;
    }
}

static void run_split(const struct kernels *k, struct merge_terms *t,
                      const struct merge_step *step,
                      const struct merge_chunk *chunk)
{
    for (size_t i = 0; i < t->models; i++) {
        float *row = chunk->delta + i * chunk->stride;

        merge_delta(step, chunk, i, row);
        cut_row(row, chunk->count, t->kept[i]);
    }
    merge_kernel_run(k->rows, t, chunk);
}

/* terms[p] is of steps[p]. */
static void run(const struct kernels *k, struct merge_terms *terms,
                const struct merge_step *steps, size_t points,
                const struct merge_chunk *chunk)
{
    const struct merge_kernels *kernel =
        drops(chunk, steps->models) || k->all == NULL ? k->drawn : k->all;

    merge_terms_share(terms, points);
    if (k->wide && points >= MERGE_WIDE_POINTS && merge_wide_able()) {
        merge_wide_sums(terms, points, chunk);
        return;
    }
    for (size_t p = 0; p < points; p++) {
        if (terms[p].ends == 0)
            continue;
        if (is_split(&terms[p]))
            run_split(k, &terms[p], &steps[p], chunk);
        else
            merge_kernel_run(kernel, &terms[p], chunk);
    }
}

void merge_combine_sum_points(const struct merge_step *steps, size_t points,
                              const struct merge_chunk *chunk)
{
    struct merge_terms terms[MERGE_POINTS];

    assert(points <= MERGE_POINTS);
    for (size_t p = 0; p < points; p++) {
        struct merge_terms *t = terms + p;

        set_terms(t, &steps[p], chunk, chunk->outs[p], false);
        set_shares(t, &steps[p]);
        for (size_t i = 0; i < t->models; i++) {
            t->weight[i] *= t->scale[i];
            t->scale[i] = 1.0;
        }
    }
    run(&sums, terms, steps, points, chunk);
}

void merge_combine_trimmed_points(const struct merge_step *steps, size_t points,
                                  const struct merge_chunk *chunk)
{
    struct merge_terms terms[MERGE_POINTS];

    assert(points <= MERGE_POINTS);
    for (size_t p = 0; p < points; p++) {
        set_terms(terms + p, &steps[p], chunk, chunk->outs[p], true);
        set_shares(terms + p, &steps[p]);
    }
    run(&sums_trimmed, terms, steps, points, chunk);
}

void merge_combine_elect_points(const struct merge_step *steps, size_t points,
                                const struct merge_chunk *chunk)
{
    struct merge_terms terms[MERGE_POINTS];
    bool trims = !steps->method->draws;

    assert(points <= MERGE_POINTS);
    for (size_t p = 0; p < points; p++) {
        set_terms(terms + p, &steps[p], chunk, chunk->outs[p], trims);
        set_weights(terms + p, &steps[p]);
    }
    run(trims ? &elections_trimmed : &elections, terms, steps, points, chunk);
}

/* `elect` is an option of the original alone, whose rule for a zero majority
 * differs, too. */
static void set_majority(struct merge_terms *t, const struct merge_step *step,
                         const struct merge_chunk *chunk)
{
    enum { MEAN, SUM, MAX }; /* words of the option */
    bool original = merge_method_choice(step->method, MERGE_ELECT) != NULL;
    int word = original ? step->options[MERGE_ELECT] : MEAN;
    int majority = merge_trim_majority(chunk->tally, step->point);

    if (majority == 0 && original && word != MAX)
        majority = -1;
    t->zero = majority;
    t->mean = word == MEAN;
    t->max = word == MAX;
    set_ones(t, step);
}

void merge_combine_majority_points(const struct merge_step *steps,
                                   size_t points,
                                   const struct merge_chunk *chunk)
{
    struct merge_terms terms[MERGE_POINTS];

    assert(points <= MERGE_POINTS);
    for (size_t p = 0; p < points; p++) {
        set_terms(terms + p, &steps[p], chunk, chunk->outs[p], true);
        set_majority(terms + p, &steps[p], chunk);
    }
    run(&elections_trimmed, terms, steps, points, chunk);
}

void merge_count_signs(const struct merge_step *steps, size_t points,
                       const struct merge_chunk *chunk, int64_t *signs)
{
    struct merge_terms terms[MERGE_POINTS];

    assert(points <= MERGE_POINTS);
    for (size_t p = 0; p < points; p++) {
        set_terms(terms + p, &steps[p], chunk, NULL, true);
        terms[p].end[0].point = p;
        set_ones(terms + p, &steps[p]);
    }
    run(&sign_counts, terms, steps, points, chunk);
    for (size_t p = 0; p < points; p++) {
        for (size_t k = 0; k < terms[p].ends; k++)
            signs[terms[p].end[k].point] += terms[p].signs;
    }
}

/* One point is a run of one. */
#define ONE(name)                                              \
    void merge_combine_##name(const struct merge_step *step,   \
                              const struct merge_chunk *chunk) \
    {                                                          \
        struct merge_chunk own = *chunk;                       \
                                                               \
        own.outs = &chunk->out;                                \
        merge_combine_##name##_points(step, 1, &own);          \
    }
ONE(sum)
ONE(trimmed)
ONE(elect)
ONE(majority)
#undef ONE

static void run_rows(const struct kernels *k, const struct merge_step *step,
                     const struct merge_chunk *chunk,
                     void set(struct merge_terms *, const struct merge_step *))
{
    struct merge_terms t;

    set_terms(&t, step, chunk, chunk->out, false);
    set(&t, step);
    merge_kernel_run(k->rows, &t, chunk);
}

void merge_sum_deltas(const struct merge_step *step,
                      const struct merge_chunk *chunk)
{
    run_rows(&sums, step, chunk, set_shares);
}

void merge_elect_deltas(const struct merge_step *step,
                        const struct merge_chunk *chunk)
{
    run_rows(&elections, step, chunk, set_weights);
}
