#include "common/philox.h"

#include <math.h>

static inline void one_round(uint32_t c[4], const uint32_t k[2])
{
    uint64_t a = (uint64_t)0xD2511F53U * c[0];
    uint64_t b = (uint64_t)0xCD9E8D57U * c[2];
    uint32_t c1 = c[1];
    uint32_t c3 = c[3];

    c[0] = (uint32_t)(b >> 32) ^ c1 ^ k[0];
    c[1] = (uint32_t)b;
    c[2] = (uint32_t)(a >> 32) ^ c3 ^ k[1];
    c[3] = (uint32_t)a;
}

void philox4x32_10(const uint32_t counter[4], const uint32_t key[2],
                   uint32_t out[4])
{
    enum { ROUNDS = 10 };
    uint32_t k[2] = { key[0], key[1] };

    for (int i = 0; i < 4; i++)
        out[i] = counter[i];
    for (int round = 0; round < ROUNDS; round++) {
        one_round(out, k);
        k[0] += 0x9E3779B9U;
        k[1] += 0xBB67AE85U;
    }
}

static void block(struct philox_key key, uint64_t index, uint32_t out[4])
{
    const uint32_t counter[4] = { (uint32_t)index, (uint32_t)(index >> 32),
                                  (uint32_t)key.tensor,
                                  (uint32_t)(key.tensor >> 32) };
    const uint32_t k[2] = { key.seed, key.stream };

    philox4x32_10(counter, k, out);
}

void philox_uniform(struct philox_key key, uint64_t first, size_t count,
                    float *out)
{
    uint32_t words[4];

    for (size_t i = 0; i < count; i++) {
        if (i % 4 == 0)
            block(key, (first + i) / 4, words);
        out[i] = (float)(words[i % 4] >> 8) * 0x1p-24F;
    }
}

uint32_t philox_word(struct philox_key key, uint64_t element)
{
    uint32_t words[4];

    block(key, element / 4, words);
    return words[element % 4];
}

uint64_t philox_pair(struct philox_key key, uint64_t pair)
{
    uint32_t words[4];
    size_t at = pair % 2 * 2;

    block(key, pair / 2, words);
    return (uint64_t)words[at] << 32 | words[at + 1];
}

uint32_t philox_below(struct philox_key key, uint64_t element, uint32_t bound)
{
    return (uint32_t)((uint64_t)philox_word(key, element) * bound >> 32);
}

float philox_normal(struct philox_key key, uint64_t element)
{
    const double two_pi = 6.283185307179586;
    /* The first of a pair is never 0, so its logarithm exists. */
    double u =
        ((double)philox_word(key, element & ~UINT64_C(1)) + 0.5) * 0x1p-32;
    double v = (double)philox_word(key, element | 1) * 0x1p-32;
    double radius = sqrt(-2.0 * log(u));

    return (float)(radius *
                   (element % 2 == 0 ? cos(two_pi * v) : sin(two_pi * v)));
}

uint64_t philox_hash64(const char *name)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (; *name != '\0'; name++) {
        h ^= (unsigned char)*name;
        h *= UINT64_C(0x100000001b3);
    }
    return h;
}

uint32_t philox_hash(const char *name)
{
    uint64_t h = philox_hash64(name);

    return (uint32_t)(h ^ h >> 32);
}
