/* op_adapter.c -- a weight made of a fixed one and a product of low rank.
 *
 * Sources: Hu et al., "LoRA", 2021 (op_lora); Zimmer et al., "PERP", 2023
 * (op_mask_lora, op_scale_lora). backward makes dL/d(b a) at full size once,
 * in `saved`, which forward uses for b a. */
#include "model/op.h"

#include "tensor/blas.h"
#include "tensor/isa.h"

static void sizes(const struct op_shape *s, struct op_sizes *ret_sizes)
{
    ret_sizes->in[0] = s->rows * s->in;
    ret_sizes->in[1] = s->rank * s->in;
    ret_sizes->in[2] = s->rows * s->rank;
    ret_sizes->out = s->rows * s->in;
    ret_sizes->saved = s->rows * s->in;
}

/* saved = b a */
static void multiply(const struct op_call *c)
{
    blas_nn(c->shape.rows, c->shape.in, c->shape.rank, c->in[2], c->in[1], 0.0F,
            c->saved);
}

/* What each kind makes of w, the product and the mask, and of the slope. */
static inline float lora(float w, float ba, float factor, uint8_t keep)
{
    (void)keep;
    return w + factor * ba;
}

static inline float lora_slope(float w, float d, float factor, uint8_t keep)
{
    (void)w;
    (void)keep;
    return factor * d;
}

static inline float mask_lora(float w, float ba, float factor, uint8_t keep)
{
    return keep == 0 ? 0.0F : w + factor * ba;
}

static inline float mask_lora_slope(float w, float d, float factor,
                                    uint8_t keep)
{
    (void)w;
    return keep == 0 ? 0.0F : factor * d;
}

static inline float scale_lora(float w, float ba, float factor, uint8_t keep)
{
    (void)factor;
    return keep == 0 ? 0.0F : w * ba;
}

static inline float scale_lora_slope(float w, float d, float factor,
                                     uint8_t keep)
{
    (void)factor;
    return keep == 0 ? 0.0F : w * d;
}

/* da [rank][in] = b^T g, db [rows][rank] = g a^T, g in `saved` */
static void backward_product(const struct op_call *c)
{
    const struct op_shape *s = &c->shape;

    if (c->d_in[1] != NULL)
        blas_tn(s->rank, s->in, s->rows, c->in[2], c->saved,
                c->fresh[1] ? 0.0F : 1.0F, c->d_in[1]);
    if (c->d_in[2] != NULL)
        blas_nt(s->rows, s->rank, s->in, c->saved, c->in[1],
                c->fresh[2] ? 0.0F : 1.0F, c->d_in[2]);
}

/* `keep` NULL: nothing is pruned. */
#define ADAPTER(name_)                                                       \
    ISA_CLONES static void name_##_all(                                      \
        const float *restrict w, const float *restrict ba,                   \
        const uint8_t *restrict keep, float factor, float *restrict out,     \
        size_t count)                                                        \
    {                                                                        \
        if (keep == NULL)                                                    \
            for (size_t i = 0; i < count; i++)                               \
                out[i] = name_(w[i], ba[i], factor, 1);                      \
        else                                                                 \
            for (size_t i = 0; i < count; i++)                               \
                out[i] = name_(w[i], ba[i], factor, keep[i]);                \
    }                                                                        \
    ISA_CLONES static void name_##_back(                                     \
        const float *restrict w, const float *restrict d,                    \
        const uint8_t *restrict keep, float factor, float *restrict out,     \
        size_t count)                                                        \
    {                                                                        \
        if (keep == NULL)                                                    \
            for (size_t i = 0; i < count; i++)                               \
                out[i] = name_##_slope(w[i], d[i], factor, 1);               \
        else                                                                 \
            for (size_t i = 0; i < count; i++)                               \
                out[i] = name_##_slope(w[i], d[i], factor, keep[i]);         \
    }                                                                        \
    static void name_##_forward(const struct op_call *c)                     \
    {                                                                        \
        multiply(c);                                                         \
        name_##_all(c->in[0], c->saved, c->keep, c->shape.factor, c->out,    \
                    c->shape.rows * c->shape.in);                            \
    }                                                                        \
    static void name_##_backward(const struct op_call *c)                    \
    {                                                                        \
        name_##_back(c->in[0], c->d_out, c->keep, c->shape.factor, c->saved, \
                     c->shape.rows * c->shape.in);                           \
        backward_product(c);                                                 \
    }                                                                        \
    const struct op op_##name_ = {                                           \
        .name = #name_,                                                      \
        .fixed = 1U << 0,                                                    \
        .sizes = sizes,                                                      \
        .forward = name_##_forward,                                          \
        .backward = name_##_backward,                                        \
    }

ADAPTER(lora);
ADAPTER(mask_lora);
ADAPTER(scale_lora);
