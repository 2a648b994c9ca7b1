/* op_embedding.c -- a row of the table for each token, and one for its place
 * where places are learned, and one for all tokens where there are kinds. */
#include "model/op.h"

#include <string.h>

static void sizes(const struct op_shape *s, struct op_sizes *ret_sizes)
{
    ret_sizes->in[0] = s->in * s->out;
    ret_sizes->in[1] = s->places * s->out;
    ret_sizes->in[2] = s->kinds * s->out;
    ret_sizes->out = s->rows * s->out;
}

/* to += from */
static void add_row(float *restrict to, const float *restrict from,
                    size_t width)
{
    for (size_t i = 0; i < width; i++)
        to[i] += from[i];
}

static void forward(const struct op_call *c)
{
    const struct op_shape *s = &c->shape;
    size_t width = s->out;

    for (size_t g = 0; g < s->segments; g++)
        for (size_t t = s->starts[g]; t < s->starts[g + 1]; t++) {
            float *row = c->out + t * width;

            memcpy(row, c->in[0] + (size_t)c->index[t] * width,
                   width * sizeof(*row));
            if (c->in[1] != NULL)
                add_row(row, c->in[1] + (s->offset + t - s->starts[g]) * width,
                        width);
            if (c->in[2] != NULL)
                add_row(row, c->in[2], width);
        }
}

static void backward(const struct op_call *c)
{
    const struct op_shape *s = &c->shape;
    size_t width = s->out;
    float *d = c->d_in[0], *d_places = c->d_in[1], *d_kinds = c->d_in[2];

    if (d != NULL && c->fresh[0])
        memset(d, 0, s->in * width * sizeof(*d));
    if (d_places != NULL && c->fresh[1])
        memset(d_places, 0, s->places * width * sizeof(*d_places));
    if (d_kinds != NULL && c->fresh[2])
        memset(d_kinds, 0, s->kinds * width * sizeof(*d_kinds));
    for (size_t g = 0; g < s->segments; g++)
        for (size_t t = s->starts[g]; t < s->starts[g + 1]; t++) {
            const float *from = c->d_out + t * width;

            if (d != NULL)
                add_row(d + (size_t)c->index[t] * width, from, width);
            if (d_places != NULL)
                add_row(d_places + (s->offset + t - s->starts[g]) * width, from,
                        width);
            if (d_kinds != NULL)
                add_row(d_kinds, from, width);
        }
}

const struct op op_embedding = {
    .name = "embedding",
    .optional = 1U << 1 | 1U << 2,
    .sizes = sizes,
    .forward = forward,
    .backward = backward,
};
