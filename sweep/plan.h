/* plan.h -- what a compiled sweep would run. Pure. */
#ifndef SINTER_SWEEP_PLAN_H
#define SINTER_SWEEP_PLAN_H

#include "sweep/compiled.h"

struct plan_stage {
    char name[64];
    char kind[64];
    enum stage_sort sort;
    uint64_t runs;   /* distinct jobs (recipes for lazy stages) */
    uint64_t trials; /* that use the stage; trials / runs is the sharing */
};

struct plan {
    uint64_t points, replicates, trials; /* trials that are not excluded */
    uint64_t excluded;
    bool truncated; /* counted over the first PLAN_TRIALS only */
    struct plan_stage stages[160];
    size_t stage_count;
    json_t *sources; /* array of the distinct $source objects */
};

enum { PLAN_TRIALS = 100 * 1000 };

MUST_CHECK struct status plan_make(const struct compiled *c,
                                   struct plan *ret_plan);
void plan_release(struct plan *p);

#endif
