#include "tensor/reduce.h"

#include <math.h>

#include "common/macros.h"
#include "support/reference.h"
#include "support/test.h"

enum { MOST = 20000 };

static const size_t counts[] = { 0,    1,    7,    15,   16,   17,   64,  65,
                                 1000, 4095, 4096, 4097, 8192, 8200, MOST };

/* Sums of these are rounded at every step, so that the order shows. */
static void fill(float *x, size_t count, uint32_t seed)
{
    reference_fill(x, count, seed);
    for (size_t i = 0; i < count; i++)
        x[i] = ldexpf(x[i], (int)(i * 7 % 61) - 30);
}

static double all_at_once(enum reduce_kind kind, const float *x, const float *y,
                          size_t count)
{
    switch (kind) {
    case REDUCE_L1:
        return reduce_l1(x, count);
    case REDUCE_SQUARES:
        return reduce_squares(x, count);
    default:
        return reduce_dot(x, y, count);
    }
}

static long double term(enum reduce_kind kind, float x, float y)
{
    switch (kind) {
    case REDUCE_L1:
        return fabsl((long double)x);
    case REDUCE_SQUARES:
        return (long double)x * (long double)x;
    default:
        return (long double)x * (long double)y;
    }
}

/* The text of reduce.h, word for word. */
static double documented(enum reduce_kind kind, const float *x, const float *y,
                         size_t count)
{
    double total = 0.0;

    for (size_t first = 0; first < count; first += REDUCE_CHUNK) {
        double lanes[REDUCE_LANES] = { 0 };

        for (size_t i = first; i < count && i < first + REDUCE_CHUNK; i++)
            lanes[(i - first) % REDUCE_LANES] += (double)term(kind, x[i], y[i]);
        for (size_t half = 8; half > 0; half /= 2) {
            for (size_t lane = 0; lane < half; lane++)
                lanes[lane] += lanes[lane + half];
        }
        total += lanes[0];
    }
    return total;
}

static void test_sums_have_the_bits_the_header_promises(void **state)
{
    static float x[MOST];
    static float y[MOST];

    (void)state;
    fill(x, MOST, 5);
    fill(y, MOST, 6);
    for (int kind = 0; kind < REDUCE_KINDS; kind++) {
        for (size_t i = 0; i < COUNT_OF(counts); i++) {
            double got = all_at_once((enum reduce_kind)kind, x, y, counts[i]);
            double expected =
                documented((enum reduce_kind)kind, x, y, counts[i]);

            assert_memory_equal(&got, &expected, sizeof got);
        }
    }
}

static void test_sums_are_near_the_exact_ones(void **state)
{
    static float x[MOST];
    static float y[MOST];

    (void)state;
    fill(x, MOST, 7);
    fill(y, MOST, 8);
    for (int kind = 0; kind < REDUCE_KINDS; kind++) {
        long double exact = 0.0L;
        long double size = 0.0L;

        for (size_t i = 0; i < MOST; i++) {
            exact += term((enum reduce_kind)kind, x[i], y[i]);
            size += fabsl(term((enum reduce_kind)kind, x[i], y[i]));
        }
        exact -= (long double)all_at_once((enum reduce_kind)kind, x, y, MOST);
        assert_true(fabsl(exact) < size * 1e-15L);
    }
    assert_true(reduce_l2(x, MOST) == sqrt(reduce_squares(x, MOST)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums_have_the_bits_the_header_promises),
        cmocka_unit_test(test_sums_are_near_the_exact_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
