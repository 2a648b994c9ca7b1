/* merge_draw.h -- which elements a random drop keeps.
 *
 * Every element has one uniform draw, whatever its rate: masks of growing
 * keep probabilities nest, and one draw serves all points of a run. */
#ifndef SINTER_JOBS_MERGE_DRAW_H
#define SINTER_JOBS_MERGE_DRAW_H

#include "common/philox.h"

#include <stddef.h>
#include <stdint.h>

/* How a uniform draw u is read. Our own draws drop below the rate. */
enum merge_draw_rule {
    MERGE_DROP_BELOW_RATE,    /* drop where u < 1 - keep probability */
    MERGE_KEEP_BELOW_DENSITY, /* keep where u < keep probability */
};

/* draws[i] is the uniform draw of element first + i (philox.h), in [0, 1).
 * `first` is a multiple of 4. The same as philox_uniform(), but many counters
 * at a time. */
void merge_draw(struct philox_key key, uint64_t first, size_t count,
                float *draws);
/* The same from `count` draws that somebody else made: u, or -u where low
 * ones are kept, so that under either rule high ones are. Rows may be one. */
void merge_draw_given(const float *given, enum merge_draw_rule rule,
                      size_t count, float *draws);
/* An element is kept with probability `keep` where its draw is not below
 * this: the least float that is not below 1 - keep, or that is above -keep;
 * what is kept for certain is kept whatever is drawn. */
float merge_threshold(enum merge_draw_rule rule, double keep);

#endif
