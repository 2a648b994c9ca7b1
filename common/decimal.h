/* decimal.h -- doubles as short decimal numbers: what "%.*g" and strtod() say,
 * by whole numbers wherever that is exact, which is some hundred times as
 * fast. */
#ifndef SINTER_COMMON_DECIMAL_H
#define SINTER_COMMON_DECIMAL_H

#include <stddef.h>

enum {
    DECIMAL_TEXT = 32, /* room for any text below, with its NUL */
    DECIMAL_EXACT = 15 /* digits that a double keeps whatever they are */
};

/* The double next to `x` cut to so many significant digits, 1 to
 * DECIMAL_EXACT, ties to even. Infinities and NaN are returned as they are. */
double decimal_round(double x, int digits);

/* The shortest text that reads back to the finite `x`; a whole number below
 * 2^53 has neither point nor exponent. Returns its length. */
size_t decimal_shortest(double x, char text[DECIMAL_TEXT]);

#endif
