/* prune_open.h -- a model that is walked through section by section, opened:
 * for the kinds that look at what its matrices are fed. */
#ifndef SINTER_JOBS_PRUNE_OPEN_H
#define SINTER_JOBS_PRUNE_OPEN_H

#include "jobs/prune_fit.h"
#include "jobs/prune_walk.h"
#include "jobs/recipe.h"

struct prune_open {
    /* The caller's. */
    const json_t *params; /* with model, calibration */
    struct job_context *context;
    struct fit_config config;

    struct recipe_model *base;
    const struct tensor_set *set; /* of the base */
    struct model *model;          /* one section of it is there */
    struct prune_target *targets;
    size_t sections; /* to the last that has a target */
    struct prune_walk walk;
};

/* NO_MEMORY beyond the job's budget. To be released. */
MUST_CHECK struct status prune_open(struct prune_open *o);
void prune_open_release(struct prune_open *o);
MUST_CHECK struct status prune_open_enter(struct prune_open *o, size_t section);
void prune_open_leave(struct prune_open *o, size_t section);

#endif
