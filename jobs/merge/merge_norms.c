#include "jobs/merge/merge_norms.h"

#include <stdlib.h>

#include "common/memory.h"
#include "jobs/merge/merge_sums.h"
#include "jobs/merge/merge_trim.h"
#include "tensor/dtype.h"
#include "tensor/reduce.h"

/* Sums of a piece: of each model before, then of each point and model after
 * the drop. Points with one rate have one sum, at the first of them. */
struct norms {
    size_t models, points;
    struct merge_sums *sums;
    double *totals;
};

static void *norms_new(size_t models, size_t points)
{
    struct norms *n = xnew(struct norms);

    n->models = models;
    n->points = points;
    n->sums = merge_sums_new();
    n->totals = xcalloc((points + 1) * models, sizeof *n->totals);
    return n;
}

static void norms_free(void *tally)
{
    struct norms *n = tally;

    merge_sums_free(n->sums);
    free(n->totals);
    free(n);
}

static enum merge_round norms_begin(void *tally, const struct merge_step *steps,
                                    size_t points, uint64_t elements,
                                    bool hints)
{
    struct norms *n = tally;

    (void)steps;
    (void)points;
    (void)elements;
    (void)hints;
    merge_sums_clear(n->sums, (n->points + 1) * n->models);
    return MERGE_ROUND_FULL;
}

/* The first point that drops as much of model i. */
static size_t first_like(const struct merge_step *steps, size_t point, size_t i)
{
    size_t p = 0;

    while (p < point && (steps[p].threshold[i] < steps[point].threshold[i] ||
                         steps[p].threshold[i] > steps[point].threshold[i]))
        p++;
    return p;
}

static void count_piece(struct norms *n, const struct merge_step *steps,
                        size_t points, const struct merge_chunk *piece)
{
    double *sums = merge_sums_piece(n->sums, piece->first / REDUCE_CHUNK);

    for (size_t i = 0; i < steps->models; i++) {
        struct merge_chunk whole = *piece;

        whole.draws[i] = NULL;
        merge_delta(steps, &whole, i, piece->row);
        sums[i] = reduce_l1(piece->row, piece->count);
        for (size_t p = 0; p < points; p++) {
            if (first_like(steps, p, i) != p)
                continue;
            merge_delta(&steps[p], piece, i, piece->row);
            sums[(p + 1) * n->models + i] = reduce_l1(piece->row, piece->count);
        }
    }
}

/* From an element of the chunk on. */
static void move_on(struct merge_chunk *piece, size_t models, size_t at)
{
    size_t bytes = at * dtype_size(DTYPE_BF16);

    piece->first += at;
    if (piece->narrow)
        piece->narrow_base = (const char *)piece->narrow_base + bytes;
    else
        piece->base += at;
    for (size_t i = 0; i < models; i++) {
        if (piece->narrow)
            piece->narrow_task[i] = (const char *)piece->narrow_task[i] + bytes;
        else
            piece->task[i] += at;
        if (piece->draws[i] != NULL)
            piece->draws[i] += at;
    }
}

static void norms_count(void *tally, const struct merge_step *steps,
                        size_t points, const struct merge_chunk *chunk)
{
    for (size_t at = 0; at < chunk->count; at += REDUCE_CHUNK) {
        size_t left = chunk->count - at;
        struct merge_chunk piece = *chunk;

        piece.count = left < REDUCE_CHUNK ? left : REDUCE_CHUNK;
        move_on(&piece, steps->models, at);
        count_piece(tally, steps, points, &piece);
    }
}

static enum merge_round norms_settle(void *const *tallies, size_t threads,
                                     struct merge_step *steps, size_t points,
                                     uint64_t elements)
{
    static const double nothing = 1e-7; /* as mergekit has it */
    struct norms *first = tallies[0];

    (void)elements;
    for (size_t t = 1; t < threads; t++)
        merge_sums_join(first->sums, ((struct norms *)tallies[t])->sums);
    merge_sums_total(first->sums, first->totals);
    for (size_t p = 0; p < points; p++) {
        for (size_t i = 0; i < steps[p].models; i++) {
            size_t like = first_like(steps, p, i);
            double before = first->totals[i];
            double after = first->totals[(like + 1) * first->models + i];

            if (before >= nothing && after >= nothing)
                steps[p].scale[i] = before / after;
        }
    }
    return MERGE_ROUND_DONE;
}

const struct merge_survey merge_survey_norms = {
    .anywhere = true,
    .tally_new = norms_new,
    .tally_free = norms_free,
    .begin = norms_begin,
    .count = norms_count,
    .settle = norms_settle,
};
