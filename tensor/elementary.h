/* elementary.h -- functions that every machine's library rounds in its own
 * way, made of + - * / here: the same bits everywhere, for any cut of a row.
 * Within four units in the last place. `y` may be `x`. */
#ifndef SINTER_TENSOR_ELEMENTARY_H
#define SINTER_TENSOR_ELEMENTARY_H

#include <stddef.h>

/* y = e^x, 0 <= x <= 64 */
void elementary_exp(const double *x, double *y, size_t count);
/* y = tanh(x), any finite x */
void elementary_tanh(const double *x, double *y, size_t count);

#endif
