/* elementary_vector.h -- the functions of elementary.h for kernels that keep
 * their numbers in registers: a group at a time, the same bits. Each step is
 * taken for all vectors of a group before the next one: they hide each other's
 * latency, which a processor's queue is too short to do by itself. Vectors of
 * this width have no comparison that compilers do well: magnitudes are compared
 * by the sign of a difference of their bits. */
#ifndef SINTER_TENSOR_ELEMENTARY_VECTOR_H
#define SINTER_TENSOR_ELEMENTARY_VECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum {
    ELEMENTARY_WIDTH = 8,
    ELEMENTARY_VECTORS = 2,
    ELEMENTARY_GROUP = ELEMENTARY_WIDTH * ELEMENTARY_VECTORS,
};

typedef double elementary_doubles
    __attribute__((vector_size(ELEMENTARY_WIDTH * sizeof(double))));
typedef int64_t elementary_truths
    __attribute__((vector_size(ELEMENTARY_WIDTH * sizeof(int64_t))));

/* Inlined everywhere, because a clone calls nothing that was compiled for
 * less; vectors go through pointers, whose passing all compilers agree on. */
#define ELEMENTARY_INLINE  static inline __attribute__((always_inline))
#define ELEMENTARY_EACH(v) for (size_t v = 0; v < ELEMENTARY_VECTORS; v++)

/* x = n log 2 + r, |r| <= log 2 / 2; log 2 in two parts, n times the first of
 * which is exact. Adding `whole` rounds to whole numbers and leaves them in
 * the low bits, from where ret_power, 2^n, takes its exponent. */
ELEMENTARY_INLINE void elementary_split(const elementary_doubles *x,
                                        elementary_doubles *ret_r,
                                        elementary_doubles *ret_power)
{
    static const double whole = 0x1.8p52;
    const elementary_truths one =
        (elementary_truths)((elementary_doubles){ 0.0 } + 1.0);
    elementary_doubles shifted[ELEMENTARY_VECTORS];

    ELEMENTARY_EACH(v) shifted[v] = x[v] * 0x1.71547652b82fep0 + whole;
    ELEMENTARY_EACH(v)
    {
        elementary_doubles n = shifted[v] - whole;

        ret_r[v] =
            (x[v] - n * 0x1.62e42fefa3800p-1) - n * 0x1.ef35793c76730p-45;
        ret_power[v] =
            (elementary_doubles)(((elementary_truths)shifted[v] << 52) + one);
    }
}

/* (e^r - 1 - r) / r^2 by its series, even and odd powers apart: two short
 * chains instead of a long one. */
ELEMENTARY_INLINE void elementary_series(const elementary_doubles *r,
                                         elementary_doubles *ret_sum)
{
    static const double even[] = {
        1.0 / 2,     1.0 / 24,      1.0 / 720,
        1.0 / 40320, 1.0 / 3628800, 1.0 / 479001600
    };
    static const double odd[] = {
        1.0 / 6,      1.0 / 120,      1.0 / 5040,
        1.0 / 362880, 1.0 / 39916800, 1.0 / 6227020800
    };
    enum { LAST = sizeof even / sizeof even[0] - 1 };
    elementary_doubles square[ELEMENTARY_VECTORS];
    elementary_doubles evens[ELEMENTARY_VECTORS];
    elementary_doubles odds[ELEMENTARY_VECTORS];

    ELEMENTARY_EACH(v)
    {
        square[v] = r[v] * r[v];
        evens[v] = (elementary_doubles){ 0.0 } + even[LAST];
        odds[v] = (elementary_doubles){ 0.0 } + odd[LAST];
    }
    for (size_t k = LAST; k-- > 0;) {
        ELEMENTARY_EACH(v) evens[v] = evens[v] * square[v] + even[k];
        ELEMENTARY_EACH(v) odds[v] = odds[v] * square[v] + odd[k];
    }
    ELEMENTARY_EACH(v) ret_sum[v] = evens[v] + r[v] * odds[v];
}

/* y = e^x, 0 <= x <= 64; `y` may be `x`. */
ELEMENTARY_INLINE void elementary_exp_group(const elementary_doubles *x,
                                            elementary_doubles *y)
{
    elementary_doubles r[ELEMENTARY_VECTORS];
    elementary_doubles power[ELEMENTARY_VECTORS];
    elementary_doubles sum[ELEMENTARY_VECTORS];

    elementary_split(x, r, power);
    elementary_series(r, sum);
    ELEMENTARY_EACH(v)
    y[v] = power[v] * (1.0 + (r[v] + r[v] * r[v] * sum[v]));
}

