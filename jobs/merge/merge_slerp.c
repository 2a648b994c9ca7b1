#include "jobs/merge/merge_slerp.h"

#include <math.h>
#include <string.h>

#include "jobs/merge/merge_arc.h"
#include "jobs/merge/merge_sums.h"
#include "tensor/isa.h"
#include "tensor/reduce.h"

/* The tally is the three dot products. */
static void *arc_new(size_t models, size_t points)
{
    (void)models;
    (void)points;
    return merge_sums_new();
}

static void arc_free(void *tally)
{
    merge_sums_free(tally);
}

static enum merge_round arc_begin(void *tally, const struct merge_step *steps,
                                  size_t points, uint64_t elements, bool hints)
{
    (void)points;
    (void)elements;
    (void)hints;
    merge_sums_clear(tally, MERGE_DOTS);
    return merge_arc_is_pair(steps) ? MERGE_ROUND_FULL : MERGE_ROUND_DONE;
}

static void arc_count(void *tally, const struct merge_step *steps,
                      size_t points, const struct merge_chunk *chunk)
{
    const float *pair[2];

    (void)steps;
    (void)points;
    merge_arc_load(chunk, pair);
    for (size_t at = 0; at < chunk->count; at += REDUCE_CHUNK) {
        size_t left = chunk->count - at;
        size_t count = left < REDUCE_CHUNK ? left : REDUCE_CHUNK;
        double *sums =
            merge_sums_piece(tally, (chunk->first + at) / REDUCE_CHUNK);

        sums[0] = reduce_chunk(REDUCE_SQUARES, pair[0] + at, NULL, count);
        sums[1] = reduce_chunk(REDUCE_SQUARES, pair[1] + at, NULL, count);
        sums[2] = reduce_chunk(REDUCE_DOT, pair[0] + at, pair[1] + at, count);
    }
}

typedef struct merge_arc arc_rule(const struct merge_step *step,
                                  const struct merge_dots *dots);

static enum merge_round settle(arc_rule *rule, void *const *tallies,
                               size_t threads, struct merge_step *steps,
                               size_t points)
{
    double sums[MERGE_DOTS];
    struct merge_dots dots;

    for (size_t t = 1; t < threads; t++)
        merge_sums_join(tallies[0], tallies[t]);
    merge_sums_total(tallies[0], sums);
    dots = (struct merge_dots){ sums[0], sums[1], sums[2] };
    for (size_t p = 0; p < points; p++) {
        struct merge_arc arc = rule(&steps[p], &dots);

        steps[p].scale[0] = arc.a;
        steps[p].scale[1] = arc.c;
    }
    return MERGE_ROUND_DONE;
}

static enum merge_round slerp_settle(void *const *tallies, size_t threads,
                                     struct merge_step *steps, size_t points,
                                     uint64_t elements)
{
    (void)elements;
    return settle(merge_arc_slerp, tallies, threads, steps, points);
}

static enum merge_round nuslerp_settle(void *const *tallies, size_t threads,
                                       struct merge_step *steps, size_t points,
                                       uint64_t elements)
{
    (void)elements;
    return settle(merge_arc_nuslerp, tallies, threads, steps, points);
}

const struct merge_survey merge_survey_slerp = {
    .anywhere = true,
    .tally_new = arc_new,
    .tally_free = arc_free,
    .begin = arc_begin,
    .count = arc_count,
    .settle = slerp_settle,
};

const struct merge_survey merge_survey_nuslerp = {
    .anywhere = true,
    .tally_new = arc_new,
    .tally_free = arc_free,
    .begin = arc_begin,
    .count = arc_count,
    .settle = nuslerp_settle,
};

void merge_combine_slerp(const struct merge_step *step,
                         const struct merge_chunk *chunk)
{
    const struct merge_arc arc = { step->scale[0], step->scale[1] };

    if (merge_arc_is_pair(step))
        merge_arc_write(arc, chunk, chunk->out, 0, chunk->count);
    else
        memcpy(chunk->out, chunk->task[0], chunk->count * sizeof *chunk->out);
}

ISA_CLONES
static void approach(double t, const float *restrict a, const float *restrict c,
                     float *restrict out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double first = (double)a[i];
        double second = (double)c[i];
        double apart = fabs(first - second);
        double weight = t / (apart > 1e-6 ? apart : 1e-6);

        weight = weight < 1.0 ? weight : 1.0;
        out[i] = (float)(weight * second + (1.0 - weight) * first);
    }
}

void merge_combine_nearswap(const struct merge_step *step,
                            const struct merge_chunk *chunk)
{
    if (merge_arc_is_pair(step))
        approach(step->values.number[MERGE_T][0], chunk->task[0],
                 chunk->task[1], chunk->out, chunk->count);
    else
        memcpy(chunk->out, chunk->task[0], chunk->count * sizeof *chunk->out);
}
