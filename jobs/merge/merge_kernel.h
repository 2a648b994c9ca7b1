/* merge_kernel.h -- the combining step of the weight-space methods, a chunk
 * at a time. Differences are float32, sums float64 with the models in their
 * order, and each operation is rounded on its own: the same bits on every
 * machine. Source of the formulas: methods of merging, 1.1 to 1.5. */
#ifndef SINTER_JOBS_MERGE_KERNEL_H
#define SINTER_JOBS_MERGE_KERNEL_H

#include "jobs/merge/merge_method.h"

/* out = sum w_i t_i, divided by sum w_i when normalize. */
void merge_combine_linear(const struct merge_step *step,
                          const struct merge_chunk *chunk);
/* out = sum t_i / n */
void merge_combine_average(const struct merge_step *step,
                           const struct merge_chunk *chunk);
/* out = b + lambda sum w_i d_i; when normalize the sum is divided by sum w_i,
 * unless that is below 1e-8. d_i is what the drop left of the delta. */
void merge_combine_sum(const struct merge_step *step,
                       const struct merge_chunk *chunk);
/* TIES of what the drop left, without a trim: the sign of sum w_i d_i is
 * elected, a sum of 0 counts as plus; what has that sign is added. */
void merge_combine_elect(const struct merge_step *step,
                         const struct merge_chunk *chunk);
/* The same after the survey's trim. */
void merge_combine_ties(const struct merge_step *step,
                        const struct merge_chunk *chunk);
/* Unweighted mean of what has the elected sign after the trim; a sum of 0
 * takes the sign that most elements of the model elect. */
void merge_combine_ties_mean(const struct merge_step *step,
                             const struct merge_chunk *chunk);

/* What the drop left of model i's delta, times scale: the float32 difference
 * from the base, 0 where dropped. */
void merge_delta(const struct merge_step *step, const struct merge_chunk *chunk,
                 size_t i, float *delta);
/* Sum of the signs of sum_i chunk->delta. */
int64_t merge_count_signs(const struct merge_step *step,
                          const struct merge_chunk *chunk);

#endif
