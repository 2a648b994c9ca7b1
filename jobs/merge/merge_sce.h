/* merge_sce.h -- SCE: select the elements that vary most between models,
 * calculate a weight for each model from what is left, erase what has not the
 * elected sign. Source: arXiv:2408.07990. */
#ifndef SINTER_JOBS_MERGE_SCE_H
#define SINTER_JOBS_MERGE_SCE_H

#include "jobs/merge/merge_survey.h"

/* Of each tensor the int(select_topk x m) elements of the largest standard
 * deviation, m those where it is not 0: at least one if m > 0, equal ones by
 * index; all if select_topk is 1 or the tensor has one element. Then each
 * model's share of the squares of what is selected; equal shares of nothing. */
extern const struct merge_survey merge_survey_sce;

/* out = b + sum w_i d_i / max(sum w_i, 1e-6) over selected deltas that have
 * the sign of sum d_i, 0 counts as plus. */
void merge_combine_sce(const struct merge_step *step,
                       const struct merge_chunk *chunk);
void merge_combine_sce_points(const struct merge_step *steps, size_t points,
                              const struct merge_chunk *chunk);

#endif
