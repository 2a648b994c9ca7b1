/* merge_breadcrumbs.h -- task vectors without their largest and smallest
 * elements. Equal magnitudes rank by index. Source: arXiv:2312.06795. */
#ifndef SINTER_JOBS_MERGE_BREADCRUMBS_H
#define SINTER_JOBS_MERGE_BREADCRUMBS_H

#include "jobs/merge/merge_survey.h"

/* What of each tensor lies between the ranks. int(gamma x elements) are
 * removed at the top, fewer where more would not leave int(density x
 * elements); these are kept, the rest is removed at the bottom. A tensor of
 * one element keeps it. */
extern const struct merge_survey merge_survey_breadcrumbs;
/* out = b + lambda sum w_i d_i of what is kept, divided by the sum of w_i when
 * normalize; the same with an election of signs. */
void merge_combine_breadcrumbs(const struct merge_step *step,
                               const struct merge_chunk *chunk);
void merge_combine_breadcrumbs_ties(const struct merge_step *step,
                                    const struct merge_chunk *chunk);

/* Room to rank a chunk. */
extern const struct merge_survey merge_survey_crumb_rows;
/* Each row by itself: int(gamma x columns) of the largest are removed and then
 * int(density x columns) of the rest kept, or (remove_first: false) these kept
 * and then the largest of them removed. A row of one element keeps it. */
void merge_combine_crumb_rows(const struct merge_step *step,
                              const struct merge_chunk *chunk);
void merge_combine_crumb_rows_points(const struct merge_step *steps,
                                     size_t points,
                                     const struct merge_chunk *chunk);

#endif
