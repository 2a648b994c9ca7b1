#include "support/op_reference.h"

#include "common/memory.h"
#include "support/reference.h"

#include <math.h>

static double at(const float *x, size_t i)
{
    return (double)x[i];
}

static void embedding(const struct op_call *c, double *out)
{
    size_t width = c->shape.out;

    for (size_t t = 0; t < c->shape.rows; t++)
        for (size_t i = 0; i < width; i++)
            out[t * width + i] = at(c->in[0], (size_t)c->index[t] * width + i);
}

static void linear(const struct op_call *c, double *out)
{
    const struct op_shape *s = &c->shape;

    for (size_t t = 0; t < s->rows; t++)
        for (size_t o = 0; o < s->out; o++) {
            double sum = 0.0;

            for (size_t i = 0; i < s->in; i++)
                sum +=
                    at(c->in[0], t * s->in + i) * at(c->in[1], o * s->in + i);
            out[t * s->out + o] = sum;
        }
}

static void linear_add(const struct op_call *c, double *out)
{
    linear(c, out);
    for (size_t i = 0; i < c->shape.rows * c->shape.out; i++)
        out[i] += at(c->in[2], i);
}

static void rmsnorm(const struct op_call *c, double *out)
{
    size_t width = c->shape.in;

    for (size_t t = 0; t < c->shape.rows; t++) {
        double squares = 0.0;

        for (size_t i = 0; i < width; i++)
            squares += pow(at(c->in[0], t * width + i), 2.0);
        for (size_t i = 0; i < width; i++)
            out[t * width + i] =
                at(c->in[1], i) * at(c->in[0], t * width + i) /
                sqrt(squares / (double)width + (double)c->shape.eps);
    }
}

static size_t segment_of(const struct op_shape *s, size_t row)
{
    size_t g = 0;

    while (row >= s->starts[g + 1])
        g++;
    return g;
}

/* The pair (low, high) as a complex number, turned by the angle. */
static void rope(const struct op_call *c, double *out)
{
    const struct op_shape *s = &c->shape;
    size_t half = s->head_dim / 2;

    for (size_t i = 0; i < s->rows * s->in; i++) {
        size_t row = i / s->in, k = i % s->head_dim;
        double place = (double)(row - s->starts[segment_of(s, row)]);
        double angle = place * pow(10000.0, -2.0 * (double)(k % half) /
                                                (double)s->head_dim);

        out[i] = at(c->in[0], i) * cos(angle);
        if (k < half)
            out[i] -= at(c->in[0], i + half) * sin(angle);
        else
            out[i] += at(c->in[0], i - half) * sin(angle);
    }
}

static double dot_of(const struct op_call *c, size_t query, size_t key)
{
    double sum = 0.0;

    for (size_t i = 0; i < c->shape.head_dim; i++)
        sum += at(c->in[0], query + i) * at(c->in[1], key + i);
    return sum / sqrt((double)c->shape.head_dim);
}

static void attend(const struct op_call *c, size_t row, size_t head,
                   double *out)
{
    const struct op_shape *s = &c->shape;
    size_t dim = s->head_dim, width = s->kv_heads * dim;
    size_t shared = head / (s->heads / s->kv_heads) * dim;
    size_t query = (row * s->heads + head) * dim;
    double whole = 0.0;

    for (size_t i = 0; i < dim; i++)
        out[query + i] = 0.0;
    for (size_t k = s->starts[segment_of(s, row)]; k <= row; k++) {
        double weight = exp(dot_of(c, query, k * width + shared));

        whole += weight;
        for (size_t i = 0; i < dim; i++)
            out[query + i] += weight * at(c->in[2], k * width + shared + i);
    }
    for (size_t i = 0; i < dim; i++)
        out[query + i] /= whole;
}

static void attention(const struct op_call *c, double *out)
{
    for (size_t t = 0; t < c->shape.rows; t++)
        for (size_t h = 0; h < c->shape.heads; h++)
            attend(c, t, h, out);
}

static void swiglu(const struct op_call *c, double *out)
{
    for (size_t i = 0; i < c->shape.rows * c->shape.in; i++)
        out[i] =
            at(c->in[0], i) / (1.0 + exp(-at(c->in[0], i))) * at(c->in[1], i);
}

