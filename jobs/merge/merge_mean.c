#include "jobs/merge/merge_mean.h"

#include "jobs/merge/merge_vector.h"

/* The sum is divided by lambda of the end. */
ISA_CLONES
static void mean(struct merge_terms *t, const struct merge_chunk *chunk,
                 size_t count)
{
    for (size_t at = 0; at < count; at += MERGE_GROUP) {
        doubles sum[VECTORS] = { { 0.0 } };

        for (size_t i = 0; i < t->models; i++) {
            for (size_t v = 0; v < VECTORS; v++) {
                floats task;

                LOAD(task, chunk->task[i] + at + v * WIDTH);
                sum[v] += t->weight[i] * WIDEN(task);
            }
        }
        for (size_t v = 0; v < VECTORS; v++) {
            floats out = NARROW(sum[v] / t->end[0].lambda);

            STORE(out, t->end[0].out + at + v * WIDTH);
        }
    }
}

static void run(struct merge_terms *t, const struct merge_step *step,
                const struct merge_chunk *chunk, double divisor)
{
    static const struct merge_kernels kernels = { .f32 = mean };

    t->models = step->models;
    t->ends = 1;
    t->end[0] = (struct merge_end){ divisor, chunk->out, 0 };
    merge_kernel_run(&kernels, t, chunk);
}

void merge_combine_linear(const struct merge_step *step,
                          const struct merge_chunk *chunk)
{
    struct merge_terms t;
    double divisor = 0.0;

    for (size_t i = 0; i < step->models; i++) {
        t.weight[i] = step->values.number[MERGE_WEIGHT][i];
        divisor += t.weight[i];
    }
    run(&t, step, chunk, step->normalize ? divisor : 1.0);
}

void merge_combine_average(const struct merge_step *step,
                           const struct merge_chunk *chunk)
{
    struct merge_terms t;

    for (size_t i = 0; i < step->models; i++)
        t.weight[i] = 1.0;
    run(&t, step, chunk, (double)step->models);
}

void merge_combine_scaled(const struct merge_step *step,
                          const struct merge_chunk *chunk)
{
    struct merge_terms t;

    t.weight[0] = step->values.number[MERGE_SCALE][0];
    run(&t, step, chunk, 1.0);
}
