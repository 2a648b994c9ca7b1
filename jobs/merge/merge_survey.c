#include "jobs/merge/merge_survey.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/merge/merge_kernel.h"
#include "tensor/elementwise.h"
#include "tensor/reduce.h"
#include "tensor/select.h"

/* L1 norms: float64 sums of pieces of REDUCE_CHUNK elements, kept one by one
 * because they are added in the order of the pieces, whoever made them. */
struct norms {
    size_t models;
    size_t pieces, room;
    double *before, *after; /* [pieces][models] */
};

static void *norms_new(size_t models)
{
    struct norms *n = xnew(struct norms);

    n->models = models;
    return n;
}

static void norms_free(void *tally)
{
    struct norms *n = tally;

    free(n->before);
    free(n->after);
    free(n);
}

static void norms_begin(void *tally, const struct merge_step *step,
                        uint64_t elements)
{
    struct norms *n = tally;

    (void)step;
    (void)elements;
    n->pieces = 0;
}

static void reserve(struct norms *n, size_t pieces)
{
    if (pieces <= n->room)
        return;
    n->room = 2 * pieces;
    n->before = xrealloc(n->before, n->room * n->models * sizeof *n->before);
    n->after = xrealloc(n->after, n->room * n->models * sizeof *n->after);
}

static void norms_count(void *tally, const struct merge_step *step,
                        const struct merge_chunk *chunk)
{
    struct norms *n = tally;
    size_t pieces = (chunk->count + REDUCE_CHUNK - 1) / REDUCE_CHUNK;

    reserve(n, n->pieces + pieces);
    for (size_t i = 0; i < step->models; i++) {
        elementwise_subtract(chunk->task[i], chunk->base, chunk->row,
                             chunk->count);
        merge_delta(step, chunk, i, chunk->delta);
        for (size_t p = 0; p < pieces; p++) {
            size_t at = p * REDUCE_CHUNK;
            size_t left = chunk->count - at;
            size_t count = left < REDUCE_CHUNK ? left : REDUCE_CHUNK;
            size_t slot = (n->pieces + p) * n->models + i;

            n->before[slot] =
                reduce_chunk(REDUCE_L1, chunk->row + at, NULL, count);
            n->after[slot] =
                reduce_chunk(REDUCE_L1, chunk->delta + at, NULL, count);
        }
    }
    n->pieces += pieces;
}

static bool norms_settle(void *const *tallies, size_t threads,
                         struct merge_step *step, uint64_t elements)
{
    static const double nothing = 1e-7; /* as mergekit has it */

    (void)elements;
    for (size_t i = 0; i < step->models; i++) {
        double before = 0.0;
        double after = 0.0;

        for (size_t t = 0; t < threads; t++) {
            const struct norms *n = tallies[t];

            for (size_t p = 0; p < n->pieces; p++) {
                before += n->before[p * n->models + i];
                after += n->after[p * n->models + i];
            }
        }
        if (before >= nothing && after >= nothing)
            step->scale[i] = before / after;
    }
    return false;
}

const struct merge_survey merge_survey_l1 = {
    .tally_new = norms_new,
    .tally_free = norms_free,
    .begin = norms_begin,
    .count = norms_count,
    .settle = norms_settle,
};

/* Thresholds: two rounds of a radix selection for each model; the global
 * survey then counts the signs that what is left elects. */
enum { ROUND_SELECT, ROUND_NARROWED, ROUND_SIGNS };

struct trims {
    size_t models;
    int round;
    int64_t signs;
    struct select *select[LIMIT_MODELS];
    struct select_cut cut[LIMIT_MODELS];
};

static void *trims_new(size_t models)
{
    struct trims *t = xnew(struct trims);

    t->models = models;
    for (size_t i = 0; i < models; i++)
        t->select[i] = select_new(SELECT_MAGNITUDE);
    return t;
}

static void trims_free(void *tally)
{
    struct trims *t = tally;

    for (size_t i = 0; i < t->models; i++)
        select_free(t->select[i]);
    free(t);
}

static void trims_begin(void *tally, const struct merge_step *step,
                        uint64_t elements)
{
    struct trims *t = tally;

    (void)step;
    (void)elements;
    t->round = ROUND_SELECT;
    t->signs = 0;
    for (size_t i = 0; i < t->models; i++)
        select_clear(t->select[i]);
}

static void trims_count(void *tally, const struct merge_step *step,
                        const struct merge_chunk *chunk)
{
    struct trims *t = tally;

    for (size_t i = 0; i < step->models; i++) {
        merge_delta(step, chunk, i, chunk->delta);
        select_add(t->select[i], chunk->delta, chunk->count);
    }
}

/* Narrow model i's selection in all tallies. */
static void narrow(void *const *tallies, size_t threads, size_t i,
                   uint64_t rank)
{
    struct trims *first = tallies[0];
    struct status s;

    for (size_t t = 1; t < threads; t++)
        select_merge(first->select[i], ((struct trims *)tallies[t])->select[i]);
    s = select_narrow(first->select[i], &rank, 1);
    assert(!status_failed(&s)); /* ranks come from the element count */
    for (size_t t = 1; t < threads; t++)
        select_follow(((struct trims *)tallies[t])->select[i],
                      first->select[i]);
}

