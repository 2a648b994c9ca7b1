#include "jobs/merge/merge_arc.h"

#include <math.h>

#include "jobs/merge/merge_angle.h"
#include "tensor/elementwise.h"
#include "tensor/isa.h"

static struct merge_arc straight(double t)
{
    return (struct merge_arc){ 1.0 - t, t };
}

static struct merge_arc along(double t, double angle, double sine)
{
    return (struct merge_arc){ merge_sine((1.0 - t) * angle) / sine,
                               merge_sine(t * angle) / sine };
}

/* A vector shorter than this has no direction worth following. */
static double slerp_norm(double square)
{
    double norm = sqrt(square);

    return norm > 1e-8 ? norm : 1.0;
}

struct merge_arc merge_arc_slerp(const struct merge_step *step,
                                 const struct merge_dots *dots)
{
    double t = step->values.number[MERGE_T][0];
    double cosine = dots->ac / slerp_norm(dots->aa) / slerp_norm(dots->cc);
    double angle = merge_angle(cosine);

    if (fabs(cosine) > 0.9995)
        return straight(t);
    return along(t, angle, merge_sine(angle));
}

static double nuslerp_norm(double square)
{
    double norm = sqrt(square);

    return norm > 1e-7 ? norm : 1e-7;
}

struct merge_arc merge_arc_nuslerp(const struct merge_step *step,
                                   const struct merge_dots *dots)
{
    const double *weights = step->values.number[MERGE_WEIGHT];
    double sum = weights[0] + weights[1];
    double t = fabs(sum) < 1e-6 ? 0.5 : weights[1] / sum;
    double cosine = dots->ac / nuslerp_norm(dots->aa) / nuslerp_norm(dots->cc);
    double angle = merge_angle(cosine);
    double sine = merge_sine(angle);

    if (fabs(sine) < 1e-8)
        return straight(t);
    return along(t, angle, sine);
}

void merge_arc_load(const struct merge_chunk *chunk, const float *ret_pair[2])
{
    for (size_t i = 0; i < 2; i++) {
        float *delta = chunk->delta + i * chunk->stride;

        ret_pair[i] = chunk->task[i];
        if (chunk->base == NULL)
            continue;
        elementwise_subtract(chunk->task[i], chunk->base, delta, chunk->count);
        ret_pair[i] = delta;
    }
}

ISA_CLONES
static void mix(struct merge_arc arc, const float *restrict a,
                const float *restrict c, float *restrict out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (float)(arc.a * (double)a[i] + arc.c * (double)c[i]);
}

ISA_CLONES
static void mix_onto(struct merge_arc arc, const float *restrict base,
                     const float *restrict a, const float *restrict c,
                     float *restrict out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = (float)((double)base[i] + (arc.a * (double)(a[i] - base[i]) +
                                            arc.c * (double)(c[i] - base[i])));
}

void merge_arc_write(struct merge_arc arc, const struct merge_chunk *chunk,
                     float *out, size_t at, size_t count)
{
    if (chunk->base == NULL)
        mix(arc, chunk->task[0] + at, chunk->task[1] + at, out + at, count);
    else
        mix_onto(arc, chunk->base + at, chunk->task[0] + at,
                 chunk->task[1] + at, out + at, count);
}
