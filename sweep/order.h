/* order.h -- in which order the points of a finite space come, one by one and
 * without a list of them. Pure.
 *
 * Coarse to fine: ends of each axis first, then middles, quarters and so on,
 * over all axes together, so that any first part covers the whole space. */
#ifndef SINTER_SWEEP_ORDER_H
#define SINTER_SWEEP_ORDER_H

#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

struct order; /* opaque */

struct order_axis {
    uint32_t size; /* at least 1 */
    bool ordered;  /* numbers; else all values are equally coarse */
};

/* TOO_BIG when the product of the sizes passes ORDER_MOST. */
#define ORDER_MOST (UINT64_C(1) << 53)
MUST_CHECK struct status order_new(const struct order_axis *axes, size_t count,
                                   struct order **ret_order);
void order_free(struct order *o); /* NULL is fine */

uint64_t order_count(const struct order *o);
/* Point i < order_count(): an index into each axis. */
void order_point(const struct order *o, uint64_t i, uint32_t *ret_indices);

/* The i-th number of a random permutation of 0 ... count-1. */
uint64_t order_shuffle(uint32_t seed, uint64_t count, uint64_t i);

#endif
