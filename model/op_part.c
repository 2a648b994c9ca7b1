/* op_part.c -- some columns of each row: the queries, keys or values of a
 * checkpoint that computes all three at once. */
#include "model/op.h"

#include <string.h>

#include "tensor/elementwise.h"

static void sizes(const struct op_shape *s, struct op_sizes *ret_sizes)
{
    ret_sizes->in[0] = s->rows * s->in;
    ret_sizes->out = s->rows * s->out;
}

static void forward(const struct op_call *c)
{
    const struct op_shape *s = &c->shape;

    for (size_t t = 0; t < s->rows; t++)
        for (size_t k = 0; k * s->run < s->out; k++)
            memcpy(c->out + t * s->out + k * s->run,
                   c->in[0] + t * s->in + k * s->pitch + s->offset,
                   s->run * sizeof(float));
}

static void backward(const struct op_call *c)
{
    const struct op_shape *s = &c->shape;
    float *d = c->d_in[0];

    if (d == NULL)
        return;
    if (c->fresh[0])
        memset(d, 0, s->rows * s->in * sizeof(*d));
    for (size_t t = 0; t < s->rows; t++)
        for (size_t k = 0; k * s->run < s->out; k++) {
            float *to = d + t * s->in + k * s->pitch + s->offset;

            elementwise_add(to, c->d_out + t * s->out + k * s->run, to, s->run);
        }
}

const struct op op_part = {
    .name = "part",
    .sizes = sizes,
    .forward = forward,
    .backward = backward,
};
