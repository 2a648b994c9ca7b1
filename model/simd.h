/* simd.h -- sums and exponentials that vectorise to the same bytes on every
 * instruction set (tensor/isa.h): sums are split into SIMD_LANES partial sums
 * in a fixed order, the exponential has no branch. */
#ifndef SINTER_MODEL_SIMD_H
#define SINTER_MODEL_SIMD_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { SIMD_LANES = 16 };

/* Sum of SIMD_LANES partial sums, pairwise. */
static inline float simd_sum(const float part[SIMD_LANES])
{
    float a[8];

    for (size_t i = 0; i < 8; i++)
        a[i] = part[i] + part[i + 8];
    return ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]));
}

/* sum_i x_i */
static inline float simd_total(const float *x, size_t count)
{
    float part[SIMD_LANES] = { 0.0F };
    size_t i = 0;

    for (; i + SIMD_LANES <= count; i += SIMD_LANES)
        for (size_t j = 0; j < SIMD_LANES; j++)
            part[j] += x[i + j];
    for (size_t j = 0; i < count; i++, j++)
        part[j] += x[i];
    return simd_sum(part);
}

/* sum_i (x_i - mean)^2 */
static inline float simd_spread(const float *x, float mean, size_t count)
{
    float part[SIMD_LANES] = { 0.0F };
    size_t i = 0;

    for (; i + SIMD_LANES <= count; i += SIMD_LANES)
        for (size_t j = 0; j < SIMD_LANES; j++)
            part[j] += (x[i + j] - mean) * (x[i + j] - mean);
    for (size_t j = 0; i < count; i++, j++)
        part[j] += (x[i] - mean) * (x[i] - mean);
    return simd_sum(part);
}

/* sum_i x_i y_i */
static inline float simd_dot(const float *x, const float *y, size_t count)
{
    float part[SIMD_LANES] = { 0.0F };
    size_t i = 0;

    for (; i + SIMD_LANES <= count; i += SIMD_LANES)
        for (size_t j = 0; j < SIMD_LANES; j++)
            part[j] += x[i + j] * y[i + j];
    for (size_t j = 0; i < count; i++, j++)
        part[j] += x[i] * y[i];
    return simd_sum(part);
}

/* e^x within 3 units in the last place, without branches so that it
 * vectorises. Below -87.3 the result is tiny but positive, above 88.3 large
 * but finite; NaN stays NaN. x = n log 2 + r with |r| <= log(2) / 2 (log 2 in
 * two parts, the first with so few bits that its product with n is exact),
 * e^r = 1 + r + r^2 q(r), q of degree 4 through (e^r - 1 - r) / r^2 at the
 * Chebyshev nodes: off by 1e-8 at most. */
static inline float simd_exp(float x)
{
    const float magic = 12582912.0F; /* 1.5 * 2^23: adding it rounds */
    float shifted, n, r, p, scale;
    uint32_t bits;

    x = x < -87.3F ? -87.3F : x;
    x = x > 88.3F ? 88.3F : x;
    shifted = x * 1.44269504F + magic;
    n = shifted - magic;
    r = x - n * 0.693359375F;
    r = r - n * -2.12194440e-4F;
    p = 1.39261759e-3F;
    p = p * r + 8.36317334e-3F;
    p = p * r + 4.16665561e-2F;
    p = p * r + 1.66665778e-1F;
    p = p * r + 0.5F;
    p = (p * r) * r + r + 1.0F;
    memcpy(&bits, &shifted, sizeof(bits));
    bits = (bits + 127U) << 23; /* the low byte of `shifted` holds n */
    memcpy(&scale, &bits, sizeof(scale));
    return p * scale;
}

/* Within 3e-7; 1 - 2 / (e^2x + 1) */
static inline float simd_tanh(float x)
{
    return 1.0F - 2.0F / (simd_exp(2.0F * x) + 1.0F);
}

/* Within 5e-7.
 *
 * Source: Abramowitz, Stegun, "Handbook of mathematical functions", 1964,
 * formula 7.1.26, for positive x; erf(-x) = -erf(x). */
static inline float simd_erf(float x)
{
    float size = fabsf(x);
    float t = 1.0F / (1.0F + 0.3275911F * size);
    float p = 1.061405429F;

    p = p * t - 1.453152027F;
    p = p * t + 1.421413741F;
    p = p * t - 0.284496736F;
    p = p * t + 0.254829592F;
    return copysignf(1.0F - p * t * simd_exp(-size * size), x);
}

#endif
