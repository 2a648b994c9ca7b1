/* soup_pot.h -- the running average of a soup: a float64 sum of the models that
 * were kept, and room for one average of it. */
#ifndef SINTER_JOBS_SOUP_POT_H
#define SINTER_JOBS_SOUP_POT_H

#include "jobs/job_context.h"
#include "tensor/tensor.h"

struct soup_pot {
    struct tensor_set set;  /* of the last average; names are ours */
    struct tensor *tensors; /* set.items */
    double *sum;            /* of all float tensors, one behind the other */
    char *memory;           /* of the average */
    uint64_t kept;          /* models in the sum */
};

/* Room for models like `first`; floats come out as `dtype` (NULL: as they
 * are). Other tensors are copied from `first`. NO_MEMORY beyond the job's
 * budget. */
MUST_CHECK struct status soup_pot_init(struct soup_pot *p,
                                       const struct tensor_set *first,
                                       const enum dtype *dtype,
                                       const struct job_context *context);
void soup_pot_release(struct soup_pot *p);

/* p->set: the average of what was kept and of `set`, each element rounded
 * once. INVALID names a tensor that the sets do not share. */
MUST_CHECK struct status soup_pot_try(struct soup_pot *p,
                                      const struct tensor_set *set);
/* Add `set`, which was tried (or is the first), to the sum. */
void soup_pot_keep(struct soup_pot *p, const struct tensor_set *set);
/* p->set: the average of what was kept. */
void soup_pot_serve(struct soup_pot *p);

#endif
