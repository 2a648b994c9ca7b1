/* merge_arc.h -- a pair of vectors, and how much is taken of each on the way
 * from one to the other. */
#ifndef SINTER_JOBS_MERGE_ARC_H
#define SINTER_JOBS_MERGE_ARC_H

#include "jobs/merge/merge_method.h"

/* Dot products of the pair. */
struct merge_dots {
    double aa, cc, ac;
};
enum { MERGE_DOTS = 3 };

struct merge_arc {
    double a, c;
};

/* By `t`, straight if the vectors point (almost) the same or opposite ways. */
struct merge_arc merge_arc_slerp(const struct merge_step *step,
                                 const struct merge_dots *dots);
/* By the weights, straight if there is no angle at all. */
struct merge_arc merge_arc_nuslerp(const struct merge_step *step,
                                   const struct merge_dots *dots);

/* The two of a chunk; their deltas if there is a base. */
void merge_arc_load(const struct merge_chunk *chunk, const float *ret_pair[2]);
/* Elements at ... at + count - 1, on top of the base if there is one. */
void merge_arc_write(struct merge_arc arc, const struct merge_chunk *chunk,
                     float *out, size_t at, size_t count);

/* Where all models but one skip a tensor, nothing is left to mix. */
static inline bool merge_arc_is_pair(const struct merge_step *step)
{
    return step->models == 2;
}

#endif
