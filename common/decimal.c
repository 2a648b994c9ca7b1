#include "common/decimal.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef unsigned __int128 wide;

/* 10^22 is the last power of ten that is a double: up to there, a quotient of
 * a whole number below 2^53 by it is rounded once, as strtod() would. */
enum { MOST_POWER = 22 };

static const double tens[MOST_POWER + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

static const uint64_t whole_tens[] = {
    UINT64_C(1),
    UINT64_C(10),
    UINT64_C(100),
    UINT64_C(1000),
    UINT64_C(10000),
    UINT64_C(100000),
    UINT64_C(1000000),
    UINT64_C(10000000),
    UINT64_C(100000000),
    UINT64_C(1000000000),
    UINT64_C(10000000000),
    UINT64_C(100000000000),
    UINT64_C(1000000000000),
    UINT64_C(10000000000000),
    UINT64_C(100000000000000),
    UINT64_C(1000000000000000),
};

static const uint64_t fives[MOST_POWER + 1] = {
    UINT64_C(1),
    UINT64_C(5),
    UINT64_C(25),
    UINT64_C(125),
    UINT64_C(625),
    UINT64_C(3125),
    UINT64_C(15625),
    UINT64_C(78125),
    UINT64_C(390625),
    UINT64_C(1953125),
    UINT64_C(9765625),
    UINT64_C(48828125),
    UINT64_C(244140625),
    UINT64_C(1220703125),
    UINT64_C(6103515625),
    UINT64_C(30517578125),
    UINT64_C(152587890625),
    UINT64_C(762939453125),
    UINT64_C(3814697265625),
    UINT64_C(19073486328125),
    UINT64_C(95367431640625),
    UINT64_C(476837158203125),
    UINT64_C(2384185791015625),
};

static const double log10_of_2 = 0.30102999566398114; /* from below */

/* |x| is about mantissa / 10^power. */
struct decimal {
    uint64_t mantissa; /* of exactly the digits that were asked for */
    int power;
};

/* mantissa * 2^exponent * 10^power as a whole number and what is left of it:
 * `rest` of 2^`shift`. False where 128 bits do not hold it. */
static bool scale(uint64_t mantissa, int exponent, int power, wide *ret_rest,
                  int *ret_shift, uint64_t *ret_whole)
{
    enum { MOST_SHIFT = 127 };
    wide product = (wide)mantissa * fives[power];
    int shift = -(exponent + power);

    if (shift < 1 || shift > MOST_SHIFT)
        return false;
    *ret_shift = shift;
    *ret_rest = product & (((wide)1 << shift) - 1);
    *ret_whole = (uint64_t)(product >> shift);
    return true;
}

/* False: not by this way (whole numbers among them). x > 0. */
static bool cut(double x, int digits, struct decimal *ret)
{
    enum { FRACTION_BITS = 52, BIAS = 1075 };
    uint64_t bits;
    uint64_t mantissa;
    uint64_t whole = 0;
    wide rest = 0;
    wide half;
    int exponent;
    int power;
    int shift = 0;

    memcpy(&bits, &x, sizeof bits);
    exponent = (int)(bits >> FRACTION_BITS) - BIAS;
    mantissa = (bits & ((UINT64_C(1) << FRACTION_BITS) - 1)) |
               UINT64_C(1) << FRACTION_BITS;
    /* x >= 2^(exponent + 52): the first try is right or one too far. */
    power = digits - 1 - (int)floor((exponent + FRACTION_BITS) * log10_of_2);
    for (int tries = 0; tries < 2; tries++, power--) {
        if (power < 0 || power > MOST_POWER ||
            !scale(mantissa, exponent, power, &rest, &shift, &whole))
            return false;
        if (whole < whole_tens[digits])
            break;
    }
    if (whole < whole_tens[digits - 1] || whole >= whole_tens[digits])
        return false;
    half = (wide)1 << (shift - 1);
    whole += rest > half || (rest == half && whole % 2 == 1);
    if (whole == whole_tens[digits]) {
        whole /= 10;
        power--;
    }
    *ret = (struct decimal){ .mantissa = whole, .power = power };
    return power >= 0;
}

static double value_of(const struct decimal *d)
{
    return (double)d->mantissa / tens[d->power];
}

double decimal_round(double x, int digits)
{
    struct decimal d;
    char text[DECIMAL_TEXT];

    assert(digits >= 1 && digits <= DECIMAL_EXACT);
    if (!isfinite(x) || x == 0.0)
        return x;
    if (cut(fabs(x), digits, &d))
        return copysign(value_of(&d), x);
    (void)snprintf(text, sizeof text, "%.*g", digits, x);
    return strtod(text, NULL);
}

/* Decimal digits of `n`, most significant first; returns how many. */
static size_t write_whole(uint64_t n, char *text)
{
    char backwards[24];
    size_t count = 0;

    do
        backwards[count++] = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    for (size_t i = 0; i < count; i++)
        text[i] = backwards[count - 1 - i];
    return count;
}

/* "d.ddde-XX"; the first digit stands for 10^first. */
static size_t write_scientific(const char *digits, size_t count, int first,
                               char *text)
{
    size_t size = 0;

    text[size++] = digits[0];
    if (count > 1) {
        text[size++] = '.';
        memcpy(text + size, digits + 1, count - 1);
        size += count - 1;
    }
    text[size++] = 'e';
    text[size++] = '-';
    if (-first < 10)
        text[size++] = '0';
    return size + write_whole((uint64_t)-first, text + size);
}

/* "dd.dd" or "0.00dd". */
static size_t write_fixed(const char *digits, size_t count, int first,
                          char *text)
{
    size_t before = first < 0 ? 0 : (size_t)first + 1;
    size_t zeros = first < 0 ? (size_t)(-first - 1) : 0;
    size_t size = 0;

    if (before == 0)
        text[size++] = '0';
    memcpy(text + size, digits, before);
    size += before;
    text[size++] = '.';
    memset(text + size, '0', zeros);
    size += zeros;
    memcpy(text + size, digits + before, count - before);
    return size + count - before;
}

/* Not a whole number. */
static size_t write_decimal(const struct decimal *d, char *text)
{
    enum { FIXED_FROM = -4 }; /* as "%g" */
    char digits[24];
    size_t count = write_whole(d->mantissa, digits);
    int first = (int)count - 1 - d->power;

    while (count > 1 && digits[count - 1] == '0')
        count--;
    return first < FIXED_FROM ? write_scientific(digits, count, first, text)
                              : write_fixed(digits, count, first, text);
}

static size_t print(double x, int from_digits, char text[DECIMAL_TEXT])
{
    enum { MOST_DIGITS = 17 }; /* always read back */
    int size = 0;

    for (int digits = from_digits; digits <= MOST_DIGITS; digits++) {
        size = snprintf(text, DECIMAL_TEXT, "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            break;
    }
    return (size_t)size;
}

size_t decimal_shortest(double x, char text[DECIMAL_TEXT])
{
    static const double most_whole = 9007199254740992.0; /* 2^53 */
    struct decimal d;
    size_t size = 0;

    if (fabs(x) < most_whole && x == floor(x)) {
        if (x < 0.0)
            text[size++] = '-';
        size += write_whole((uint64_t)fabs(x), text + size);
    } else if (!cut(fabs(x), DECIMAL_EXACT, &d)) {
        return print(x, 1, text);
    } else if (value_of(&d) != fabs(x)) {
        return print(x, DECIMAL_EXACT + 1, text);
    } else {
        if (x < 0.0)
            text[size++] = '-';
        size += write_decimal(&d, text + size);
    }
    text[size] = '\0';
    return size;
}
