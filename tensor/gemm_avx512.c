#include "tensor/gemm.h"

#if defined(__x86_64__)

#include <stdint.h>

#include <immintrin.h>

#define GEMM_TARGET                                     \
    __attribute__((target("avx512f,avx512vl,avx2,fma"), \
                   no_sanitize("address", "undefined", "thread")))
#define VECTOR __m512
enum { LANES = 16, TILE_ROWS = GEMM_ROWS };
#define ZEROS()                 _mm512_setzero_ps()
#define SAME(x)                 _mm512_set1_ps(x)
#define LOAD(at)                _mm512_loadu_ps(at)
#define STORE(at, v)            _mm512_storeu_ps(at, v)
#define FMA(a, b, c)            _mm512_fmadd_ps(a, b, c)
#define SOME                    __mmask16
#define SOME_OF(count)          first_lanes(count)
#define LOAD_SOME(some, at)     _mm512_maskz_loadu_ps(some, at)
#define STORE_SOME(some, at, v) _mm512_mask_storeu_ps(at, some, v)

static inline __mmask16 first_lanes(size_t count)
{
    if (count > SIZE_MAX / 2)
        return 0;
    return (__mmask16)(count < LANES ? (1U << count) - 1 : UINT16_MAX);
}

#include "tensor/gemm_kernel.h"

static bool usable(void)
{
    return __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)
TILE(7)
TILE(8)

#define TILES(name_)                                                       \
    {                                                                      \
        tile_1_##name_, tile_2_##name_, tile_3_##name_, tile_4_##name_,    \
            tile_5_##name_, tile_6_##name_, tile_7_##name_, tile_8_##name_ \
    }

static void (*const tiles[2][2][TILE_ROWS])(const struct gemm_tile *t) = {
    { TILES(narrow), TILES(wide) },
    { TILES(narrow_t), TILES(wide_t) },
};

const struct gemm_set gemm_avx512 = {
    .name = "avx512",
    .usable = usable,
    .rows = TILE_ROWS,
    .columns = PANEL,
    .tiles = { { tiles[0][0], tiles[0][1] }, { tiles[1][0], tiles[1][1] } },
    .pack = pack,
    .pack_turned = pack_turned,
};

#endif
