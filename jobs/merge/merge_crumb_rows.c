#include <stdlib.h>

#include "common/memory.h"
#include "jobs/merge/merge_breadcrumbs.h"
#include "jobs/merge/merge_kernel.h"
#include "jobs/merge/merge_rank.h"

static void *rows_new(size_t models, size_t points)
{
    struct merge_ranked *r = xnew(struct merge_ranked);

    (void)points;
    r->models = models;
    return r;
}

static void rows_free(void *tally)
{
    merge_ranked_release(tally);
    free(tally);
}

static enum merge_round rows_begin(void *tally, const struct merge_step *steps,
                                   size_t points, uint64_t elements, bool hints)
{
    (void)tally;
    (void)steps;
    (void)points;
    (void)elements;
    (void)hints;
    return MERGE_ROUND_DONE;
}

const struct merge_survey merge_survey_crumb_rows = {
    .anywhere = true,
    .tally_new = rows_new,
    .tally_free = rows_free,
    .begin = rows_begin,
};

/* What a point keeps of model i: ranks low ... high - 1 of each row. */
static void keep(const struct merge_ranked *r, const struct merge_step *step,
                 const struct merge_chunk *chunk, size_t i)
{
    double density = step->values.number[MERGE_DENSITY][i];
    double gamma = step->values.number[MERGE_GAMMA][i];
    uint64_t columns = step->columns;
    uint64_t target = (uint64_t)((double)columns * density);
    uint64_t top = (uint64_t)((double)columns * gamma);
    bool remove_first = step->options[MERGE_REMOVE_FIRST] != 0;
    uint64_t high = columns - top;
    uint64_t most = remove_first ? high : columns;
    uint64_t low = most > target ? most - target : 0;
    const float *delta = chunk->delta + i * chunk->stride;

    for (size_t at = 0; at < chunk->count; at++) {
        uint64_t rank = r->ranks[i * r->room + at];
        bool kept = columns == 1 || (rank >= low && rank < high);

        r->kept[i * r->room + at] = kept ? delta[at] : 0.0F;
    }
}

void merge_combine_crumb_rows_points(const struct merge_step *steps,
                                     size_t points,
                                     const struct merge_chunk *chunk)
{
    struct merge_ranked *r = chunk->tally;
    struct merge_chunk own = *chunk;

    merge_ranked_load(r, steps, chunk);
    own.delta = r->kept;
    own.stride = r->room;
    for (size_t p = 0; p < points; p++) {
        for (size_t i = 0; i < steps->models; i++)
            keep(r, &steps[p], chunk, i);
        own.out = chunk->outs[p];
        merge_sum_deltas(&steps[p], &own);
    }
}

void merge_combine_crumb_rows(const struct merge_step *step,
                              const struct merge_chunk *chunk)
{
    struct merge_chunk own = *chunk;

    own.outs = &chunk->out;
    merge_combine_crumb_rows_points(step, 1, &own);
}
