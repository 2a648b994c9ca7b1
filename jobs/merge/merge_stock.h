/* merge_stock.h -- Model Stock: as far from the base towards the mean of the
 * models as their task vectors point the same way. Source:
 * arXiv:2403.19522. */
#ifndef SINTER_JOBS_MERGE_STOCK_H
#define SINTER_JOBS_MERGE_STOCK_H

#include "jobs/merge/merge_survey.h"

/* The ratio of each tensor, into step->scale[0]. */
extern const struct merge_survey merge_survey_stock;

/* out = r mean(t_i) + (1 - r) b with r = n c / (1 + (n - 1) c), c the mean
 * cosine of all pairs of task vectors, of the tensor or (filter_wise) of each
 * row. A zero vector has cosine 0; where 1 + (n - 1) c is not above 1e-6, as
 * with two vectors that are opposite, r is 0. */
void merge_combine_stock(const struct merge_step *step,
                         const struct merge_chunk *chunk);
enum merge_cut merge_stock_cut(const struct merge_step *step);
const struct merge_survey *merge_stock_survey(const struct merge_step *step);

#endif