/* What was found, with select[i] of the first tally now holding all parts and
 * equal[t] the elements of part t that equal it. */
static struct select_found find(void *const *tallies, size_t threads, size_t i)
{
    struct trims *first = tallies[0];

    for (size_t t = 1; t < threads; t++)
        select_merge(first->select[i], ((struct trims *)tallies[t])->select[i]);
    return select_result(first->select[i], 0);
}

/* The equal ones that stay are the first by index: earlier parts take theirs
 * before later ones. */
static void hand_out(void *const *tallies, size_t threads, size_t i,
                     struct select_cut cut, const struct select_found *found)
{
    uint64_t later = 0;

    for (size_t t = 1; t < threads; t++)
        later +=
            select_equal(((struct trims *)tallies[t])->select[i], found->value);
    for (size_t t = 0; t < threads; t++) {
        struct trims *trims = tallies[t];
        uint64_t here = t == 0 ? found->equal - later
                               : select_equal(trims->select[i], found->value);

        trims->cut[i] = cut;
        cut.equal -= here < cut.equal ? here : cut.equal;
    }
}

/* The method keeps exactly so many; density 0.3 of one element is that
 * element, where mergekit gives up. */
static uint64_t kept(const struct merge_step *step, size_t i, uint64_t elements)
{
    uint64_t keep = (uint64_t)((double)elements * step->values.density[i]);

    return keep == 0 ? 1 : keep;
}

/* The round that has ended; the next one begins in all tallies. */
static int next_round(void *const *tallies, size_t threads)
{
    struct trims *first = tallies[0];
    int round = first->round;

    for (size_t t = 0; t < threads; t++)
        ((struct trims *)tallies[t])->round = round + 1;
    return round;
}

static bool trims_settle(void *const *tallies, size_t threads,
                         struct merge_step *step, uint64_t elements)
{
    int round = next_round(tallies, threads);

    for (size_t i = 0; i < step->models; i++) {
        uint64_t keep = kept(step, i, elements);
        struct select_found found;

        if (round == ROUND_SELECT) {
            narrow(tallies, threads, i, select_cut_rank(elements, keep));
            continue;
        }
        found = find(tallies, threads, i);
        hand_out(tallies, threads, i, select_cut_at(&found, elements, keep),
                 &found);
    }
    return round == ROUND_SELECT;
}

const struct merge_survey merge_survey_trim = {
    .tally_new = trims_new,
    .tally_free = trims_free,
    .begin = trims_begin,
    .count = trims_count,
    .settle = trims_settle,
};

/* MergeLM counts ranks from 1 and keeps everything equal; a rate that drops
 * less than one element keeps all. */
static uint64_t global_rank(const struct merge_step *step, size_t i,
                            uint64_t elements)
{
    double density = step->method->draws ? step->values.trim_density
                                         : step->values.density[i];
    uint64_t number = (uint64_t)((double)elements * (1.0 - density));

    return number == 0 ? 0 : number - 1;
}

static void settle_threshold(void *const *tallies, size_t threads,
                             const struct merge_step *step, uint64_t elements,
                             int round)
{
    for (size_t i = 0; i < step->models; i++) {
        struct select_cut cut = { .equal = UINT64_MAX };

        if (round == ROUND_SELECT) {
            narrow(tallies, threads, i, global_rank(step, i, elements));
            continue;
        }
        cut.threshold = find(tallies, threads, i).value;
        for (size_t t = 0; t < threads; t++)
            ((struct trims *)tallies[t])->cut[i] = cut;
    }
}

static bool global_settle(void *const *tallies, size_t threads,
                          struct merge_step *step, uint64_t elements)
{
    int round = next_round(tallies, threads);
    int64_t signs = 0;

    if (round < ROUND_SIGNS) {
        settle_threshold(tallies, threads, step, elements, round);
        return true;
    }
    for (size_t t = 0; t < threads; t++)
        signs += ((struct trims *)tallies[t])->signs;
    for (size_t t = 0; t < threads; t++)
        ((struct trims *)tallies[t])->signs = signs;
    return false;
}

static void global_count(void *tally, const struct merge_step *step,
                         const struct merge_chunk *chunk)
{
    struct trims *t = tally;

    if (t->round < ROUND_SIGNS) {
        trims_count(tally, step, chunk);
        return;
    }
    merge_trim(step, chunk);
    t->signs += merge_count_signs(step, chunk);
}

const struct merge_survey merge_survey_global = {
    .global = true,
    .tally_new = trims_new,
    .tally_free = trims_free,
    .begin = trims_begin,
    .count = global_count,
    .settle = global_settle,
};

void merge_trim(const struct merge_step *step, const struct merge_chunk *chunk)
{
    struct trims *t = chunk->tally;

    for (size_t i = 0; i < step->models; i++) {
        float *delta = chunk->delta + i * chunk->stride;

        merge_delta(step, chunk, i, delta);
        select_cut_apply(&t->cut[i], delta, chunk->count);
    }
}

int merge_majority(const void *tally)
{
    const struct trims *t = tally;

    return (t->signs > 0) - (t->signs < 0);
}
