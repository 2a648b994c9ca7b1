/* gemm_kernel.h -- the innermost loops of a product, for one instruction set.
 * Who includes this names a vector first:
 *
 *     GEMM_SET, GEMM_NAME  the set, and what it is called
 *     GEMM_TARGET    attribute of functions that use it
 *                    and that no sanitizer looks into: their checks do not
 *                    fit between the registers and take minutes to compile;
 *                    test_gemm.c looks at what is written
 *     VECTOR, LANES  of float32
 *     ZEROS(), SAME(x), LOAD(at), STORE(at, v), FMA(a, b, c)
 *     SOME, SOME_OF(count), LOAD_SOME(some, at), STORE_SOME(some, at, v):
 *                    the first `count` lanes, which may be less than none
 *                    (as a size_t) or more than all
 *     TILE_ROWS      of a tile, at most */
#include "tensor/gemm.h"

#define GEMM_INLINE GEMM_TARGET static inline __attribute__((always_inline))
/* An array that is to live in registers needs all its loops unrolled. */
#define EACH_ROW(i) _Pragma("GCC unroll 8") for (size_t i = 0; i < rows; i++)
#define EACH_VECTOR(v) \
    _Pragma("GCC unroll 2") for (size_t v = 0; v < vectors; v++)

enum { PANEL = 2 * LANES };

/* sums = op(A) panel, each element one chain of fused additions. */
GEMM_INLINE void multiply(size_t rows, size_t vectors, bool turned,
                          const struct gemm_tile *t,
                          VECTOR ret_sums[TILE_ROWS][2])
{
    VECTOR sums[TILE_ROWS][2];
    const float *a = t->a, *b = t->panel;
    const float *ahead = t->ahead;
    size_t down = turned ? 1 : t->a_stride, on = turned ? t->a_stride : 1;
    size_t ahead_stride = t->ahead_stride;

    EACH_ROW(i)
    EACH_VECTOR(v) sums[i][v] = ZEROS();
    for (size_t p = 0; p < t->depth; p++) {
        VECTOR row[2];

        /* One line a step: a burst would fill the queue of misses. */
        __builtin_prefetch(ahead + p % GEMM_ROWS * ahead_stride + p, 0, 3);
        EACH_VECTOR(v) row[v] = LOAD(b + v * LANES);
        EACH_ROW(i)
        {
            VECTOR x = SAME(a[i * down]);

            EACH_VECTOR(v) sums[i][v] = FMA(x, row[v], sums[i][v]);
        }
        a += on;
        b += PANEL;
    }
    EACH_ROW(i)
    EACH_VECTOR(v) ret_sums[i][v] = sums[i][v];
}

/* c = alpha sums + bias + beta from; not `whole`: C ends inside of the last
 * vector. */
GEMM_INLINE void finish(size_t rows, size_t vectors, bool whole,
                        const struct gemm_tile *t, VECTOR sums[TILE_ROWS][2])
{
    SOME some[2] = { SOME_OF(t->columns), SOME_OF(t->columns - LANES) };

    if (t->alpha != 1.0F)
        EACH_ROW(i)
    EACH_VECTOR(v) sums[i][v] = FMA(SAME(t->alpha), sums[i][v], ZEROS());
    EACH_VECTOR(v)
    {
        size_t at = v * LANES;
        VECTOR bias = ZEROS();

        if (t->bias != NULL)
            bias =
                whole ? LOAD(t->bias + at) : LOAD_SOME(some[v], t->bias + at);
        if (t->bias != NULL)
            EACH_ROW(i) sums[i][v] = FMA(SAME(1.0F), bias, sums[i][v]);
    }
    if (t->from != NULL)
        EACH_ROW(i)
    EACH_VECTOR(v)
    {
        const float *at = t->from + i * t->from_stride + v * LANES;

        sums[i][v] = FMA(SAME(t->beta),
                         whole ? LOAD(at) : LOAD_SOME(some[v], at), sums[i][v]);
    }
    EACH_ROW(i)
    EACH_VECTOR(v)
    {
        float *at = t->c + i * t->c_stride + v * LANES;

        if (whole)
            STORE(at, sums[i][v]);
        else
            STORE_SOME(some[v], at, sums[i][v]);
    }
}

GEMM_INLINE void tile(size_t rows, size_t vectors, bool turned,
                      const struct gemm_tile *t)
{
    VECTOR sums[TILE_ROWS][2];

    multiply(rows, vectors, turned, t, sums);
    finish(rows, vectors, t->columns == vectors * LANES, t, sums);
}

