#include "support/test.h"

#include "cli/number.h"

#include <math.h>
#include <string.h>

static void test_an_error_decides_how_many_digits_are_shown(void **state)
{
    static const struct {
        double value, error;
        const char *text;
    } rows[] = {
        { 1.84123, 0.0061, "1.841 +-0.006" },
        { 1.84123, 0.0149, "1.841 +-0.015" },
        { 0.5, 0.096, "0.50 +-0.10" },
        { 123.456, 7.2, "123 +-7" },
        { 12345.6, 1234.0, "12346 +-1234" },
        { 0.84123, 0.0, "0.8412" },
        { -1.5, 0.25, "-1.5 +-0.2" },
    };
    char text[NUMBER_TEXT];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        number_with_error(rows[i].value, rows[i].error, false, text);
        assert_string_equal(text, rows[i].text);
    }
    number_with_error(0.8, 0.05, true, text);
    assert_string_equal(text, "0.80 ±0.05");
}

static void test_a_column_shows_four_digits_of_its_largest(void **state)
{
    const double small[] = { 0.8412345, 0.02 };
    const double large[] = { 5432.123, 2.0 };
    const double whole[] = { 3.0, 12.0 };
    const double tiny[] = { 0.000123456 };
    const double broken[] = { 0.25, (double)NAN };

    (void)state;
    assert_int_equal(number_decimals(small, 2), 4);
    assert_int_equal(number_decimals(large, 2), 0);
    assert_int_equal(number_decimals(whole, 2), 0);
    assert_int_equal(number_decimals(tiny, 1), 7);
    assert_int_equal(number_decimals(broken, 2), 4);
    assert_int_equal(number_decimals(NULL, 0), 0);
}

static void test_values_that_are_no_numbers_are_words(void **state)
{
    char text[NUMBER_TEXT];

    (void)state;
    number_fixed((double)NAN, 3, text);
    assert_string_equal(text, "nan");
    number_fixed(-(double)INFINITY, 3, text);
    assert_string_equal(text, "-inf");
    number_fixed(1e300, 9, text);
    assert_string_equal(text, "1e+300");
}

static void test_short_numbers_stay_as_they_are(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = { { 12.0, "12" },           { 0.5, "0.5" },
                 { 0.84123456, "0.8412" }, { 123.456789, "123.5" },
                 { 1.0 / 3.0, "0.3333" },  { -0.25, "-0.25" } };
    char text[NUMBER_TEXT];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        number_short(rows[i].value, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void test_durations_keep_two_or_three_digits(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        { 0, "0ms" },        { 840, "840ms" },     { 1200, "1.2s" },
        { 9949, "9.9s" },    { 9999, "10s" },      { 59000, "59s" },
        { 185000, "3m05s" }, { 11100000, "3h05" }, { 187200000, "2d04h" },
    };
    char text[NUMBER_TEXT];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        number_duration(rows[i].ms, text);
        assert_string_equal(text, rows[i].text);
    }
}

static void test_bytes_are_in_decimal_units(void **state)
{
    char text[NUMBER_TEXT];

    (void)state;
    number_bytes(0, text);
    assert_string_equal(text, "0 B");
    number_bytes(999, text);
    assert_string_equal(text, "999 B");
    number_bytes(999999, text);
    assert_string_equal(text, "1.0 MB");
    number_bytes(UINT64_C(29000000000), text);
    assert_string_equal(text, "29.0 GB");
    number_bytes(UINT64_MAX, text);
    assert_string_equal(text, "18446.7 PB");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_error_decides_how_many_digits_are_shown),
        cmocka_unit_test(test_a_column_shows_four_digits_of_its_largest),
        cmocka_unit_test(test_values_that_are_no_numbers_are_words),
        cmocka_unit_test(test_short_numbers_stay_as_they_are),
        cmocka_unit_test(test_durations_keep_two_or_three_digits),
        cmocka_unit_test(test_bytes_are_in_decimal_units),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
