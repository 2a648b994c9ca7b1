/* op_attention.c -- attention within each sequence, grouped heads.
 *
 * A strip of queries at a time meets all keys it may see, so no array has the
 * square of the length. saved: log sum exp of each row's scores for each head
 * [heads][rows], from which backward makes the probabilities again, and two
 * strips (one without a backward). Rows of q, k, v and out are strided by all
 * their heads, so BLAS reads them in place. */
#include "model/op.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "model/simd.h"
#include "tensor/blas.h"
#include "tensor/isa.h"

enum { STRIP = 64 }; /* queries */

static size_t length_of(const struct op_shape *s, size_t segment)
{
    return s->starts[segment + 1] - s->starts[segment];
}

/* Keys that a strip sees at most, from the first of its window on. */
static size_t strip_width(const struct op_shape *s, size_t length)
{
    size_t most = s->window + STRIP;

    return s->window == 0 || length < most ? length : most;
}

static size_t strip_size(const struct op_shape *s)
{
    size_t longest = 0;

    for (size_t g = 0; g < s->segments; g++)
        longest = length_of(s, g) > longest ? length_of(s, g) : longest;
    return (longest < STRIP ? longest : STRIP) * strip_width(s, longest);
}

static void sizes(const struct op_shape *s, struct op_sizes *ret_sizes)
{
    ret_sizes->in[0] = s->rows * s->heads * s->head_dim;
    ret_sizes->in[1] = s->rows * s->kv_heads * s->head_dim;
    ret_sizes->in[2] = ret_sizes->in[1];
    ret_sizes->out = ret_sizes->in[0];
    ret_sizes->saved = strip_size(s);
    if (!s->lean)
        ret_sizes->saved += strip_size(s) + s->heads * s->rows;
}

/* Some queries of one head of one sequence, and the keys they see. Places
 * count from the beginning of the batch. */
struct strip {
    size_t first, count; /* queries */
    size_t key, keys;    /* first key, how many */
    size_t window;
    bool both_ways;
    size_t dim, stride, kv_stride; /* floats from token to token */
    size_t head, shared;           /* where a head begins in a row */
    float *p;                      /* [count][keys] */
    float *dp;                     /* the same; backward only */
    float *whole;                  /* log sum exp of each row; NULL: lean */
    float scale;
};

/* Keys of row `i` of the strip: from *ret_first up to, not with, the result,
 * counted from the strip's first key. */
static size_t keys_of(const struct strip *s, size_t i, size_t *ret_first)
{
    size_t end = s->first + i + 1 - s->key;

    if (s->both_ways)
        end = s->keys;
    *ret_first = s->window == 0 || end < s->window ? 0 : end - s->window;
    return end;
}

/* Softmax over row[first] .. row[end - 1] scaled by `scale`, zeros around
 * them; returns log sum exp. */
ISA_CLONES static float softmax_row(float *row, size_t first, size_t end,
                                    size_t width, float scale)
{
    float most = row[first], sum, by;
    size_t i;

    for (i = first + 1; i < end; i++)
        most = row[i] > most ? row[i] : most;
    for (i = first; i < end; i++)
        row[i] = simd_exp((row[i] - most) * scale);
    sum = simd_total(row + first, end - first);
    by = 1.0F / sum;
    for (i = 0; i < first; i++)
        row[i] = 0.0F;
    for (; i < end; i++)
        row[i] *= by;
    for (; i < width; i++)
        row[i] = 0.0F;
    return most * scale + logf(sum);
}

/* The same probabilities from what softmax_row() returned. */
ISA_CLONES static void again_row(float *row, size_t first, size_t end,
                                 size_t width, float scale, float whole)
{
    size_t i;

    for (i = 0; i < first; i++)
        row[i] = 0.0F;
    for (; i < end; i++)
        row[i] = simd_exp(row[i] * scale - whole);
    for (; i < width; i++)
        row[i] = 0.0F;
}

static struct blas_operand rows(const float *data, size_t stride)
{
    return (struct blas_operand){ .data = data, .stride = stride };
}

static struct blas_operand columns(const float *data, size_t stride)
{
    return (struct blas_operand){ data, stride, true };
}

/* c = a b + keep c */
static void product(size_t m, size_t n, size_t k, struct blas_operand a,
                    struct blas_operand b, float keep, float *c, size_t stride)
{
    struct blas_product p = {
        .m = m, .n = n, .k = k, .alpha = 1.0F, .beta = keep, .a = a, .b = b
    };

    blas_multiply(&p, c, stride);
}

static size_t query_at(const struct strip *s)
{
    return s->first * s->stride + s->head;
}

static size_t key_at(const struct strip *s)
{
    return s->key * s->kv_stride + s->shared;
}

static void scores(const struct op_call *c, const struct strip *s)
{
    product(s->count, s->keys, s->dim, rows(c->in[0] + query_at(s), s->stride),
            columns(c->in[1] + key_at(s), s->kv_stride), 0.0F, s->p, s->keys);
}

