/* philox.h -- Philox4x32-10, a counter-based generator: word i of a stream is
 * a function of (key, i) alone, so draws do not depend on threads, shards or
 * order.
 *
 * Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011. Convention of this program:
 * key = (seed, stream), counter = (block low, block high, tensor hash low,
 * tensor hash high), block = element / 4; u = (word >> 8) * 2^-24. */
#ifndef SINTER_COMMON_PHILOX_H
#define SINTER_COMMON_PHILOX_H

#include <stddef.h>
#include <stdint.h>

struct philox_key {
    uint32_t seed;
    uint32_t stream; /* which model, which use: philox_hash() of its name */
    uint64_t tensor; /* philox_hash64() of the tensor's name, or 0 */
};

void philox4x32_10(const uint32_t counter[4], const uint32_t key[2],
                   uint32_t out[4]);

/* Uniform draws in [0, 1) with 24 bits for elements first ... first+count-1.
 * `first` is a multiple of 4. */
void philox_uniform(struct philox_key key, uint64_t first, size_t count,
                    float *out);
/* The word of one element. */
uint32_t philox_word(struct philox_key key, uint64_t element);
/* The words of elements 2 * pair (high half) and 2 * pair + 1. */
uint64_t philox_pair(struct philox_key key, uint64_t pair);
/* Whole number in [0, bound), bound > 0, from one element's word; the bias is
 * below bound / 2^32. */
uint32_t philox_below(struct philox_key key, uint64_t element, uint32_t bound);
/* Standard normal draws by Box-Muller of pairs of elements. */
float philox_normal(struct philox_key key, uint64_t element);

/* FNV-1a of a name, folded to 32 bits for philox_hash(). */
uint64_t philox_hash64(const char *name);
uint32_t philox_hash(const char *name);

#endif
