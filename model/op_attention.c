/* op_attention.c -- causal attention within each sequence, grouped heads.
 *
 * saved: the probabilities P [heads][length][length] of each sequence, the
 * part above the diagonal zero, and one square of scratch; without a backward
 * one square for all. Rows of q, k, v and out are strided by all their heads,
 * so BLAS reads them in place. */
#include "model/op.h"

#include <math.h>

#include "model/simd.h"
#include "tensor/blas.h"
#include "tensor/isa.h"

static size_t length_of(const struct op_shape *s, size_t segment)
{
    return s->starts[segment + 1] - s->starts[segment];
}

static void sizes(const struct op_shape *s, struct op_sizes *ret_sizes)
{
    size_t squares = 0, longest = 0;

    for (size_t g = 0; g < s->segments; g++) {
        size_t length = length_of(s, g);

        squares += length * length;
        longest = length > longest ? length : longest;
    }
    ret_sizes->in[0] = s->rows * s->heads * s->head_dim;
    ret_sizes->in[1] = s->rows * s->kv_heads * s->head_dim;
    ret_sizes->in[2] = ret_sizes->in[1];
    ret_sizes->out = ret_sizes->in[0];
    ret_sizes->saved = (s->lean ? 0 : s->heads * squares) + longest * longest;
}

/* One head of one sequence. */
struct head {
    size_t length, dim;
    size_t stride, kv_stride; /* floats from token to token */
    size_t q, k;              /* where it begins in q and out, in k and v */
    float *p;                 /* [length][length] */
    float *scratch;           /* the same; backward only */
    float scale;
    bool first; /* of the heads that share its k and v */
};

/* Softmax over the first `count` of a row scaled by `scale`, zeros behind. */
ISA_CLONES static void softmax_row(float *row, size_t count, size_t width,
                                   float scale)
{
    float part[SIMD_LANES] = { 0.0F };
    float most = row[0], whole;
    size_t i;

    for (i = 1; i < count; i++)
        most = row[i] > most ? row[i] : most;
    for (i = 0; i < count; i++)
        row[i] = simd_exp((row[i] - most) * scale);
    for (i = 0; i + SIMD_LANES <= count; i += SIMD_LANES)
        for (size_t j = 0; j < SIMD_LANES; j++)
            part[j] += row[i + j];
    for (size_t j = 0; i < count; i++, j++)
        part[j] += row[i];
    whole = 1.0F / simd_sum(part);
    for (i = 0; i < count; i++)
        row[i] *= whole;
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

static void forward_head(const struct op_call *c, const struct head *h)
{
    size_t n = h->length;

    product(n, n, h->dim, rows(c->in[0] + h->q, h->stride),
            columns(c->in[1] + h->k, h->kv_stride), 0.0F, h->p, n);
    for (size_t i = 0; i < n; i++)
        softmax_row(h->p + i * n, i + 1, n, h->scale);
    product(n, h->dim, n, rows(h->p, n), rows(c->in[2] + h->k, h->kv_stride),
            0.0F, c->out + h->q, h->stride);
}

/* ds_ij = scale p_ij (dp_ij - sum_k p_ik dp_ik), in place of dp */
ISA_CLONES static void softmax_backward_row(const float *restrict p,
                                            float *restrict dp, size_t count,
                                            size_t width, float scale)
{
    float part[SIMD_LANES] = { 0.0F };
    float sum;
    size_t i = 0;

    for (; i + SIMD_LANES <= count; i += SIMD_LANES)
        for (size_t j = 0; j < SIMD_LANES; j++)
            part[j] += p[i + j] * dp[i + j];
    for (size_t j = 0; i < count; i++, j++)
        part[j] += p[i] * dp[i];
    sum = simd_sum(part);
    for (i = 0; i < count; i++)
        dp[i] = scale * p[i] * (dp[i] - sum);
    for (; i < width; i++)
        dp[i] = 0.0F;
}

static void backward_head(const struct op_call *c, const struct head *h)
{
    size_t n = h->length;
    struct blas_operand dy = rows(c->d_out + h->q, h->stride);
    float kept[3];

    kept[0] = c->fresh[0] ? 0.0F : 1.0F;
    kept[1] = c->fresh[1] && h->first ? 0.0F : 1.0F;
    kept[2] = c->fresh[2] && h->first ? 0.0F : 1.0F;
    if (c->d_in[2] != NULL) /* dv = p^T dy */
        product(n, h->dim, n, columns(h->p, n), dy, kept[2], c->d_in[2] + h->k,
                h->kv_stride);
    product(n, n, h->dim, dy, columns(c->in[2] + h->k, h->kv_stride), 0.0F,
            h->scratch, n);
    for (size_t i = 0; i < n; i++)
        softmax_backward_row(h->p + i * n, h->scratch + i * n, i + 1, n,
                             h->scale);
    if (c->d_in[0] != NULL) /* dq = ds k */
        product(n, h->dim, n, rows(h->scratch, n),
                rows(c->in[1] + h->k, h->kv_stride), kept[0], c->d_in[0] + h->q,
                h->stride);
    if (c->d_in[1] != NULL) /* dk = ds^T q */
        product(n, h->dim, n, columns(h->scratch, n),
                rows(c->in[0] + h->q, h->stride), kept[1], c->d_in[1] + h->k,
                h->kv_stride);
}

static void each_head(const struct op_call *c,
                      void (*act)(const struct op_call *c,
                                  const struct head *h))
{
    const struct op_shape *s = &c->shape;
    size_t group = s->heads / s->kv_heads;
    struct op_sizes need = { 0 };
    struct head h = {
        .dim = s->head_dim,
        .stride = s->heads * s->head_dim,
        .kv_stride = s->kv_heads * s->head_dim,
        .p = c->saved,
        .scale = 1.0F / sqrtf((float)s->head_dim),
    };

    for (size_t g = 0; g < s->segments; g++)
        h.length = length_of(s, g) > h.length ? length_of(s, g) : h.length;
    sizes(s, &need);
    h.scratch = c->saved + need.saved - h.length * h.length;
    for (size_t g = 0; g < s->segments; g++) {
        h.length = length_of(s, g);
        for (size_t i = 0; i < s->heads; i++) {
            h.q = s->starts[g] * h.stride + i * h.dim;
            h.k = s->starts[g] * h.kv_stride + i / group * h.dim;
            h.first = i % group == 0;
            act(c, &h);
            if (!s->lean)
                h.p += h.length * h.length;
        }
    }
}

static void forward(const struct op_call *c)
{
    each_head(c, forward_head);
}

static void backward(const struct op_call *c)
{
    each_head(c, backward_head);
}

const struct op op_attention = {
    .name = "attention",
    .sizes = sizes,
    .forward = forward,
    .backward = backward,
};
