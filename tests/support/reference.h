/* reference.h -- the slow versions: what tensor/ computes, as the formula
 * says it, one element after the other. */
#ifndef SINTER_TESTS_SUPPORT_REFERENCE_H
#define SINTER_TESTS_SUPPORT_REFERENCE_H

#include <stddef.h>
#include <stdint.h>

/* A binary format of IEEE 754. */
struct reference_format {
    int mantissa; /* bits stored */
    int exponent; /* bits */
};

extern const struct reference_format reference_f16;  /* 10, 5 */
extern const struct reference_format reference_bf16; /* 7, 8 */

/* The value the bits stand for. */
double reference_widen(const struct reference_format *f, uint32_t bits);
/* To nearest, ties to even. NaN gives the quiet NaN without payload. */
uint32_t reference_narrow(const struct reference_format *f, double value);

/* Random but always the same: uniform in [-1, 1). */
void reference_fill(float *x, size_t count, uint32_t seed);

/* Copy of |x|, sorted; the caller frees. */
float *reference_sorted_magnitudes(const float *x, size_t count);
/* Zeroes all but the `keep` of largest magnitude; of equal ones the first
 * stay. */
void reference_keep_largest(float *x, size_t count, size_t keep);

/* c = alpha op(a) op(b) + beta c, in float64; strides as in blas.h. */
struct reference_matrix {
    const float *data;
    size_t stride;
    int transposed;
};

void reference_multiply(size_t m, size_t n, size_t k, double alpha,
                        struct reference_matrix a, struct reference_matrix b,
                        double beta, float *c);

#endif
