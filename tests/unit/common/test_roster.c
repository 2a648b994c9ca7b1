#include "common/roster.h"
#include "support/test.h"

#include <string.h>

static bool told(struct roster *r, const char *address, bool trusted)
{
    return roster_told(r, address, strlen(address), trusted);
}

static void test_addresses_are_tried_in_turn(void **state)
{
    struct roster r;

    (void)state;
    roster_init(&r, "a,b,c");
    assert_int_equal(r.count, 3);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(roster_current(&r), "a");
        roster_next(&r);
        assert_string_equal(roster_current(&r), "b");
        roster_next(&r);
        assert_string_equal(roster_current(&r), "c");
        roster_next(&r);
    }
    roster_release(&r);
}

static void test_one_address_is_tried_again(void **state)
{
    struct roster r;

    (void)state;
    roster_init(&r, "a");
    roster_next(&r);
    assert_string_equal(roster_current(&r), "a");
    roster_release(&r);
}

static void test_goes_where_it_is_told(void **state)
{
    struct roster r;

    (void)state;
    roster_init(&r, "a,b,c");
    assert_true(told(&r, "c", false));
    assert_string_equal(roster_current(&r), "a");
    roster_next(&r);
    assert_string_equal(roster_current(&r), "c");
    roster_next(&r);
    assert_string_equal(roster_current(&r), "a");
    roster_release(&r);
}

static void test_strangers_are_not_believed(void **state)
{
    struct roster r;

    (void)state;
    roster_init(&r, "a,b");
    assert_false(told(&r, "elsewhere", false));
    assert_false(told(&r, "", true));
    assert_false(roster_told(&r, "a\0b", 3, true));
    roster_next(&r);
    assert_string_equal(roster_current(&r), "b");
    roster_release(&r);
}

static void test_a_proved_broker_may_send_anywhere(void **state)
{
    struct roster r;

    (void)state;
    roster_init(&r, "a,b");
    assert_true(told(&r, "elsewhere", true));
    roster_next(&r);
    assert_string_equal(roster_current(&r), "elsewhere");
    roster_next(&r); /* nobody there: on with our own */
    assert_string_equal(roster_current(&r), "b");
    roster_release(&r);
}

static void test_the_last_word_counts(void **state)
{
    struct roster r;

    (void)state;
    roster_init(&r, "a,b,c");
    assert_true(told(&r, "c", false));
    assert_false(told(&r, "", false));
    roster_next(&r);
    assert_string_equal(roster_current(&r), "b");
    roster_release(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_are_tried_in_turn),
        cmocka_unit_test(test_one_address_is_tried_again),
        cmocka_unit_test(test_goes_where_it_is_told),
        cmocka_unit_test(test_strangers_are_not_believed),
        cmocka_unit_test(test_a_proved_broker_may_send_anywhere),
        cmocka_unit_test(test_the_last_word_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
