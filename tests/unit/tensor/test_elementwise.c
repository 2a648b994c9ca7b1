#include "tensor/elementwise.h"

#include <string.h>

#include "common/macros.h"
#include "support/reference.h"
#include "support/test.h"

enum { MOST = 1000 };

static const size_t counts[] = { 0, 1, 7, 64, 65, MOST };

struct rows {
    float a[MOST];
    float b[MOST];
    float y[MOST];
    float expected[MOST];
};

static void fill(struct rows *r)
{
    reference_fill(r->a, MOST, 1);
    reference_fill(r->b, MOST, 2);
    memcpy(r->y, r->b, sizeof r->y);
    memcpy(r->expected, r->b, sizeof r->expected);
}

/* Product and sum are rounded one after the other: no FMA, same bits. */
static float scaled(float a, float x)
{
    volatile float product = a * x;

    return product;
}

static void test_axpy(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT_OF(counts); k++) {
        struct rows r;

        fill(&r);
        for (size_t i = 0; i < counts[k]; i++)
            r.expected[i] = r.b[i] + scaled(0.3F, r.a[i]);
        elementwise_axpy(0.3F, r.a, r.y, counts[k]);
        assert_memory_equal(r.y, r.expected, sizeof r.y);
        elementwise_add_scaled(r.b, 0.3F, r.a, r.b, counts[k]);
        assert_memory_equal(r.b, r.expected, sizeof r.b);
    }
}

static void test_scale(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT_OF(counts); k++) {
        struct rows r;

        fill(&r);
        for (size_t i = 0; i < counts[k]; i++)
            r.expected[i] = scaled(-1.7F, r.b[i]);
        elementwise_scale(-1.7F, r.y, counts[k]);
        assert_memory_equal(r.y, r.expected, sizeof r.y);
    }
}

static void test_add_and_subtract(void **state)
{
    (void)state;
    for (size_t k = 0; k < COUNT_OF(counts); k++) {
        struct rows r;

        fill(&r);
        for (size_t i = 0; i < counts[k]; i++)
            r.expected[i] = r.a[i] - r.b[i];
        elementwise_subtract(r.a, r.y, r.y, counts[k]); /* in place */
        assert_memory_equal(r.y, r.expected, sizeof r.y);
        fill(&r);
        for (size_t i = 0; i < counts[k]; i++)
            r.expected[i] = r.a[i] + r.b[i];
        elementwise_add(r.a, r.b, r.y, counts[k]);
        assert_memory_equal(r.y, r.expected, sizeof r.y);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_axpy),
        cmocka_unit_test(test_scale),
        cmocka_unit_test(test_add_and_subtract),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
