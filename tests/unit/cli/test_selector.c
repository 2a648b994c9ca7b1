#include "support/test.h"

#include "cli/selector.h"

#include <string.h>

static void test_every_form_of_a_name_is_understood(void **state)
{
    static const struct {
        const char *text, *sweep;
        uint64_t trial;
        bool best;
    } rows[] = {
        { "@last", "@last", 0, false },
        { "s-7f3a", "s-7f3a", 0, false },
        { "demo/12", "demo", 12, false },
        { "demo/#12", "demo", 12, false },
        { "demo/best", "demo", 0, true },
        { "12", "@last", 12, false },
        { "#3", "@last", 3, false },
        { "@last/best", "@last", 0, true },
        { "lab/demo/7", "lab/demo", 7, false },
    };
    struct selector s;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_ok(selector_parse(rows[i].text, &s));
        assert_string_equal(s.sweep, rows[i].sweep);
        assert_int_equal(s.trial, rows[i].trial);
        assert_int_equal(s.best, rows[i].best);
    }
}

static void test_what_names_nothing_is_refused(void **state)
{
    static const char *const rows[] = {
        "",        "/",      "demo/",
        "demo/0",  "demo/x", "demo/-1",
        "demo/1x", "/12",    "demo/99999999999999999999999",
        "#",
    };
    char text[300];
    struct selector s;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_fails(selector_parse(rows[i], &s), STATUS_INVALID, "names no");
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_fails(selector_parse(text, &s), STATUS_INVALID, "names no sweep");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_form_of_a_name_is_understood),
        cmocka_unit_test(test_what_names_nothing_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
