/* recipe_merge.h -- a merge made in memory, in one pass with those that the
 * slot will be asked for next. */
#ifndef SINTER_JOBS_RECIPE_MERGE_H
#define SINTER_JOBS_RECIPE_MERGE_H

#include "jobs/recipe_cache.h"

/* `key` is of the recipe. Merges of the context's siblings that can share the
 * pass and fit the cache are put there; what is wrong with one of them is its
 * own trouble, when its turn comes. */
MUST_CHECK struct status recipe_merge_realise(const json_t *params,
                                              const struct digest *key,
                                              struct job_context *context,
                                              struct recipe_entry **ret_entry);

#endif
