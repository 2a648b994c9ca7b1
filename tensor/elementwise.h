/* elementwise.h -- float32 kernels over rows of elements. Each operation is
 * rounded once, on its own (no FMA), so the bits do not depend on the
 * machine. Rows do not overlap unless a comment says that they may. */
#ifndef SINTER_TENSOR_ELEMENTWISE_H
#define SINTER_TENSOR_ELEMENTWISE_H

#include <stddef.h>

/* y += a x */
void elementwise_axpy(float a, const float *x, float *y, size_t count);
/* y = b + a x; `y` may be `b` or `x`. */
void elementwise_add_scaled(const float *b, float a, const float *x, float *y,
                            size_t count);
/* x *= a */
void elementwise_scale(float a, float *x, size_t count);
/* y = a + b; `y` may be either. */
void elementwise_add(const float *a, const float *b, float *y, size_t count);
/* y = a - b: a task vector of a fine-tune and its base; `y` may be either. */
void elementwise_subtract(const float *a, const float *b, float *y,
                          size_t count);

#endif
