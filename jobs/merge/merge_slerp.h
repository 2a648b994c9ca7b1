/* merge_slerp.h -- two models, along the arc between them or element by
 * element. Source: mergekit, merge_methods/slerp.py and nuslerp.py. */
#ifndef SINTER_JOBS_MERGE_SLERP_H
#define SINTER_JOBS_MERGE_SLERP_H

#include "jobs/merge/merge_survey.h"

/* Coefficients of the two into step->scale, from the three dot products. */
extern const struct merge_survey merge_survey_slerp;
extern const struct merge_survey merge_survey_nuslerp;
/* Dot products of each column. */
extern const struct merge_survey merge_survey_columns;

/* out = scale[0] a + scale[1] c */
void merge_combine_slerp(const struct merge_step *step,
                         const struct merge_chunk *chunk);
/* The same of task vectors if there is a base, whole, for each row (last
 * axis) or for each column (all that share their place in the last axis). */
void merge_combine_nuslerp(const struct merge_step *step,
                           const struct merge_chunk *chunk);
void merge_combine_nuslerp_points(const struct merge_step *steps, size_t points,
                                  const struct merge_chunk *chunk);
enum merge_cut merge_nuslerp_cut(const struct merge_step *step);
const struct merge_survey *merge_nuslerp_survey(const struct merge_step *step);

/* out = a + w (c - a), w = min(t / max(|a - c|, 1e-6), 1) */
void merge_combine_nearswap(const struct merge_step *step,
                            const struct merge_chunk *chunk);

#endif
