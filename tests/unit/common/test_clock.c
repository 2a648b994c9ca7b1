#include "support/test.h"

#include "common/clock.h"

#include <string.h>

static void test_times_are_written_in_utc(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        { 0, "1970-01-01T00:00:00Z" },
        { 999, "1970-01-01T00:00:00Z" },
        { INT64_C(951827696000), "2000-02-29T12:34:56Z" },
        { INT64_C(1795355491123), "2026-11-22T13:51:31Z" },
        { INT64_C(4102444800000), "2100-01-01T00:00:00Z" },
    };
    char text[21];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        clock_format(rows[i].ms, text, sizeof text);
        assert_string_equal(text, rows[i].text);
    }
}

static void test_time_goes_on(void **state)
{
    int64_t start = clock_now();
    int64_t last = start;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        int64_t now = clock_now();

        assert_true(now >= last);
        last = now;
    }
    clock_sleep_ms(20);
    assert_true(clock_now() - start >= 20 * NS_PER_MS);
    assert_true(clock_wall_ms() > INT64_C(1700000000000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_times_are_written_in_utc),
        cmocka_unit_test(test_time_goes_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
