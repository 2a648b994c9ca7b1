#include "tensor/elementary.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/macros.h"
#include "support/test.h"

enum { MOST = 4099 };

/* Units in the last place between two of the same sign. */
static int64_t distance(double a, double b)
{
    int64_t x, y;

    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    return x > y ? x - y : y - x;
}

typedef void row(const double *x, double *y, size_t count);

static void check(row *ours, double (*theirs)(double), const double *x,
                  size_t count)
{
    static double y[MOST];

    ours(x, y, count);
    for (size_t i = 0; i < count; i++)
        assert_true(distance(y[i], theirs(x[i])) <= 4);
}

static void test_exp_is_that_of_the_library(void **state)
{
    static double x[MOST];

    (void)state;
    for (size_t i = 0; i < MOST; i++)
        x[i] = 64.0 * (double)i / (MOST - 1);
    check(elementary_exp, exp, x, MOST);
    for (size_t i = 0; i < MOST; i++)
        x[i] = ldexp(1.0 + (double)i / MOST, -(int)(i % 70));
    check(elementary_exp, exp, x, MOST);
    x[0] = 0.0;
    elementary_exp(x, x, 1);
    assert_true(x[0] == 1.0);
}

static void test_tanh_is_that_of_the_library(void **state)
{
    static double x[MOST];

    (void)state;
    for (size_t i = 0; i < MOST; i++)
        x[i] = 50.0 * (double)i / (MOST - 1) - 25.0;
    check(elementary_tanh, tanh, x, MOST);
    for (size_t i = 0; i < MOST; i++)
        x[i] = ldexp(1.0 + (double)i / MOST, -(int)(i % 300)) *
               (i % 2 == 0 ? 1.0 : -1.0);
    check(elementary_tanh, tanh, x, MOST);
    /* where the one form gives way to the other */
    for (size_t i = 0; i < MOST; i++)
        x[i] = 0.0199 + 0.0002 * (double)i / MOST;
    check(elementary_tanh, tanh, x, MOST);
}

static void test_tanh_at_the_ends(void **state)
{
    double x[] = { 0.0, -0.0, 1e300, -1e300, 0x1p-1074 };

    (void)state;
    elementary_tanh(x, x, COUNT_OF(x));
    assert_true(x[0] == 0.0 && !signbit(x[0]));
    assert_true(x[1] == 0.0);
    assert_true(x[2] == 1.0 && x[3] == -1.0);
    assert_true(x[4] == 0x1p-1074);
}

/* An element's value does not depend on its neighbours or its place. */
static void check_cuts(row *function, const double *x)
{
    static double whole[MOST], parts[MOST];

    function(x, whole, MOST);
    for (size_t piece = 1; piece < 40; piece++) {
        for (size_t i = 0; i < MOST; i += piece)
            function(x + i, parts + i, MOST - i < piece ? MOST - i : piece);
        assert_memory_equal(parts, whole, sizeof whole);
    }
}

static void test_cuts_change_no_bit(void **state)
{
    static double x[MOST];

    (void)state;
    for (size_t i = 0; i < MOST; i++)
        x[i] = i % 7 == 0 ? 3.7 / (1.0 + (double)i) : 1e-4 * (double)i;
    check_cuts(elementary_exp, x);
    check_cuts(elementary_tanh, x);
}

/* The same on every machine. */
static void test_values_are_pinned(void **state)
{
    static const double exps[] = { 0x1.a61298e1e069cp+0, 0x1.5bf0a8b14576ap+1,
                                   0x1.f49070bdbe8fdp+3,
                                   0x1.a220d397972eap+57 };
    static const double tanhs[] = { 0x1.47ab48ae4595ep-7, 0x1.d9353d7568af3p-2,
                                    0x1.85efab514f394p-1, 0x1.fd77d111a0bp-1 };
    double x[] = { 0.5, 1.0, 2.75, 40.0 };
    double y[] = { 0.01, 0.5, 1.0, 3.0 };

    (void)state;
    elementary_exp(x, x, COUNT_OF(x));
    elementary_tanh(y, y, COUNT_OF(y));
    assert_memory_equal(x, exps, sizeof exps);
    assert_memory_equal(y, tanhs, sizeof tanhs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exp_is_that_of_the_library),
        cmocka_unit_test(test_tanh_is_that_of_the_library),
        cmocka_unit_test(test_tanh_at_the_ends),
        cmocka_unit_test(test_cuts_change_no_bit),
        cmocka_unit_test(test_values_are_pinned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
