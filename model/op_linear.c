/* op_linear.c -- y = x w^T, with or without something added. */
#include "model/op.h"

#include <string.h>

#include "tensor/blas.h"

static void sizes(const struct op_shape *s, struct op_sizes *ret_sizes)
{
    ret_sizes->in[0] = s->rows * s->in;
    ret_sizes->in[1] = s->out * s->in;
    ret_sizes->out = s->rows * s->out;
}

static void sizes_add(const struct op_shape *s, struct op_sizes *ret_sizes)
{
    sizes(s, ret_sizes);
    ret_sizes->in[2] = s->rows * s->out;
}

static void multiply(const struct op_call *c, float keep)
{
    const struct op_shape *s = &c->shape;

    blas_nt(s->rows, s->out, s->in, c->in[0], c->in[1], keep, c->out);
}

static void forward(const struct op_call *c)
{
    multiply(c, 0.0F);
}

static void forward_add(const struct op_call *c)
{
    memcpy(c->out, c->in[2], c->shape.rows * c->shape.out * sizeof(float));
    multiply(c, 1.0F);
}

/* dx [rows][in] = dy w, dw [out][in] = dy^T x */
static void backward(const struct op_call *c)
{
    const struct op_shape *s = &c->shape;

    if (c->d_in[0] != NULL)
        blas_nn(s->rows, s->in, s->out, c->d_out, c->in[1],
                c->fresh[0] ? 0.0F : 1.0F, c->d_in[0]);
    if (c->d_in[1] != NULL)
        blas_tn(s->out, s->in, s->rows, c->d_out, c->in[0],
                c->fresh[1] ? 0.0F : 1.0F, c->d_in[1]);
}

static void backward_add(const struct op_call *c)
{
    size_t count = c->shape.rows * c->shape.out;
    float *d = c->d_in[2];

    backward(c);
    if (d == NULL)
        return;
    if (c->fresh[2]) {
        memcpy(d, c->d_out, count * sizeof(*d));
        return;
    }
    for (size_t i = 0; i < count; i++)
        d[i] += c->d_out[i];
}

const struct op op_linear = {
    .name = "linear",
    .sizes = sizes,
    .forward = forward,
    .backward = backward,
};

const struct op op_linear_add = {
    .name = "linear_add",
    .sizes = sizes_add,
    .forward = forward_add,
    .backward = backward_add,
};
