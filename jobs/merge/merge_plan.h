/* merge_plan.h -- which tensors of a merge meet which. */
#ifndef SINTER_JOBS_MERGE_PLAN_H
#define SINTER_JOBS_MERGE_PLAN_H

#include "jobs/merge/merge_run.h"

/* One tensor of the result. */
struct merge_entry {
    bool merged; /* else copied from `base`: not float, or empty */
    const struct tensor *base; /* of the first model if there is no base */
    const struct tensor *tasks[LIMIT_MODELS];
    const struct tensor *draws[LIMIT_MODELS]; /* NULL: our own */
    uint64_t hash;                            /* of its name, for draws */
};

struct merge_plan {
    const struct merge_config *config;
    const struct merge_inputs *inputs;
    struct tensor_set layout;
    struct tensor *tensors;      /* layout.items */
    struct merge_entry *entries; /* of the same order */
    uint64_t layers;
    uint64_t elements; /* of all merged tensors */
};

MUST_CHECK struct status merge_plan_init(struct merge_plan *p,
                                         const struct merge_config *config,
                                         const struct merge_inputs *inputs);
void merge_plan_release(struct merge_plan *p);

/* What is constant for one tensor, or for the model as a whole (SIZE_MAX).
 * merge_plan_init() has checked that it can be had. */
void merge_plan_step(const struct merge_plan *p, size_t tensor,
                     struct merge_step *ret_step);

/* CORRUPT; `model` 0 is the base, else the number of the task model + 1. */
struct status merge_plan_not_finite(const struct merge_plan *p,
                                    const char *tensor, size_t model,
                                    uint64_t element);

#endif
