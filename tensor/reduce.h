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
    REDUCE_SUM,     /* sum x */
    REDUCE_L1,      /* sum |x| */
    REDUCE_SQUARES, /* sum x^2 */
    REDUCE_DOT,     /* sum x y */
    REDUCE_KINDS
};

/* One chunk: count <= REDUCE_CHUNK. `y` is read only by REDUCE_DOT. */
double reduce_chunk(enum reduce_kind kind, const float *x, const float *y,
                    size_t count);

double reduce_sum(const float *x, size_t count);
double reduce_l1(const float *x, size_t count);
double reduce_squares(const float *x, size_t count);
double reduce_l2(const float *x, size_t count); /* sqrt of the squares */
double reduce_dot(const float *x, const float *y, size_t count);

/* The same total from pieces of any size. */
struct reduce_stream {
    enum reduce_kind kind;
    double total; /* of whole chunks */
    size_t held;  /* elements of the chunk that is not whole */
    float x[REDUCE_CHUNK];
    float y[REDUCE_CHUNK];
};

void reduce_init(struct reduce_stream *r, enum reduce_kind kind);
void reduce_add(struct reduce_stream *r, const float *x, const float *y,
                size_t count);
double reduce_total(const struct reduce_stream *r);

/* NaN if there is one; 0 of nothing. */
float reduce_max_abs(const float *x, size_t count);
/* NaN only if all are; infinity of nothing. */
float reduce_min_abs(const float *x, size_t count);

#endif
