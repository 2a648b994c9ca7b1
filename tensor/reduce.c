#include "tensor/reduce.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "tensor/isa.h"

/* What element i adds; the products of two float32 are exact. */
static inline double term_sum(const float *x, const float *y, size_t i)
{
    (void)y;
    return (double)x[i];
}

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
CHUNK(sum)
CHUNK(l1)
CHUNK(squares)
CHUNK(dot)
#undef CHUNK

double reduce_chunk(enum reduce_kind kind, const float *x, const float *y,
                    size_t count)
{
    static double (*const chunks[REDUCE_KINDS])(const float *, const float *,
                                                size_t) = {
        [REDUCE_SUM] = chunk_sum,
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

double reduce_sum(const float *x, size_t count)
{
    return reduce_row(REDUCE_SUM, x, x, count);
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

void reduce_init(struct reduce_stream *r, enum reduce_kind kind)
{
    r->kind = kind;
    r->total = 0.0;
    r->held = 0;
}

/* Kinds of one row may pass y as NULL; x then stands in for it. */
void reduce_add(struct reduce_stream *r, const float *x, const float *y,
                size_t count)
{
    if (r->kind != REDUCE_DOT)
        y = x;
    for (size_t i = 0; i < count;) {
        size_t room = REDUCE_CHUNK - r->held;
        size_t size = count - i < room ? count - i : room;

        memcpy(r->x + r->held, x + i, size * sizeof *x);
        memcpy(r->y + r->held, y + i, size * sizeof *y);
        r->held += size;
        i += size;
        if (r->held < REDUCE_CHUNK)
            continue;
        r->total += reduce_chunk(r->kind, r->x, r->y, REDUCE_CHUNK);
        r->held = 0;
    }
}

double reduce_total(const struct reduce_stream *r)
{
    if (r->held == 0)
        return r->total;
    return r->total + reduce_chunk(r->kind, r->x, r->y, r->held);
}

enum { MAGNITUDE = 0x7fffffff, INFINITE = 0x7f800000 };

static inline uint32_t magnitude_of(const float *x)
{
    uint32_t bits;

    memcpy(&bits, x, sizeof bits);
    return bits & MAGNITUDE;
}

static float float_of(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/* Magnitudes order as their bits do, NaN above infinity. */
ISA_CLONES
static uint32_t most(const float *x, size_t count)
{
    uint32_t best = 0;

    for (size_t i = 0; i < count; i++) {
        uint32_t bits = magnitude_of(x + i);

        best = bits > best ? bits : best;
    }
    return best;
}

ISA_CLONES
static uint32_t least(const float *x, size_t count)
{
    uint32_t best = MAGNITUDE;

    for (size_t i = 0; i < count; i++) {
        uint32_t bits = magnitude_of(x + i);

        best = bits < best ? bits : best;
    }
    return best;
}

float reduce_max_abs(const float *x, size_t count)
{
    return float_of(most(x, count));
}

float reduce_min_abs(const float *x, size_t count)
{
    return float_of(count == 0 ? INFINITE : least(x, count));
}
