#include "jobs/merge/merge_breadcrumbs.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/merge/merge_kernel.h"
#include "tensor/elementwise.h"
#include "tensor/select.h"

/* Ranks counted from 0, the smallest: low ... high - 1 are kept. */
struct ranks {
    uint64_t low, high;
};

/* The same as magnitudes. Of those that equal a bound, by index: the first
 * `skip` are below it, the first `keep` within. */
struct band {
    float low, high;
    uint64_t skip, keep;
};

/* A selection finds two ranks for each point. */
enum { SHARED = SELECT_RANKS / 2 };

struct crumbs {
    size_t models, groups; /* groups of SHARED points */
    bool narrowed;
    struct select **select; /* [groups][models] */
    struct band *bands;     /* [points][models] */
};

static void *crumbs_new(size_t models, size_t points)
{
    struct crumbs *c = xnew(struct crumbs);

    c->models = models;
    c->groups = (points + SHARED - 1) / SHARED;
    c->select = xcalloc(c->groups * models, sizeof(void *));
    for (size_t i = 0; i < c->groups * models; i++)
        c->select[i] = select_new(SELECT_MAGNITUDE);
    c->bands = xcalloc(points * models, sizeof *c->bands);
    return c;
}

static void crumbs_free(void *tally)
{
    struct crumbs *c = tally;

    for (size_t i = 0; i < c->groups * c->models; i++)
        select_free(c->select[i]);
    free(c->select);
    free(c->bands);
    free(c);
}

static enum merge_round crumbs_begin(void *tally,
                                     const struct merge_step *steps,
                                     size_t points, uint64_t elements,
                                     bool hints)
{
    struct crumbs *c = tally;

    (void)steps;
    (void)points;
    (void)elements;
    (void)hints;
    c->narrowed = false;
    for (size_t i = 0; i < c->groups * c->models; i++)
        select_clear(c->select[i]);
    return MERGE_ROUND_FULL;
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
            select_add(c->select[g * c->models + i], chunk->row, chunk->count);
    }
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

static struct select *select_of(const struct crumbs *c, size_t point, size_t i)
{
    return c->select[point / SHARED * c->models + i];
}

/* Add what the other threads counted to the first one's. */
static void gather(void *const *tallies, size_t threads)
{
    struct crumbs *first = tallies[0];

    for (size_t t = 1; t < threads; t++) {
        const struct crumbs *other = tallies[t];

        for (size_t i = 0; i < first->groups * first->models; i++)
            select_merge(first->select[i], other->select[i]);
    }
}

/* The ranks of the points of a group: those of point p at 2 (p % SHARED). An
 * end of the row stands for the rank beyond it. */
static void narrow(void *const *tallies, size_t threads,
                   const struct merge_step *steps, size_t points, size_t group,
                   size_t i, uint64_t elements)
{
    struct crumbs *first = tallies[0];
    size_t from = group * SHARED;
    size_t end = from + SHARED < points ? from + SHARED : points;
    struct select *all = first->select[group * first->models + i];
    uint64_t wanted[SELECT_RANKS];
    size_t count = 0;
    struct status s;

    for (size_t p = from; p < end; p++) {
        struct ranks r = ranks_of(&steps[p], i, elements);

        wanted[count++] = r.low < elements ? r.low : elements - 1;
        wanted[count++] = r.high < elements ? r.high : elements - 1;
    }
    s = select_narrow(all, wanted, count);
    assert(!status_failed(&s)); /* ranks come from the element count */
    for (size_t t = 1; t < threads; t++) {
        struct crumbs *c = tallies[t];

        select_follow(c->select[group * c->models + i], all);
    }
}

static struct band band_of(const struct select *all, size_t point,
                           struct ranks r, uint64_t elements)
{
    struct select_found low = select_result(all, 2 * (point % SHARED));
    struct select_found high = select_result(all, 2 * (point % SHARED) + 1);
    struct band band = { .low = low.value,
                         .skip = r.low - low.below,
                         .high = high.value,
                         .keep = r.high - high.below };

    if (r.low == r.high) /* nothing */
        band = (struct band){ .low = HUGE_VALF, .skip = UINT64_MAX };
    else if (r.high == elements)
        band.high = HUGE_VALF;
    return band;
}

static uint64_t less(uint64_t number, uint64_t by)
{
    return number > by ? number - by : 0;
}

/* Of what equals `value`, `all` in total, how many the first thread has. */
static uint64_t equal_in_first(void *const *tallies, size_t threads,
                               size_t point, size_t i,
                               const struct select_found *found)
{
    uint64_t later = 0;

    for (size_t t = 1; t < threads; t++)
        later += select_equal(select_of(tallies[t], point, i), found->value);
    return found->equal - later;
}

/* Earlier threads have the first of what equals a bound. */
static void hand_out(void *const *tallies, size_t threads, size_t point,
                     size_t i, struct band band)
{
    const struct select *all = select_of(tallies[0], point, i);
    size_t at = point * ((struct crumbs *)tallies[0])->models + i;
    const struct select_found found[] = {
        select_result(all, 2 * (point % SHARED)),
        select_result(all, 2 * (point % SHARED) + 1),
    };

    for (size_t t = 0; t < threads; t++) {
        struct crumbs *c = tallies[t];
        const struct select *own = select_of(c, point, i);
        uint64_t here[2];

        for (size_t k = 0; k < 2; k++)
            here[k] =
                t == 0 ? equal_in_first(tallies, threads, point, i, &found[k])
                       : select_equal(own, found[k].value);
        c->bands[at] = band;
        band.skip = less(band.skip, here[0]);
        band.keep = less(band.keep, here[1]);
    }
}

static enum merge_round crumbs_settle(void *const *tallies, size_t threads,
                                      struct merge_step *steps, size_t points,
                                      uint64_t elements)
{
    struct crumbs *first = tallies[0];

    gather(tallies, threads);
    if (!first->narrowed) {
        for (size_t g = 0; g < first->groups; g++) {
            for (size_t i = 0; i < steps->models; i++)
                narrow(tallies, threads, steps, points, g, i, elements);
        }
        first->narrowed = true;
        return MERGE_ROUND_FULL;
    }
    for (size_t p = 0; p < points; p++) {
        for (size_t i = 0; i < steps->models; i++)
            hand_out(tallies, threads, p, i,
                     band_of(select_of(first, p, i), p,
                             ranks_of(&steps[p], i, elements), elements));
    }
    return MERGE_ROUND_DONE;
}

const struct merge_survey merge_survey_breadcrumbs = {
    .tally_new = crumbs_new,
    .tally_free = crumbs_free,
    .begin = crumbs_begin,
    .count = crumbs_count,
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
