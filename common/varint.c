#include "common/varint.h"

#include <stddef.h>

enum { BITS = 7, MORE = 1 << BITS, MOST = 10 /* bytes of 64 bits */ };

struct status varint_put(struct buf *bytes, uint64_t value)
{
    char text[MOST];
    size_t size = 0;

    for (; value >= MORE; value >>= BITS)
        text[size++] = (char)(value % MORE | MORE);
    text[size++] = (char)value;
    return buf_add(bytes, text, size);
}

bool varint_get(const char **at, const char *end, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (int shift = 0; shift < 64; shift += BITS) {
        uint64_t byte;

        if (*at == end)
            return false;
        byte = (unsigned char)*(*at)++;
        if (shift == 63 && byte > 1)
            return false;
        value |= byte % MORE << shift;
        if (byte < MORE) {
            *ret_value = value;
            return true;
        }
    }
    return false;
}
