#include "broker/core/crowd.h"

#include "common/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_BITS = 64 };

bool crowd_has(const struct crowd *c, size_t number)
{
    return number / WORD_BITS < c->size &&
           (c->words[number / WORD_BITS] >> number % WORD_BITS & 1) != 0;
}

void crowd_put(struct crowd *c, size_t number)
{
    size_t word = number / WORD_BITS;

    if (crowd_has(c, number))
        return;
    if (word >= c->size) {
        c->words = xrealloc(c->words, (word + 1) * sizeof *c->words);
        memset(c->words + c->size, 0, (word + 1 - c->size) * sizeof *c->words);
        c->size = word + 1;
    }
    c->words[word] |= UINT64_C(1) << number % WORD_BITS;
    c->count++;
}

void crowd_drop(struct crowd *c, size_t number)
{
    if (!crowd_has(c, number))
        return;
    c->words[number / WORD_BITS] &= ~(UINT64_C(1) << number % WORD_BITS);
    c->count--;
}

size_t crowd_next(const struct crowd *c, size_t number)
{
    size_t word = number / WORD_BITS;
    uint64_t mask = UINT64_MAX << number % WORD_BITS;

    assert(c->count > 0);
    for (;; word++, mask = UINT64_MAX) {
        if (word >= c->size) {
            word = 0;
            mask = UINT64_MAX;
        }
        if ((c->words[word] & mask) != 0)
            return word * WORD_BITS +
                   (size_t)__builtin_ctzll(c->words[word] & mask);
    }
}

size_t crowd_vacancy(const struct crowd *c)
{
    size_t number = 0;

    while (number / WORD_BITS < c->size &&
           c->words[number / WORD_BITS] == UINT64_MAX)
        number += WORD_BITS;
    while (crowd_has(c, number))
        number++;
    return number;
}

void crowd_release(struct crowd *c)
{
    free(c->words);
    *c = (struct crowd){ 0 };
}
