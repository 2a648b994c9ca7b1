#include "jobs/merge/merge_kernel.h"

#include <math.h>
#include <string.h>

#include "jobs/merge/merge_survey.h"
#include "tensor/elementwise.h"
#include "tensor/isa.h"

/* Sums stay in registers while the models go by: GROUP elements at a time, as
 * vectors of a width that every instruction set splits well. Left to itself
 * the compiler unrolls such loops into scalars. */
enum { WIDTH = 4, VECTORS = 4, GROUP = WIDTH * VECTORS };

typedef float floats __attribute__((vector_size(WIDTH * sizeof(float))));
typedef uint32_t masks __attribute__((vector_size(WIDTH * sizeof(uint32_t))));
typedef double doubles __attribute__((vector_size(WIDTH * sizeof(double))));
typedef int64_t truths __attribute__((vector_size(WIDTH * sizeof(int64_t))));

#define LOAD(vector, row)  memcpy(&(vector), (row), sizeof(vector))
#define STORE(vector, row) memcpy((row), &(vector), sizeof(vector))
#define WIDEN(vector)      __builtin_convertvector((vector), doubles)
#define NARROW(vector)     __builtin_convertvector((vector), floats)
/* The number where the comparison holds, else 0. */
#define WHERE(truth, number) \
    ((doubles)((truths)((doubles){ 0.0 } + (number)) & (truth)))

/* Below it mergekit takes a sum of weights for none. */
static const double weightless = 1e-8;

/* What a kernel takes beside the rows of a chunk. */
struct terms {
    size_t models;
    const double *weights;
    double divisor; /* of means */
    double lambda;
    double zero;    /* whose sign a sum of 0 takes */
    bool mean;      /* divide by the weights of what was elected */
    int64_t *signs; /* counted here */
};

/* Writes whole groups of a chunk. */
typedef void kernel(const struct terms *t, const struct merge_chunk *chunk,
                    size_t count);

/* Fewer elements than a group, in rows of their own. */
struct rest {
    float base[GROUP], out[GROUP];
    float task[LIMIT_MODELS][GROUP], delta[LIMIT_MODELS][GROUP];
    uint32_t keep[LIMIT_MODELS][GROUP];
};

static void run_rest(kernel *run, const struct terms *t,
                     const struct merge_chunk *chunk, size_t first)
{
    size_t size = (chunk->count - first) * sizeof(float);
    struct rest r;
    struct merge_chunk part = {
        .base = r.base, .out = r.out, .delta = r.delta[0], .stride = GROUP
    };

    memset(&r, 0, sizeof r);
    if (chunk->base != NULL)
        memcpy(r.base, chunk->base + first, size);
    for (size_t i = 0; i < t->models; i++) {
        memcpy(r.task[i], chunk->task[i] + first, size);
        memcpy(r.delta[i], chunk->delta + i * chunk->stride + first, size);
        part.task[i] = r.task[i];
        if (chunk->keep[i] == NULL)
            continue;
        memcpy(r.keep[i], chunk->keep[i] + first, size);
        part.keep[i] = r.keep[i];
    }
    run(t, &part, GROUP);
    if (t->signs == NULL)
        memcpy(chunk->out + first, r.out, size);
}

static void run_kernel(kernel *run, const struct terms *t,
                       const struct merge_chunk *chunk)
{
    size_t whole = chunk->count - chunk->count % GROUP;

    run(t, chunk, whole);
    if (whole < chunk->count)
        run_rest(run, t, chunk, whole);
}

static double weight_sum(const struct merge_step *step)
{
    double sum = 0.0;

    for (size_t i = 0; i < step->models; i++)
        sum += step->values.weight[i];
    return sum;
}

