#include "tensor/gemm.h"

#if defined(__x86_64__)

#include <stdint.h>

#include <immintrin.h>

#define GEMM_SET  gemm_avx512
#define GEMM_NAME "avx512"
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

static bool usable(void)
{
    return __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

#include "tensor/gemm_kernel.h"

#endif
