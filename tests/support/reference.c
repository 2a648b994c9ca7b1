#include "support/reference.h"

#include <math.h>
#include <stdlib.h>

#include "common/memory.h"

const struct reference_format reference_f16 = { 10, 5 };
const struct reference_format reference_bf16 = { 7, 8 };

static int bias(const struct reference_format *f)
{
    return (1 << (f->exponent - 1)) - 1;
}

double reference_widen(const struct reference_format *f, uint32_t bits)
{
    int exponent = (int)(bits >> f->mantissa) & ((1 << f->exponent) - 1);
    double mantissa = (double)(bits & ((1U << f->mantissa) - 1));
    double sign = bits >> (f->mantissa + f->exponent) == 0 ? 1.0 : -1.0;

    if (exponent == (1 << f->exponent) - 1)
        return mantissa == 0.0 ? sign * (double)INFINITY : (double)NAN;
    if (exponent == 0)
        return sign * ldexp(mantissa, 1 - bias(f) - f->mantissa);
    mantissa += ldexp(1.0, f->mantissa);
    return sign * ldexp(mantissa, exponent - bias(f) - f->mantissa);
}

uint32_t reference_narrow(const struct reference_format *f, double value)
{
    uint32_t infinity = ((1U << f->exponent) - 1) << f->mantissa;
    uint32_t sign = (uint32_t)(signbit(value) != 0)
                    << (f->mantissa + f->exponent);
    double size = fabs(value);
    int least = 1 - bias(f);
    int exponent = size > 0.0 && ilogb(size) > least ? ilogb(size) : least;
    double steps = nearbyint(ldexp(size, f->mantissa - exponent));

    if (isnan(value))
        return sign | infinity | 1U << (f->mantissa - 1);
    if (isinf(value) ||
        ldexp(steps, exponent - f->mantissa) >= ldexp(1.0, bias(f) + 1))
        return sign | infinity;
    /* A carry of `steps` into the next power of two adds up here too. */
    steps += ldexp((double)(exponent - least), f->mantissa);
    return sign | (uint32_t)steps;
}

void reference_fill(float *x, size_t count, uint32_t seed)
{
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525U + 1013904223U;
        x[i] = (float)(seed >> 8) * 0x1p-23F - 1.0F;
    }
}

static int ascending(const void *a, const void *b)
{
    const float *x = a;
    const float *y = b;

    return (*x > *y) - (*x < *y);
}

float *reference_sorted_magnitudes(const float *x, size_t count)
{
    float *sorted = xcalloc(count + 1, sizeof *sorted);

    for (size_t i = 0; i < count; i++)
        sorted[i] = fabsf(x[i]);
    qsort(sorted, count, sizeof *sorted, ascending);
    return sorted;
}

void reference_keep_largest(float *x, size_t count, size_t keep)
{
    AUTO(free_pointer) float *old = xcalloc(count + 1, sizeof *old);

    for (size_t i = 0; i < count; i++)
        old[i] = x[i];
    for (size_t i = 0; i < count; i++) {
        size_t before = 0;

        for (size_t k = 0; k < count; k++)
            before += fabsf(old[k]) > fabsf(old[i]) ||
                      (fabsf(old[k]) == fabsf(old[i]) && k < i);
        if (before >= keep)
            x[i] = 0.0F;
    }
}

static double at(struct reference_matrix x, size_t row, size_t column)
{
    return (double)(x.transposed ? x.data[column * x.stride + row]
                                 : x.data[row * x.stride + column]);
}

void reference_multiply(size_t m, size_t n, size_t k, double alpha,
                        struct reference_matrix a, struct reference_matrix b,
                        double beta, float *c)
{
    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j < n; j++) {
            double sum = 0.0;

            for (size_t l = 0; l < k; l++)
                sum += at(a, i, l) * at(b, l, j);
            c[i * n + j] = (float)(alpha * sum + beta * (double)c[i * n + j]);
        }
    }
}
