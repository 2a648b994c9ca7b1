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

ISA_CLONES
static void draw_batch(struct philox_key key, uint64_t block,
                       float draws[BATCH])
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
    /* Signed: every instruction set converts that. */
    for (size_t i = 0; i < LANES; i++) {
        for (size_t w = 0; w < WORDS; w++)
            draws[WORDS * i + w] =
                (float)(int32_t)(b.word[w][i] >> 8) * 0x1p-24F;
    }
}

void merge_draw(struct philox_key key, uint64_t first, size_t count,
                float *draws)
{
    float rest[BATCH];
    size_t i = 0;

    for (; i + BATCH <= count; i += BATCH)
        draw_batch(key, (first + i) / WORDS, draws + i);
    if (i == count)
        return;
    draw_batch(key, (first + i) / WORDS, rest);
    memcpy(draws + i, rest, (count - i) * sizeof *draws);
}

void merge_draw_given(const float *given, enum merge_draw_rule rule,
                      size_t count, float *draws)
{
    for (size_t i = 0; i < count; i++)
        draws[i] = rule == MERGE_KEEP_BELOW_DENSITY ? -given[i] : given[i];
}

float merge_threshold(enum merge_draw_rule rule, double keep)
{
    double least = rule == MERGE_KEEP_BELOW_DENSITY ? -keep : 1.0 - keep;
    float threshold = (float)least;

    if (keep >= 1.0)
        return -HUGE_VALF;
    if ((double)threshold < least ||
        (rule == MERGE_KEEP_BELOW_DENSITY && (double)threshold == least))
        threshold = nextafterf(threshold, HUGE_VALF);
    return threshold;
}
