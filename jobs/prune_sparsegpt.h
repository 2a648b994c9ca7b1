/* prune_sparsegpt.h -- a matrix pruned so that the weights that stay make up
 * for those that go. Pure.
 *
 * Source: Frantar, Alistarh, "SparseGPT: massive language models can be
 * accurately pruned in one-shot", 2023, algorithm 1. */
#ifndef SINTER_JOBS_PRUNE_SPARSEGPT_H
#define SINTER_JOBS_PRUNE_SPARSEGPT_H

#include "jobs/prune_inputs.h"

/* What is needed of the inputs, whatever goes. */
struct prune_factor {
    size_t inputs;
    float *upper;  /* [inputs][inputs]; upper^T upper = h^-1. The Hessian's */
    uint8_t *dead; /* [inputs]: it is always 0, no weight of it is needed */
    bool damped;   /* false: h could not be factored, upper is the identity */
};

/* Takes the Hessian's memory, which then holds the factor. `damping` of the
 * mean of the diagonal is added to it. */
void prune_factor_init(struct prune_factor *f, struct prune_hessian *h,
                       double damping);
void prune_factor_release(struct prune_factor *f);
/* Bytes of the upper triangle without gaps, row by row, and that. */
size_t prune_factor_packed(size_t inputs);
void prune_factor_pack(const struct prune_factor *f, float *ret_packed);
/* A factor of a triangle that lies anywhere in a file. NO_MEMORY. */
MUST_CHECK struct status prune_factor_unpack(size_t inputs, const void *packed,
                                             const uint8_t *dead,
                                             struct prune_factor *ret_factor);
/* The identity. NO_MEMORY. */
MUST_CHECK struct status prune_factor_nothing(size_t inputs,
                                              const uint8_t *dead,
                                              struct prune_factor *ret_factor);

struct prune_weights {
    size_t outputs;
    float *w;         /* [outputs][inputs] */
    uint8_t *keep;    /* the same: what may be kept, and then what is */
    uint64_t threads; /* that may work on it; the bytes are the same */
};
/* Blocks of `block` inputs are chosen from by h->rule. Returns the loss, half
 * the sum of squares of what was taken away. NO_MEMORY. */
MUST_CHECK struct status prune_sparsegpt(const struct prune_factor *f,
                                         const struct prune_how *h,
                                         size_t block,
                                         const struct prune_weights *m,
                                         double *ret_loss);
/* What it takes beside. */
size_t prune_sparsegpt_bytes(const struct prune_how *h, size_t outputs,
                             size_t block, uint64_t threads);

#endif
