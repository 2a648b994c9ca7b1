/* op_embedding.c -- a row of the table for each token. */
#include "model/op.h"

#include <string.h>

static void sizes(const struct op_shape *s, struct op_sizes *ret_sizes)
{
    ret_sizes->in[0] = s->in * s->out;
    ret_sizes->out = s->rows * s->out;
}

static void forward(const struct op_call *c)
{
    size_t width = c->shape.out;

    for (size_t t = 0; t < c->shape.rows; t++)
        memcpy(c->out + t * width, c->in[0] + (size_t)c->index[t] * width,
               width * sizeof(float));
}

static void backward(const struct op_call *c)
{
    size_t width = c->shape.out;
    float *d = c->d_in[0];

    if (d == NULL)
        return;
    if (c->fresh[0])
        memset(d, 0, c->shape.in * width * sizeof(*d));
    for (size_t t = 0; t < c->shape.rows; t++) {
        float *row = d + (size_t)c->index[t] * width;
        const float *from = c->d_out + t * width;

        for (size_t i = 0; i < width; i++)
            row[i] += from[i];
    }
}

const struct op op_embedding = {
    .name = "embedding",
    .sizes = sizes,
    .forward = forward,
    .backward = backward,
};
