/* job_kind.h -- what a kind of job must provide. One kind is one file with a
 * const entry and one line in jobs/registry.c. */
#ifndef SINTER_JOBS_JOB_KIND_H
#define SINTER_JOBS_JOB_KIND_H

#include "jobs/job_context.h"
#include "sweep/catalog.h"

struct job_kind {
    struct catalog_kind catalog;

    /* Do the work for resolved parameters and give the result: an object with
     * "metrics" {name: number} (evaluators) and/or "artifact" (digest text).
     * May run again from the start after a crash: must not depend on having
     * run before. NULL for lazy kinds, which jobs/recipe.c realises. Not
     * retried on INVALID, CORRUPT and FAILED: the same inputs give the same
     * failure. Called in the slot; one at a time. */
    MUST_CHECK struct status (*run)(const json_t *params,
                                    struct job_context *context,
                                    json_t **ret_result);
};

/* NULL-terminated. */
extern const struct job_kind *const job_kinds[];
const struct job_kind *job_kind_find(const char *name);
/* The same table as the sweep compiler sees it. */
const struct catalog *job_catalog(void);

#endif
