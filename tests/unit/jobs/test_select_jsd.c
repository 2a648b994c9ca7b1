#include "jobs/select/jsd.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "common/memory.h"
#include "common/philox.h"
#include "support/data_bytes.h"
#include "support/test.h"

static const double ln2 = 0.693147180559945309417;

static float *draw_logits(size_t count, uint32_t seed, float scale)
{
    const struct philox_key key = { .seed = seed };
    float *x = xcalloc(count + 1, sizeof *x);

    for (size_t i = 0; i < count; i++)
        x[i] = scale * philox_normal(key, i);
    return x;
}

/* The formula as it stands, in log space. */
static double log_sum(const float *x, size_t n, double tau)
{
    double most = -HUGE_VAL, sum = 0.0;

    for (size_t i = 0; i < n; i++)
        most = fmax(most, (double)x[i] / tau);
    for (size_t i = 0; i < n; i++)
        sum += exp((double)x[i] / tau - most);
    return most + log(sum);
}

static double naive(const float *o, const float *p, size_t n, double tau)
{
    double to = log_sum(o, n, tau), tp = log_sum(p, n, tau), sum = 0.0;

    for (size_t i = 0; i < n; i++) {
        double a = (double)o[i] / tau - to, b = (double)p[i] / tau - tp;
        double high = fmax(a, b), low = fmin(a, b);
        double middle =
            isinf(high) ? high : high + log1p(exp(low - high)) - ln2;

        sum += exp(a) > 0.0 ? exp(a) * (a - middle) : 0.0;
        sum += exp(b) > 0.0 ? exp(b) * (b - middle) : 0.0;
    }
    return sum / 2.0;
}

static void test_rows_are_as_far_apart_as_the_formula_says(void **state)
{
    static const size_t sizes[] = { 1, 2, 63, 1024, 1025, 3000 };
    static const double taus[] = { 0.3, 1.0, 4.0 };

    (void)state;
    for (size_t s = 0; s < COUNT_OF(sizes); s++)
        for (size_t t = 0; t < COUNT_OF(taus); t++)
            for (uint32_t scale = 1; scale <= 64; scale *= 8) {
                size_t n = sizes[s];
                AUTO(free_pointer)
                float *o = draw_logits(n, scale, (float)scale);
                AUTO(free_pointer)
                float *p = draw_logits(n, scale + 1, (float)scale);
                double jsd;

                if (n > 2)
                    o[n / 2] = -INFINITY;
                assert_true(jsd_row(DTYPE_F32, o, p, n, taus[t], &jsd));
                assert_true(fabs(jsd - naive(o, p, n, taus[t])) < 1e-12);
                assert_true(jsd >= 0.0 && jsd <= ln2);
            }
}

static void test_equal_rows_are_exactly_equal(void **state)
{
    AUTO(free_pointer) float *o = draw_logits(3001, 5, 20.0F);
    double jsd = 1.0;

    (void)state;
    for (double tau = 0.1; tau < 9.0; tau *= 1.7) {
        assert_true(jsd_row(DTYPE_F32, o, o, 3001, tau, &jsd));
        assert_true(jsd == 0.0);
    }
}

static void test_rows_that_share_nothing_are_ln_2_apart(void **state)
{
    const float o[] = { 0.0F, -INFINITY, 1000.0F, -INFINITY };
    const float p[] = { -INFINITY, 0.0F, -INFINITY, -1000.0F };
    double jsd;

    (void)state;
    assert_true(jsd_row(DTYPE_F32, o, p, 4, 1.0, &jsd));
    assert_true(fabs(jsd - ln2) < 1e-15);
}

static void test_what_is_not_finite_makes_a_row_invalid(void **state)
{
    static const float bad[][3] = {
        { 0.0F, NAN, 1.0F },
        { 0.0F, INFINITY, 1.0F },
        { -INFINITY, -INFINITY, -INFINITY },
    };
    const float good[] = { 0.0F, 1.0F, 2.0F };
    double jsd;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        jsd = 0.0;
        assert_false(jsd_row(DTYPE_F32, bad[i], good, 3, 1.0, &jsd));
        assert_true(isnan(jsd));
        assert_false(jsd_row(DTYPE_F32, good, bad[i], 3, 1.0, &jsd));
    }
    assert_false(jsd_row(DTYPE_F32, good, good, 0, 1.0, &jsd));
}

