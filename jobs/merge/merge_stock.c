#include "jobs/merge/merge_stock.h"

#include <math.h>
#include <stdlib.h>

#include "common/memory.h"
#include "jobs/merge/merge_sums.h"
#include "tensor/elementwise.h"
#include "tensor/isa.h"
#include "tensor/reduce.h"

enum { PAIRS = LIMIT_MODELS * (LIMIT_MODELS + 1) / 2 };

/* Dot products of vectors i >= j lie at i (i + 1) / 2 + j. */
static size_t pair(size_t i, size_t j)
{
    return i * (i + 1) / 2 + j;
}

static double cosine(const double *dots, size_t i, size_t j)
{
    double lengths = sqrt(dots[pair(i, i)] * dots[pair(j, j)]);
    double c = lengths > 0.0 ? dots[pair(i, j)] / lengths : 0.0;

    return c > 1.0 ? 1.0 : c < -1.0 ? -1.0 : c;
}

/* Below it the vectors point away from each other all around. */
static const double opposed = 1e-6;

static double ratio_of(const double *dots, size_t models)
{
    double n = (double)models;
    double sum = 0.0;
    double mean, share;

    for (size_t i = 1; i < models; i++) {
        for (size_t j = 0; j < i; j++)
            sum += cosine(dots, i, j);
    }
    mean = models > 1 ? sum / (n * (n - 1.0) / 2.0) : 0.0;
    share = 1.0 + (n - 1.0) * mean;
    return share > opposed ? n * mean / share : 0.0;
}

static void load(const struct merge_step *step, const struct merge_chunk *chunk)
{
    for (size_t i = 0; i < step->models; i++)
        elementwise_subtract(chunk->task[i], chunk->base,
                             chunk->delta + i * chunk->stride, chunk->count);
}

static void *stock_new(size_t models, size_t points)
{
    (void)models;
    (void)points;
    return merge_sums_new();
}

static void stock_free(void *tally)
{
    merge_sums_free(tally);
}

static enum merge_round stock_begin(void *tally, const struct merge_step *steps,
                                    size_t points, uint64_t elements,
                                    bool hints)
{
    (void)points;
    (void)elements;
    (void)hints;
    merge_sums_clear(tally, pair(steps->models, 0));
    return MERGE_ROUND_FULL;
}

static void stock_count(void *tally, const struct merge_step *steps,
                        size_t points, const struct merge_chunk *chunk)
{
    (void)points;
    load(steps, chunk);
    for (size_t at = 0; at < chunk->count; at += REDUCE_CHUNK) {
        size_t left = chunk->count - at;
        size_t count = left < REDUCE_CHUNK ? left : REDUCE_CHUNK;
        const float *rows = chunk->delta + at;
        double *sums =
            merge_sums_piece(tally, (chunk->first + at) / REDUCE_CHUNK);

        for (size_t i = 0; i < steps->models; i++) {
            for (size_t j = 0; j <= i; j++)
                sums[pair(i, j)] =
                    reduce_chunk(REDUCE_DOT, rows + i * chunk->stride,
                                 rows + j * chunk->stride, count);
        }
    }
}

static enum merge_round stock_settle(void *const *tallies, size_t threads,
                                     struct merge_step *steps, size_t points,
                                     uint64_t elements)
{
    double dots[PAIRS];
    double ratio;

    (void)elements;
    for (size_t t = 1; t < threads; t++)
        merge_sums_join(tallies[0], tallies[t]);
    merge_sums_total(tallies[0], dots);
    ratio = ratio_of(dots, steps->models);
    for (size_t p = 0; p < points; p++)
        steps[p].scale[0] = ratio;
    return MERGE_ROUND_DONE;
}

const struct merge_survey merge_survey_stock = {
    .anywhere = true,
    .tally_new = stock_new,
    .tally_free = stock_free,
    .begin = stock_begin,
    .count = stock_count,
    .settle = stock_settle,
};

/* Means of the models, a part of a chunk at a time. */
enum { PART = 256 };

ISA_CLONES
static void add_model(const float *restrict task, double *restrict sum,
                      size_t count)
{
    for (size_t i = 0; i < count; i++)
        sum[i] += (double)task[i];
}

ISA_CLONES
static void mix(double ratio, double models, const double *restrict sum,
                const float *restrict base, float *restrict out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (float)(ratio * (sum[i] / models) +
                         (1.0 - ratio) * (double)base[i]);
}

static void write_out(double ratio, const struct merge_step *step,
                      const struct merge_chunk *chunk, size_t first, size_t end)
{
    for (size_t at = first; at < end; at += PART) {
        size_t count = end - at < PART ? end - at : PART;
        double sum[PART] = { 0.0 };

        for (size_t i = 0; i < step->models; i++)
            add_model(chunk->task[i] + at, sum, count);
        mix(ratio, (double)step->models, sum, chunk->base + at, chunk->out + at,
            count);
    }
}

static double row_ratio(const struct merge_step *step,
                        const struct merge_chunk *chunk, size_t at)
{
    size_t columns = (size_t)step->columns;
    const float *rows = chunk->delta + at;
    double dots[PAIRS];

    for (size_t i = 0; i < step->models; i++) {
        for (size_t j = 0; j <= i; j++)
            dots[pair(i, j)] = reduce_dot(rows + i * chunk->stride,
                                          rows + j * chunk->stride, columns);
    }
    return ratio_of(dots, step->models);
}

enum merge_cut merge_stock_cut(const struct merge_step *step)
{
    return step->options[MERGE_FILTER_WISE] != 0 ? MERGE_CUT_ROWS
                                                 : MERGE_CUT_ANY;
}

const struct merge_survey *merge_stock_survey(const struct merge_step *step)
{
    return step->options[MERGE_FILTER_WISE] != 0 ? NULL : &merge_survey_stock;
}

void merge_combine_stock(const struct merge_step *step,
                         const struct merge_chunk *chunk)
{
    size_t columns = (size_t)step->columns;

    if (step->options[MERGE_FILTER_WISE] == 0) {
        write_out(step->scale[0], step, chunk, 0, chunk->count);
        return;
    }
    load(step, chunk);
    for (size_t at = 0; at < chunk->count; at += columns)
        write_out(row_ratio(step, chunk, at), step, chunk, at, at + columns);
}
