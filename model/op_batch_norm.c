/* op_batch_norm.c -- y = b + g n, n = (x - mean) s for each channel over all
 * rows and places of the batch.
 *
 * Source: Ioffe, Szegedy, "Batch normalization", 2015. saved: mean, s and the
 * unbiased variance of each channel. */
#include "model/op.h"

#include <math.h>
#include <string.h>

#include "model/simd.h"
#include "tensor/isa.h"

static void sizes(const struct op_shape *s, struct op_sizes *ret_sizes)
{
    ret_sizes->in[0] = s->rows * s->in;
    for (size_t k = 1; k < 5; k++)
        ret_sizes->in[k] = s->channels;
    ret_sizes->out = s->rows * s->in;
    ret_sizes->saved = 3 * s->channels;
}

/* Sums of a channel are made of sums over the places of a row, in float64,
 * row after row. */
ISA_CLONES static void measure_channel(const struct op_call *c, size_t channel)
{
    const struct op_shape *s = &c->shape;
    size_t places = s->in / s->channels;
    const float *x = c->in[0] + channel * places;
    double count = (double)(s->rows * places), sum = 0.0, squares = 0.0;
    float mean;

    for (size_t t = 0; t < s->rows; t++)
        sum += (double)simd_total(x + t * s->in, places);
    mean = (float)(sum / count);
    for (size_t t = 0; t < s->rows; t++)
        squares += (double)simd_spread(x + t * s->in, mean, places);
    c->saved[channel] = mean;
    c->saved[s->channels + channel] =
        (float)(1.0 / sqrt(squares / count + (double)s->eps));
    c->saved[2 * s->channels + channel] =
        (float)(squares / (count > 1.0 ? count - 1.0 : 1.0));
}

/* One place a channel: columns side by side. */
ISA_CLONES static void measure_columns(const struct op_call *c)
{
    enum { BLOCK = 64 };
    const struct op_shape *s = &c->shape;
    double count = (double)s->rows;

    for (size_t at = 0; at < s->channels; at += BLOCK) {
        size_t width = s->channels - at < BLOCK ? s->channels - at : BLOCK;
        double sum[BLOCK] = { 0.0 }, squares[BLOCK] = { 0.0 };

        for (size_t t = 0; t < s->rows; t++)
            for (size_t i = 0; i < width; i++)
                sum[i] += (double)c->in[0][t * s->in + at + i];
        for (size_t i = 0; i < width; i++)
            sum[i] /= count;
        for (size_t t = 0; t < s->rows; t++)
            for (size_t i = 0; i < width; i++) {
                double d = (double)c->in[0][t * s->in + at + i] - sum[i];

                squares[i] += d * d;
            }
        for (size_t i = 0; i < width; i++) {
            c->saved[at + i] = (float)sum[i];
            c->saved[s->channels + at + i] =
                (float)(1.0 / sqrt(squares[i] / count + (double)s->eps));
            c->saved[2 * s->channels + at + i] =
                (float)(squares[i] / (count > 1.0 ? count - 1.0 : 1.0));
        }
    }
}

static void measure(const struct op_call *c)
{
    const struct op_shape *s = &c->shape;

    if (!s->training)
        for (size_t i = 0; i < s->channels; i++) {
            c->saved[i] = c->in[3][i];
            c->saved[s->channels + i] = 1.0F / sqrtf(c->in[4][i] + s->eps);
            c->saved[2 * s->channels + i] = c->in[4][i];
        }
    else if (s->in == s->channels)
        measure_columns(c);
    else
        for (size_t i = 0; i < s->channels; i++)
            measure_channel(c, i);
}

/* y = g (x - mean) s + b over the places of one channel */
static inline void affine(const float *restrict x, float *restrict y,
                          size_t count, float mean, float scale, float gain,
                          float shift)
{
    for (size_t i = 0; i < count; i++)
        y[i] = gain * ((x[i] - mean) * scale) + shift;
}

