#include "tensor/reduce.h"

#include <assert.h>
#include <math.h>

#include "tensor/isa.h"

/* What element i adds; the products of two float32 are exact. */
static inline double term_l1(const float *x, const float *y, size_t i)
{
    (void)y;
    return fabs((double)x[i]);
}

static inline double term_squares(const float *x, const float *y, size_t i)
{
    (void)y;
    return (double)x[i] * (double)x[i];
}

static inline double term_dot(const float *x, const float *y, size_t i)
{
    return (double)x[i] * (double)y[i];
}

static inline double add_lanes(double *lanes)
{
    for (size_t half = REDUCE_LANES / 2; half > 0; half /= 2) {
        for (size_t lane = 0; lane < half; lane++)
            lanes[lane] += lanes[lane + half];
    }
    return lanes[0];
}

#define CHUNK(name)                                                          \
    ISA_CLONES                                                               \
    static double chunk_##name(const float *x, const float *y, size_t count) \
    {                                                                        \
        double lanes[REDUCE_LANES] = { 0 };                                  \
        size_t whole = count - count % REDUCE_LANES;                         \
                                                                             \
        for (size_t i = 0; i < whole; i += REDUCE_LANES) {                   \
            for (size_t lane = 0; lane < REDUCE_LANES; lane++)               \
                lanes[lane] += term_##name(x, y, i + lane);                  \
        }                                                                    \
        for (size_t i = whole; i < count; i++)                               \
            lanes[i - whole] += term_##name(x, y, i);                        \
        return add_lanes(lanes);                                             \
    }
CHUNK(l1)
CHUNK(squares)
CHUNK(dot)
#undef CHUNK

double reduce_chunk(enum reduce_kind kind, const float *x, const float *y,
                    size_t count)
{
    static double (*const chunks[REDUCE_KINDS])(const float *, const float *,
                                                size_t) = {
        [REDUCE_L1] = chunk_l1,
        [REDUCE_SQUARES] = chunk_squares,
        [REDUCE_DOT] = chunk_dot,
    };

    assert(count <= REDUCE_CHUNK);
    return chunks[kind](x, y, count);
}

static double reduce_row(enum reduce_kind kind, const float *x, const float *y,
                         size_t count)
{
    double total = 0.0;

    for (size_t i = 0; i < count; i += REDUCE_CHUNK) {
        size_t size = count - i < REDUCE_CHUNK ? count - i : REDUCE_CHUNK;

        total += reduce_chunk(kind, x + i, y + i, size);
    }
    return total;
}

double reduce_l1(const float *x, size_t count)
{
    return reduce_row(REDUCE_L1, x, x, count);
}

double reduce_squares(const float *x, size_t count)
{
    return reduce_row(REDUCE_SQUARES, x, x, count);
}

double reduce_l2(const float *x, size_t count)
{
    return sqrt(reduce_squares(x, count));
}

double reduce_dot(const float *x, const float *y, size_t count)
{
    return reduce_row(REDUCE_DOT, x, y, count);
}
