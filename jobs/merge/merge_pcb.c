#include "jobs/merge/merge_pcb.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/merge/merge_kernel.h"
#include "jobs/merge/merge_survey.h"
#include "tensor/select.h"

/* Rounds: magnitudes twice for the clip bounds, then scores twice. */
enum { ROUND_SCORES = 2, ROUNDS = 4 };

struct pcb {
    size_t models;
    int round;
    struct select *magnitudes[LIMIT_MODELS];
    struct select *scores[LIMIT_MODELS];
    double low[LIMIT_MODELS], high[LIMIT_MODELS];      /* of |d| */
    double threshold[LIMIT_MODELS], top[LIMIT_MODELS]; /* of scores */
};

/* 1 / k! */
static const double factorials[] = {
    1.0,
    1.0,
    1.0 / 2,
    1.0 / 6,
    1.0 / 24,
    1.0 / 120,
    1.0 / 720,
    1.0 / 5040,
    1.0 / 40320,
    1.0 / 362880,
    1.0 / 3628800,
    1.0 / 39916800,
    1.0 / 479001600,
    1.0 / 6227020800,
};

/* e^x with the same bits on every machine, 0 <= x <= LIMIT_MODELS: Taylor of
 * x - n log 2, log 2 in two parts. Within 2 units in the last place. */
static double exponential(double x)
{
    double n = floor(x * 1.4426950408889634 + 0.5);
    double r = (x - n * 0x1.62e42fefa3800p-1) - n * 0x1.ef35793c76730p-45;
    double sum = 0.0;

    for (size_t k = COUNT_OF(factorials); k-- > 0;)
        sum = sum * r + factorials[k];
    return ldexp(sum, (int)n);
}

/* Small arguments are what deltas give: a series keeps their digits. */
static double hyperbolic(double x)
{
    double size = fabs(x);
    double square = x * x;
    double e;

    if (size < 0.02)
        return x *
               (1.0 - square * (1.0 / 3.0 -
                                square * (2.0 / 15.0 -
                                          square * (17.0 / 315.0 -
                                                    square * 62.0 / 2835.0))));
    if (size > 20.0)
        return x > 0.0 ? 1.0 : -1.0;
    e = exponential(2.0 * size);
    return copysign((e - 1.0) / (e + 1.0), x);
}

/* Sign and magnitude within the bounds; 0 stays 0. */
static double clipped(const struct pcb *p, size_t i, double d)
{
    double size = fabs(d);

    size = size < p->low[i] ? p->low[i] : size;
    size = size > p->high[i] ? p->high[i] : size;
    return d > 0.0 ? size : d < 0.0 ? -size : 0.0;
}

/* How model i fares at one element, `d` its delta and `sum` that of all
 * models: float32, because thresholds are order statistics of these. */
static float score(const struct pcb *p, size_t i, double d, double sum)
{
    double size = fabs(d);
    double range = p->high[i] - p->low[i];
    double z;

    if (range <= 0.0)
        return 0.0F;
    size = size < p->low[i] ? p->low[i] : size;
    size = size > p->high[i] ? p->high[i] : size;
    z = (size - p->low[i]) / range;
    return (float)(exponential((double)p->models * z * z) *
                   hyperbolic(d * sum));
}

static void load(const struct pcb *p, const struct merge_step *step,
                 const struct merge_chunk *chunk)
{
    for (size_t i = 0; i < p->models; i++)
        merge_delta(step, chunk, i, chunk->delta + i * chunk->stride);
}

static double sum_of(const struct pcb *p, const struct merge_chunk *chunk,
                     size_t at)
{
    double sum = 0.0;

    for (size_t i = 0; i < p->models; i++)
        sum += (double)chunk->delta[i * chunk->stride + at];
    return sum;
}

static double share_of(const struct pcb *p, size_t i, float value)
{
    double range = p->top[i] - p->threshold[i];
    double above = (double)value - p->threshold[i];

    return range > 0.0 && above > 0.0 ? above / range : 0.0;
}

void merge_combine_pcb(const struct merge_step *step,
                       const struct merge_chunk *chunk)
{
    const struct pcb *p = chunk->tally;

    load(p, step, chunk);
    for (size_t at = 0; at < chunk->count; at++) {
        double sum = sum_of(p, chunk, at);
        double merged = 0.0;
        double shares = 0.0;

        for (size_t i = 0; i < p->models; i++) {
            double d = (double)chunk->delta[i * chunk->stride + at];
            double share = share_of(p, i, score(p, i, d, sum));

            merged += step->values.lambda[i] * clipped(p, i, d) * share;
            shares += share;
        }
        /* The merged vector is float32: where one model alone wins, what it
         * wants is met exactly, whatever its share. */
        merged /= shares > 1e-12 ? shares : 1e-12;
        chunk->out[at] = chunk->base[at] + (float)merged;
    }
}

static void *pcb_new(size_t models)
{
    struct pcb *p = xnew(struct pcb);

    p->models = models;
    for (size_t i = 0; i < models; i++) {
        p->magnitudes[i] = select_new(SELECT_MAGNITUDE);
        p->scores[i] = select_new(SELECT_VALUE);
    }
    return p;
}