/* Nothing for a height that the set does not have. */
GEMM_INLINE void tile_of(size_t rows, const struct gemm_tile *t)
{
    bool wide = t->columns > LANES;

    if (rows > TILE_ROWS)
        return;
    if (t->turned && wide)
        tile(rows, 2, true, t);
    else if (t->turned)
        tile(rows, 1, true, t);
    else if (wide)
        tile(rows, 2, false, t);
    else
        tile(rows, 1, false, t);
}

/* One function for each height: the registers of a loop are dealt out well
 * only where it stands alone. */
#define TILE(rows_)                                                 \
    GEMM_TARGET static void tile_##rows_(const struct gemm_tile *t) \
    {                                                               \
        tile_of(rows_, t);                                          \
    }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)
TILE(7)
TILE(8)

/* --- panels ---------------------------------------------------------------- */

GEMM_TARGET static void pack(const float *b, size_t stride, size_t depth,
                             size_t count, float *ret_panel)
{
    SOME some[2] = { SOME_OF(count), SOME_OF(count - LANES) };

    if (count == PANEL)
        for (size_t p = 0; p < depth; p++) {
            STORE(ret_panel + p * PANEL, LOAD(b + p * stride));
            STORE(ret_panel + p * PANEL + LANES, LOAD(b + p * stride + LANES));
        }
    else
        for (size_t p = 0; p < depth; p++) {
            STORE(ret_panel + p * PANEL, LOAD_SOME(some[0], b + p * stride));
            STORE(ret_panel + p * PANEL + LANES,
                  LOAD_SOME(some[1], b + p * stride + LANES));
        }
}

GEMM_TARGET static void pack_rows(const float *a, size_t stride, size_t depth,
                                  size_t rows, float *ret_packed)
{
    SOME some = SOME_OF(rows);

    for (size_t p = 0; p < depth; p++)
        STORE(ret_packed + p * rows, LOAD_SOME(some, a + p * stride));
}

enum { SQUARE = 8 };

/* to[p][j] = from[j][p] */
GEMM_INLINE void turn_square(const float *from, size_t stride, float *to)
{
    __m256 r[SQUARE], pairs[SQUARE], quads[SQUARE];

    for (size_t j = 0; j < SQUARE; j++)
        r[j] = _mm256_loadu_ps(from + j * stride);
    for (size_t j = 0; j < SQUARE; j += 2) {
        pairs[j] = _mm256_unpacklo_ps(r[j], r[j + 1]);
        pairs[j + 1] = _mm256_unpackhi_ps(r[j], r[j + 1]);
    }
    for (size_t j = 0; j < SQUARE; j += 4)
        for (size_t i = 0; i < 2; i++) {
            quads[j + 2 * i] =
                _mm256_shuffle_ps(pairs[j + i], pairs[j + i + 2], 0x44);
            quads[j + 2 * i + 1] =
                _mm256_shuffle_ps(pairs[j + i], pairs[j + i + 2], 0xEE);
        }
    for (size_t i = 0; i < SQUARE / 2; i++) {
        _mm256_storeu_ps(to + i * PANEL,
                         _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x20));
        _mm256_storeu_ps(to + (i + 4) * PANEL,
                         _mm256_permute2f128_ps(quads[i], quads[i + 4], 0x31));
    }
}

GEMM_TARGET static void pack_turned(const float *b, size_t stride, size_t depth,
                                    size_t count, float *ret_panel)
{
    size_t columns = count - count % SQUARE, rows = depth - depth % SQUARE;

    for (size_t j = 0; j < columns; j += SQUARE) {
        const float *from = b + j * stride;

        for (size_t p = 0; p < rows; p += SQUARE)
            turn_square(from + p, stride, ret_panel + p * PANEL + j);
        for (size_t p = rows; p < depth; p++)
            for (size_t i = 0; i < SQUARE; i++)
                ret_panel[p * PANEL + j + i] = from[i * stride + p];
    }
    for (size_t j = columns; j < PANEL; j++)
        for (size_t p = 0; p < depth; p++)
            ret_panel[p * PANEL + j] = j < count ? b[j * stride + p] : 0.0F;
}

const struct gemm_set GEMM_SET = {
    .name = GEMM_NAME,
    .usable = usable,
    .rows = TILE_ROWS,
    .columns = PANEL,
    .tiles = { tile_1, tile_2, tile_3, tile_4, tile_5, tile_6, tile_7, tile_8 },
    .pack = pack,
    .pack_turned = pack_turned,
    .pack_rows = pack_rows,
};
