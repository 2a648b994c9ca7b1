/* lapack.h -- factors and eigenpairs of symmetric matrices, and the float64
 * products beside them; the only door to LAPACK and ARPACK. Matrices are
 * row-major. The bits depend on the CPU family and on nothing else. */
#ifndef SINTER_TENSOR_LAPACK_H
#define SINTER_TENSOR_LAPACK_H

#include "common/status.h"

#include <stddef.h>

/* In the upper triangle of `h` [n][n], a symmetric matrix given by it: U with
 * U^T U = h^-1. False: h is not positive definite, and is lost. */
bool lapack_inverse_factor(size_t n, float *h);

/* c [m][n] = op(a) op(b) + beta c in float64; strides in elements. With beta
 * 0, c is only written. */
struct lapack_product {
    size_t m, n, k;
    const double *a, *b;
    size_t a_stride, b_stride; /* from row to row as they lie in memory */
    bool a_transposed, b_transposed;
    double beta;
};
void lapack_multiply(const struct lapack_product *p, double *c, size_t stride);

/* The lower triangle of c [n][n] = x x^T, x: [n][width]. */
void lapack_gram(size_t n, size_t width, const double *x, double *c);

/* Eigenpairs first ... first + count - 1 of a symmetric matrix, ascending, from
 * its lower triangle; `a` [n][n] is destroyed. ret_values [count], ret_vectors
 * [n][count] with orthonormal columns. NO_MEMORY; FAILED. */
MUST_CHECK struct status lapack_eigen(size_t n, double *a, size_t first,
                                      size_t count, double *ret_values,
                                      double *ret_vectors);
/* Bytes it takes beside its arguments. */
size_t lapack_eigen_memory(size_t n, size_t count);

/* y = A x for a symmetric A that need not be a matrix; false: stop. */
typedef bool lapack_apply(void *self, const double *x, double *y);

struct lapack_operator {
    size_t n;
    lapack_apply *apply;
    void *self;
    const double *start; /* [n] not zero: equal starts give equal results */
    double tolerance;    /* of eigenvalues, relative; 0: machine precision */
    int iterations;      /* restarts at most */
};
/* The `count` largest eigenpairs, descending, by restarted Lanczos (ARPACK,
 * "LA"); 0 < count, 2 count + 1 <= n. Shapes as above. ARPACK keeps state
 * between calls: one at a time in a process. NO_MEMORY; FAILED: no convergence;
 * CANCELLED. */
MUST_CHECK struct status lapack_largest(const struct lapack_operator *o,
                                        size_t count, double *ret_values,
                                        double *ret_vectors);
size_t lapack_largest_memory(size_t n, size_t count);

#endif
