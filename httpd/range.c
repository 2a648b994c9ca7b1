#include "httpd/range.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Decimal digits at *at, which moves behind them. False: none, or more than
 * 18 of them. */
static bool read_number(const char **at, uint64_t *ret_number)
{
    enum { DIGITS_MOST = 18 };
    size_t digits = strspn(*at, "0123456789");
    uint64_t number = 0;

    if (digits == 0 || digits > DIGITS_MOST)
        return false;
    for (size_t i = 0; i < digits; i++)
        number = 10 * number + (uint64_t)((*at)[i] - '0');
    *at += digits;
    *ret_number = number;
    return true;
}

static struct httpd_range part(uint64_t first, uint64_t last, uint64_t size)
{
    if (first >= size)
        return (struct httpd_range){ .sort = RANGE_BEYOND };
    if (last >= size)
        last = size - 1;
    return (struct httpd_range){ .sort = RANGE_PART,
                                 .first = first,
                                 .size = last - first + 1 };
}

struct httpd_range httpd_range_parse(const char *header, uint64_t size)
{
    static const char unit[] = "bytes=";
    const struct httpd_range whole = { .sort = RANGE_WHOLE, .size = size };
    uint64_t first = 0;
    uint64_t last = UINT64_MAX;
    bool has_first;
    bool has_last;

    if (header == NULL || strncmp(header, unit, strlen(unit)) != 0)
        return whole;
    header += strlen(unit);
    has_first = read_number(&header, &first);
    if (*header++ != '-')
        return whole;
    has_last = read_number(&header, &last);
    if (*header != '\0' || (!has_first && !has_last))
        return whole;
    if (!has_first && last == 0)
        return (struct httpd_range){ .sort = RANGE_BEYOND };
    if (!has_first) /* the last so many bytes */
        return part(last < size ? size - last : 0, size, size);
    return last < first ? whole : part(first, last, size);
}
