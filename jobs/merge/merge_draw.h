/* merge_draw.h -- which elements a random drop keeps. */
#ifndef SINTER_JOBS_MERGE_DRAW_H
#define SINTER_JOBS_MERGE_DRAW_H

#include "common/philox.h"

#include <stdbool.h>

/* keep[i] is 0 where the uniform draw of element first + i (philox.h) is
 * below 1 - density, else all ones. `first` is a multiple of 4. Element for
 * element the same as philox_uniform(), but many counters at a time. */
void merge_draw(struct philox_key key, double density, uint64_t first,
                size_t count, uint32_t *keep);

/* How draws that somebody else made are to be read. */
enum merge_draw_rule {
    MERGE_DROP_BELOW_RATE,    /* drop where u < 1 - density */
    MERGE_KEEP_BELOW_DENSITY, /* keep where u < density */
};

/* The same from `count` given draws. */
void merge_draw_given(const float *draws, enum merge_draw_rule rule,
                      double density, size_t count, uint32_t *keep);

#endif
