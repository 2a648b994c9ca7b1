/* op_attention.c -- attention within each sequence, grouped heads.
 *
 * A strip of queries at a time meets all keys it may see, so no array has the
 * square of the length. saved: log sum exp of each row's scores for each head
 * [heads][rows], from which backward makes the probabilities again, and two
 * strips (one without a backward). Rows of q, k, v and out are strided by all
 * their heads, so products read them in place.
 *
 * A strip lies [keys][STRIP]: what softmax does over the keys of a query it
 * then does for all queries at a time, and products copy only what belongs to
 * the strip's queries. */
#include "model/op.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "model/simd.h"
#include "tensor/blas.h"
#include "tensor/isa.h"

enum {
    STRIP = 32, /* queries */
    TERMS = 32, /* keys whose probabilities are added up before the rest */
};

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
    return STRIP * strip_width(s, longest);
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

static void sizes_joint(const struct op_shape *s, struct op_sizes *ret_sizes)
{
    struct op_sizes apart = { 0 };

    sizes(s, &apart);
    ret_sizes->in[0] = apart.in[0] + apart.in[1] + apart.in[2];
    ret_sizes->out = apart.out;
    ret_sizes->saved = apart.saved;
}

/* Where everything lies. */
struct arrays {
    const float *q, *k, *v;
    float *d_q, *d_k, *d_v;   /* NULL: not wanted */
    size_t stride, kv_stride; /* floats from token to token */
    bool fresh[3];            /* of d_q, d_k, d_v */
};

/* Some queries of one head of one sequence, and the keys they see. Places
 * count from the beginning of the batch. */
struct strip {
    size_t first, count; /* queries */
    size_t key, keys;    /* first key, how many */
    size_t window;
    bool both_ways;
    const struct arrays *at;
    size_t dim, out_stride;
    size_t head, shared; /* where a head begins in a row */
    float *p;            /* [keys][STRIP] */
    float *dp;           /* the same; backward only */
    float *whole;        /* log sum exp of each row; NULL: lean */
    float scale;
};

/* The queries that see key `k` of the strip: the result's first up to, not
 * with, its last. */
struct range {
    size_t first, last;
};

static struct range seeing(const struct strip *s, size_t k)
{
    size_t key = s->key + k, end = key + s->window - s->first;
    struct range r = { 0, s->count };

    if (!s->both_ways && key > s->first)
        r.first = key - s->first;
    if (s->window != 0 && end < r.last)
        r.last = end;
    return r;
}

/* Sets what is not seen, and columns without a query. */
static void hide(const struct strip *s, float value)
{
    for (size_t k = 0; k < s->keys; k++) {
        struct range seen = seeing(s, k);
        float *row = s->p + k * STRIP;

        for (size_t j = 0; j < seen.first; j++)
            row[j] = value;
        for (size_t j = seen.last; j < STRIP; j++)
            row[j] = value;
    }
}

/* ret_most: the largest of each column. */
ISA_CLONES static void find_most(const float *restrict p, size_t keys,
                                 float *restrict ret_most)
{
    memcpy(ret_most, p, STRIP * sizeof(*p));
    for (size_t k = 1; k < keys; k++)
        for (size_t j = 0; j < STRIP; j++) {
            float x = p[k * STRIP + j];

            ret_most[j] = x > ret_most[j] ? x : ret_most[j];
        }
}

/* sums += the columns */
ISA_CLONES static void add_up(const float *restrict p, size_t keys,
                              float *restrict sums)
{
    float part[STRIP] = { 0.0F };

    for (size_t k = 0; k < keys; k++)
        for (size_t j = 0; j < STRIP; j++)
            part[j] += p[k * STRIP + j];
    for (size_t j = 0; j < STRIP; j++)
        sums[j] += part[j];
}

/* p = exp(scale p - whole) */
ISA_CLONES static void exponentials(float *restrict p, size_t keys, float scale,
                                    const float *restrict whole)
{
    for (size_t k = 0; k < keys; k++)
        for (size_t j = 0; j < STRIP; j++)
            p[k * STRIP + j] = simd_exp(p[k * STRIP + j] * scale - whole[j]);
}

