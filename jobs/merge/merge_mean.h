/* merge_mean.h -- means of whole models, without a base. Sums are float64 with
 * the models in their order. Methods of merging, 1.2. */
#ifndef SINTER_JOBS_MERGE_MEAN_H
#define SINTER_JOBS_MERGE_MEAN_H

#include "jobs/merge/merge_method.h"

/* out = sum w_i t_i, divided by sum w_i when normalize. */
void merge_combine_linear(const struct merge_step *step,
                          const struct merge_chunk *chunk);
/* out = sum t_i / n */
void merge_combine_average(const struct merge_step *step,
                           const struct merge_chunk *chunk);
/* out = scale_1 t_1 */
void merge_combine_scaled(const struct merge_step *step,
                          const struct merge_chunk *chunk);

#endif
