#include "jobs/prune_bits.h"

#include <string.h>

#include "jobs/prune_mask.h"

void prune_copy_bits(const struct tensor *t, const uint8_t *bits,
                     uint64_t first, uint64_t count, void *ret_weights)
{
    enum { PIECE = 4096 };
    size_t size = dtype_size(t->dtype);
    uint8_t keep[PIECE];

    for (uint64_t at = 0; at < count; at += PIECE) {
        size_t some = count - at < PIECE ? (size_t)(count - at) : PIECE;
        char *to = (char *)ret_weights + at * size;

        for (size_t i = 0; i < some; i++) {
            uint64_t element = first + at + i;

            keep[i] = bits[element / 8] >> element % 8 & 1;
        }
        memcpy(to, (const char *)t->data + (first + at) * size, some * size);
        prune_zero(t->dtype, to, keep, some);
    }
}
