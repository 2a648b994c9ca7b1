#include "tensor/blas.h"

#include <math.h>
#include <string.h>

#include "common/macros.h"
#include "support/reference.h"
#include "support/test.h"

enum { MOST = 65 * 65 };

struct matrices {
    float a[MOST];
    float b[MOST];
    float c[MOST];
    float expected[MOST];
};

static void fill(struct matrices *x)
{
    reference_fill(x->a, MOST, 31);
    reference_fill(x->b, MOST, 32);
    reference_fill(x->c, MOST, 33);
    memcpy(x->expected, x->c, sizeof x->c);
}

/* Sums of up to 65 products of numbers below 1. */
static void check(const struct matrices *x)
{
    for (size_t i = 0; i < MOST; i++)
        assert_true(fabsf(x->c[i] - x->expected[i]) < 2e-5F);
}

static const size_t sizes[][3] = {
    { 1, 1, 1 },   { 7, 1, 64 }, { 1, 65, 7 }, { 65, 64, 33 },
    { 64, 65, 0 }, { 0, 3, 4 },  { 3, 0, 4 },
};

static void test_dense_products(void **state)
{
    static struct matrices x;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        size_t m = sizes[i][0];
        size_t n = sizes[i][1];
        size_t k = sizes[i][2];
        struct reference_matrix a = { x.a, k, 0 };
        struct reference_matrix b = { x.b, n, 0 };
        struct reference_matrix a_t = { x.a, m, 1 };
        struct reference_matrix b_t = { x.b, k, 1 };

        fill(&x);
        reference_multiply(m, n, k, 1.0, a, b, 0.0, x.expected);
        blas_nn(m, n, k, x.a, x.b, 0.0F, x.c);
        check(&x);
        reference_multiply(m, n, k, 1.0, a, b_t, 1.0, x.expected);
        blas_nt(m, n, k, x.a, x.b, 1.0F, x.c);
        check(&x);
        reference_multiply(m, n, k, 1.0, a_t, b, -0.5, x.expected);
        blas_tn(m, n, k, x.a, x.b, -0.5F, x.c);
        check(&x);
    }
}

/* A head of several in a row: strides longer than the rows. */
static void test_products_of_parts_of_rows(void **state)
{
    static struct matrices x;
    struct blas_product p = {
        .m = 9,
        .n = 11,
        .k = 13,
        .alpha = 0.25F,
        .a = { x.a, 40, false },
        .b = { x.b, 50, true },
    };

    (void)state;
    fill(&x);
    blas_multiply(&p, x.c, 60);
    for (size_t i = 0; i < p.m; i++) {
        float row[11] = { 0 }; /* 0 times what is there may be NaN */

        reference_multiply(1, p.n, p.k, 0.25,
                           (struct reference_matrix){ x.a + i * 40, 40, 0 },
                           (struct reference_matrix){ x.b, 50, 1 }, 0.0, row);
        memcpy(x.expected + i * 60, row, sizeof row);
    }
    check(&x);
}

static void test_beta_zero_ignores_what_was_there(void **state)
{
    const float one = 1.0F;
    float c = NAN;

    (void)state;
    blas_nn(1, 1, 1, &one, &one, 0.0F, &c);
    assert_true(c == 1.0F);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dense_products),
        cmocka_unit_test(test_products_of_parts_of_rows),
        cmocka_unit_test(test_beta_zero_ignores_what_was_there),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