ISA_CLONES
static void mean(const struct terms *t, const struct merge_chunk *chunk,
                 size_t count)
{
    for (size_t at = 0; at < count; at += GROUP) {
        doubles sum[VECTORS] = { { 0.0 } };

        for (size_t i = 0; i < t->models; i++) {
            for (size_t v = 0; v < VECTORS; v++) {
                floats task;

                LOAD(task, chunk->task[i] + at + v * WIDTH);
                sum[v] += t->weights[i] * WIDEN(task);
            }
        }
        for (size_t v = 0; v < VECTORS; v++) {
            floats out = NARROW(sum[v] / t->divisor);

            STORE(out, chunk->out + at + v * WIDTH);
        }
    }
}

void merge_combine_linear(const struct merge_step *step,
                          const struct merge_chunk *chunk)
{
    const struct terms t = { .models = step->models,
                             .weights = step->values.weight,
                             .divisor =
                                 step->normalize ? weight_sum(step) : 1.0 };

    run_kernel(mean, &t, chunk);
}

static void set_ones(double *weights, size_t count)
{
    for (size_t i = 0; i < count; i++)
        weights[i] = 1.0;
}

void merge_combine_average(const struct merge_step *step,
                           const struct merge_chunk *chunk)
{
    double ones[LIMIT_MODELS];
    const struct terms t = { .models = step->models,
                             .weights = ones,
                             .divisor = (double)step->models };

    set_ones(ones, step->models);
    run_kernel(mean, &t, chunk);
}

ISA_CLONES
static void add_deltas(const struct terms *t, const struct merge_chunk *chunk,
                       size_t count)
{
    for (size_t at = 0; at < count; at += GROUP) {
        doubles sum[VECTORS] = { { 0.0 } };
        floats base[VECTORS];

        LOAD(base, chunk->base + at);
        for (size_t i = 0; i < t->models; i++) {
            for (size_t v = 0; v < VECTORS; v++) {
                masks keep = (masks){ 0 } - 1;
                floats task;

                if (chunk->keep[i] != NULL)
                    LOAD(keep, chunk->keep[i] + at + v * WIDTH);
                LOAD(task, chunk->task[i] + at + v * WIDTH);
                task = (floats)((masks)(task - base[v]) & keep);
                sum[v] += t->weights[i] * WIDEN(task);
            }
        }
        for (size_t v = 0; v < VECTORS; v++) {
            floats out = NARROW(WIDEN(base[v]) + t->lambda * sum[v]);

            STORE(out, chunk->out + at + v * WIDTH);
        }
    }
}

void merge_combine_sum(const struct merge_step *step,
                       const struct merge_chunk *chunk)
{
    double divisor = step->normalize ? weight_sum(step) : 1.0;
    double weights[LIMIT_MODELS];
    const struct terms t = { .models = step->models,
                             .weights = weights,
                             .lambda = step->values.lambda[0] };

    if (fabs(divisor) < weightless)
        divisor = 1.0;
    for (size_t i = 0; i < step->models; i++)
        weights[i] = step->values.weight[i] / divisor * step->scale[i];
    run_kernel(add_deltas, &t, chunk);
}

static inline float masked(float x, uint32_t keep)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    bits &= keep;
    memcpy(&x, &bits, sizeof x);
    return x;
}

ISA_CLONES
static void kept_delta(double scale, const float *restrict task,
                       const float *restrict base,
                       const uint32_t *restrict keep, float *restrict delta,
                       size_t count)
{
    for (size_t i = 0; i < count; i++)
        delta[i] = (float)(scale * (double)masked(task[i] - base[i], keep[i]));
}

void merge_delta(const struct merge_step *step, const struct merge_chunk *chunk,
                 size_t i, float *delta)
{
    if (chunk->keep[i] == NULL)
        elementwise_subtract(chunk->task[i], chunk->base, delta, chunk->count);
    else
        kept_delta(step->scale[i], chunk->task[i], chunk->base, chunk->keep[i],
                   delta, chunk->count);
}

