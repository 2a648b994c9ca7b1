#include <stdlib.h>

#include "common/memory.h"
#include "jobs/merge/merge_arc.h"
#include "jobs/merge/merge_slerp.h"
#include "jobs/merge/merge_sums.h"
#include "tensor/reduce.h"

static bool has_columns(const struct merge_step *step)
{
    return merge_arc_is_pair(step) && step->rank >= 2 &&
           step->options[MERGE_NUSLERP_ROW_WISE] != 0;
}

struct columns {
    size_t count;
    struct merge_sums *sums; /* MERGE_DOTS of each column */
    double *totals;
    struct merge_arc *arcs;        /* [points][count] */
    const struct merge_arc *found; /* those of the first thread */
};

static void *columns_new(size_t models, size_t points)
{
    struct columns *c = xnew(struct columns);

    (void)models;
    (void)points;
    c->sums = merge_sums_new();
    return c;
}

static void columns_free(void *tally)
{
    struct columns *c = tally;

    merge_sums_free(c->sums);
    free(c->totals);
    free(c->arcs);
    free(c);
}

/* The only column of a vector is a row, and rows need no survey. */
static enum merge_round columns_begin(void *tally,
                                      const struct merge_step *steps,
                                      size_t points, uint64_t elements,
                                      bool hints)
{
    struct columns *c = tally;

    (void)points;
    (void)elements;
    (void)hints;
    if (!has_columns(steps))
        return MERGE_ROUND_DONE;
    c->count = (size_t)steps->columns;
    merge_sums_clear(c->sums, MERGE_DOTS * c->count);
    return MERGE_ROUND_FULL;
}

/* Each row is a piece of its own. */
static void columns_count(void *tally, const struct merge_step *steps,
                          size_t points, const struct merge_chunk *chunk)
{
    struct columns *c = tally;
    const float *pair[2];

    (void)steps;
    (void)points;
    merge_arc_load(chunk, pair);
    for (size_t at = 0; at < chunk->count; at += c->count) {
        double *sums =
            merge_sums_piece(c->sums, (chunk->first + at) / c->count);

        for (size_t i = 0; i < c->count; i++) {
            double first = (double)pair[0][at + i];
            double second = (double)pair[1][at + i];

            sums[MERGE_DOTS * i] = first * first;
            sums[MERGE_DOTS * i + 1] = second * second;
            sums[MERGE_DOTS * i + 2] = first * second;
        }
    }
}

static void set_arcs(struct columns *c, const struct merge_step *step,
                     struct merge_arc *arcs)
{
    for (size_t i = 0; i < c->count; i++) {
        const double *sums = c->totals + MERGE_DOTS * i;
        const struct merge_dots dots = { sums[0], sums[1], sums[2] };

        arcs[i] = merge_arc_nuslerp(step, &dots);
    }
}

static enum merge_round columns_settle(void *const *tallies, size_t threads,
                                       struct merge_step *steps, size_t points,
                                       uint64_t elements)
{
    struct columns *c = tallies[0];

    (void)elements;
    for (size_t t = 1; t < threads; t++)
        merge_sums_join(c->sums, ((struct columns *)tallies[t])->sums);
    c->totals = xrealloc(c->totals, MERGE_DOTS * c->count * sizeof *c->totals);
    merge_sums_total(c->sums, c->totals);
    c->arcs = xrealloc(c->arcs, points * c->count * sizeof *c->arcs);
    for (size_t p = 0; p < points; p++)
        set_arcs(c, &steps[p], c->arcs + p * c->count);
    for (size_t t = 0; t < threads; t++)
        ((struct columns *)tallies[t])->found = c->arcs;
    return MERGE_ROUND_DONE;
}

const struct merge_survey merge_survey_columns = {
    .anywhere = true,
    .tally_new = columns_new,
    .tally_free = columns_free,
    .begin = columns_begin,
    .count = columns_count,
    .settle = columns_settle,
};

static void write_rows(const struct merge_step *steps, size_t points,
                       const struct merge_chunk *chunk)
{
    size_t columns = (size_t)steps->columns;
    const float *pair[2];

    merge_arc_load(chunk, pair);
    for (size_t at = 0; at < chunk->count; at += columns) {
        const struct merge_dots dots = {
            .aa = reduce_squares(pair[0] + at, columns),
            .cc = reduce_squares(pair[1] + at, columns),
            .ac = reduce_dot(pair[0] + at, pair[1] + at, columns),
        };

        for (size_t p = 0; p < points; p++)
            merge_arc_write(merge_arc_nuslerp(&steps[p], &dots), chunk,
                            chunk->outs[p], at, columns);
    }
}

static void write_columns(const struct merge_step *step,
                          const struct merge_chunk *chunk, float *out)
{
    const struct columns *c = chunk->tally;
    const struct merge_arc *arcs = c->found + step->point * c->count;
    const float *pair[2];

    merge_arc_load(chunk, pair);
    for (size_t at = 0; at < chunk->count; at += c->count) {
        for (size_t i = 0; i < c->count; i++) {
            double base =
                chunk->base == NULL ? 0.0 : (double)chunk->base[at + i];

            out[at + i] = (float)(base + (arcs[i].a * (double)pair[0][at + i] +
                                          arcs[i].c * (double)pair[1][at + i]));
        }
    }
}

enum merge_cut merge_nuslerp_cut(const struct merge_step *step)
{
    return step->options[MERGE_NUSLERP_FLATTEN] != 0 ? MERGE_CUT_ANY
                                                     : MERGE_CUT_ROWS;
}

const struct merge_survey *merge_nuslerp_survey(const struct merge_step *step)
{
    if (step->options[MERGE_NUSLERP_FLATTEN] != 0)
        return &merge_survey_nuslerp;
    return step->options[MERGE_NUSLERP_ROW_WISE] != 0 ? &merge_survey_columns
                                                      : NULL;
}

void merge_combine_nuslerp_points(const struct merge_step *steps, size_t points,
                                  const struct merge_chunk *chunk)
{
    struct merge_chunk own = *chunk;
    bool by_rows =
        merge_arc_is_pair(steps) && !steps->options[MERGE_NUSLERP_FLATTEN];

    if (by_rows && !has_columns(steps)) {
        write_rows(steps, points, chunk);
        return;
    }
    for (size_t p = 0; p < points; p++) {
        own.out = chunk->outs[p];
        if (by_rows)
            write_columns(&steps[p], chunk, chunk->outs[p]);
        else
            merge_combine_slerp(&steps[p], &own);
    }
}

void merge_combine_nuslerp(const struct merge_step *step,
                           const struct merge_chunk *chunk)
{
    struct merge_chunk own = *chunk;

    own.outs = &chunk->out;
    merge_combine_nuslerp_points(step, 1, &own);
}
