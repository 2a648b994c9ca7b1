/* blas.h -- dense matrix products, row-major float32.
 * The bits depend on the CPU family and on nothing else. */
#ifndef SINTER_TENSOR_BLAS_H
#define SINTER_TENSOR_BLAS_H

#include <stdbool.h>
#include <stddef.h>

/* An operand as it lies in memory; `stride` elements from row to row. */
struct blas_operand {
    const float *data;
    size_t stride;
    bool transposed; /* op(X) is its transpose */
};

/* C = alpha op(A) op(B) + beta C.   op(A): [m][k], op(B): [k][n]
 * With beta 0, C is only written: it may hold anything. */
struct blas_product {
    size_t m, n, k;
    float alpha, beta;
    struct blas_operand a, b;
    /* With beta 0 these may be added to it, which costs no passes over C. */
    const float *bias;       /* [n], to each row; NULL: none */
    struct blas_operand sum; /* [m][n], not transposed; NULL: none */
};

/* c: [m][n], `stride` elements from row to row */
void blas_multiply(const struct blas_product *p, float *c, size_t stride);

/* Dense rows, alpha 1; the letters say which operand is transposed:
 * c [m][n] = op(a) op(b) + beta c. */
void blas_nn(size_t m, size_t n, size_t k, const float *a, const float *b,
             float beta, float *c); /* a: [m][k], b: [k][n] */
void blas_nt(size_t m, size_t n, size_t k, const float *a, const float *b,
             float beta, float *c); /* a: [m][k], b: [n][k] */
void blas_tn(size_t m, size_t n, size_t k, const float *a, const float *b,
             float beta, float *c); /* a: [k][m], b: [k][n] */

/* The upper triangle of c [n][n] = alpha x^T x + beta c, x: [rows][n]. */
void blas_gram(size_t rows, size_t n, float alpha, const float *x, float beta,
               float *c);

#endif
