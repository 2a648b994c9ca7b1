/* select_manifold.h -- a spectrum as an artifact. */
#ifndef SINTER_JOBS_SELECT_MANIFOLD_H
#define SINTER_JOBS_SELECT_MANIFOLD_H

#include "jobs/select/spectrum.h"
#include "jobs/select_store.h"

MUST_CHECK struct status select_manifold_put(const struct spectrum *s,
                                             struct job_context *context,
                                             char ret_artifact[DIGEST_TEXT]);
/* `ret_notes` is a new reference. */
MUST_CHECK struct status select_manifold_open(const json_t *job,
                                              struct job_context *context,
                                              struct spectrum *ret_spectrum,
                                              json_t **ret_notes);
/* Threads, and when to stop. */
struct crew select_crew(const struct job_context *context);

#endif
