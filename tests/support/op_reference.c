#include "support/op_reference.h"

#include "common/memory.h"
#include "support/reference.h"

#include <math.h>

static double at(const float *x, size_t i)
{
    return (double)x[i];
}

static size_t segment_of(const struct op_shape *s, size_t row)
{
    size_t g = 0;

    while (row >= s->starts[g + 1])
        g++;
    return g;
}

static void embedding(const struct op_call *c, double *out)
{
    const struct op_shape *s = &c->shape;

    for (size_t i = 0; i < s->rows * s->out; i++) {
        size_t t = i / s->out, column = i % s->out;
        size_t place = s->offset + t - s->starts[segment_of(s, t)];

        out[i] = at(c->in[0], (size_t)c->index[t] * s->out + column);
        if (c->in[1] != NULL)
            out[i] += at(c->in[1], place * s->out + column);
        if (c->in[2] != NULL)
            out[i] += at(c->in[2], column);
    }
}

static void linear(const struct op_call *c, double *out)
{
    const struct op_shape *s = &c->shape;

    for (size_t t = 0; t < s->rows; t++)
        for (size_t o = 0; o < s->out; o++) {
            double sum = c->in[2] == NULL ? 0.0 : at(c->in[2], o);

            if (c->in[3] != NULL)
                sum += at(c->in[3], t * s->out + o);
            for (size_t i = 0; i < s->in; i++)
                sum += at(c->in[0], t * s->in + i) *
                       at(c->in[1],
                          s->transposed ? i * s->out + o : o * s->in + i);
            out[t * s->out + o] = sum;
        }
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

static void layernorm(const struct op_call *c, double *out)
{
    size_t width = c->shape.in;

    for (size_t t = 0; t < c->shape.rows; t++) {
        double mean = 0.0, squares = 0.0;

        for (size_t i = 0; i < width; i++)
            mean += at(c->in[0], t * width + i) / (double)width;
        for (size_t i = 0; i < width; i++)
            squares += pow(at(c->in[0], t * width + i) - mean, 2.0);
        for (size_t i = 0; i < width; i++)
            out[t * width + i] =
                at(c->in[2], i) +
                at(c->in[1], i) * (at(c->in[0], t * width + i) - mean) /
                    sqrt(squares / (double)width + (double)c->shape.eps);
    }
}

/* The pair (low, high) as a complex number, turned by the angle. */
static void rope(const struct op_call *c, double *out)
{
    const struct op_shape *s = &c->shape;
    size_t half = s->rotary / 2;

    for (size_t i = 0; i < s->rows * s->in; i++) {
        size_t row = i / s->in, k = i % s->in % s->head_dim;
        double place = (double)(row - s->starts[segment_of(s, row)]);
        double angle =
            place * pow(10000.0, -2.0 * (double)(k % half) / (double)s->rotary);

        out[i] = at(c->in[0], i);
        if (k >= s->rotary)
            continue;
        out[i] *= cos(angle);
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
    size_t first = s->starts[segment_of(s, row)];
    size_t last = s->both_ways ? s->starts[segment_of(s, row) + 1] - 1 : row;
    double whole = 0.0;

    if (s->window != 0 && row + 1 - first > s->window)
        first = row + 1 - s->window;

    for (size_t i = 0; i < dim; i++)
        out[query + i] = 0.0;
    for (size_t k = first; k <= last; k++) {
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

/* Columns from `from` on of each row, apart. The caller frees. */
static float *columns_of(const float *x, size_t rows, size_t stride,
                         size_t from, size_t width)
{
    float *y = xcalloc(rows * width + 1, sizeof(*y));

    for (size_t t = 0; t < rows; t++)
        memcpy(y + t * width, x + t * stride + from, width * sizeof(*y));
    return y;
}

static void joint_attention(const struct op_call *c, double *out)
{
    const struct op_shape *s = &c->shape;
    size_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    struct op_call apart = *c;
    float *x[3];

    x[0] = columns_of(c->in[0], s->rows, q + 2 * kv, 0, q);
    x[1] = columns_of(c->in[0], s->rows, q + 2 * kv, q, kv);
    x[2] = columns_of(c->in[0], s->rows, q + 2 * kv, q + kv, kv);
    for (size_t i = 0; i < 3; i++)
        apart.in[i] = x[i];
    attention(&apart, out);
    for (size_t i = 0; i < 3; i++)
        free(x[i]);
}

static void swiglu(const struct op_call *c, double *out)
{
    for (size_t i = 0; i < c->shape.rows * c->shape.in; i++)
        out[i] =
            at(c->in[0], i) / (1.0 + exp(-at(c->in[0], i))) * at(c->in[1], i);
}

static void relu(const struct op_call *c, double *out)
{
    for (size_t i = 0; i < c->shape.rows * c->shape.in; i++)
        out[i] = fmax(at(c->in[0], i), 0.0);
}

static void gelu(const struct op_call *c, double *out)
{
    for (size_t i = 0; i < c->shape.rows * c->shape.in; i++)
        out[i] = at(c->in[0], i) * 0.5 * erfc(-at(c->in[0], i) / sqrt(2.0));
}

static void gelu_tanh(const struct op_call *c, double *out)
{
    for (size_t i = 0; i < c->shape.rows * c->shape.in; i++) {
        double x = at(c->in[0], i);

        out[i] =
            0.5 * x *
            (1.0 + tanh(sqrt(2.0 / acos(-1.0)) * (x + 0.044715 * pow(x, 3.0))));
    }
}

static void part(const struct op_call *c, double *out)
{
    const struct op_shape *s = &c->shape;

    for (size_t i = 0; i < s->rows * s->out; i++) {
        size_t k = i % s->out;

        out[i] = at(c->in[0], i / s->out * s->in + k / s->run * s->pitch +
                                  s->offset + k % s->run);
    }
}

static void batch_norm(const struct op_call *c, double *out)
{
    const struct op_shape *s = &c->shape;
    size_t places = s->in / s->channels;

    for (size_t k = 0; k < s->channels; k++) {
        double mean = 0.0, squares = 0.0, n = (double)(s->rows * places);

        for (size_t i = 0; i < s->rows * s->in; i++)
            if (i % s->in / places == k)
                mean += at(c->in[0], i) / n;
        for (size_t i = 0; i < s->rows * s->in; i++)
            if (i % s->in / places == k)
                squares += pow(at(c->in[0], i) - mean, 2.0) / n;
        if (!s->training) {
            mean = at(c->in[3], k);
            squares = at(c->in[4], k);
        }
        for (size_t i = 0; i < s->rows * s->in; i++)
            if (i % s->in / places == k)
                out[i] = at(c->in[2], k) + at(c->in[1], k) *
                                               (at(c->in[0], i) - mean) /
                                               sqrt(squares + (double)s->eps);
    }
}

/* A place of the image, 0 outside of it. */
static double pixel(const struct op_call *c, size_t image, size_t y, size_t x)
{
    const struct op_shape *s = &c->shape;
    size_t pad = s->kernel / 2;

    if (y < pad || y >= s->height + pad || x < pad || x >= s->width + pad)
        return 0.0;
    return at(c->in[0], image + (y - pad) * s->width + x - pad);
}

static void conv(const struct op_call *c, double *out)
{
    const struct op_shape *s = &c->shape;
    size_t pad = s->kernel / 2, square = s->kernel * s->kernel;
    size_t width = (s->width + 2 * pad - s->kernel) / s->stride + 1;
    size_t height = (s->height + 2 * pad - s->kernel) / s->stride + 1;
    size_t depth = s->channels * square;

    for (size_t i = 0; i < s->rows * s->out; i++) {
        size_t image = i / s->out * s->in;
        size_t o = i % s->out / (width * height);
        size_t y = i / width % height * s->stride, x = i % width * s->stride;

        out[i] = c->in[2] == NULL ? 0.0 : at(c->in[2], i);
        for (size_t k = 0; k < depth; k++)
            out[i] += at(c->in[1], o * depth + k) *
                      pixel(c, image + k / square * s->height * s->width,
                            y + k / s->kernel % s->kernel, x + k % s->kernel);
    }
}

static void pool(const struct op_call *c, double *out)
{
    size_t places = c->shape.in / c->shape.channels;

    for (size_t i = 0; i < c->shape.rows * c->shape.channels; i++)
        out[i] = 0.0;
    for (size_t i = 0; i < c->shape.rows * c->shape.in; i++)
        out[i / places] += at(c->in[0], i) / (double)places;
}

/* (b a) of one place */
static double low_rank(const struct op_call *c, size_t i)
{
    const struct op_shape *s = &c->shape;
    double sum = 0.0;

    for (size_t k = 0; k < s->rank; k++)
        sum += at(c->in[2], i / s->in * s->rank + k) *
               at(c->in[1], k * s->in + i % s->in);
    return sum;
}

static void lora(const struct op_call *c, double *out)
{
    for (size_t i = 0; i < c->shape.rows * c->shape.in; i++)
        out[i] = at(c->in[0], i) + (double)c->shape.factor * low_rank(c, i);
}

static void mask_lora(const struct op_call *c, double *out)
{
    for (size_t i = 0; i < c->shape.rows * c->shape.in; i++)
        out[i] = (at(c->in[0], i) + (double)c->shape.factor * low_rank(c, i)) *
                 (double)c->keep[i];
}

static void scale_lora(const struct op_call *c, double *out)
{
    for (size_t i = 0; i < c->shape.rows * c->shape.in; i++)
        out[i] = at(c->in[0], i) * low_rank(c, i) * (double)c->keep[i];
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
    { &op_rmsnorm, rmsnorm },
    { &op_layernorm, layernorm },
    { &op_rope, rope },
    { &op_attention, attention },
    { &op_joint_attention, joint_attention },
    { &op_swiglu, swiglu },
    { &op_relu, relu },
    { &op_gelu, gelu },
    { &op_gelu_tanh, gelu_tanh },
    { &op_part, part },
    { &op_batch_norm, batch_norm },
    { &op_conv, conv },
    { &op_pool, pool },
    { &op_cross_entropy, cross_entropy },
    { &op_lora, lora },
    { &op_mask_lora, mask_lora },
    { &op_scale_lora, scale_lora },
    { NULL, NULL },
};

/* Widths are chosen so that every operation can take them: heads x head_dim
 * and channels x height x width are the width of in[0], and odd sizes leave a
 * rest behind every vector. The last three are long enough for several strips
 * of an attention. */
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
        .rotary = 2,
        .channels = 2,
        .height = 1,
        .width = 1,
        .kernel = 1,
        .stride = 1,
        .segments = 1 },
      { 0, 1 } },
    { { .rows = 7,
        .in = 12,
        .out = 5,
        .heads = 2,
        .kv_heads = 1,
        .head_dim = 6,
        .rotary = 6,
        .window = 3,
        .training = true,
        .channels = 3,
        .height = 2,
        .width = 2,
        .kernel = 3,
        .stride = 1,
        .segments = 3 },
      { 0, 1, 5, 7 } },
    { { .rows = 19,
        .in = 64,
        .out = 33,
        .heads = 4,
        .kv_heads = 2,
        .head_dim = 16,
        .rotary = 4,
        .training = true,
        .transposed = true,
        .channels = 4,
        .height = 4,
        .width = 4,
        .kernel = 3,
        .stride = 2,
        .segments = 2 },
      { 0, 18, 19 } },
    { { .rows = 40,
        .in = 72,
        .out = 65,
        .heads = 4,
        .kv_heads = 4,
        .head_dim = 18,
        .rotary = 18,
        .channels = 2,
        .height = 4,
        .width = 9,
        .kernel = 3,
        .stride = 2,
        .segments = 2 },
      { 0, 21, 40 } },
    { { .rows = 150,
        .in = 8,
        .out = 3,
        .heads = 2,
        .kv_heads = 1,
        .head_dim = 4,
        .rotary = 2,
        .training = true,
        .channels = 8,
        .height = 1,
        .width = 1,
        .kernel = 1,
        .stride = 1,
        .segments = 2 },
      { 0, 131, 150 } },
    { { .rows = 150,
        .in = 8,
        .out = 3,
        .heads = 2,
        .kv_heads = 2,
        .head_dim = 4,
        .rotary = 4,
        .window = 70,
        .transposed = true,
        .channels = 1,
        .height = 2,
        .width = 4,
        .kernel = 1,
        .stride = 2,
        .segments = 2 },
      { 0, 2, 150 } },
    { { .rows = 80,
        .in = 8,
        .out = 3,
        .heads = 2,
        .kv_heads = 1,
        .head_dim = 4,
        .rotary = 2,
        .both_ways = true,
        .channels = 2,
        .height = 2,
        .width = 2,
        .kernel = 1,
        .stride = 1,
        .segments = 2 },
      { 0, 71, 80 } },
};

static float *new_floats(size_t count, uint32_t seed)
{
    float *x = xcalloc(count + 1, sizeof(*x));

    reference_fill(x, count, seed);
    return x;
}

/* What follows from the numbers of a trial. */
static void complete(struct op_shape *s, const struct op *op, int number)
{
    s->eps = 1e-5F;
    s->offset = (size_t)number;
    s->places = s->rows + s->offset;
    s->kinds = 2;
    s->rank = 1 + (size_t)number;
    s->factor = 0.5F;
    if (op == &op_part) {
        s->pitch = s->head_dim;
        s->run = 1 + s->head_dim / 3;
        s->offset = s->pitch - s->run;
        s->out = s->in / s->pitch * s->run;
    }
    if (op == &op_conv)
        s->out = 3 * ((s->height - 1) / s->stride + 1) *
                 ((s->width - 1) / s->stride + 1);
}

/* Trial 1 does without optional inputs, trial 2 without the first one. */
static bool absent(const struct op *op, int number, uint32_t input)
{
    unsigned first = op->optional & (0U - op->optional);

    if (number == 1)
        return (op->optional >> input & 1U) != 0;
    return number == 2 && first == 1U << input;
}

bool op_trial_slopes(const struct op_trial *t, size_t input)
{
    return t->sizes.in[input] != 0 && (t->op->fixed >> input & 1U) == 0;
}

static void fill_inputs(struct op_trial *t, int number)
{
    uint32_t seed = (uint32_t)number * 32 + 1;

    for (uint32_t i = 0; i < OP_INPUTS; i++) {
        if (absent(t->op, number, i))
            t->sizes.in[i] = 0;
        t->in[i] = new_floats(t->sizes.in[i], seed + i);
        t->d_in[i] = new_floats(t->sizes.in[i], seed + 8 + i);
        t->call.in[i] = t->sizes.in[i] == 0 ? NULL : t->in[i];
    }
    if (t->op == &op_batch_norm) /* a variance */
        for (size_t i = 0; i < t->sizes.in[4]; i++)
            t->in[4][i] = 1.25F + t->in[4][i];
    t->d_out = new_floats(t->sizes.out, seed + 16);
    t->call.d_out = t->d_out;
    t->call.out = new_floats(t->sizes.out, seed + 17);
    t->call.saved = new_floats(t->sizes.saved, seed + 18);
}

void op_trial_init(struct op_trial *t, const struct op *op, int number)
{
    struct op_call *c = &t->call;
    size_t rows, width;

    *t = (struct op_trial){ .op = op,
                            .call = { .shape = trials[number].shape } };
    memcpy(t->starts, trials[number].starts, sizeof(t->starts));
    c->shape.starts = t->starts;
    complete(&c->shape, op, number);
    op->sizes(&c->shape, &t->sizes);
    fill_inputs(t, number);
    rows = c->shape.rows;
    width = c->shape.in;
    t->table = new_floats(op_rope_table_size(rows, c->shape.rotary), 0);
    op_rope_table(rows, c->shape.rotary, 10000.0, t->table);
    c->table = t->table;
    t->index = xcalloc(rows, sizeof(*t->index));
    for (size_t i = 0; i < rows; i++)
        t->index[i] = (int32_t)((i * 5) % width);
    if (op == &op_cross_entropy && rows > 2)
        t->index[2] = OP_NO_LABEL;
    c->index = t->index;
    t->keep = xcalloc(rows * width, sizeof(*t->keep));
    for (size_t i = 0; i < rows * width; i++)
        t->keep[i] = i * 7 % 3 != 0;
    c->keep = t->keep;
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
    free(t->keep);
}
