/* op_rmsnorm.c -- y = g * x * s, s = 1 / sqrt(mean(x^2) + eps) of each row. */
#include "model/op.h"

#include <math.h>
#include <string.h>

#include "model/simd.h"
#include "tensor/isa.h"

static void sizes(const struct op_shape *s, struct op_sizes *ret_sizes)
{
    ret_sizes->in[0] = s->rows * s->in;
    ret_sizes->in[1] = s->in;
    ret_sizes->out = s->rows * s->in;
    ret_sizes->saved = s->rows;
}

ISA_CLONES static void forward(const struct op_call *c)
{
    size_t width = c->shape.in;
    const float *gain = c->in[1];

    for (size_t t = 0; t < c->shape.rows; t++) {
        const float *x = c->in[0] + t * width;
        float *y = c->out + t * width;
        float scale =
            1.0F / sqrtf(simd_dot(x, x, width) / (float)width + c->shape.eps);

        c->saved[t] = scale;
        for (size_t i = 0; i < width; i++)
            y[i] = gain[i] * (x[i] * scale);
    }
}

/* dg_i += dy_i x_i s;  with e_i = dy_i g_i:
 * dx_i += s e_i - s^3 / width * x_i * sum_j e_j x_j */
ISA_CLONES static void backward_row(float *restrict dx, float *restrict d_gain,
                                    const float *restrict dy,
                                    const float *restrict x,
                                    const float *restrict gain, float scale,
                                    size_t width, float keep)
{
    float part[SIMD_LANES] = { 0.0F };
    float pull;
    size_t i = 0;

    for (; i + SIMD_LANES <= width; i += SIMD_LANES)
        for (size_t j = 0; j < SIMD_LANES; j++)
            part[j] += dy[i + j] * gain[i + j] * x[i + j];
    for (size_t j = 0; i < width; i++, j++)
        part[j] += dy[i] * gain[i] * x[i];
    pull = simd_sum(part) * scale * scale * scale / (float)width;
    if (d_gain != NULL)
        for (i = 0; i < width; i++)
            d_gain[i] += dy[i] * (x[i] * scale);
    if (dx == NULL)
        return;
    if (keep == 0.0F)
        for (i = 0; i < width; i++)
            dx[i] = scale * (dy[i] * gain[i]) - pull * x[i];
    else
        for (i = 0; i < width; i++)
            dx[i] += scale * (dy[i] * gain[i]) - pull * x[i];
}

static void backward(const struct op_call *c)
{
    size_t width = c->shape.in;

    if (c->d_in[1] != NULL && c->fresh[1])
        memset(c->d_in[1], 0, width * sizeof(float));
    for (size_t t = 0; t < c->shape.rows; t++) {
        size_t at = t * width;

        backward_row(c->d_in[0] == NULL ? NULL : c->d_in[0] + at, c->d_in[1],
                     c->d_out + at, c->in[0] + at, c->in[1], c->saved[t], width,
                     c->fresh[0] ? 0.0F : 1.0F);
    }
}

const struct op op_rmsnorm = {
    .name = "rmsnorm",
    .sizes = sizes,
    .forward = forward,
    .backward = backward,
};
