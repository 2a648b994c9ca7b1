/* prune_bits.h -- masks of one bit for each element, the lowest first: 0 where
 * a weight is pruned. */
#ifndef SINTER_JOBS_PRUNE_BITS_H
#define SINTER_JOBS_PRUNE_BITS_H

#include "tensor/tensor.h"

/* Elements first ... first + count - 1 of a tensor, those that are pruned as
 * 0. */
void prune_copy_bits(const struct tensor *t, const uint8_t *bits,
                     uint64_t first, uint64_t count, void *ret_weights);

#endif
