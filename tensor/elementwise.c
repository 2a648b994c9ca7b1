#include "tensor/elementwise.h"

#include "tensor/isa.h"

ISA_CLONES
void elementwise_axpy(float a, const float *restrict x, float *restrict y,
                      size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] += a * x[i];
}

ISA_CLONES
void elementwise_add_scaled(const float *b, float a, const float *x, float *y,
                            size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] = b[i] + a * x[i];
}

ISA_CLONES
void elementwise_scale(float a, float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] *= a;
}

ISA_CLONES
void elementwise_add(const float *a, const float *b, float *y, size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] = a[i] + b[i];
}

ISA_CLONES
void elementwise_subtract(const float *a, const float *b, float *y,
                          size_t count)
{
    for (size_t i = 0; i < count; i++)
        y[i] = a[i] - b[i];
}
