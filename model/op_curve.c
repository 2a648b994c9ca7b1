/* op_curve.c -- functions of one number: y = f(x), dx = dy f'(x). */
#include "model/op.h"

#include "model/simd.h"
#include "tensor/isa.h"

static void sizes(const struct op_shape *s, struct op_sizes *ret_sizes)
{
    ret_sizes->in[0] = s->rows * s->in;
    ret_sizes->out = s->rows * s->in;
}

static inline float relu(float x)
{
    return x > 0.0F ? x : 0.0F;
}

/* At 0 the slope is 0. */
static inline float relu_slope(float x)
{
    return x > 0.0F ? 1.0F : 0.0F;
}

/* Phi(x) = (1 + erf(x / sqrt 2)) / 2 */
static inline float gelu(float x)
{
    return 0.5F * x * (1.0F + simd_erf(x * 0.70710678F));
}

/* Phi(x) + x phi(x) */
static inline float gelu_slope(float x)
{
    return 0.5F * (1.0F + simd_erf(x * 0.70710678F)) +
           x * 0.39894228F * simd_exp(-0.5F * x * x);
}

/* Source: Hendrycks, Gimpel, "Gaussian error linear units", 2016: Phi(x) by
 * (1 + tanh u) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3). */
static inline float gelu_tanh(float x)
{
    return 0.5F * x *
           (1.0F + simd_tanh(0.79788456F * (x + 0.044715F * x * x * x)));
}

static inline float gelu_tanh_slope(float x)
{
    float t = simd_tanh(0.79788456F * (x + 0.044715F * x * x * x));

    return 0.5F * (1.0F + t) +
           0.5F * x * (1.0F - t * t) * 0.79788456F * (1.0F + 0.134145F * x * x);
}

/* The row of one curve: loops that the compiler vectorises around it. */
#define CURVE(name_)                                                           \
    ISA_CLONES static void name_##_all(const float *restrict x,                \
                                       float *restrict y, size_t count)        \
    {                                                                          \
        for (size_t i = 0; i < count; i++)                                     \
            y[i] = name_(x[i]);                                                \
    }                                                                          \
    ISA_CLONES static void name_##_back(                                       \
        const float *restrict x, const float *restrict dy, float *restrict dx, \
        size_t count, bool fresh)                                              \
    {                                                                          \
        if (fresh)                                                             \
            for (size_t i = 0; i < count; i++)                                 \
                dx[i] = dy[i] * name_##_slope(x[i]);                           \
        else                                                                   \
            for (size_t i = 0; i < count; i++)                                 \
                dx[i] += dy[i] * name_##_slope(x[i]);                          \
    }                                                                          \
    static void name_##_forward(const struct op_call *c)                       \
    {                                                                          \
        name_##_all(c->in[0], c->out, c->shape.rows * c->shape.in);            \
    }                                                                          \
    static void name_##_backward(const struct op_call *c)                      \
    {                                                                          \
        if (c->d_in[0] != NULL)                                                \
            name_##_back(c->in[0], c->d_out, c->d_in[0],                       \
                         c->shape.rows * c->shape.in, c->fresh[0]);            \
    }                                                                          \
    const struct op op_##name_ = {                                             \
        .name = #name_,                                                        \
        .sizes = sizes,                                                        \
        .forward = name_##_forward,                                            \
        .backward = name_##_backward,                                          \
    }

CURVE(relu);
CURVE(gelu);
CURVE(gelu_tanh);
