/* prune_open.h -- a model walked through section by section, for the kinds
 * that look at what its matrices are fed. What they find goes into a delta,
 * and from there to the disk: in memory are one section, what its matrices are
 * fed, and a pass. */
#ifndef SINTER_JOBS_PRUNE_OPEN_H
#define SINTER_JOBS_PRUNE_OPEN_H

#include "jobs/delta.h"
#include "jobs/prune_fit.h"
#include "jobs/prune_walk.h"
#include "jobs/recipe.h"

/* Of what was found. */
struct prune_sums {
    double loss;
    uint64_t weights, gone, emptied;
};

struct prune_open {
    /* The caller's. */
    const json_t *params; /* with model, calibration or inputs */
    struct job_context *context;
    struct fit_config config;
    /* All of a section that has matrices was seen: into the delta with it. */
    struct status (*found)(struct prune_open *o, struct fit *fit);

    struct recipe_model *base;
    const struct tensor_set *set; /* of the base */
    struct model *model;          /* one section of it is there */
    struct prune_target *targets;
    size_t sections;       /* to the last that has a target */
    size_t first;          /* those before it are done: prune_state.c */
    struct st_model *seen; /* `params`.inputs; NULL: samples walk */
    struct prune_walk walk;
    struct delta delta;
    struct prune_sums sums;
};

/* `kind` of the delta. NO_MEMORY beyond the job's budget. To be released. */
MUST_CHECK struct status prune_open(struct prune_open *o, const char *kind);
void prune_open_release(struct prune_open *o);
/* All sections, from where an earlier attempt came to. */
MUST_CHECK struct status prune_open_walk(struct prune_open *o);

/* --- what is on the disk: prune_state.c ------------------------------------- */

/* Bytes of what was found that may stay in memory between two sections. */
uint64_t prune_state_room(const struct job_context *context);
/* Goes on where an earlier attempt came to; what does not fit is not looked
 * at. */
MUST_CHECK struct status prune_state_resume(struct prune_open *o);
/* So many sections are done. */
MUST_CHECK struct status prune_state_note(struct prune_open *o, size_t done);

#endif
