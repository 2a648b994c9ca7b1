#include "tensor/lapack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/macros.h"
#include "support/reference.h"
#include "support/test.h"

enum { N = 65 };

/* A symmetric matrix of numbers below 1 in both triangles. */
static void fill(double *a, size_t n)
{
    float row[N];

    for (size_t i = 0; i < n; i++) {
        reference_fill(row, i + 1, (uint32_t)i + 1);
        for (size_t j = 0; j <= i; j++)
            a[i * n + j] = a[j * n + i] = (double)row[j];
    }
}

/* A v = lambda v, and the columns are orthonormal. */
static void check_pairs(const double *a, size_t n, size_t count,
                        const double *values, const double *vectors)
{
    for (size_t k = 0; k < count; k++)
        for (size_t i = 0; i < n; i++) {
            double sum = 0.0;

            for (size_t j = 0; j < n; j++)
                sum += a[i * n + j] * vectors[j * count + k];
            assert_true(fabs(sum - values[k] * vectors[i * count + k]) < 1e-9);
        }
    for (size_t k = 0; k < count; k++)
        for (size_t l = 0; l < count; l++) {
            double sum = k == l ? -1.0 : 0.0;

            for (size_t i = 0; i < n; i++)
                sum += vectors[i * count + k] * vectors[i * count + l];
            assert_true(fabs(sum) < 1e-9);
        }
}

static void test_eigenpairs_are_those_of_the_matrix(void **state)
{
    static const size_t cases[][3] = { { 1, 0, 1 }, { 2, 1, 1 },  { N, 0, N },
                                       { N, 0, 3 }, { N, 60, 5 }, { 7, 3, 0 } };

    (void)state;
    for (size_t c = 0; c < COUNT_OF(cases); c++) {
        size_t n = cases[c][0], first = cases[c][1], count = cases[c][2];
        static double a[N * N], lost[N * N], values[N], vectors[N * N];
        static double all[N], ignored[N * N];

        fill(a, n);
        memcpy(lost, a, sizeof lost);
        assert_ok(lapack_eigen(n, lost, first, count, values, vectors));
        check_pairs(a, n, count, values, vectors);
        memcpy(lost, a, sizeof lost);
        assert_ok(lapack_eigen(n, lost, 0, n, all, ignored));
        for (size_t k = 0; k < count; k++)
            assert_true(fabs(values[k] - all[first + k]) < 1e-12);
    }
}

struct matrix {
    const double *a;
    size_t n, left; /* products until it stops */
};

static bool apply(void *self, const double *x, double *y)
{
    struct matrix *m = self;

    for (size_t i = 0; i < m->n; i++) {
        y[i] = 0.0;
        for (size_t j = 0; j < m->n; j++)
            y[i] += m->a[i * m->n + j] * x[j];
    }
    return m->left-- > 0;
}

static void test_the_largest_pairs_are_found_by_products_alone(void **state)
{
    static double a[N * N], lost[N * N], values[5], vectors[N * 5];
    static double all[N], ignored[N * N], start[N], again[N * 5];
    struct matrix m = { a, N, SIZE_MAX };
    struct lapack_operator o = {
        .n = N, .apply = apply, .self = &m, .start = start, .iterations = 300
    };

    (void)state;
    fill(a, N);
    for (size_t i = 0; i < N; i++)
        start[i] = 1.0 + (double)i;
    assert_ok(lapack_largest(&o, 5, values, vectors));
    check_pairs(a, N, 5, values, vectors);
    memcpy(lost, a, sizeof lost);
    assert_ok(lapack_eigen(N, lost, 0, N, all, ignored));
    for (size_t k = 0; k < 5; k++)
        assert_true(fabs(values[k] - all[N - 1 - k]) < 1e-10);
    assert_ok(lapack_largest(&o, 5, values, again));
    assert_memory_equal(vectors, again, sizeof again);
}