static void forward_strip(const struct op_call *c, const struct strip *s)
{
    scores(c, s);
    for (size_t i = 0; i < s->count; i++) {
        size_t first, end = keys_of(s, i, &first);
        float whole =
            softmax_row(s->p + i * s->keys, first, end, s->keys, s->scale);

        if (s->whole != NULL)
            s->whole[s->first + i] = whole;
    }
    product(s->count, s->dim, s->keys, rows(s->p, s->keys),
            rows(c->in[2] + key_at(s), s->kv_stride), 0.0F,
            c->out + query_at(s), s->stride);
}

/* ds_ij = scale p_ij (dp_ij - sum_k p_ik dp_ik), in place of dp; p is 0 where
 * a key is not seen. */
ISA_CLONES static void slope_row(const float *restrict p, float *restrict dp,
                                 size_t width, float scale)
{
    float sum = simd_dot(p, dp, width);

    for (size_t i = 0; i < width; i++)
        dp[i] = scale * p[i] * (dp[i] - sum);
}

/* The probabilities of the strip in p and the slopes of its scores in dp. */
static void slopes(const struct op_call *c, const struct strip *s)
{
    assert(s->whole != NULL); /* backward is never lean */
    scores(c, s);
    product(s->count, s->keys, s->dim, rows(c->d_out + query_at(s), s->stride),
            columns(c->in[2] + key_at(s), s->kv_stride), 0.0F, s->dp, s->keys);
    for (size_t i = 0; i < s->count; i++) {
        size_t first, end = keys_of(s, i, &first);

        again_row(s->p + i * s->keys, first, end, s->keys, s->scale,
                  s->whole[s->first + i]);
        slope_row(s->p + i * s->keys, s->dp + i * s->keys, s->keys, s->scale);
    }
}

static void backward_strip(const struct op_call *c, const struct strip *s)
{
    slopes(c, s);
    if (c->d_in[2] != NULL) /* dv = p^T dy */
        product(s->keys, s->dim, s->count, columns(s->p, s->keys),
                rows(c->d_out + query_at(s), s->stride), 1.0F,
                c->d_in[2] + key_at(s), s->kv_stride);
    if (c->d_in[0] != NULL) /* dq = ds k */
        product(s->count, s->dim, s->keys, rows(s->dp, s->keys),
                rows(c->in[1] + key_at(s), s->kv_stride),
                c->fresh[0] ? 0.0F : 1.0F, c->d_in[0] + query_at(s), s->stride);
    if (c->d_in[1] != NULL) /* dk = ds^T q */
        product(s->keys, s->dim, s->count, columns(s->dp, s->keys),
                rows(c->in[0] + query_at(s), s->stride), 1.0F,
                c->d_in[1] + key_at(s), s->kv_stride);
}

/* The strips of one head of one sequence. */
static void each_strip(const struct op_call *c, struct strip s, size_t segment,
                       void (*act)(const struct op_call *c,
                                   const struct strip *s))
{
    size_t begin = c->shape.starts[segment];
    size_t end = c->shape.starts[segment + 1];

    for (s.first = begin; s.first < end; s.first += STRIP) {
        size_t seen = s.first + 1 - begin; /* by the first query */

        s.count = end - s.first < STRIP ? end - s.first : STRIP;
        s.key =
            s.window == 0 || seen < s.window ? begin : s.first + 1 - s.window;
        s.keys = (s.both_ways ? end : s.first + s.count) - s.key;
        act(c, &s);
    }
}

static void each_head(const struct op_call *c,
                      void (*act)(const struct op_call *c,
                                  const struct strip *s))
{
    const struct op_shape *shape = &c->shape;
    size_t group = shape->heads / shape->kv_heads;
    struct strip s = {
        .window = shape->window,
        .both_ways = shape->both_ways,
        .dim = shape->head_dim,
        .stride = shape->heads * shape->head_dim,
        .kv_stride = shape->kv_heads * shape->head_dim,
        .p = c->saved,
        .scale = 1.0F / sqrtf((float)shape->head_dim),
    };
    float *whole = NULL;

    if (!shape->lean) {
        s.dp = s.p + strip_size(shape);
        whole = s.dp + strip_size(shape);
    }
    for (size_t g = 0; g < shape->segments; g++)
        for (size_t i = 0; i < shape->heads; i++) {
            s.head = i * s.dim;
            s.shared = i / group * s.dim;
            s.whole = whole == NULL ? NULL : whole + i * shape->rows;
            each_strip(c, s, g, act);
        }
}

static void forward(const struct op_call *c)
{
    each_head(c, forward_strip);
}

/* Strips add to the slopes of keys and values. */
static void backward(const struct op_call *c)
{
    size_t size = c->shape.rows * c->shape.kv_heads * c->shape.head_dim;

    for (size_t k = 1; k <= 2; k++)
        if (c->d_in[k] != NULL && c->fresh[k])
            memset(c->d_in[k], 0, size * sizeof(float));
    each_head(c, backward_strip);
}

const struct op op_attention = {
    .name = "attention",
    .sizes = sizes,
    .forward = forward,
    .backward = backward,
};