static void test_half_floats_count_as_what_they_are(void **state)
{
    AUTO(free_pointer) float *o = draw_logits(300, 1, 3.0F);
    AUTO(free_pointer) float *p = draw_logits(300, 2, 3.0F);
    static const enum dtype types[] = { DTYPE_F16, DTYPE_BF16 };

    (void)state;
    for (size_t t = 0; t < COUNT_OF(types); t++) {
        uint16_t a[300], b[300];
        double narrow, wide;

        dtype_from_f32(types[t], o, a, 300);
        dtype_from_f32(types[t], p, b, 300);
        dtype_to_f32(types[t], a, o, 300);
        dtype_to_f32(types[t], b, p, 300);
        assert_true(jsd_row(types[t], a, b, 300, 1.0, &narrow));
        assert_true(jsd_row(DTYPE_F32, o, p, 300, 1.0, &wide));
        assert_true(narrow == wide);
    }
}

static void test_rows_become_one_number(void **state)
{
    const double rows[] = { 0.1, 0.2, 0.6 }, bad[] = { 0.1, (double)NAN };

    (void)state;
    assert_true(fabs(jsd_reduce(JSD_MEAN_ANSWER, rows, 3) - 0.3) < 1e-15);
    assert_true(fabs(jsd_reduce(JSD_SUM_INSTRUCTION, rows, 3) - 0.9) < 1e-15);
    assert_true(isnan(jsd_reduce(JSD_MEAN_ANSWER, bad, 2)));
    assert_true(isnan(jsd_reduce(JSD_SUM_INSTRUCTION, rows, 0)));
}

/* --- from hidden states -----------------------------------------------------------
 */

enum { WORDS = 1500, WIDTH = 12, OTHER_WIDTH = 8, SAMPLES = 6 };
static const size_t starts[SAMPLES + 1] = { 0, 3, 3, 70, 205, 206, 210 };

struct models {
    float *w, *v, *bias, *h, *g;
    struct jsd_pair pair;
};

static void models_init(struct models *m)
{
    m->w = draw_logits((size_t)WORDS * WIDTH, 11, 1.0F);
    m->v = draw_logits((size_t)WORDS * OTHER_WIDTH, 12, 1.0F);
    m->bias = draw_logits(WORDS, 13, 1.0F);
    m->h = draw_logits(starts[SAMPLES] * WIDTH, 14, 1.0F);
    m->g = draw_logits(starts[SAMPLES] * OTHER_WIDTH, 15, 1.0F);
    m->pair = (struct jsd_pair){
        .original = { m->w, NULL, WORDS, WIDTH },
        .pruned = { m->v, m->bias, WORDS, OTHER_WIDTH },
        .tau = 0.9,
    };
}

static void models_release(struct models *m)
{
    free(m->w);
    free(m->v);
    free(m->bias);
    free(m->h);
    free(m->g);
}

static double naive_row(const struct models *m, size_t row)
{
    float o[WORDS], p[WORDS];

    for (size_t v = 0; v < WORDS; v++) {
        o[v] = 0.0F;
        p[v] = m->bias[v];
        for (size_t k = 0; k < WIDTH; k++)
            o[v] += m->h[row * WIDTH + k] * m->w[v * WIDTH + k];
        for (size_t k = 0; k < OTHER_WIDTH; k++)
            p[v] += m->g[row * OTHER_WIDTH + k] * m->v[v * OTHER_WIDTH + k];
    }
    return naive(o, p, WORDS, m->pair.tau);
}

static void test_samples_are_compared_by_their_hidden_states(void **state)
{
    AUTO(models_release) struct models m;
    double jsd[SAMPLES], alone;

    (void)state;
    models_init(&m);
    assert_ok(jsd_samples(NULL, &m.pair, m.h, m.g, starts, SAMPLES,
                          JSD_MEAN_ANSWER, jsd));
    assert_true(isnan(jsd[1])); /* it has no rows */
    for (size_t i = 0; i < SAMPLES; i++) {
        const size_t own[] = { 0, starts[i + 1] - starts[i] };
        double sum = 0.0;

        for (size_t row = starts[i]; row < starts[i + 1]; row++)
            sum += naive_row(&m, row);
        if (own[1] > 0)
            assert_true(fabs(jsd[i] - sum / (double)own[1]) < 1e-5);
        /* Neighbours change no bit. */
        assert_ok(jsd_samples(NULL, &m.pair, m.h + starts[i] * WIDTH,
                              m.g + starts[i] * OTHER_WIDTH, own, 1,
                              JSD_MEAN_ANSWER, &alone));
        assert_memory_equal(&alone, &jsd[i], sizeof alone);
    }
}

static void test_threads_change_no_bit(void **state)
{
    AUTO(models_release) struct models m;
    double one[SAMPLES], many[SAMPLES];

    (void)state;
    models_init(&m);
    m.h[starts[5] * WIDTH] = NAN;
    assert_ok(jsd_samples(NULL, &m.pair, m.h, m.g, starts, SAMPLES,
                          JSD_SUM_INSTRUCTION, one));
    assert_true(isnan(one[5]) && !isnan(one[4]));
    for (uint64_t threads = 2; threads < 6; threads++) {
        const struct crew crew = { .threads = threads };

        assert_ok(jsd_samples(&crew, &m.pair, m.h, m.g, starts, SAMPLES,
                              JSD_SUM_INSTRUCTION, many));
        assert_memory_equal(one, many, sizeof one);
    }
    assert_true(jsd_memory(WORDS, 2) == 2 * jsd_memory(WORDS, 1));
    assert_true(jsd_memory(1 << 22, 1) <= (uint64_t)64 << 20);
}

