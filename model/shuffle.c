#include "model/shuffle.h"

#include "common/philox.h"

/* Halves of `bits` each are mixed in turn (a Feistel network), which permutes
 * the numbers below 4^bits; whatever comes out too large goes through it
 * again, so that those below `count` are permuted among themselves. */
static uint64_t mix(struct philox_key key, unsigned bits, uint64_t x)
{
    enum { ROUNDS = 6 };
    uint64_t low = (UINT64_C(1) << bits) - 1;
    uint64_t left = x >> bits, right = x & low;

    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t counter[4] = { (uint32_t)right, (uint32_t)(right >> 32),
                                (uint32_t)key.tensor,
                                (uint32_t)(key.tensor >> 32) };
        const uint32_t words[2] = { key.seed, key.stream + i };
        uint32_t out[4];
        uint64_t next;

        philox4x32_10(counter, words, out);
        next = left ^ (((uint64_t)out[0] << 32 | out[1]) & low);
        left = right;
        right = next;
    }
    return left << bits | right;
}

uint64_t shuffle_place(uint32_t seed, uint64_t epoch, uint64_t count,
                       uint64_t at)
{
    struct philox_key key = { .seed = seed,
                              .stream = philox_hash("shuffle.place"),
                              .tensor = epoch };
    unsigned bits = 1;

    while (bits < 31 && UINT64_C(1) << (2 * bits) < count)
        bits++;
    do
        at = mix(key, bits, at);
    while (at >= count);
    return at;
}
