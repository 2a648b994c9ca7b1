/* unicode.h -- what sort of character a code point is. */
#ifndef SINTER_MODEL_UNICODE_H
#define SINTER_MODEL_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct unicode_range {
    uint32_t first, last;
};

/* Sorted; model/unicode_ranges.c is generated. */
extern const struct unicode_range unicode_letters[]; /* category L */
extern const struct unicode_range unicode_numbers[]; /* category N */
/* A text without these is in normal form C. */
extern const struct unicode_range unicode_not_composed[];
extern const size_t unicode_letters_count, unicode_numbers_count,
    unicode_not_composed_count;

enum unicode_sort {
    UNICODE_OTHER,
    UNICODE_LETTER,
    UNICODE_NUMBER,
    UNICODE_SPACE, /* the property White_Space */
};
enum unicode_sort unicode_sort(uint32_t c);
bool unicode_is_composed(uint32_t c);

/* The code point at `at` and how many bytes it takes, 1 to 4. A byte that
 * begins none stands for itself, as something beyond all code points. */
uint32_t unicode_next(const unsigned char *at, size_t left, size_t *ret_size);

#endif
