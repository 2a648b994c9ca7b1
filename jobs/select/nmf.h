/* nmf.h -- a symmetric non-negative matrix S [n][n] as W H with W [n][k] and
 * H [k][n] non-negative: min |S - W H|^2 (PASER, section 3.2), by hierarchical
 * alternating least squares (Cichocki and Phan 2009). S itself is never asked
 * for, only its products with a few columns.
 *
 * Two starts without chance: columns of S at the rows that are farthest apart
 * (successive projection), and the positive or negative parts of the basis;
 * the better result counts. If it leaves a column that no row prefers, up to
 * ten seeded starts follow, until one leaves none. */
#ifndef SINTER_JOBS_SELECT_NMF_H
#define SINTER_JOBS_SELECT_NMF_H

#include "jobs/select/crew.h"

enum {
    NMF_ITERATIONS = 500, /* at most */
    NMF_RESTARTS = 10,
    NMF_COARSE = 1000, /* rows that a start is refined on, if there are more */
    NMF_FROM_COARSE = 10, /* iterations over all rows after that, at most */
    NMF_RANK = 256,       /* k at most */
};

/* S = |Z Z^T| elementwise, Z [n][k]; or a matrix that is there. */
struct nmf_matrix {
    size_t n;
    const double *factor; /* Z [n][rank]; NULL: `dense` */
    size_t rank;
    const double *dense; /* [n][n], symmetric, >= 0 */
    const double *basis; /* [n][rank] its leading eigenvectors, for the
                          * starts; NULL: `factor` */
};

struct nmf {
    size_t n, k;
    double *w;         /* [n][k] */
    double *h;         /* [n][k]: H transposed */
    double error;      /* |S - W H| / |S|, Frobenius */
    size_t iterations; /* of the last run over all rows */
    size_t starts;     /* tried */
    bool converged;    /* the error stands still (nmf_parts.h) */
};

/* 1 <= k <= min(n, rank, NMF_RANK). NO_MEMORY, CANCELLED. */
MUST_CHECK struct status nmf_make(const struct crew *crew,
                                  const struct nmf_matrix *s, size_t k,
                                  uint32_t seed, struct nmf *ret_nmf);
void nmf_release(struct nmf *f);
uint64_t nmf_memory(size_t n, size_t k, uint64_t threads);

/* labels[i] = argmax_k W_ik |H_k|; equal: the lower k. */
void nmf_labels(const struct nmf *f, uint32_t *ret_labels);

#endif
