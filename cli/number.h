/* number.h -- numbers as people read them. Pure. */
#ifndef SINTER_CLI_NUMBER_H
#define SINTER_CLI_NUMBER_H

#include "common/json.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NUMBER_TEXT = 80 };

/* Decimals so that values of this size show four significant digits; 0 when
 * all are whole numbers. */
int number_decimals(const double *values, size_t count);

void number_fixed(double value, int decimals, char text[NUMBER_TEXT]);
/* "0.841 ±0.006"; "+-" without UTF-8; without "±" when the error is 0. */
void number_with_error(double value, double error, bool utf8,
                       char text[NUMBER_TEXT]);
/* Four digits or fewer: "12", "0.5", "0.8412". */
void number_short(double value, char text[NUMBER_TEXT]);
/* A parameter's value: a text, a number as above, else JSON. The caller
 * frees. */
char *number_value_text(const json_t *value);
/* Two or three digits: "840ms", "1.2s", "12s", "3m05s", "3h05", "2d04h". */
void number_duration(int64_t ms, char text[NUMBER_TEXT]);
/* "0 B", "29.0 GB": decimal units. */
void number_bytes(uint64_t bytes, char text[NUMBER_TEXT]);
/* "" for one, else "s". */
const char *number_plural(uint64_t count);

#endif
