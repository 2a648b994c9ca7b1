/* prune_fed.h -- what the matrices of a dense model are fed, seen by a job
 * (prune_inputs_kind.c) for all that is to be pruned by it. Its tensors are
 * "NAME" of each matrix for norms; "NAME.factor", the triangle, if there is
 * one, and "NAME.dead" of the first matrix of those that read the same. */
#ifndef SINTER_JOBS_PRUNE_FED_H
#define SINTER_JOBS_PRUNE_FED_H

#include "jobs/prune.h"
#include "jobs/prune_sparsegpt.h"

struct prune_fed {
    size_t count;  /* of the set */
    float **norms; /* [count], each [inputs]; NULL: of no target */
};

/* `params`.inputs of a prune of such a model; without it (the method is fed
 * nothing) ret_fed->norms is NULL. CORRUPT names the tensor. */
MUST_CHECK struct status prune_fed_open(const json_t *params,
                                        struct job_context *context,
                                        const struct tensor_set *set,
                                        const struct prune_target *targets,
                                        struct prune_fed *ret_fed);
void prune_fed_release(struct prune_fed *f);

/* Of the matrix `name`. CORRUPT, NO_MEMORY. */
MUST_CHECK struct status prune_fed_factor(const struct tensor_set *seen,
                                          const char *name, size_t inputs,
                                          struct prune_factor *ret_factor);

#endif
