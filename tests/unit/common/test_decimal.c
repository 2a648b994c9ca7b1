/* Against printf and strtod, which are the definition. */
#include "tests/support/test.h"

#include "common/decimal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/macros.h"
#include "common/philox.h"

static void shortest_by_printf(double x, char text[64])
{
    if (x == floor(x) && fabs(x) < 9007199254740992.0) {
        (void)snprintf(text, 64, "%.0f", x == 0.0 ? 0.0 : x);
        return;
    }
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(text, 64, "%.*g", digits, x);
        if (strtod(text, NULL) == x)
            return;
    }
}

static double round_by_printf(double x, int digits)
{
    char text[64];

    (void)snprintf(text, sizeof text, "%.*g", digits, x);
    return strtod(text, NULL);
}

static void check(double x)
{
    char expected[64];
    char text[DECIMAL_TEXT];

    shortest_by_printf(x, expected);
    assert_int_equal(decimal_shortest(x, text), strlen(expected));
    assert_string_equal(text, expected);
    for (int digits = 1; digits <= DECIMAL_EXACT; digits++) {
        double a = round_by_printf(x, digits);
        double b = decimal_round(x, digits);

        assert_memory_equal(&a, &b, sizeof a);
    }
}

static void test_corners(void **state)
{
    static const double corners[] = {
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.1,
        0.5,
        0.25,
        2.5,
        1e-4,
        1.5e-4,
        9.9999e-5,
        1e-5,
        1e-300,
        5e-324,
        2.2250738585072014e-308,
        1.7976931348623157e308,
        9007199254740991.0,
        9007199254740992.0,
        9007199254740994.0,
        -4503599627370496.5,
        4503599627370495.5,
        999999999999999.9,
        99999999999999.95,
        0.99999999999999989,
        0.999999999999995,
        0.9999999999999995,
        1e15,
        1e16,
        1e22,
        1e23,
        123456789012.5, /* ties, to even */
        123456789013.5,
        0.000123456789012345,
        1e-8,
        1.0000000000000002e-8,
        9.9999999999999995e-9,
        6.02214076e23,
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(corners); i++) {
        check(corners[i]);
        check(-corners[i]);
        check(nextafter(corners[i], 0.0));
    }
}

static double any_double(uint64_t i)
{
    const struct philox_key key = { .seed = 1 };
    uint64_t bits = philox_pair(key, 2 * i);
    double part = (double)(bits >> 11) * 0x1p-53;
    double x;

    switch (i % 4) {
    case 0: /* any at all */
        memcpy(&x, &bits, sizeof x);
        return isfinite(x) ? x : 0.0;
    case 1:
        return part;
    case 2: /* where whole numbers do it, and around */
        return ldexp(part, (int)(philox_pair(key, 2 * i + 1) % 120) - 70);
    default: /* few digits */
        return round_by_printf(ldexp(part, (int)(bits % 90) - 45),
                               (int)(bits % 15) + 1);
    }
}

static void test_numbers_of_all_sizes(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 20000; i++)
        check(any_double(i));
}

static void test_what_is_no_number_stays(void **state)
{
    (void)state;
    assert_true(isnan(decimal_round((double)NAN, 5)));
    assert_true(isinf(decimal_round(-HUGE_VAL, 5)));
    assert_true(decimal_round(-HUGE_VAL, 5) < 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corners),
        cmocka_unit_test(test_numbers_of_all_sizes),
        cmocka_unit_test(test_what_is_no_number_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
