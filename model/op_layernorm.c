/* op_layernorm.c -- y = b + g n, n = (x - mean) s, s = 1 / sqrt(var + eps) of
 * each row. saved: mean and s of each row. */
#include "model/op.h"

#include <math.h>
#include <string.h>

#include "model/simd.h"
#include "tensor/isa.h"

static void sizes(const struct op_shape *s, struct op_sizes *ret_sizes)
{
    ret_sizes->in[0] = s->rows * s->in;
    ret_sizes->in[1] = ret_sizes->in[2] = s->in;
    ret_sizes->out = s->rows * s->in;
    ret_sizes->saved = 2 * s->rows;
}

ISA_CLONES static void forward(const struct op_call *c)
{
    size_t width = c->shape.in;
    const float *gain = c->in[1], *shift = c->in[2];

    for (size_t t = 0; t < c->shape.rows; t++) {
        const float *x = c->in[0] + t * width;
        float *y = c->out + t * width;
        float mean = simd_total(x, width) / (float)width;
        float scale = 1.0F / sqrtf(simd_spread(x, mean, width) / (float)width +
                                   c->shape.eps);

        c->saved[2 * t] = mean;
        c->saved[2 * t + 1] = scale;
        for (size_t i = 0; i < width; i++)
            y[i] = gain[i] * ((x[i] - mean) * scale) + shift[i];
    }
}

/* One row as backward sees it. */
struct row {
    const float *dy, *x, *gain;
    float mean, scale;
    size_t width;
};

/* ret_sums: sum_i e_i and sum_i e_i n_i, e_i = dy_i g_i */
static inline void sums(const struct row *r, float ret_sums[2])
{
    float part[SIMD_LANES] = { 0.0F }, pull[SIMD_LANES] = { 0.0F };
    size_t i = 0;

    for (; i + SIMD_LANES <= r->width; i += SIMD_LANES)
        for (size_t j = 0; j < SIMD_LANES; j++) {
            float e = r->dy[i + j] * r->gain[i + j];

            part[j] += e;
            pull[j] += e * ((r->x[i + j] - r->mean) * r->scale);
        }
    for (size_t j = 0; i < r->width; i++, j++) {
        float e = r->dy[i] * r->gain[i];

        part[j] += e;
        pull[j] += e * ((r->x[i] - r->mean) * r->scale);
    }
    ret_sums[0] = simd_sum(part);
    ret_sums[1] = simd_sum(pull);
}

/* dx_i += s (e_i - mean(e) - n_i mean(e n)) */
ISA_CLONES static void backward_row(const struct row *r, float *restrict dx,
                                    bool fresh)
{
    const float *dy = r->dy, *x = r->x, *gain = r->gain;
    float mean = r->mean, scale = r->scale;
    float all[2], center, pull;

    sums(r, all);
    center = all[0] / (float)r->width;
    pull = all[1] / (float)r->width;
    if (fresh)
        memset(dx, 0, r->width * sizeof(*dx));
    for (size_t i = 0; i < r->width; i++)
        dx[i] +=
            scale * (dy[i] * gain[i] - center - (x[i] - mean) * scale * pull);
}

/* dg_i += dy_i n_i, db_i += dy_i */
ISA_CLONES static void backward_affine(const struct row *r,
                                       float *restrict d_gain,
                                       float *restrict d_shift)
{
    const float *dy = r->dy, *x = r->x;
    float mean = r->mean, scale = r->scale;

    if (d_gain != NULL)
        for (size_t i = 0; i < r->width; i++)
            d_gain[i] += dy[i] * ((x[i] - mean) * scale);
    if (d_shift != NULL)
        for (size_t i = 0; i < r->width; i++)
            d_shift[i] += dy[i];
}

static void backward(const struct op_call *c)
{
    size_t width = c->shape.in;

    for (size_t k = 1; k <= 2; k++)
        if (c->d_in[k] != NULL && c->fresh[k])
            memset(c->d_in[k], 0, width * sizeof(float));
    for (size_t t = 0; t < c->shape.rows; t++) {
        const struct row r = {
            .dy = c->d_out + t * width,
            .x = c->in[0] + t * width,
            .gain = c->in[1],
            .mean = c->saved[2 * t],
            .scale = c->saved[2 * t + 1],
            .width = width,
        };

        backward_affine(&r, c->d_in[1], c->d_in[2]);
        if (c->d_in[0] != NULL)
            backward_row(&r, c->d_in[0] + t * width, c->fresh[0]);
    }
}

const struct op op_layernorm = {
    .name = "layernorm",
    .sizes = sizes,
    .forward = forward,
    .backward = backward,
};