/* What sum w_i d_i points to. */
static inline __attribute__((always_inline)) void directions(
    const struct terms *t, const struct merge_chunk *chunk, size_t at,
    doubles towards[VECTORS])
{
    for (size_t i = 0; i < t->models; i++) {
        const float *row = chunk->delta + i * chunk->stride + at;

        for (size_t v = 0; v < VECTORS; v++) {
            floats delta;

            LOAD(delta, row + v * WIDTH);
            towards[v] += t->weights[i] * WIDEN(delta);
        }
    }
    for (size_t v = 0; v < VECTORS; v++)
        towards[v] += WHERE(towards[v] == 0.0, t->zero);
}

ISA_CLONES
static void elect(const struct terms *t, const struct merge_chunk *chunk,
                  size_t count)
{
    for (size_t at = 0; at < count; at += GROUP) {
        doubles towards[VECTORS] = { { 0.0 } };
        doubles merged[VECTORS] = { { 0.0 } };
        doubles share[VECTORS] = { { 0.0 } };

        directions(t, chunk, at, towards);
        for (size_t i = 0; i < t->models; i++) {
            const float *row = chunk->delta + i * chunk->stride + at;

            for (size_t v = 0; v < VECTORS; v++) {
                doubles value;
                truths elected;
                floats delta;

                LOAD(delta, row + v * WIDTH);
                value = t->weights[i] * WIDEN(delta);
                elected = value * towards[v] > 0.0;
                merged[v] += WHERE(elected, value);
                share[v] += WHERE(elected, t->weights[i]);
            }
        }
        for (size_t v = 0; v < VECTORS; v++) {
            floats base, out;

            if (t->mean)
                merged[v] /= share[v] + WHERE(share[v] == 0.0, 1.0);
            LOAD(base, chunk->base + at + v * WIDTH);
            out = NARROW(WIDEN(base) + t->lambda * merged[v]);
            STORE(out, chunk->out + at + v * WIDTH);
        }
    }
}

static void elect_weighted(const struct merge_step *step,
                           const struct merge_chunk *chunk)
{
    const struct terms t = { .models = step->models,
                             .weights = step->values.weight,
                             .zero = 1.0,
                             .mean = step->normalize,
                             .lambda = step->values.lambda[0] };

    run_kernel(elect, &t, chunk);
}

void merge_combine_elect(const struct merge_step *step,
                         const struct merge_chunk *chunk)
{
    for (size_t i = 0; i < step->models; i++)
        merge_delta(step, chunk, i, chunk->delta + i * chunk->stride);
    elect_weighted(step, chunk);
}

void merge_combine_ties(const struct merge_step *step,
                        const struct merge_chunk *chunk)
{
    merge_trim(step, chunk);
    elect_weighted(step, chunk);
}

void merge_combine_ties_mean(const struct merge_step *step,
                             const struct merge_chunk *chunk)
{
    double ones[LIMIT_MODELS];
    const struct terms t = { .models = step->models,
                             .weights = ones,
                             .zero = merge_majority(chunk->tally),
                             .mean = true,
                             .lambda = step->values.lambda[0] };

    set_ones(ones, step->models);
    merge_trim(step, chunk);
    run_kernel(elect, &t, chunk);
}

ISA_CLONES
static void count_signs(const struct terms *t, const struct merge_chunk *chunk,
                        size_t count)
{
    truths signs = { 0 };

    for (size_t at = 0; at < count; at += GROUP) {
        doubles towards[VECTORS] = { { 0.0 } };

        directions(t, chunk, at, towards);
        /* A comparison that holds is -1. */
        for (size_t v = 0; v < VECTORS; v++)
            signs += (truths)(towards[v] < 0.0) - (truths)(towards[v] > 0.0);
    }
    for (size_t k = 0; k < WIDTH; k++)
        *t->signs += signs[k];
}

int64_t merge_count_signs(const struct merge_step *step,
                          const struct merge_chunk *chunk)
{
    int64_t signs = 0;
    double ones[LIMIT_MODELS];
    const struct terms t = { .models = step->models,
                             .weights = ones,
                             .signs = &signs };

    set_ones(ones, step->models);
    run_kernel(count_signs, &t, chunk);
    return signs;
}
