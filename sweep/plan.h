/* plan.h -- what a compiled sweep would run. Pure. */
#ifndef SINTER_SWEEP_PLAN_H
#define SINTER_SWEEP_PLAN_H

#include "sweep/compiled.h"

/* Recipes that one pass over their inputs can make. */
struct plan_family {
    uint64_t points;
    json_t *sources; /* array of the $source objects that a pass reads */
};

struct plan_stage {
    char name[64];
    char kind[64];
    enum stage_sort sort;
    uint64_t runs;   /* distinct jobs (recipes for lazy stages) */
    uint64_t trials; /* that use the stage; trials / runs is the sharing */
    /* Parameters of the first run of those that have most; NULL: none. */
    json_t *fullest;
    /* Of a lazy stage; their points add up to `runs`. */
    struct plan_family *families;
    size_t family_count;
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

/* Passes over the inputs when so many points of one family are spread over
 * `slots` and a slot makes at most `most` (> 0) in one pass. */
uint64_t plan_passes(uint64_t points, uint64_t slots, uint64_t most);

#endif