ISA_CLONES static void multiply_columns(float *restrict p, size_t keys,
                                        const float *restrict by)
{
    for (size_t k = 0; k < keys; k++)
        for (size_t j = 0; j < STRIP; j++)
            p[k * STRIP + j] *= by[j];
}

/* Softmax over the keys of each query; what is not seen is 0 then. */
static void softmax(const struct strip *s)
{
    float most[STRIP], sums[STRIP] = { 0.0F };

    hide(s, -INFINITY);
    find_most(s->p, s->keys, most);
    for (size_t j = 0; j < STRIP; j++)
        most[j] = j < s->count ? most[j] * s->scale : 0.0F;
    exponentials(s->p, s->keys, s->scale, most);
    hide(s, 0.0F);
    for (size_t k = 0; k < s->keys; k += TERMS)
        add_up(s->p + k * STRIP, s->keys - k < TERMS ? s->keys - k : TERMS,
               sums);
    for (size_t j = 0; j < s->count; j++) {
        if (s->whole != NULL)
            s->whole[s->first + j] = most[j] + logf(sums[j]);
        sums[j] = 1.0F / sums[j];
    }
    multiply_columns(s->p, s->keys, sums);
}

/* The same probabilities again, from `whole`. */
static void again(const struct strip *s)
{
    float whole[STRIP] = { 0.0F };

    memcpy(whole, s->whole + s->first, s->count * sizeof(*whole));
    hide(s, 0.0F);
    exponentials(s->p, s->keys, s->scale, whole);
    hide(s, 0.0F);
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
    return s->first * s->at->stride + s->head;
}

static size_t key_at(const struct strip *s)
{
    return s->key * s->at->kv_stride + s->shared;
}

static size_t out_at(const struct strip *s)
{
    return s->first * s->out_stride + s->head;
}

/* Of each key with each query: ret_scores [keys][STRIP] = x y^T */
static void scores(const struct strip *s, const float *keys,
                   struct blas_operand queries, float *ret_scores)
{
    product(s->keys, s->count, s->dim, rows(keys + key_at(s), s->at->kv_stride),
            queries, 0.0F, ret_scores, STRIP);
}

static void forward_strip(const struct op_call *c, const struct strip *s)
{
    const struct arrays *a = s->at;

    scores(s, a->k, columns(a->q + query_at(s), a->stride), s->p);
    softmax(s);
    product(s->count, s->dim, s->keys, columns(s->p, STRIP),
            rows(a->v + key_at(s), a->kv_stride), 0.0F, c->out + out_at(s),
            s->out_stride);
}

ISA_CLONES static void add_products(const float *restrict p,
                                    const float *restrict dp, size_t keys,
                                    float *restrict sums)
{
    float part[STRIP] = { 0.0F };

    for (size_t k = 0; k < keys; k++)
        for (size_t j = 0; j < STRIP; j++)
            part[j] += p[k * STRIP + j] * dp[k * STRIP + j];
    for (size_t j = 0; j < STRIP; j++)
        sums[j] += part[j];
}

ISA_CLONES static void slope_rows(const float *restrict p, float *restrict dp,
                                  size_t keys, float scale,
                                  const float *restrict sums)
{
    for (size_t k = 0; k < keys; k++)
        for (size_t j = 0; j < STRIP; j++) {
            size_t i = k * STRIP + j;

            dp[i] = scale * p[i] * (dp[i] - sums[j]);
        }
}

/* The probabilities of the strip in p and the slopes of its scores in dp:
 * ds = scale p (dp - sum of p dp over the keys); p is 0 where a key is not
 * seen. */
static void slopes(const struct op_call *c, const struct strip *s)
{
    const struct arrays *a = s->at;
    float sums[STRIP] = { 0.0F };

    assert(s->whole != NULL); /* backward is never lean */
    scores(s, a->k, columns(a->q + query_at(s), a->stride), s->p);
    again(s);
    if (s->count < STRIP)
        memset(s->dp, 0, s->keys * STRIP * sizeof(*s->dp));
    scores(s, a->v, columns(c->d_out + out_at(s), s->out_stride), s->dp);
    for (size_t k = 0; k < s->keys; k += TERMS)
        add_products(s->p + k * STRIP, s->dp + k * STRIP,
                     s->keys - k < TERMS ? s->keys - k : TERMS, sums);
    slope_rows(s->p, s->dp, s->keys, s->scale, sums);
}

