#include "jobs/merge/merge_breadcrumbs.h"

#include <math.h>
#include <stdlib.h>

#include "common/memory.h"
#include "jobs/merge/merge_kernel.h"
#include "jobs/merge/merge_statistic.h"
#include "tensor/elementwise.h"

/* Ranks counted from 0, the smallest: low ... high - 1 are kept. */
struct ranks {
    uint64_t low, high;
};

/* The same as magnitudes. Of those that equal a bound, by index: the first
 * `skip` are below it, the first `keep` within. */
struct band {
    size_t ranks[2]; /* of the statistic: those of low and high */
    float low, high;
    uint64_t skip, keep;
};

/* A statistic finds two ranks for each point. */
enum { SHARED = SELECT_RANKS / 2 };

struct crumbs {
    size_t models, groups;              /* groups of SHARED points */
    uint64_t bytes;                     /* for all statistics; 0: no limit */
    struct merge_statistic *statistics; /* [groups][models] */
    struct band *bands;                 /* [points][models] */
};

static void *crumbs_new(size_t models, size_t points)
{
    struct crumbs *c = xnew(struct crumbs);

    c->models = models;
    c->groups = (points + SHARED - 1) / SHARED;
    c->statistics = xcalloc(c->groups * models, sizeof *c->statistics);
    c->bands = xcalloc(points * models, sizeof *c->bands);
    return c;
}

static void crumbs_free(void *tally)
{
    struct crumbs *c = tally;

    for (size_t k = 0; k < c->groups * c->models; k++)
        merge_statistic_release(&c->statistics[k]);
    free(c->statistics);
    free(c->bands);
    free(c);
}

static void crumbs_limit(void *tally, uint64_t bytes)
{
    struct crumbs *c = tally;

    c->bytes = bytes;
}

static struct ranks ranks_of(const struct merge_step *step, size_t i,
                             uint64_t elements)
{
    double density = step->values.number[MERGE_DENSITY][i];
    double gamma = step->values.number[MERGE_GAMMA][i];
    uint64_t target = (uint64_t)((double)elements * density);
    uint64_t top = (uint64_t)((double)elements * gamma);

    if (elements == 1)
        target = 1;
    if (top > elements - target)
        top = elements - target;
    return (struct ranks){ elements - target - top, elements - top };
}

static struct band *band_of(const struct crumbs *c, size_t point, size_t i)
{
    return c->bands + point * c->models + i;
}

static struct merge_statistic *statistic_of(const struct crumbs *c,
                                            size_t point, size_t i)
{
    return c->statistics + point / SHARED * c->models + i;
}

/* An end of the row stands for the rank beyond it. */
static void want(const struct crumbs *c, const struct merge_step *step,
                 size_t point, size_t i, uint64_t elements)
{
    const struct ranks r = ranks_of(step, i, elements);
    struct merge_statistic *s = statistic_of(c, point, i);
    struct band *band = band_of(c, point, i);

    band->ranks[0] =
        merge_statistic_want(s, r.low < elements ? r.low : elements - 1);
    band->ranks[1] =
        merge_statistic_want(s, r.high < elements ? r.high : elements - 1);
}

/* The models of this tensor are the first ones, of each group. */
static enum merge_round crumbs_begin(void *tally,
                                     const struct merge_step *steps,
                                     size_t points, uint64_t elements,
                                     bool hints)
{
    struct crumbs *c = tally;

    for (size_t k = 0; k < c->groups * c->models; k++) {
        merge_statistic_begin(&c->statistics[k], SELECT_MAGNITUDE, elements,
                              2 * points, hints);
        merge_statistic_limit(&c->statistics[k], c->bytes,
                              c->groups * c->models);
    }
    for (size_t p = 0; p < points; p++) {
        for (size_t i = 0; i < steps->models; i++)
            want(c, &steps[p], p, i, elements);
    }
    return merge_statistic_round(&c->statistics[0]);
}

static void crumbs_count(void *tally, const struct merge_step *steps,
                         size_t points, const struct merge_chunk *chunk)
{
    struct crumbs *c = tally;

    (void)points;
    for (size_t i = 0; i < steps->models; i++) {
        elementwise_subtract(chunk->task[i], chunk->base, chunk->row,
                             chunk->count);
        for (size_t g = 0; g < c->groups; g++)
            merge_statistic_add(&c->statistics[g * c->models + i], chunk->row,
                                chunk->count);
    }
}

/* Each share has statistics of its own. */
static void crumbs_settle_share(void *const *tallies, size_t threads,
                                uint64_t elements, size_t share, size_t shares)
{
    const struct crumbs *first = tallies[0];
    struct merge_statistic **parts = xcalloc(threads, sizeof(void *));

    for (size_t k = share; k < first->groups * first->models; k += shares) {
        if (first->statistics[k].count == 0) /* of no model here */
            continue;
        for (size_t t = 0; t < threads; t++)
            parts[t] = &((struct crumbs *)tallies[t])->statistics[k];
        merge_statistic_settle(parts, threads, elements);
    }
    free(parts);
}

