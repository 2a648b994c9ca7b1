/* op_swiglu.c -- y = silu(g) u, silu(g) = g / (1 + exp(-g)). */
#include "model/op.h"

#include <string.h>

#include "model/simd.h"
#include "tensor/isa.h"

static void sizes(const struct op_shape *s, struct op_sizes *ret_sizes)
{
    ret_sizes->in[0] = s->rows * s->in;
    ret_sizes->in[1] = s->rows * s->in;
    ret_sizes->out = s->rows * s->in;
}

ISA_CLONES static void forward_all(const float *restrict gate,
                                   const float *restrict up, float *restrict y,
                                   size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] = gate[i] / (1.0F + simd_exp(-gate[i])) * up[i];
}

static void forward(const struct op_call *c)
{
    forward_all(c->in[0], c->in[1], c->out, c->shape.rows * c->shape.in);
}

/* With q = 1 / (1 + exp(-g)): dg = dy u q (1 + g (1 - q)), du = dy g q.
 * Both slots have one reader each in every model, so the common case writes;
 * the general one goes through two small arrays. */
ISA_CLONES static void backward_block(const float *restrict gate,
                                      const float *restrict up,
                                      const float *restrict dy,
                                      float *restrict d_gate,
                                      float *restrict d_up, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        float q = 1.0F / (1.0F + simd_exp(-gate[i]));

        d_gate[i] = dy[i] * up[i] * q * (1.0F + gate[i] * (1.0F - q));
        d_up[i] = dy[i] * gate[i] * q;
    }
}

static void deliver(float *to, const float *from, size_t count, bool fresh)
{
    if (to == NULL)
        return;
    if (fresh)
        memcpy(to, from, count * sizeof(*to));
    else
        for (size_t i = 0; i < count; i++)
            to[i] += from[i];
}

static void backward(const struct op_call *c)
{
    enum { BLOCK = 512 };
    size_t total = c->shape.rows * c->shape.in;
    float d_gate[BLOCK], d_up[BLOCK];

    for (size_t at = 0; at < total; at += BLOCK) {
        size_t count = total - at < BLOCK ? total - at : BLOCK;

        backward_block(c->in[0] + at, c->in[1] + at, c->d_out + at, d_gate,
                       d_up, count);
        deliver(c->d_in[0] == NULL ? NULL : c->d_in[0] + at, d_gate, count,
                c->fresh[0]);
        deliver(c->d_in[1] == NULL ? NULL : c->d_in[1] + at, d_up, count,
                c->fresh[1]);
    }
}

const struct op op_swiglu = {
    .name = "swiglu",
    .sizes = sizes,
    .forward = forward,
    .backward = backward,
};