static void backward_strip(const struct op_call *c, const struct strip *s)
{
    const struct arrays *a = s->at;

    slopes(c, s);
    if (a->d_v != NULL) /* dv = p^T dy */
        product(s->keys, s->dim, s->count, rows(s->p, STRIP),
                rows(c->d_out + out_at(s), s->out_stride), 1.0F,
                a->d_v + key_at(s), a->kv_stride);
    if (a->d_q != NULL) /* dq = ds k */
        product(s->count, s->dim, s->keys, columns(s->dp, STRIP),
                rows(a->k + key_at(s), a->kv_stride), a->fresh[0] ? 0.0F : 1.0F,
                a->d_q + query_at(s), a->stride);
    if (a->d_k != NULL) /* dk = ds^T q */
        product(s->keys, s->dim, s->count, rows(s->dp, STRIP),
                rows(a->q + query_at(s), a->stride), 1.0F, a->d_k + key_at(s),
                a->kv_stride);
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

static void each_head(const struct op_call *c, const struct arrays *a,
                      void (*act)(const struct op_call *c,
                                  const struct strip *s))
{
    const struct op_shape *shape = &c->shape;
    size_t group = shape->heads / shape->kv_heads;
    struct strip s = {
        .window = shape->window,
        .both_ways = shape->both_ways,
        .at = a,
        .dim = shape->head_dim,
        .out_stride = shape->heads * shape->head_dim,
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

static struct arrays apart(const struct op_call *c)
{
    const struct op_shape *s = &c->shape;

    return (struct arrays){
        .q = c->in[0],
        .k = c->in[1],
        .v = c->in[2],
        .d_q = c->d_in[0],
        .d_k = c->d_in[1],
        .d_v = c->d_in[2],
        .stride = s->heads * s->head_dim,
        .kv_stride = s->kv_heads * s->head_dim,
        .fresh = { c->fresh[0], c->fresh[1], c->fresh[2] },
    };
}

/* In each row the queries, the keys and the values. */
static struct arrays joint(const struct op_call *c)
{
    const struct op_shape *s = &c->shape;
    size_t k = s->heads * s->head_dim, v = k + s->kv_heads * s->head_dim;
    size_t stride = v + s->kv_heads * s->head_dim;
    float *d = c->d_in[0];

    return (struct arrays){
        .q = c->in[0],
        .k = c->in[0] + k,
        .v = c->in[0] + v,
        .d_q = d,
        .d_k = d == NULL ? NULL : d + k,
        .d_v = d == NULL ? NULL : d + v,
        .stride = stride,
        .kv_stride = stride,
        .fresh = { c->fresh[0], c->fresh[0], c->fresh[0] },
    };
}

static void clear(const struct op_call *c, float *d, size_t stride)
{
    size_t width = c->shape.kv_heads * c->shape.head_dim;

    for (size_t t = 0; t < c->shape.rows; t++)
        memset(d + t * stride, 0, width * sizeof(*d));
}

/* Strips add to the slopes of keys and values. */
static void backward_of(const struct op_call *c, const struct arrays *a)
{
    if (a->d_k != NULL && a->fresh[1])
        clear(c, a->d_k, a->kv_stride);
    if (a->d_v != NULL && a->fresh[2])
        clear(c, a->d_v, a->kv_stride);
    each_head(c, a, backward_strip);
}

static void forward(const struct op_call *c)
{
    const struct arrays a = apart(c);

    each_head(c, &a, forward_strip);
}

static void backward(const struct op_call *c)
{
    const struct arrays a = apart(c);

    backward_of(c, &a);
}

static void forward_joint(const struct op_call *c)
{
    const struct arrays a = joint(c);

    each_head(c, &a, forward_strip);
}

static void backward_joint(const struct op_call *c)
{
    const struct arrays a = joint(c);

    backward_of(c, &a);
}

const struct op op_attention = {
    .name = "attention",
    .sizes = sizes,
    .forward = forward,
    .backward = backward,
};

const struct op op_joint_attention = {
    .name = "joint attention",
    .sizes = sizes_joint,
    .forward = forward_joint,
    .backward = backward_joint,
};