static void pcb_free(void *tally)
{
    struct pcb *p = tally;

    for (size_t i = 0; i < p->models; i++) {
        select_free(p->magnitudes[i]);
        select_free(p->scores[i]);
    }
    free(p);
}

static void pcb_begin(void *tally, const struct merge_step *step,
                      uint64_t elements)
{
    struct pcb *p = tally;

    (void)step;
    (void)elements;
    p->round = 0;
    for (size_t i = 0; i < p->models; i++) {
        select_clear(p->magnitudes[i]);
        select_clear(p->scores[i]);
        p->top[i] = -HUGE_VAL;
    }
}

/* Scores take the place of the deltas they are made from. */
static void count_scores(struct pcb *p, const struct merge_chunk *chunk)
{
    for (size_t at = 0; at < chunk->count; at++) {
        double sum = sum_of(p, chunk, at);

        for (size_t i = 0; i < p->models; i++) {
            float *cell = &chunk->delta[i * chunk->stride + at];

            *cell = score(p, i, (double)*cell, sum);
            p->top[i] = fmax(p->top[i], (double)*cell);
        }
    }
    for (size_t i = 0; i < p->models; i++)
        select_add(p->scores[i], chunk->delta + i * chunk->stride,
                   chunk->count);
}

static void pcb_count(void *tally, const struct merge_step *step,
                      const struct merge_chunk *chunk)
{
    struct pcb *p = tally;

    load(p, step, chunk);
    if (p->round >= ROUND_SCORES) {
        count_scores(p, chunk);
        return;
    }
    for (size_t i = 0; i < p->models; i++)
        select_add(p->magnitudes[i], chunk->delta + i * chunk->stride,
                   chunk->count);
}

static struct select **selects_of(struct pcb *p, bool scores)
{
    return scores ? p->scores : p->magnitudes;
}

/* All parts into the first one's selection of model i. */
static struct select *gather(void *const *tallies, size_t threads, bool scores,
                             size_t i)
{
    struct select *all = selects_of(tallies[0], scores)[i];

    for (size_t t = 1; t < threads; t++)
        select_merge(all, selects_of(tallies[t], scores)[i]);
    return all;
}

static void narrow(void *const *tallies, size_t threads, bool scores, size_t i,
                   const uint64_t *ranks, size_t count)
{
    struct select *all = gather(tallies, threads, scores, i);
    struct status s = select_narrow(all, ranks, count);

    assert(!status_failed(&s)); /* ranks come from the element count */
    for (size_t t = 1; t < threads; t++)
        select_follow(selects_of(tallies[t], scores)[i], all);
}

static uint64_t rank_at(double rank, uint64_t elements)
{
    uint64_t whole = rank > 0.0 ? (uint64_t)rank : 0;

    return whole < elements ? whole : elements - 1;
}

static void settle_magnitudes(void *const *tallies, size_t threads,
                              const struct merge_step *step, uint64_t elements,
                              int round)
{
    struct pcb *first = tallies[0];
    double count = (double)elements;
    double q = step->values.clamp_quantile;
    const uint64_t ranks[] = {
        rank_at(count * q, elements),
        rank_at(count * (1.0 - q) - 1.0, elements),
    };

    for (size_t i = 0; i < first->models; i++) {
        const struct select *all;

        if (round == 0) {
            narrow(tallies, threads, false, i, ranks, COUNT_OF(ranks));
            continue;
        }
        all = gather(tallies, threads, false, i);
        for (size_t t = 0; t < threads; t++) {
            struct pcb *p = tallies[t];

            p->low[i] = (double)select_result(all, 0).value;
            p->high[i] = (double)select_result(all, 1).value;
        }
    }
}

static void settle_scores(void *const *tallies, size_t threads,
                          const struct merge_step *step, uint64_t elements,
                          int round)
{
    struct pcb *first = tallies[0];
    uint64_t rank =
        rank_at((double)elements * (1.0 - step->values.ratio), elements);

    for (size_t i = 0; i < first->models; i++) {
        double threshold;

        if (round == ROUND_SCORES) {
            narrow(tallies, threads, true, i, &rank, 1);
            continue;
        }
        threshold =
            (double)select_result(gather(tallies, threads, true, i), 0).value;
        for (size_t t = 0; t < threads; t++) {
            struct pcb *p = tallies[t];

            first->top[i] = fmax(first->top[i], p->top[i]);
            p->threshold[i] = threshold;
        }
        for (size_t t = 0; t < threads; t++)
            ((struct pcb *)tallies[t])->top[i] = first->top[i];
    }
}

static bool pcb_settle(void *const *tallies, size_t threads,
                       struct merge_step *step, uint64_t elements)
{
    int round = ((struct pcb *)tallies[0])->round;

    if (round < ROUND_SCORES)
        settle_magnitudes(tallies, threads, step, elements, round);
    else
        settle_scores(tallies, threads, step, elements, round);
    for (size_t t = 0; t < threads; t++)
        ((struct pcb *)tallies[t])->round = round + 1;
    return round + 1 < ROUNDS;
}

const struct merge_survey merge_survey_pcb = {
    .global = true,
    .tally_new = pcb_new,
    .tally_free = pcb_free,
    .begin = pcb_begin,
    .count = pcb_count,
    .settle = pcb_settle,
};
