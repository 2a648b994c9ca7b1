/* op_cross_entropy.c -- loss_t = log sum_i exp(x_i) - x_label of each row. */
#include "model/op.h"

#include <math.h>
#include <string.h>

#include "model/simd.h"
#include "tensor/isa.h"

static void sizes(const struct op_shape *s, struct op_sizes *ret_sizes)
{
    ret_sizes->in[0] = s->rows * s->in;
    ret_sizes->out = s->rows;
    ret_sizes->saved = s->rows;
}

/* log sum_i exp(x_i), the largest taken out. */
ISA_CLONES static float log_sum_exp(const float *x, size_t count)
{
    float part[SIMD_LANES] = { 0.0F };
    float most = x[0];
    size_t i;

    for (i = 1; i < count; i++)
        most = x[i] > most ? x[i] : most;
    for (i = 0; i + SIMD_LANES <= count; i += SIMD_LANES)
        for (size_t j = 0; j < SIMD_LANES; j++)
            part[j] += simd_exp(x[i + j] - most);
    for (size_t j = 0; i < count; i++, j++)
        part[j] += simd_exp(x[i] - most);
    return most + logf(simd_sum(part));
}

static void forward(const struct op_call *c)
{
    size_t width = c->shape.in;

    for (size_t t = 0; t < c->shape.rows; t++) {
        const float *x = c->in[0] + t * width;

        c->out[t] = 0.0F;
        if (c->index[t] == OP_NO_LABEL)
            continue;
        c->saved[t] = log_sum_exp(x, width);
        c->out[t] = c->saved[t] - x[c->index[t]];
    }
}

/* dx_i = d (exp(x_i - lse) - [i = label]) */
ISA_CLONES static void backward_row(const float *restrict x, float *restrict dx,
                                    float lse, float d, size_t width, bool keep)
{
    if (keep)
        for (size_t i = 0; i < width; i++)
            dx[i] += d * simd_exp(x[i] - lse);
    else
        for (size_t i = 0; i < width; i++)
            dx[i] = d * simd_exp(x[i] - lse);
}

static void backward(const struct op_call *c)
{
    size_t width = c->shape.in;

    if (c->d_in[0] == NULL)
        return;
    for (size_t t = 0; t < c->shape.rows; t++) {
        float *dx = c->d_in[0] + t * width;

        if (c->index[t] == OP_NO_LABEL) {
            if (c->fresh[0])
                memset(dx, 0, width * sizeof(*dx));
            continue;
        }
        backward_row(c->in[0] + t * width, dx, c->saved[t], c->d_out[t], width,
                     !c->fresh[0]);
        dx[c->index[t]] -= c->d_out[t];
    }
}

const struct op op_cross_entropy = {
    .name = "cross_entropy",
    .sizes = sizes,
    .forward = forward,
    .backward = backward,
};
