/* merge_norms.h -- the rescale of mergekit after a random drop. */
#ifndef SINTER_JOBS_MERGE_NORMS_H
#define SINTER_JOBS_MERGE_NORMS_H

#include "jobs/merge/merge_survey.h"

/* Ratio of the L1 norms of each delta before and after the drop, into
 * step->scale; 1 where either is next to nothing. */
extern const struct merge_survey merge_survey_norms;

#endif
