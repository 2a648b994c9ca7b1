#include "tensor/dtype.h"

#include <assert.h>
#include <string.h>

#include "common/macros.h"
#include "tensor/isa.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "safetensors is little-endian, and so are its readers here");

static const struct {
    const char *name;
    const char *alias; /* as configs write it; NULL: none */
    size_t size;
    bool is_float;
} rows[] = {
    [DTYPE_F64] = { "F64", "float64", 8, true },
    [DTYPE_F32] = { "F32", "float32", 4, true },
    [DTYPE_F16] = { "F16", "float16", 2, true },
    [DTYPE_BF16] = { "BF16", "bfloat16", 2, true },
    [DTYPE_I64] = { "I64", NULL, 8, false },
    [DTYPE_I32] = { "I32", NULL, 4, false },
    [DTYPE_I16] = { "I16", NULL, 2, false },
    [DTYPE_I8] = { "I8", NULL, 1, false },
    [DTYPE_U8] = { "U8", NULL, 1, false },
    [DTYPE_BOOL] = { "BOOL", NULL, 1, false },
    [DTYPE_U64] = { "U64", NULL, 8, false },
    [DTYPE_U32] = { "U32", NULL, 4, false },
    [DTYPE_U16] = { "U16", NULL, 2, false },
};
_Static_assert(COUNT_OF(rows) == DTYPE_COUNT, "a row for each dtype");

size_t dtype_size(enum dtype d)
{
    return rows[d].size;
}

const char *dtype_name(enum dtype d)
{
    return rows[d].name;
}

bool dtype_is_float(enum dtype d)
{
    return rows[d].is_float;
}

static bool same(const char *known, const char *name, size_t size)
{
    return known != NULL && strlen(known) == size &&
           memcmp(known, name, size) == 0;
}

bool dtype_find(const char *name, size_t size, enum dtype *ret_dtype)
{
    for (int d = 0; d < DTYPE_COUNT; d++) {
        if (same(rows[d].name, name, size) || same(rows[d].alias, name, size)) {
            *ret_dtype = (enum dtype)d;
            return true;
        }
    }
    return false;
}

/* Elements at any address: tensors follow headers of any length. */
#define LOOSE __attribute__((packed, may_alias))

struct loose16 {
    uint16_t bits;
} LOOSE;

struct loose32 {
    uint32_t bits;
} LOOSE;

struct loose64 {
    uint64_t bits;
} LOOSE;

struct loose_double {
    double value;
} LOOSE;

struct loose_float {
    float value;
} LOOSE;

