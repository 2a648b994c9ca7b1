#include "model/unicode_fold.h"

#include <stdlib.h>

/* Where Hangul's syllables lie, and what they are made of. */
enum {
    SYLLABLES = 0xAC00,
    SYLLABLES_COUNT = 11172,
    LEADS = 0x1100,
    VOWELS = 0x1161,
    TAILS = 0x11A7, /* the first of them is none */
    VOWELS_COUNT = 21,
    TAILS_COUNT = 28,
};

static int by_range(const void *key, const void *element)
{
    const struct unicode_range *r = element;
    uint32_t c = *(const uint32_t *)key;

    return c < r->first ? -1 : c > r->last;
}

static int by_run(const void *key, const void *element)
{
    const struct unicode_run *r = element;
    uint32_t c = *(const uint32_t *)key;

    return c < r->first ? -1 : c > r->last;
}

static int by_code_point(const void *key, const void *element)
{
    const struct unicode_parts *p = element;
    uint32_t c = *(const uint32_t *)key;

    return c < p->from ? -1 : c > p->from;
}

static bool is_among(const struct unicode_range *ranges, size_t count,
                     uint32_t c)
{
    return bsearch(&c, ranges, count, sizeof(*ranges), by_range) != NULL;
}

static size_t split_syllable(uint32_t c, uint32_t *ret_folded)
{
    uint32_t at = c - SYLLABLES, tail = at % TAILS_COUNT;

    ret_folded[0] = LEADS + at / (VOWELS_COUNT * TAILS_COUNT);
    ret_folded[1] = VOWELS + at / TAILS_COUNT % VOWELS_COUNT;
    ret_folded[2] = TAILS + tail;
    return tail == 0 ? 2 : 3;
}

static size_t split_parts(const struct unicode_parts *p, uint32_t *ret_folded)
{
    size_t count = 0;

    while (count < 3 && p->to[count] != 0) {
        ret_folded[count] = p->to[count];
        count++;
    }
    return count;
}

size_t unicode_fold(uint32_t c, uint32_t ret_folded[UNICODE_FOLDED])
{
    const struct unicode_run *run =
        bsearch(&c, unicode_runs, unicode_runs_count, sizeof(*run), by_run);
    const struct unicode_parts *parts =
        bsearch(&c, unicode_parted, unicode_parted_count, sizeof(*parts),
                by_code_point);

    if (c >= SYLLABLES && c < SYLLABLES + SYLLABLES_COUNT)
        return split_syllable(c, ret_folded);
    if (parts != NULL)
        return split_parts(parts, ret_folded);
    if (is_among(unicode_marks, unicode_marks_count, c))
        return 0;
    ret_folded[0] = c;
    if (run != NULL && (c - run->first) % run->step == 0)
        ret_folded[0] = run->to + (c - run->first) / run->step * run->rise;
    return 1;
}

bool unicode_is_punctuation(uint32_t c)
{
    if (c < 0x80)
        return c > ' ' && c < 0x7F && unicode_sort(c) == UNICODE_OTHER;
    return is_among(unicode_punctuation, unicode_punctuation_count, c);
}

bool unicode_is_control(uint32_t c)
{
    return c != '\t' && c != '\n' && c != '\r' &&
           is_among(unicode_controls, unicode_controls_count, c);
}
