/* reduce.h -- sums in float64 whose bits depend on the data alone.
 *
 * A row is cut into chunks of REDUCE_CHUNK elements. Within a chunk element i
 * adds to lane i % REDUCE_LANES, in order; the lanes are then added in
 * halves: lane l takes lane l + 8, then l + 4, l + 2, l + 1. The total is
 * the sum of the chunks from first to last. So threads may take chunks as
 * they like, if somebody adds their results in order. */
#ifndef SINTER_TENSOR_REDUCE_H
#define SINTER_TENSOR_REDUCE_H

#include <stddef.h>

enum { REDUCE_CHUNK = 4096, REDUCE_LANES = 16 };

enum reduce_kind {
    REDUCE_L1,      /* sum |x| */
    REDUCE_SQUARES, /* sum x^2 */
    REDUCE_DOT,     /* sum x y */
    REDUCE_KINDS
};

/* One chunk: count <= REDUCE_CHUNK. `y` is read only by REDUCE_DOT. */
double reduce_chunk(enum reduce_kind kind, const float *x, const float *y,
                    size_t count);

double reduce_l1(const float *x, size_t count);
double reduce_squares(const float *x, size_t count);
double reduce_l2(const float *x, size_t count); /* sqrt of the squares */
double reduce_dot(const float *x, const float *y, size_t count);

#endif