static inline float float_of(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t bits_of(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

enum {
    F32_SIGN_SHIFT = 16,   /* from bit 31 to bit 15 */
    F16_EXPONENT = 0x7c00, /* all ones: infinity or NaN */
    F16_MAGNITUDE = 0x7fff,
    F16_CUT = 23 - 10, /* mantissa bits an F16 does not have */
    F32_INFINITY = 0x7f800000,
    F32_MAGNITUDE = 0x7fffffff,
    F16_QUIET = 0x7e00,
    F16_OVERFLOW = 143 << 23, /* 2^16 as F32 bits */
    F16_SMALLEST = 113 << 23, /* 2^-14, below are the subnormals */
    F16_REBIAS = (127 - 15) << 23,
    BF16_QUIET = 0x0040,
};

/* The multiplication moves the exponent, of subnormals too, and is exact. */
static inline uint32_t widen_f16(uint32_t half)
{
    const float rebias = 0x1p112F;
    uint32_t magnitude = half & F16_MAGNITUDE;
    uint32_t finite = bits_of(float_of(magnitude << F16_CUT) * rebias);
    uint32_t special = (magnitude << F16_CUT) | F32_INFINITY;

    return (magnitude >= F16_EXPONENT ? special : finite) |
           ((half & ~(uint32_t)F16_MAGNITUDE) << F32_SIGN_SHIFT);
}

/* Round to nearest even thrice: normal numbers by integer carry, subnormals
 * by adding 0.5, whose last place is the smallest F16; 65520 and above carry
 * into the exponent of infinity by themselves. */
static inline uint32_t narrow_f16(uint32_t bits)
{
    const float half = 0.5F;
    uint32_t sign = (bits >> F32_SIGN_SHIFT) & 0x8000;
    uint32_t magnitude = bits & F32_MAGNITUDE;
    uint32_t odd = (magnitude >> F16_CUT) & 1;
    uint32_t normal = (magnitude - F16_REBIAS + 0xfff + odd) >> F16_CUT;
    uint32_t small = bits_of(float_of(magnitude) + half) - bits_of(half);
    uint32_t nan = F16_QUIET | ((magnitude >> F16_CUT) & 0x3ff);
    uint32_t result = magnitude < F16_SMALLEST ? small : normal;

    result = magnitude >= F16_OVERFLOW ? F16_EXPONENT : result;
    return sign | (magnitude > F32_INFINITY ? nan : result);
}

static inline uint32_t narrow_bf16(uint32_t bits)
{
    uint32_t odd = (bits >> 16) & 1;
    uint32_t rounded = (bits + 0x7fff + odd) >> 16;
    uint32_t nan = (bits >> 16) | BF16_QUIET;

    return (bits & F32_MAGNITUDE) > F32_INFINITY ? nan : rounded;
}

ISA_CLONES
static void bf16_to_f32(const struct loose16 *source, struct loose32 *target,
                        size_t count)
{
    for (size_t i = 0; i < count; i++)
        target[i].bits = (uint32_t)source[i].bits << 16;
}

ISA_CLONES
static void f16_to_f32(const struct loose16 *source, struct loose32 *target,
                       size_t count)
{
    for (size_t i = 0; i < count; i++)
        target[i].bits = widen_f16(source[i].bits);
}

ISA_CLONES
static void f64_to_f32(const struct loose_double *source,
                       struct loose_float *target, size_t count)
{
    for (size_t i = 0; i < count; i++)
        target[i].value = (float)source[i].value;
}

ISA_CLONES
static void f32_to_bf16(const struct loose32 *source, struct loose16 *target,
                        size_t count)
{
    for (size_t i = 0; i < count; i++)
        target[i].bits = (uint16_t)narrow_bf16(source[i].bits);
}

ISA_CLONES
static void f32_to_f16(const struct loose32 *source, struct loose16 *target,
                       size_t count)
{
    for (size_t i = 0; i < count; i++)
        target[i].bits = (uint16_t)narrow_f16(source[i].bits);
}

ISA_CLONES
static void f32_to_f64(const struct loose_float *source,
                       struct loose_double *target, size_t count)
{
    for (size_t i = 0; i < count; i++)
        target[i].value = (double)source[i].value;
}

static void copy_f32(const void *source, void *target, size_t count)
{
    if (count > 0)
        memcpy(target, source, count * sizeof(float));
}

void dtype_to_f32(enum dtype from, const void *source, float *target,
                  size_t count)
{
    void *out = target;

    assert(dtype_is_float(from));
    if (from == DTYPE_F32)
        copy_f32(source, out, count);
    else if (from == DTYPE_BF16)
        bf16_to_f32(source, out, count);
    else if (from == DTYPE_F16)
        f16_to_f32(source, out, count);
    else
        f64_to_f32(source, out, count);
}

void dtype_from_f32(enum dtype to, const float *source, void *target,
                    size_t count)
{
    const void *in = source;

    assert(dtype_is_float(to));
    if (to == DTYPE_F32)
        copy_f32(in, target, count);
    else if (to == DTYPE_BF16)
        f32_to_bf16(in, target, count);
    else if (to == DTYPE_F16)
        f32_to_f16(in, target, count);
    else
        f32_to_f64(in, target, count);
}

/* Whether any element has all the bits of `exponent`. */
ISA_CLONES
static bool any16(const struct loose16 *x, size_t count, uint16_t exponent)
{
    uint16_t found = 0; /* no wider than what is compared */

    for (size_t i = 0; i < count; i++)
        found = (uint16_t)(found | ((x[i].bits & exponent) == exponent));
    return found != 0;
}

ISA_CLONES
static bool any32(const struct loose32 *x, size_t count)
{
    uint32_t found = 0;

    for (size_t i = 0; i < count; i++)
        found |= (x[i].bits & F32_INFINITY) == F32_INFINITY;
    return found != 0;
}

ISA_CLONES
static bool any64(const struct loose64 *x, size_t count)
{
    const uint64_t exponent = UINT64_C(0x7ff0000000000000);
    uint64_t found = 0;

    for (size_t i = 0; i < count; i++)
        found |= (x[i].bits & exponent) == exponent;
    return found != 0;
}

static bool any_not_finite(enum dtype d, const void *data, size_t count)
{
    if (d == DTYPE_BF16)
        return any16(data, count, F32_INFINITY >> 16);
    if (d == DTYPE_F16)
        return any16(data, count, F16_EXPONENT);
    if (d == DTYPE_F32)
        return any32(data, count);
    return any64(data, count);
}

size_t dtype_find_not_finite(enum dtype d, const void *data, size_t count)
{
    enum { BLOCK = 4096 };
    const unsigned char *bytes = data;
    size_t size = dtype_size(d);

    assert(dtype_is_float(d));
    for (size_t first = 0; first < count; first += BLOCK) {
        size_t end = count - first < BLOCK ? count : first + BLOCK;

        if (!any_not_finite(d, bytes + first * size, end - first))
            continue;
        while (!any_not_finite(d, bytes + first * size, 1))
            first++;
        return first;
    }
    return count;
}
