/* merge_run.h -- a merge carried out: shapes checked, inputs read in chunks
 * straight from where they lie, elements written where the caller says.
 *
 * The bytes written depend on the configuration and the inputs alone, not on
 * threads, chunks or machine. No memory grows with the model. */
#ifndef SINTER_JOBS_MERGE_RUN_H
#define SINTER_JOBS_MERGE_RUN_H

#include "jobs/merge/merge_config.h"
#include "jobs/merge/merge_draw.h"

struct merge_inputs {
    const struct tensor_set *base; /* of config->base; NULL without one */
    const struct tensor_set *tasks[LIMIT_MODELS];
    /* Draws to use instead of our own: same names and shapes as the tasks,
     * F32. NULL: our own. For tests against other programs. */
    const struct tensor_set *const *draws;
    enum merge_draw_rule draw_rule;
};

struct merge_runtime {
    uint64_t threads; /* 0: one */
    size_t chunk;     /* elements at a time, multiple of REDUCE_CHUNK; 0: as
                         fits the cache */
    void *self;       /* of the functions below; each may be NULL */
    bool (*cancelled)(void *self);
    void (*progress)(void *self, uint64_t done, uint64_t total,
                     const char *unit);
};

struct merge; /* opaque */

/* Checks that the inputs fit together. `config` and `inputs` with all they
 * point to must outlive the merge. INVALID names the tensor, both shapes and
 * both models. */
MUST_CHECK struct status merge_new(const struct merge_config *config,
                                   const struct merge_inputs *inputs,
                                   struct merge **ret_merge);
void merge_free(struct merge *m); /* NULL is fine */

/* Names, dtypes and shapes that come out; data is NULL. */
const struct tensor_set *merge_layout(const struct merge *m);

/* Write all tensors: targets[i] has room for the i-th of the layout. CORRUPT
 * names model, tensor and element that is NaN or infinite; CANCELLED. */
MUST_CHECK struct status merge_run(struct merge *m,
                                   const struct merge_runtime *runtime,
                                   void *const *targets);

#endif
