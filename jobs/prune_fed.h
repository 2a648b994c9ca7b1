/* prune_fed.h -- norms of what the matrices of a dense model are fed, counted
 * by a job (prune_norms_kind.c) for all that is to be pruned by them. */
#ifndef SINTER_JOBS_PRUNE_FED_H
#define SINTER_JOBS_PRUNE_FED_H

#include "jobs/prune.h"

struct prune_fed {
    size_t count;  /* of the set */
    float **norms; /* [count], each [inputs]; NULL: of no target */
};

/* `params`.norms of a prune of such a model; without it (the method is fed
 * nothing) ret_fed->norms is NULL. CORRUPT names the tensor. */
MUST_CHECK struct status prune_fed_open(const json_t *params,
                                        struct job_context *context,
                                        const struct tensor_set *set,
                                        const struct prune_target *targets,
                                        struct prune_fed *ret_fed);
void prune_fed_release(struct prune_fed *f);

#endif