ISA_CLONES static void forward(const struct op_call *c)
{
    const struct op_shape *s = &c->shape;
    size_t places = s->in / s->channels;
    const float *mean = c->saved, *scale = c->saved + s->channels;
    const float *gain = c->in[1], *shift = c->in[2];

    measure(c);
    for (size_t t = 0; t < s->rows; t++) {
        const float *x = c->in[0] + t * s->in;
        float *y = c->out + t * s->in;

        if (places == 1)
            for (size_t i = 0; i < s->channels; i++)
                y[i] = gain[i] * ((x[i] - mean[i]) * scale[i]) + shift[i];
        else
            for (size_t i = 0; i < s->channels; i++)
                affine(x + i * places, y + i * places, places, mean[i],
                       scale[i], gain[i], shift[i]);
    }
}

/* A channel as backward sees it. */
struct channel {
    float mean, scale, gain;
    float center, pull; /* means of dy and of dy n */
};

/* ret_sums: sum dy and sum dy n of a channel */
static inline void channel_sums(const struct op_call *c, size_t channel,
                                double ret_sums[2])
{
    const struct op_shape *s = &c->shape;
    size_t places = s->in / s->channels;
    float mean = c->saved[channel], scale = c->saved[s->channels + channel];

    ret_sums[0] = ret_sums[1] = 0.0;
    for (size_t t = 0; t < s->rows; t++) {
        const float *x = c->in[0] + t * s->in + channel * places;
        const float *dy = c->d_out + t * s->in + channel * places;
        float part[SIMD_LANES] = { 0.0F };
        size_t i = 0;

        for (; i + SIMD_LANES <= places; i += SIMD_LANES)
            for (size_t j = 0; j < SIMD_LANES; j++)
                part[j] += dy[i + j] * ((x[i + j] - mean) * scale);
        for (size_t j = 0; i < places; i++, j++)
            part[j] += dy[i] * ((x[i] - mean) * scale);
        ret_sums[0] += (double)simd_total(dy, places);
        ret_sums[1] += (double)simd_sum(part);
    }
}

/* dx += g s (dy - center - n pull); the last two only if the batch was
 * measured. */
static inline void pull_back(const struct op_call *c, size_t channel,
                             const struct channel *k)
{
    const struct op_shape *s = &c->shape;
    size_t places = s->in / s->channels;
    float by = k->gain * k->scale, mean = k->mean, scale = k->scale;
    float center = k->center, pull = k->pull;

    for (size_t t = 0; t < s->rows; t++) {
        size_t at = t * s->in + channel * places;
        const float *restrict x = c->in[0] + at;
        const float *restrict dy = c->d_out + at;
        float *restrict dx = c->d_in[0] + at;

        if (c->fresh[0])
            memset(dx, 0, places * sizeof(*dx));
        for (size_t i = 0; i < places; i++)
            dx[i] += by * (dy[i] - center - (x[i] - mean) * scale * pull);
    }
}

ISA_CLONES static void backward(const struct op_call *c)
{
    const struct op_shape *s = &c->shape;
    size_t places = s->in / s->channels;
    double count = (double)(s->rows * places);

    for (size_t i = 0; i < s->channels; i++) {
        struct channel k = {
            .mean = c->saved[i],
            .scale = c->saved[s->channels + i],
            .gain = c->in[1][i],
        };
        double all[2];

        channel_sums(c, i, all);
        if (c->d_in[1] != NULL)
            c->d_in[1][i] =
                (c->fresh[1] ? 0.0F : c->d_in[1][i]) + (float)all[1];
        if (c->d_in[2] != NULL)
            c->d_in[2][i] =
                (c->fresh[2] ? 0.0F : c->d_in[2][i]) + (float)all[0];
        if (s->training) {
            k.center = (float)(all[0] / count);
            k.pull = (float)(all[1] / count);
        }
        if (c->d_in[0] != NULL)
            pull_back(c, i, &k);
    }
}

struct op_batch_statistics op_batch_norm_statistics(const struct op_shape *s,
                                                    const float *saved)
{
    return (struct op_batch_statistics){
        .mean = saved,
        .variance = saved + 2 * s->channels,
    };
}

const struct op op_batch_norm = {
    .name = "batch_norm",
    .fixed = 1U << 3 | 1U << 4,
    .sizes = sizes,
    .forward = forward,
    .backward = backward,
};
