/* merge_della.h -- DELLA: a random drop whose rate falls with the rank of the
 * magnitude within a row. An element of rank r in a row of C is kept with
 * probability density - epsilon + 2 epsilon r / (C - 1); alone in its row,
 * with the density. Source: arXiv:2406.11617. */
#ifndef SINTER_JOBS_MERGE_DELLA_H
#define SINTER_JOBS_MERGE_DELLA_H

#include "jobs/merge/merge_survey.h"

/* Room to rank a chunk; when the rescale is MERGE_RESCALE_L1, also the norms
 * of each delta before and after the drop, into step->scale. */
extern const struct merge_survey merge_survey_della;

/* out = b + lambda sum w_i d_i of what the drop left, divided by the sum of
 * w_i when normalize. */
void merge_combine_della_linear(const struct merge_step *step,
                                const struct merge_chunk *chunk);
void merge_combine_della_linear_points(const struct merge_step *steps,
                                       size_t points,
                                       const struct merge_chunk *chunk);
/* The same with an election of signs. */
void merge_combine_della(const struct merge_step *step,
                         const struct merge_chunk *chunk);
void merge_combine_della_points(const struct merge_step *steps, size_t points,
                                const struct merge_chunk *chunk);

/* Keep probabilities must stay inside (0, 1), unless the density is 0 or 1. */
const char *merge_della_misfit(const struct merge_step *step, size_t i);

#endif
