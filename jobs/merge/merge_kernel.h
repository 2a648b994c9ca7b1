/* merge_kernel.h -- methods that merge task vectors: of all models the sum, or
 * what agrees with an elected sign. Differences are float32, sums float64 with
 * the models in their order, and each operation is rounded on its own: the
 * same bits on every machine. Methods of merging, 1.1, 1.4, 1.5. */
#ifndef SINTER_JOBS_MERGE_KERNEL_H
#define SINTER_JOBS_MERGE_KERNEL_H

#include "jobs/merge/merge_method.h"

/* out = b + lambda sum w_i d_i; when normalize the sum is divided by sum w_i,
 * unless that is below 1e-8. d_i is what the drop left of the delta. */
void merge_combine_sum(const struct merge_step *step,
                       const struct merge_chunk *chunk);
void merge_combine_sum_points(const struct merge_step *steps, size_t points,
                              const struct merge_chunk *chunk);
/* The same of what the survey's trim left. */
void merge_combine_trimmed(const struct merge_step *step,
                           const struct merge_chunk *chunk);
void merge_combine_trimmed_points(const struct merge_step *steps, size_t points,
                                  const struct merge_chunk *chunk);

/* The sign of sum w_i d_i is elected, a sum of 0 counts as plus; what has that
 * sign is added, when normalize divided by its weights. d_i is what drop and
 * trim left. */
void merge_combine_elect(const struct merge_step *step,
                         const struct merge_chunk *chunk);
void merge_combine_elect_points(const struct merge_step *steps, size_t points,
                                const struct merge_chunk *chunk);

/* Unweighted; a sum of 0 takes the sign that most elements of the model elect,
 * and if there is none, nothing (MergeLM) or minus (original). Of what was
 * elected the mean, sum or largest. */
void merge_combine_majority(const struct merge_step *step,
                            const struct merge_chunk *chunk);
void merge_combine_majority_points(const struct merge_step *steps,
                                   size_t points,
                                   const struct merge_chunk *chunk);

/* The sum, and the election, of chunk->delta, which the caller has made. */
void merge_sum_deltas(const struct merge_step *step,
                      const struct merge_chunk *chunk);
void merge_elect_deltas(const struct merge_step *step,
                        const struct merge_chunk *chunk);

/* Adds to signs[p] the sum of the signs that the elements of a chunk elect,
 * unweighted, after the survey's trim of point p. */
void merge_count_signs(const struct merge_step *steps, size_t points,
                       const struct merge_chunk *chunk, int64_t *signs);

#endif
