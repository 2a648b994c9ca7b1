/* shuffle.h -- the order in which an epoch takes its items, without a list of
 * them. */
#ifndef SINTER_MODEL_SHUFFLE_H
#define SINTER_MODEL_SHUFFLE_H

#include <stdint.h>

/* Which of `count` items, at most 2^62, comes as number `at` of an epoch: a
 * permutation that is a function of (seed, epoch). */
uint64_t shuffle_place(uint32_t seed, uint64_t epoch, uint64_t count,
                       uint64_t at);

#endif
