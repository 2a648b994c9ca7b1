#include "jobs/merge/merge_draw.h"

#include <math.h>
#include <string.h>

#include "tensor/isa.h"

/* Counters that go through the rounds side by side: enough chains of
 * multiplications to hide their latency (0.7 ns an element; 1.2 with 16). */
enum { LANES = 64, WORDS = 4, BATCH = LANES * WORDS, ROUNDS = 10 };

struct batch {
    uint32_t word[WORDS][LANES];
};

static inline void one_round(struct batch *b, uint32_t k0, uint32_t k1)
{
    for (size_t i = 0; i < LANES; i++) {
        uint64_t low = UINT64_C(0xD2511F53) * b->word[0][i];
        uint64_t high = UINT64_C(0xCD9E8D57) * b->word[2][i];

        b->word[0][i] = (uint32_t)(high >> 32) ^ b->word[1][i] ^ k0;
        b->word[1][i] = (uint32_t)high;
        b->word[2][i] = (uint32_t)(low >> 32) ^ b->word[3][i] ^ k1;
        b->word[3][i] = (uint32_t)low;
    }
}

/* u = (word >> 8) 2^-24 < rate, as whole numbers: word >> 8 < limit. */
ISA_CLONES
static void draw_batch(struct philox_key key, uint64_t block, uint32_t limit,
                       uint32_t keep[BATCH])
{
    struct batch b;
    uint32_t k0 = key.seed;
    uint32_t k1 = key.stream;

    for (size_t i = 0; i < LANES; i++) {
        b.word[0][i] = (uint32_t)(block + i);
        b.word[1][i] = (uint32_t)((block + i) >> 32);
        b.word[2][i] = (uint32_t)key.tensor;
        b.word[3][i] = (uint32_t)(key.tensor >> 32);
    }
    for (int round = 0; round < ROUNDS; round++) {
        one_round(&b, k0, k1);
        k0 += 0x9E3779B9U;
        k1 += 0xBB67AE85U;
    }
    for (size_t i = 0; i < LANES; i++) {
        for (size_t w = 0; w < WORDS; w++)
            keep[WORDS * i + w] = b.word[w][i] >> 8 < limit ? 0 : UINT32_MAX;
    }
}

void merge_draw(struct philox_key key, double density, uint64_t first,
                size_t count, uint32_t *keep)
{
    uint32_t limit = (uint32_t)ceil((1.0 - density) * 0x1p24);
    uint32_t rest[BATCH];
    size_t i = 0;

    for (; i + BATCH <= count; i += BATCH)
        draw_batch(key, (first + i) / WORDS, limit, keep + i);
    if (i == count)
        return;
    draw_batch(key, (first + i) / WORDS, limit, rest);
    memcpy(keep + i, rest, (count - i) * sizeof *keep);
}

void merge_draw_given(const float *draws, enum merge_draw_rule rule,
                      double density, size_t count, uint32_t *keep)
{
    for (size_t i = 0; i < count; i++) {
        double u = (double)draws[i];
        bool kept =
            rule == MERGE_KEEP_BELOW_DENSITY ? u < density : u >= 1.0 - density;

        keep[i] = kept ? UINT32_MAX : 0;
    }
}
