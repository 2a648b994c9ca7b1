#include "jobs/prune_bits.h"

#include <string.h>

#include "jobs/prune_mask.h"
#include "tensor/isa.h"

/* Bytes of 0 or 1 as bits, eight a byte, and back. */
ISA_CLONES
static void pack(const uint8_t *keep, size_t bytes, uint8_t *bits)
{
    for (size_t i = 0; i < bytes; i++) {
        const uint8_t *k = keep + i * 8;

        bits[i] = (uint8_t)(k[0] | k[1] << 1 | k[2] << 2 | k[3] << 3 |
                            k[4] << 4 | k[5] << 5 | k[6] << 6 | k[7] << 7);
    }
}

ISA_CLONES
static void unpack(const uint8_t *bits, size_t bytes, uint8_t *keep)
{
    for (size_t i = 0; i < bytes; i++)
        for (unsigned k = 0; k < 8; k++)
            keep[i * 8 + k] = bits[i] >> k & 1;
}

/* Up to the next whole byte. */
static size_t head_of(uint64_t first, size_t count)
{
    size_t head = (size_t)((8 - first % 8) % 8);

    return head < count ? head : count;
}

void prune_put_bits(uint8_t *bits, uint64_t first, const uint8_t *keep,
                    size_t count)
{
    size_t head = head_of(first, count), whole = (count - head) / 8;

    for (size_t i = 0; i < head; i++)
        bits[(first + i) / 8] |= (uint8_t)(keep[i] << (first + i) % 8);
    pack(keep + head, whole, bits + (first + head) / 8);
    for (size_t i = head + whole * 8; i < count; i++)
        bits[(first + i) / 8] |= (uint8_t)(keep[i] << (first + i) % 8);
}

void prune_take_bits(const uint8_t *bits, uint64_t first, size_t count,
                     uint8_t *ret_keep)
{
    size_t head = head_of(first, count), whole = (count - head) / 8;

    for (size_t i = 0; i < head; i++)
        ret_keep[i] = bits[(first + i) / 8] >> (first + i) % 8 & 1;
    unpack(bits + (first + head) / 8, whole, ret_keep + head);
    for (size_t i = head + whole * 8; i < count; i++)
        ret_keep[i] = bits[(first + i) / 8] >> (first + i) % 8 & 1;
}

void prune_copy_bits(const struct tensor *t, const uint8_t *bits,
                     uint64_t first, uint64_t count, void *ret_weights)
{
    enum { PIECE = 4096 };
    size_t size = dtype_size(t->dtype);
    uint8_t keep[PIECE];

    for (uint64_t at = 0; at < count; at += PIECE) {
        size_t some = count - at < PIECE ? (size_t)(count - at) : PIECE;
        char *to = (char *)ret_weights + at * size;

        prune_take_bits(bits, first + at, some, keep);
        memcpy(to, (const char *)t->data + (first + at) * size, some * size);
        prune_zero(t->dtype, to, keep, some);
    }
}
