/* op_rope.c -- rotary places: the pairs (i, i + head_dim/2) of each head are
 * turned by place * theta^(-2i / head_dim), the half-split layout of Llama.
 *
 * Source: Su et al., "RoFormer: enhanced transformer with rotary position
 * embedding", 2021, equation 34. */
#include "model/op.h"

#include <math.h>

#include "tensor/isa.h"

size_t op_rope_table_size(size_t places, size_t head_dim)
{
    return places * head_dim;
}

void op_rope_table(size_t places, size_t head_dim, double theta,
                   float *ret_table)
{
    size_t half = head_dim / 2;

    for (size_t p = 0; p < places; p++)
        for (size_t i = 0; i < half; i++) {
            double angle =
                (double)p * pow(theta, -2.0 * (double)i / (double)head_dim);

            ret_table[p * head_dim + i] = (float)cos(angle);
            ret_table[p * head_dim + half + i] = (float)sin(angle);
        }
}

static void sizes(const struct op_shape *s, struct op_sizes *ret_sizes)
{
    ret_sizes->in[0] = s->rows * s->in;
    ret_sizes->out = s->rows * s->in;
}

/* `sign` +1 turns, -1 turns back; `keep` adds to y. */
ISA_CLONES static void turn(const float *restrict x, float *restrict y,
                            const float *restrict table, size_t heads,
                            size_t head_dim, float sign, bool keep)
{
    size_t half = head_dim / 2;

    for (size_t h = 0; h < heads; h++) {
        const float *a = x + h * head_dim;
        float *b = y + h * head_dim;

        for (size_t i = 0; i < half; i++) {
            float cosine = table[i], sine = sign * table[half + i];
            float low = a[i] * cosine - a[half + i] * sine;
            float high = a[half + i] * cosine + a[i] * sine;

            b[i] = keep ? b[i] + low : low;
            b[half + i] = keep ? b[half + i] + high : high;
        }
    }
}

static void turn_all(const struct op_call *c, const float *from, float *to,
                     float sign, bool keep)
{
    const struct op_shape *s = &c->shape;

    for (size_t g = 0; g < s->segments; g++)
        for (size_t t = s->starts[g]; t < s->starts[g + 1]; t++)
            turn(from + t * s->in, to + t * s->in,
                 c->table + (t - s->starts[g]) * s->head_dim,
                 s->in / s->head_dim, s->head_dim, sign, keep);
}

static void forward(const struct op_call *c)
{
    turn_all(c, c->in[0], c->out, 1.0F, false);
}

static void backward(const struct op_call *c)
{
    if (c->d_in[0] != NULL)
        turn_all(c, c->d_out, c->d_in[0], -1.0F, !c->fresh[0]);
}

const struct op op_rope = {
    .name = "rope",
    .sizes = sizes,
    .forward = forward,
    .backward = backward,
};