ELEMENTARY_INLINE void elementary_tanh_small(const elementary_doubles *x,
                                             elementary_doubles *y)
{
    elementary_doubles square[ELEMENTARY_VECTORS];
    elementary_doubles sum[ELEMENTARY_VECTORS];

    ELEMENTARY_EACH(v) square[v] = x[v] * x[v];
    ELEMENTARY_EACH(v) sum[v] = -17.0 / 315.0 + square[v] * (62.0 / 2835.0);
    ELEMENTARY_EACH(v) sum[v] = 2.0 / 15.0 + square[v] * sum[v];
    ELEMENTARY_EACH(v) sum[v] = -1.0 / 3.0 + square[v] * sum[v];
    ELEMENTARY_EACH(v) y[v] = x[v] + x[v] * square[v] * sum[v];
}

/* (e^2x - 1) / (e^2x - 1 + 2) of |x|, where nothing cancels. */
ELEMENTARY_INLINE void elementary_tanh_large(const elementary_doubles *x,
                                             elementary_doubles *y)
{
    static const double saturated = 20.0; /* 1 to the last bit */
    const elementary_truths sign = (elementary_truths){ 0 } + INT64_MIN;
    const elementary_truths most =
        (elementary_truths)((elementary_doubles){ 0.0 } + saturated);
    elementary_doubles size[ELEMENTARY_VECTORS];
    elementary_doubles r[ELEMENTARY_VECTORS];
    elementary_doubles power[ELEMENTARY_VECTORS];
    elementary_doubles sum[ELEMENTARY_VECTORS];

    ELEMENTARY_EACH(v)
    {
        elementary_truths bits = (elementary_truths)x[v] & ~sign;
        /* gcc and clang shift the sign in; comparing costs more. */
        /* cppcheck-suppress shiftTooManyBitsSigned */
        elementary_truths over = (most - bits) >> 63;

        size[v] = (elementary_doubles)((bits & ~over) | (most & over));
        size[v] += size[v];
    }
    elementary_split(size, r, power);
    elementary_series(r, sum);
    ELEMENTARY_EACH(v)
    {
        sum[v] = power[v] * (r[v] + r[v] * r[v] * sum[v]) + (power[v] - 1.0);
        sum[v] /= sum[v] + 2.0;
        y[v] = (elementary_doubles)((elementary_truths)sum[v] |
                                    ((elementary_truths)x[v] & sign));
    }
}

/* By halves: left to itself the compiler takes out number by number. */
ELEMENTARY_INLINE bool elementary_any(const elementary_truths *truths)
{
    typedef int64_t halves __attribute__((vector_size(sizeof *truths / 2)));
    typedef int64_t quarters __attribute__((vector_size(sizeof *truths / 4)));
    halves half[2];
    quarters quarter[2];

    memcpy(half, truths, sizeof half);
    half[0] |= half[1];
    memcpy(quarter, half, sizeof quarter);
    quarter[0] |= quarter[1];
    return (quarter[0][0] | quarter[0][1]) != 0;
}

/* y = tanh(x), any finite x; `y` may be `x`. Groups of small arguments alone
 * are common, and a few terms of the series will do for them. */
ELEMENTARY_INLINE void elementary_tanh_group(const elementary_doubles *x,
                                             elementary_doubles *y)
{
    static const double small = 0.02;
    const elementary_truths sign = (elementary_truths){ 0 } + INT64_MIN;
    const elementary_truths limit =
        (elementary_truths)((elementary_doubles){ 0.0 } + small);
    elementary_doubles near[ELEMENTARY_VECTORS];
    elementary_doubles far[ELEMENTARY_VECTORS];
    elementary_truths large[ELEMENTARY_VECTORS];
    elementary_truths any = { 0 };

    ELEMENTARY_EACH(v)
    {
        /* cppcheck-suppress shiftTooManyBitsSigned */
        large[v] = ~((((elementary_truths)x[v] & ~sign) - limit) >> 63);
        any |= large[v];
    }
    elementary_tanh_small(x, near);
    if (!elementary_any(&any)) {
        ELEMENTARY_EACH(v) y[v] = near[v];
        return;
    }
    elementary_tanh_large(x, far);
    ELEMENTARY_EACH(v)
    y[v] = (elementary_doubles)(((elementary_truths)near[v] & ~large[v]) |
                                ((elementary_truths)far[v] & large[v]));
}

#endif
