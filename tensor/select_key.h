/* select_key.h -- float32 as whole numbers of the same order. Of select.c and
 * select_cut.c alone. */
#ifndef SINTER_TENSOR_SELECT_KEY_H
#define SINTER_TENSOR_SELECT_KEY_H

#include "tensor/select.h"

#include <string.h>

#define SELECT_KEY_MAGNITUDE 0x7fffffffU
#define SELECT_KEY_SIGN      0x80000000U

static inline uint32_t select_bits(const float *x)
{
    uint32_t bits;

    memcpy(&bits, x, sizeof bits);
    return bits;
}

static inline uint32_t select_key_magnitude(uint32_t bits)
{
    return bits & SELECT_KEY_MAGNITUDE;
}

static inline uint32_t select_key_value(uint32_t bits)
{
    bits = bits == SELECT_KEY_SIGN ? 0 : bits;
    return (bits & SELECT_KEY_SIGN) != 0 ? ~bits : bits | SELECT_KEY_SIGN;
}

static inline uint32_t select_key(enum select_order order, float x)
{
    uint32_t bits = select_bits(&x);

    return order == SELECT_MAGNITUDE ? select_key_magnitude(bits)
                                     : select_key_value(bits);
}

/* The float32 of a key. */
static inline float select_value(enum select_order order, uint32_t key)
{
    uint32_t bits = key;
    float value;

    if (order == SELECT_VALUE)
        bits = (key & SELECT_KEY_SIGN) != 0 ? key & ~SELECT_KEY_SIGN : ~key;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#endif