static bool all_done(const struct crumbs *c)
{
    bool done = true;

    for (size_t k = 0; k < c->groups * c->models; k++)
        done = done && (c->statistics[k].done || c->statistics[k].count == 0);
    return done;
}

static void set_band(struct band *band, const struct merge_statistic *s,
                     struct ranks r, uint64_t elements)
{
    struct select_found low = select_result(s->select, band->ranks[0]);
    struct select_found high = select_result(s->select, band->ranks[1]);

    band->low = low.value;
    band->skip = r.low - low.below;
    band->high = high.value;
    band->keep = r.high - high.below;
    if (r.low == r.high) { /* nothing */
        band->low = HUGE_VALF;
        band->skip = UINT64_MAX;
    } else if (r.high == elements) {
        band->high = HUGE_VALF;
    }
}

static uint64_t less(uint64_t number, uint64_t by)
{
    return number > by ? number - by : 0;
}

/* Of what equals the k-th bound, how many a thread has counted. What others
 * have is in the first one's as well. */
static uint64_t equal_here(void *const *tallies, size_t threads, size_t thread,
                           size_t point, size_t i, size_t k)
{
    const struct merge_statistic *all = statistic_of(tallies[0], point, i);
    struct select_found found =
        select_result(all->select, band_of(tallies[0], point, i)->ranks[k]);
    uint64_t equal = found.equal;

    if (thread > 0)
        return select_equal(statistic_of(tallies[thread], point, i)->select,
                            found.value);
    for (size_t t = 1; t < threads; t++)
        equal -= select_equal(statistic_of(tallies[t], point, i)->select,
                              found.value);
    return equal;
}

/* Earlier threads have the first of what equals a bound. */
static void hand_out(void *const *tallies, size_t threads, size_t point,
                     size_t i)
{
    struct band band = *band_of(tallies[0], point, i);

    for (size_t t = 0; t < threads; t++) {
        *band_of(tallies[t], point, i) = band;
        band.skip =
            less(band.skip, equal_here(tallies, threads, t, point, i, 0));
        band.keep =
            less(band.keep, equal_here(tallies, threads, t, point, i, 1));
    }
}

static enum merge_round crumbs_settle(void *const *tallies, size_t threads,
                                      struct merge_step *steps, size_t points,
                                      uint64_t elements)
{
    struct crumbs *first = tallies[0];

    if (!all_done(first))
        return MERGE_ROUND_FULL;
    for (size_t p = 0; p < points; p++) {
        for (size_t i = 0; i < steps->models; i++) {
            set_band(band_of(first, p, i), statistic_of(first, p, i),
                     ranks_of(&steps[p], i, elements), elements);
            hand_out(tallies, threads, p, i);
        }
    }
    return MERGE_ROUND_DONE;
}

const struct merge_survey merge_survey_breadcrumbs = {
    .tally_new = crumbs_new,
    .tally_free = crumbs_free,
    .limit = crumbs_limit,
    .begin = crumbs_begin,
    .count = crumbs_count,
    .settle_share = crumbs_settle_share,
    .settle = crumbs_settle,
};

static bool is_kept(struct band *band, float magnitude)
{
    bool kept = magnitude >= band->low && magnitude <= band->high;

    if (magnitude == band->low && band->skip > 0) {
        band->skip--;
        kept = false;
    }
    if (magnitude != band->high)
        return kept;
    if (band->keep == 0)
        return false;
    band->keep--;
    return kept;
}

/* The deltas of a chunk without what lies outside of the bands. */
static void keep_bands(const struct merge_step *step,
                       const struct merge_chunk *chunk)
{
    struct crumbs *c = chunk->tally;

    for (size_t i = 0; i < step->models; i++) {
        struct band *band = &c->bands[step->point * c->models + i];
        float *delta = chunk->delta + i * chunk->stride;

        elementwise_subtract(chunk->task[i], chunk->base, delta, chunk->count);
        for (size_t at = 0; at < chunk->count; at++) {
            if (!is_kept(band, fabsf(delta[at])))
                delta[at] = 0.0F;
        }
    }
}

void merge_combine_breadcrumbs(const struct merge_step *step,
                               const struct merge_chunk *chunk)
{
    keep_bands(step, chunk);
    merge_sum_deltas(step, chunk);
}

void merge_combine_breadcrumbs_ties(const struct merge_step *step,
                                    const struct merge_chunk *chunk)
{
    keep_bands(step, chunk);
    merge_elect_deltas(step, chunk);
}