#ifndef SHADOWED
/* Words of many tokens, of which a tile is there at a time. */
static void test_logits_of_all_tokens_never_stand_at_once(void **state)
{
    enum { VOCABULARY = 8192, TOKENS = 700, NARROW = 4 };
    AUTO(free_pointer)
    float *w = draw_logits((size_t)VOCABULARY * NARROW, 1, 1.0F);
    AUTO(free_pointer)
    float *o = draw_logits((size_t)TOKENS * NARROW, 2, 1.0F);
    AUTO(free_pointer)
    float *p = draw_logits((size_t)TOKENS * NARROW, 3, 1.0F);
    const struct jsd_pair pair = {
        .original = { w, NULL, VOCABULARY, NARROW },
        .pruned = { w, NULL, VOCABULARY, NARROW },
        .tau = 1.0,
    };
    const size_t few[] = { 0, 1 }, all[] = { 0, TOKENS };
    struct rlimit before, limit;
    double jsd;

    (void)state;
    /* Buffers that the library keeps are there once. */
    assert_ok(jsd_samples(NULL, &pair, o, p, few, 1, JSD_MEAN_ANSWER, &jsd));
    assert_int_equal(getrlimit(RLIMIT_DATA, &before), 0);
    limit = before;
    limit.rlim_cur = data_bytes() + jsd_memory(VOCABULARY, 1) + (1 << 20);
    assert_true(jsd_memory(VOCABULARY, 1) + (1 << 20) <
                (uint64_t)TOKENS * VOCABULARY * sizeof(float) / 3);
    assert_int_equal(setrlimit(RLIMIT_DATA, &limit), 0);
    assert_ok(jsd_samples(NULL, &pair, o, p, all, 1, JSD_MEAN_ANSWER, &jsd));
    assert_int_equal(setrlimit(RLIMIT_DATA, &before), 0);
    assert_true(jsd > 0.0 && jsd < ln2);
}
#endif

static bool always(void *self)
{
    (void)self;
    return true;
}

static void test_what_cannot_be_compared_is_refused(void **state)
{
    AUTO(models_release) struct models m;
    const struct crew crew = { .cancelled = always };
    double jsd[SAMPLES];

    (void)state;
    models_init(&m);
    assert_fails(jsd_samples(&crew, &m.pair, m.h, m.g, starts, SAMPLES,
                             JSD_MEAN_ANSWER, jsd),
                 STATUS_CANCELLED, NULL);
    m.pair.pruned.vocabulary--;
    assert_fails(jsd_check(&m.pair), STATUS_INVALID, "1500 words");
    assert_fails(jsd_samples(NULL, &m.pair, m.h, m.g, starts, SAMPLES,
                             JSD_MEAN_ANSWER, jsd),
                 STATUS_INVALID, "1499");
    m.pair.pruned.vocabulary++;
    m.pair.tau = 0.0;
    assert_fails(jsd_check(&m.pair), STATUS_INVALID, "tau");
    m.pair.tau = (double)NAN;
    assert_fails(jsd_check(&m.pair), STATUS_INVALID, "tau");
}

static void test_forms_have_names(void **state)
{
    (void)state;
    for (enum jsd_form form = 0; form < JSD_FORMS; form++) {
        enum jsd_form found;

        assert_true(jsd_form_find(jsd_form_name(form), &found));
        assert_int_equal(found, form);
    }
    assert_false(jsd_form_find("mean", &(enum jsd_form){ 0 }));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_as_far_apart_as_the_formula_says),
        cmocka_unit_test(test_equal_rows_are_exactly_equal),
        cmocka_unit_test(test_rows_that_share_nothing_are_ln_2_apart),
        cmocka_unit_test(test_what_is_not_finite_makes_a_row_invalid),
        cmocka_unit_test(test_half_floats_count_as_what_they_are),
        cmocka_unit_test(test_rows_become_one_number),
        cmocka_unit_test(test_samples_are_compared_by_their_hidden_states),
        cmocka_unit_test(test_threads_change_no_bit),
#ifndef SHADOWED
        cmocka_unit_test(test_logits_of_all_tokens_never_stand_at_once),
#endif
        cmocka_unit_test(test_what_cannot_be_compared_is_refused),
        cmocka_unit_test(test_forms_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