static void test_a_search_stops_when_told_or_when_it_gets_nowhere(void **state)
{
    static double a[N * N], values[5], vectors[N * 5], start[N];
    struct matrix m = { a, N, 3 };
    struct lapack_operator o = {
        .n = N, .apply = apply, .self = &m, .start = start, .iterations = 300
    };

    (void)state;
    fill(a, N);
    start[3] = 1.0;
    assert_fails(lapack_largest(&o, 5, values, vectors), STATUS_CANCELLED,
                 NULL);
    m.left = SIZE_MAX;
    o.iterations = 1;
    assert_fails(lapack_largest(&o, 5, values, vectors), STATUS_FAILED,
                 "65 rows");
}

static void test_products_are_sums_of_products(void **state)
{
    static const struct {
        bool a, b;
    } cases[] = { { false, false }, { true, false }, { false, true } };
    static double a[N * N], b[N * N], c[N * N];
    enum { M = 3, K = 5, COLUMNS = 4 };

    (void)state;
    fill(a, N);
    for (size_t i = 0; i < COUNT_OF(b); i++)
        b[i] = a[i] + (double)(i % 7);
    for (size_t t = 0; t < COUNT_OF(cases); t++) {
        const struct lapack_product p = { .m = M,
                                          .n = COLUMNS,
                                          .k = K,
                                          .a = a,
                                          .b = b,
                                          .a_stride = N,
                                          .b_stride = N,
                                          .a_transposed = cases[t].a,
                                          .b_transposed = cases[t].b,
                                          .beta = 1.0 };

        memset(c, 0, sizeof c);
        c[0] = 2.0;
        lapack_multiply(&p, c, N);
        for (size_t i = 0; i < M; i++)
            for (size_t j = 0; j < COLUMNS; j++) {
                double sum = i + j == 0 ? 2.0 : 0.0;

                for (size_t l = 0; l < K; l++)
                    sum += (cases[t].a ? a[l * N + i] : a[i * N + l]) *
                           (cases[t].b ? b[j * N + l] : b[l * N + j]);
                assert_true(fabs(c[i * N + j] - sum) < 1e-12);
            }
    }
    lapack_gram(4, 5, b, c);
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j <= i; j++) {
            double sum = 0.0;

            for (size_t l = 0; l < 5; l++)
                sum += b[i * 5 + l] * b[j * 5 + l];
            assert_true(fabs(c[i * 4 + j] - sum) < 1e-10);
        }
}

static void test_the_factor_of_an_inverse(void **state)
{
    float h[9] = { 4.0F, 1.0F, 0.0F, 0.0F, 3.0F, 1.0F, 0.0F, 0.0F, 2.0F };
    float bad[4] = { 1.0F, 2.0F, 0.0F, 1.0F };
    const float full[9] = {
        4.0F, 1.0F, 0.0F, 1.0F, 3.0F, 1.0F, 0.0F, 1.0F, 2.0F
    };

    (void)state;
    assert_true(lapack_inverse_factor(3, h));
    /* full * (U^T U) is the identity */
    for (size_t i = 0; i < 3; i++)
        for (size_t j = 0; j < 3; j++) {
            float sum = i == j ? -1.0F : 0.0F;

            for (size_t k = 0; k < 3; k++)
                for (size_t l = 0; l <= k && l <= j; l++)
                    sum += full[i * 3 + k] * h[l * 3 + k] * h[l * 3 + j];
            assert_true(fabsf(sum) < 1e-5F);
        }
    assert_false(lapack_inverse_factor(2, bad));
    assert_true(lapack_inverse_factor(0, bad));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eigenpairs_are_those_of_the_matrix),
        cmocka_unit_test(test_the_largest_pairs_are_found_by_products_alone),
        cmocka_unit_test(test_a_search_stops_when_told_or_when_it_gets_nowhere),
        cmocka_unit_test(test_products_are_sums_of_products),
        cmocka_unit_test(test_the_factor_of_an_inverse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