static void cross_entropy(const struct op_call *c, double *out)
{
    size_t width = c->shape.in;

    for (size_t t = 0; t < c->shape.rows; t++) {
        double sum = 0.0;

        for (size_t i = 0; i < width; i++)
            sum += exp(at(c->in[0], t * width + i));
        out[t] = c->index[t] == OP_NO_LABEL
                     ? 0.0
                     : log(sum) - at(c->in[0], t * width + (size_t)c->index[t]);
    }
}

const struct op_reference op_references[] = {
    { &op_embedding, embedding },
    { &op_linear, linear },
    { &op_linear_add, linear_add },
    { &op_rmsnorm, rmsnorm },
    { &op_rope, rope },
    { &op_attention, attention },
    { &op_swiglu, swiglu },
    { &op_cross_entropy, cross_entropy },
    { NULL, NULL },
};

/* Widths are chosen so that every operation can take them: heads x head_dim
 * is the width of in[0], and odd sizes leave a rest behind every vector. */
static const struct {
    struct op_shape shape;
    uint32_t starts[8];
} trials[OP_TRIALS] = {
    { { .rows = 1,
        .in = 2,
        .out = 1,
        .heads = 1,
        .kv_heads = 1,
        .head_dim = 2,
        .segments = 1 },
      { 0, 1 } },
    { { .rows = 7,
        .in = 12,
        .out = 5,
        .heads = 2,
        .kv_heads = 1,
        .head_dim = 6,
        .segments = 3 },
      { 0, 1, 5, 7 } },
    { { .rows = 19,
        .in = 64,
        .out = 33,
        .heads = 4,
        .kv_heads = 2,
        .head_dim = 16,
        .segments = 2 },
      { 0, 18, 19 } },
    { { .rows = 40,
        .in = 72,
        .out = 65,
        .heads = 4,
        .kv_heads = 4,
        .head_dim = 18,
        .segments = 2 },
      { 0, 21, 40 } },
};

static float *new_floats(size_t count, uint32_t seed)
{
    float *x = xcalloc(count + 1, sizeof(*x));

    reference_fill(x, count, seed);
    return x;
}

void op_trial_init(struct op_trial *t, const struct op *op, int number)
{
    struct op_call *c = &t->call;
    uint32_t seed = (uint32_t)number * 16 + 1;

    *t = (struct op_trial){ .call = { .shape = trials[number].shape } };
    memcpy(t->starts, trials[number].starts, sizeof(t->starts));
    c->shape.starts = t->starts;
    c->shape.eps = 1e-5F;
    op->sizes(&c->shape, &t->sizes);
    for (uint32_t i = 0; i < OP_INPUTS; i++) {
        t->in[i] = new_floats(t->sizes.in[i], seed + i);
        t->d_in[i] = new_floats(t->sizes.in[i], seed + 4 + i);
        c->in[i] = t->in[i];
    }
    t->d_out = new_floats(t->sizes.out, seed + 8);
    c->d_out = t->d_out;
    c->out = new_floats(t->sizes.out, seed + 9);
    c->saved = new_floats(t->sizes.saved, seed + 10);
    t->table =
        new_floats(op_rope_table_size(c->shape.rows, c->shape.head_dim), 0);
    op_rope_table(c->shape.rows, c->shape.head_dim, 10000.0, t->table);
    c->table = t->table;
    t->index = xcalloc(c->shape.rows, sizeof(*t->index));
    for (size_t i = 0; i < c->shape.rows; i++)
        t->index[i] = (int32_t)((i * 5) % c->shape.in);
    if (op == &op_cross_entropy && c->shape.rows > 2)
        t->index[2] = OP_NO_LABEL;
    c->index = t->index;
}

void op_trial_release(struct op_trial *t)
{
    for (size_t i = 0; i < OP_INPUTS; i++) {
        free(t->in[i]);
        free(t->d_in[i]);
    }
    free(t->d_out);
    free(t->call.out);
    free(t->call.saved);
    free(t->table);
    free(t->index);
}
