#include "tensor/gemm.h"

#if defined(__x86_64__)

#include <stdint.h>

#include <immintrin.h>

#define GEMM_SET  gemm_avx2
#define GEMM_NAME "avx2"
#define GEMM_TARGET                    \
    __attribute__((target("avx2,fma"), \
                   no_sanitize("address", "undefined", "thread")))
#define VECTOR __m256
enum { LANES = 8, TILE_ROWS = 6 };
#define ZEROS()                 _mm256_setzero_ps()
#define SAME(x)                 _mm256_set1_ps(x)
#define LOAD(at)                _mm256_loadu_ps(at)
#define STORE(at, v)            _mm256_storeu_ps(at, v)
#define FMA(a, b, c)            _mm256_fmadd_ps(a, b, c)
#define SOME                    __m256i
#define SOME_OF(count)          first_lanes(count)
#define LOAD_SOME(some, at)     _mm256_maskload_ps(at, some)
#define STORE_SOME(some, at, v) _mm256_maskstore_ps(at, some, v)

GEMM_TARGET static inline __m256i first_lanes(size_t count)
{
    int most = count > SIZE_MAX / 2 ? 0 : count < LANES ? (int)count : LANES;

    return _mm256_cmpgt_epi32(_mm256_set1_epi32(most),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

static bool usable(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

#include "tensor/gemm_kernel.h"

#endif
