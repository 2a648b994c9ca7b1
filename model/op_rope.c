/* op_rope.c -- rotary places: of the first `rotary` numbers of each head the
 * pairs (i, i + rotary/2) are turned by place * theta^(-2i / rotary), the
 * half-split layout of Llama; the others stay.
 *
 * Source: Su et al., "RoFormer: enhanced transformer with rotary position
 * embedding", 2021, equation 34. */
#include "model/op.h"

#include <math.h>

#include "tensor/isa.h"

size_t op_rope_table_size(size_t places, size_t rotary)
{
    return places * rotary;
}

void op_rope_table(size_t places, size_t rotary, double theta, float *ret_table)
{
    size_t half = rotary / 2;

    for (size_t p = 0; p < places; p++)
        for (size_t i = 0; i < half; i++) {
            double angle =
                (double)p * pow(theta, -2.0 * (double)i / (double)rotary);

            ret_table[p * rotary + i] = (float)cos(angle);
            ret_table[p * rotary + half + i] = (float)sin(angle);
        }
}

static void sizes(const struct op_shape *s, struct op_sizes *ret_sizes)
{
    ret_sizes->in[0] = s->rows * s->in;
    ret_sizes->out = s->rows * s->in;
}

/* The heads of one row; `sign` +1 turns, -1 turns back; `keep` adds to y. */
ISA_CLONES static void turn(const struct op_shape *s, const float *restrict x,
                            float *restrict y, const float *restrict table,
                            float sign, bool keep)
{
    size_t half = s->rotary / 2;

    for (size_t at = 0; at < s->in; at += s->head_dim) {
        const float *a = x + at;
        float *b = y + at;

        for (size_t i = 0; i < half; i++) {
            float cosine = table[i], sine = sign * table[half + i];
            float low = a[i] * cosine - a[half + i] * sine;
            float high = a[half + i] * cosine + a[i] * sine;

            b[i] = keep ? b[i] + low : low;
            b[half + i] = keep ? b[half + i] + high : high;
        }
        for (size_t i = s->rotary; i < s->head_dim; i++)
            b[i] = keep ? b[i] + a[i] : a[i];
    }
}

static void turn_all(const struct op_call *c, const float *from, float *to,
                     float sign, bool keep)
{
    const struct op_shape *s = &c->shape;

    for (size_t g = 0; g < s->segments; g++)
        for (size_t t = s->starts[g]; t < s->starts[g + 1]; t++)
            turn(s, from + t * s->in, to + t * s->in,
                 c->table + (t - s->starts[g]) * s->rotary, sign, keep);
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
