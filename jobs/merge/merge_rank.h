/* merge_rank.h -- the order of magnitudes within rows in memory. */
#ifndef SINTER_JOBS_MERGE_RANK_H
#define SINTER_JOBS_MERGE_RANK_H

#include "jobs/merge/merge_method.h"

/* ranks[i]: how many of the row are smaller than |x[i]|, or equal to it and
 * before i. NaN ranks above infinity. `scratch` has room for 2 x count. */
void merge_rank(const float *x, size_t count, uint32_t *ranks,
                uint64_t *scratch);

/* The deltas of a chunk of rows with their ranks, and room for what a method
 * makes of them. All but `models` is zero before the first use. */
struct merge_ranked {
    size_t models;
    size_t room;     /* elements; 0: no memory yet */
    uint32_t *ranks; /* of model i at i x room; within each row */
    float *kept;     /* the same, for the method */
    uint64_t *scratch;
};
void merge_ranked_release(struct merge_ranked *r);
/* Sets chunk->delta and the ranks of all models. */
void merge_ranked_load(struct merge_ranked *r, const struct merge_step *step,
                       const struct merge_chunk *chunk);

#endif
