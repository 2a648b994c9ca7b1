/* Many points write far more than they read. Results that go past the caches
 * cost half of what plain stores do, if lines are whole and a good number of
 * them belong to one page: so sums of a block are made first, for a few terms
 * at a time, and stay in the nearest cache while all their ends are written,
 * one after another. */
#include "jobs/merge/merge_wide.h"

#include <assert.h>

#if defined(__x86_64__)

#include <immintrin.h>

#define WIDE        __attribute__((target("avx512f,avx512dq,avx512vl")))
#define WIDE_INLINE WIDE static inline __attribute__((always_inline))

enum {
    LANES = 16, /* float32 of a line */
    HALF = LANES / 2,
    BLOCK = 512, /* elements; larger ones and more terms leave the cache */
    TERMS = 2,
};

/* Elements of a chunk. */
struct part {
    const struct merge_chunk *chunk;
    size_t first, count;
};

/* Of a part. Ends that are not aligned read beyond it, never so far that it
 * would matter what is there. */
struct stage {
    double base[BLOCK + LANES];
    double sums[TERMS][BLOCK + LANES];
};

/* The first `count` lanes, at most all. */
static __mmask16 lanes(size_t count)
{
    return (__mmask16)(count < LANES ? (1U << count) - 1 : UINT16_MAX);
}

/* Element `e` of a part, and those behind it; 0 where there is none. */
WIDE_INLINE __m256 load(const struct part *p, const float *row, size_t e)
{
    return _mm256_maskz_loadu_ps((__mmask8)lanes(p->count - e),
                                 row + p->first + e);
}

/* Zeros of either sign are the same to a sum, which is never -0. */
WIDE_INLINE __m512d add(__m512d sum, const struct merge_terms *t, size_t i,
                        __m512d delta, __m256 draws)
{
    __mmask8 kept =
        _mm256_cmp_ps_mask(draws, _mm256_set1_ps(t->drawn[i]), _CMP_GE_OQ);

    return _mm512_add_pd(
        sum, _mm512_maskz_mul_pd(kept, _mm512_set1_pd(t->weight[i]), delta));
}

/* Draws of a model of which nothing drops are taken for 0, as drawn[i] is. */
WIDE_INLINE void sum(const struct part *p, const struct merge_terms *const *t,
                     bool two, struct stage *s)
{
    const struct merge_chunk *chunk = p->chunk;

    for (size_t e = 0; e < p->count; e += HALF) {
        __m256 base = load(p, chunk->base, e);
        __m512d first = _mm512_setzero_pd();
        __m512d second = _mm512_setzero_pd();

        for (size_t i = 0; i < t[0]->models; i++) {
            __m256 task = load(p, chunk->task[i], e);
            __m512d delta = _mm512_cvtps_pd(_mm256_sub_ps(task, base));
            __m256 draws = chunk->draws[i] != NULL ? load(p, chunk->draws[i], e)
                                                   : _mm256_setzero_ps();

            first = add(first, t[0], i, delta, draws);
            if (two)
                second = add(second, t[1], i, delta, draws);
        }
        _mm512_store_pd(s->sums[0] + e, first);
        if (two)
            _mm512_store_pd(s->sums[1] + e, second);
    }
}

WIDE static void sum_one(const struct part *p,
                         const struct merge_terms *const *t, struct stage *s)
{
    sum(p, t, false, s);
}

WIDE static void sum_two(const struct part *p,
                         const struct merge_terms *const *t, struct stage *s)
{
    sum(p, t, true, s);
}

WIDE static void widen_base(const struct part *p, struct stage *s)
{
    for (size_t e = 0; e < p->count; e += HALF)
        _mm512_store_pd(s->base + e,
                        _mm512_cvtps_pd(load(p, p->chunk->base, e)));
}

/* HALF elements. */
WIDE_INLINE __m256 end_half(const double *base, const double *sums,
                            __m512d lambda)
{
    __m512d share = _mm512_mul_pd(lambda, _mm512_loadu_pd(sums));

    return _mm512_cvtpd_ps(_mm512_add_pd(_mm512_loadu_pd(base), share));
}

/* LANES elements. */
WIDE_INLINE __m512 end_of(const double *base, const double *sums,
                          __m512d lambda)
{
    return _mm512_insertf32x8(
        _mm512_castps256_ps512(end_half(base, sums, lambda)),
        end_half(base + HALF, sums + HALF, lambda), 1);
}

/* Elements up to the first whole line. */
static size_t head_of(const float *out)
{
    return (LANES - (uintptr_t)out / sizeof *out % LANES) % LANES;
}

WIDE static void write_end(const struct part *p, const struct stage *s,
                           const double *sums, const struct merge_end *end)
{
    bool past = p->chunk->in_place;
    float *out = end->out + p->first;
    __m512d lambda = _mm512_set1_pd(end->lambda);
    size_t head = past ? head_of(out) : 0;
    size_t e = head < p->count ? head : p->count;

    if (e > 0)
        _mm512_mask_storeu_ps(out, lanes(e), end_of(s->base, sums, lambda));
    if (past) {
        for (; e + LANES <= p->count; e += LANES)
            _mm512_stream_ps(out + e, end_of(s->base + e, sums + e, lambda));
    } else {
        for (; e + LANES <= p->count; e += LANES)
            _mm512_storeu_ps(out + e, end_of(s->base + e, sums + e, lambda));
    }
    if (e < p->count)
        _mm512_mask_storeu_ps(out + e, lanes(p->count - e),
                              end_of(s->base + e, sums + e, lambda));
}

/* Terms without ends are none. */
static size_t choose(const struct merge_terms *terms, size_t points,
                     const struct merge_terms **ret_chosen)
{
    size_t count = 0;

    for (size_t p = 0; p < points; p++) {
        if (terms[p].ends > 0)
            ret_chosen[count++] = terms + p;
    }
    return count;
}

static void run_part(const struct part *p, const struct merge_terms *const *t,
                     size_t terms, struct stage *s)
{
    widen_base(p, s);
    for (size_t first = 0; first < terms; first += TERMS) {
        size_t count = terms - first < TERMS ? terms - first : TERMS;

        (count == TERMS ? sum_two : sum_one)(p, t + first, s);
        for (size_t i = 0; i < count; i++) {
            for (size_t k = 0; k < t[first + i]->ends; k++)
                write_end(p, s, s->sums[i], &t[first + i]->end[k]);
        }
    }
}

bool merge_wide_able(void)
{
    return __builtin_cpu_supports("avx512f") &&
           __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}

void merge_wide_sums(const struct merge_terms *terms, size_t points,
                     const struct merge_chunk *chunk)
{
    const struct merge_terms *chosen[MERGE_POINTS];
    _Alignas(64) struct stage stage = { .base = { 0.0 } };
    size_t count;

    assert(points <= MERGE_POINTS);
    count = choose(terms, points, chosen);
    for (size_t at = 0; at < chunk->count; at += BLOCK) {
        size_t left = chunk->count - at;
        struct part part = { chunk, at, left < BLOCK ? left : BLOCK };

        run_part(&part, chosen, count, &stage);
    }
    _mm_sfence();
}

#else

bool merge_wide_able(void)
{
    return false;
}

void merge_wide_sums(const struct merge_terms *terms, size_t points,
                     const struct merge_chunk *chunk)
{
    (void)terms;
    (void)points;
    (void)chunk;
    assert(!"merge_wide_able()");
}

#endif
