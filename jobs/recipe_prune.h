/* recipe_prune.h -- a pruned model made in memory, in one pass with those of
 * other sparsities that the slot will be asked for next. */
#ifndef SINTER_JOBS_RECIPE_PRUNE_H
#define SINTER_JOBS_RECIPE_PRUNE_H

#include "jobs/recipe_cache.h"

/* As recipe_merge_realise(). */
MUST_CHECK struct status recipe_prune_realise(const json_t *params,
                                              const struct digest *key,
                                              struct job_context *context,
                                              struct recipe_entry **ret_entry);

#endif
