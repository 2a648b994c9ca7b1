/* op_linear.c -- y = x w^T, with or without a bias and something added. */
#include "model/op.h"

#include <string.h>

#include "tensor/blas.h"
#include "tensor/elementwise.h"

static void sizes(const struct op_shape *s, struct op_sizes *ret_sizes)
{
    ret_sizes->in[0] = s->rows * s->in;
    ret_sizes->in[1] = s->out * s->in;
    ret_sizes->in[2] = s->out;
    ret_sizes->in[3] = s->rows * s->out;
    ret_sizes->out = s->rows * s->out;
}

static void forward(const struct op_call *c)
{
    const struct op_shape *s = &c->shape;
    struct blas_product p = {
        .m = s->rows,
        .n = s->out,
        .k = s->in,
        .alpha = 1.0F,
        .a = { .data = c->in[0], .stride = s->in },
        .b = { .data = c->in[1],
               .stride = s->transposed ? s->out : s->in,
               .transposed = !s->transposed },
        .bias = c->in[2],
        .sum = { .data = c->in[3], .stride = s->out },
    };

    blas_multiply(&p, c->out, s->out);
}

/* db = sum of the rows of dy */
static void backward_bias(const struct op_call *c)
{
    size_t width = c->shape.out;

    if (c->fresh[2])
        memset(c->d_in[2], 0, width * sizeof(float));
    for (size_t t = 0; t < c->shape.rows; t++)
        elementwise_add(c->d_in[2], c->d_out + t * width, c->d_in[2], width);
}

static void backward_added(const struct op_call *c)
{
    size_t count = c->shape.rows * c->shape.out;

    if (c->fresh[3])
        memcpy(c->d_in[3], c->d_out, count * sizeof(float));
    else
        elementwise_add(c->d_in[3], c->d_out, c->d_in[3], count);
}

/* dx [rows][in] = dy w, dw [out][in] = dy^T x; a transposed weight has its
 * gradient transposed too. */
static void backward(const struct op_call *c)
{
    const struct op_shape *s = &c->shape;
    float kept[2];

    kept[0] = c->fresh[0] ? 0.0F : 1.0F;
    kept[1] = c->fresh[1] ? 0.0F : 1.0F;
    if (c->d_in[0] != NULL && s->transposed)
        blas_nt(s->rows, s->in, s->out, c->d_out, c->in[1], kept[0],
                c->d_in[0]);
    if (c->d_in[0] != NULL && !s->transposed)
        blas_nn(s->rows, s->in, s->out, c->d_out, c->in[1], kept[0],
                c->d_in[0]);
    if (c->d_in[1] != NULL && s->transposed)
        blas_tn(s->in, s->out, s->rows, c->in[0], c->d_out, kept[1],
                c->d_in[1]);
    if (c->d_in[1] != NULL && !s->transposed)
        blas_tn(s->out, s->in, s->rows, c->d_out, c->in[0], kept[1],
                c->d_in[1]);
    if (c->d_in[2] != NULL)
        backward_bias(c);
    if (c->d_in[3] != NULL)
        backward_added(c);
}

const struct op op_linear = {
    .name = "linear",
    .optional = 1U << 2 | 1U << 3,
    .sizes = sizes,
    .forward = forward,
    .backward = backward,
};
