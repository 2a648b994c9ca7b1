/* op_pool.c -- the mean of each channel over its places. */
#include "model/op.h"

#include "model/simd.h"
#include "tensor/isa.h"

static void sizes(const struct op_shape *s, struct op_sizes *ret_sizes)
{
    ret_sizes->in[0] = s->rows * s->in;
    ret_sizes->out = s->rows * s->channels;
}

ISA_CLONES static void forward(const struct op_call *c)
{
    size_t places = c->shape.in / c->shape.channels;

    for (size_t i = 0; i < c->shape.rows * c->shape.channels; i++)
        c->out[i] = simd_total(c->in[0] + i * places, places) / (float)places;
}

ISA_CLONES static void backward(const struct op_call *c)
{
    size_t places = c->shape.in / c->shape.channels;

    if (c->d_in[0] == NULL)
        return;
    for (size_t i = 0; i < c->shape.rows * c->shape.channels; i++) {
        float *dx = c->d_in[0] + i * places;
        float d = c->d_out[i] / (float)places;

        for (size_t k = 0; k < places; k++)
            dx[k] = c->fresh[0] ? d : dx[k] + d;
    }
}

const struct op op_pool = {
    .name = "pool",
    .sizes = sizes,
    .forward = forward,
    .backward = backward,
};
