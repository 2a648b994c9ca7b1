/* prune_inputs.h -- what a matrix is fed, as far as pruning by it must know:
 * the norm of each input (Wanda), or how inputs go together (SparseGPT). Pure.
 *
 * Sources: Sun, Liu, Bair, Kolter, "A simple and effective pruning approach
 * for large language models", 2023; Frantar, Alistarh, "SparseGPT", 2023. */
#ifndef SINTER_JOBS_PRUNE_INPUTS_H
#define SINTER_JOBS_PRUNE_INPUTS_H

#include "jobs/prune_mask.h"

/* Sums of squares of each input over the rows of a sample, averaged over
 * samples. */
struct prune_norms {
    size_t inputs;
    uint64_t samples;
    double *squares; /* [inputs] */
    double *sums;    /* [inputs] of the samples being added */
};

void prune_norms_init(struct prune_norms *n, size_t inputs);
void prune_norms_release(struct prune_norms *n);
/* x: [rows][inputs], the rows of so many samples. */
void prune_norms_add(struct prune_norms *n, const float *x, size_t rows,
                     size_t samples);
/* ret_norms: [inputs], the roots. */
void prune_norms_roots(const struct prune_norms *n, float *ret_norms);
/* scores: |w| norm of its input; w and scores as the matrix lies, from element
 * `first` on. */
void prune_norms_score(const struct prune_matrix *m, const float *norms,
                       const float *w, uint64_t first, size_t count,
                       float *ret_scores);

/* 2/n sum of x^T x, n samples: the upper triangle. */
struct prune_hessian {
    size_t inputs;
    uint64_t samples;
    float *h; /* [inputs][inputs] */
};

/* NO_MEMORY. */
MUST_CHECK struct status prune_hessian_init(struct prune_hessian *h,
                                            size_t inputs);
void prune_hessian_release(struct prune_hessian *h);
void prune_hessian_add(struct prune_hessian *h, const float *x, size_t rows,
                       size_t samples);

#endif
