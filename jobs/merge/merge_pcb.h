/* merge_pcb.h -- parameter competition balancing: elements compete within
 * their model and with the other models, and the winners are merged in
 * proportion to their scores. Methods of merging, 1.6.
 *
 * The bounds that magnitudes are clipped to depend on the clip quantile, the
 * scores on that and the drop: points where these are equal compete once, and
 * thresholds for all their ratios come from one count. A model that is equal
 * to the base, or nearly so, so that bounds or scores are all one, has weight
 * 0. */
#ifndef SINTER_JOBS_MERGE_PCB_H
#define SINTER_JOBS_MERGE_PCB_H

#include "jobs/merge/merge_survey.h"

/* Over the whole model, or each tensor. */
extern const struct merge_survey merge_survey_pcb;
extern const struct merge_survey merge_survey_pcb_tensors;

void merge_combine_pcb(const struct merge_step *step,
                       const struct merge_chunk *chunk);
void merge_combine_pcb_points(const struct merge_step *steps, size_t points,
                              const struct merge_chunk *chunk);

#endif
