/* prune_bits.h -- masks of one bit for each element, the lowest first: 0 where
 * a weight is pruned. */
#ifndef SINTER_JOBS_PRUNE_BITS_H
#define SINTER_JOBS_PRUNE_BITS_H

#include "tensor/tensor.h"

/* Elements first ... first + count - 1 of a tensor, those that are pruned as
 * 0. */
void prune_copy_bits(const struct tensor *t, const uint8_t *bits,
                     uint64_t first, uint64_t count, void *ret_weights);

/* Elements first ... first + count - 1: 1 where it is kept. */
void prune_take_bits(const uint8_t *bits, uint64_t first, size_t count,
                     uint8_t *ret_keep);
/* What is kept (1, else 0), from element `first` on; there are no bits of it yet. */
void prune_put_bits(uint8_t *bits, uint64_t first, const uint8_t *keep,
                    size_t count);

#endif
