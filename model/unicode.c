#include "model/unicode.h"

#include "common/macros.h"
#include "common/utf8.h"

static const struct unicode_range spaces[] = {
    { 0x09, 0x0D },     { 0x20, 0x20 },     { 0x85, 0x85 },
    { 0xA0, 0xA0 },     { 0x1680, 0x1680 }, { 0x2000, 0x200A },
    { 0x2028, 0x2029 }, { 0x202F, 0x202F }, { 0x205F, 0x205F },
    { 0x3000, 0x3000 },
};

static bool is_among(const struct unicode_range *ranges, size_t count,
                     uint32_t c)
{
    size_t low = 0;

    while (count > 0) {
        size_t half = count / 2;

        if (ranges[low + half].last < c) {
            low += half + 1;
            count -= half + 1;
        } else if (ranges[low + half].first <= c) {
            return true;
        } else {
            count = half;
        }
    }
    return false;
}

static enum unicode_sort ascii_sort(uint32_t c)
{
    if ((c | 0x20U) >= 'a' && (c | 0x20U) <= 'z')
        return UNICODE_LETTER;
    if (c >= '0' && c <= '9')
        return UNICODE_NUMBER;
    return c == ' ' || (c >= 9 && c <= 13) ? UNICODE_SPACE : UNICODE_OTHER;
}

enum unicode_sort unicode_sort(uint32_t c)
{
    if (c < 0x80)
        return ascii_sort(c);
    if (is_among(unicode_letters, unicode_letters_count, c))
        return UNICODE_LETTER;
    if (is_among(unicode_numbers, unicode_numbers_count, c))
        return UNICODE_NUMBER;
    return is_among(spaces, COUNT_OF(spaces), c) ? UNICODE_SPACE
                                                 : UNICODE_OTHER;
}

bool unicode_is_composed(uint32_t c)
{
    return c < 0x80 ||
           !is_among(unicode_not_composed, unicode_not_composed_count, c);
}

uint32_t unicode_next(const unsigned char *at, size_t left, size_t *ret_size)
{
    static const unsigned char masks[] = { 0, 0x7F, 0x1F, 0x0F, 0x07 };
    size_t size = utf8_sequence(at, left);
    uint32_t c;

    if (size == 0) {
        *ret_size = 1;
        return 0x110000U + *at;
    }
    *ret_size = size;
    c = at[0] & masks[size];
    for (size_t i = 1; i < size; i++)
        c = c << 6 | (at[i] & 0x3FU);
    return c;
}
