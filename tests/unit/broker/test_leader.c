#include "broker/leader.h"
#include "common/clock.h"
#include "support/test.h"

#define MS(n) ((n)*NS_PER_MS)

enum { TTL_MS = 9000, START = 1000 };

static struct leader make(bool standby)
{
    struct leader l;

    leader_init(&l, TTL_MS, standby, MS(START));
    return l;
}

/* One that has had the key since `at`, in ms, and leads. */
static struct leader make_leading(int64_t at)
{
    struct leader l = make(true);

    leader_hear(&l, LEADER_OURS, MS(at));
    leader_hear(&l, LEADER_BEGUN, MS(at));
    leader_hear(&l, LEADER_OURS, MS(at));
    return l;
}

static void test_a_standby_asks_until_the_key_is_free(void **state)
{
    struct leader l = make(true);

    (void)state;
    for (int64_t at = START; at < START + 1000; at += 200) {
        assert_int_equal(leader_next(&l, MS(at)), LEADER_ACQUIRE);
        leader_hear(&l, LEADER_OTHERS, MS(at));
        assert_int_equal(leader_next(&l, MS(at + 199)), LEADER_SLEEP);
        assert_int_equal(l.role, LEADER_WAITS);
    }
    leader_hear(&l, LEADER_OURS, MS(2000));
    assert_int_equal(l.role, LEADER_STARTS);
    assert_false(leader_may_speak(&l, MS(2000), MS(2000)));
}

static void test_the_key_is_kept_while_the_log_is_read(void **state)
{
    struct leader l = make(true);

    (void)state;
    leader_hear(&l, LEADER_OURS, MS(2000));
    assert_int_equal(leader_next(&l, MS(4999)), LEADER_SLEEP);
    assert_int_equal(leader_next(&l, MS(5000)), LEADER_EXTEND);
}

static void test_one_that_leads_tells_its_epoch_in_the_key(void **state)
{
    struct leader l = make(true);

    (void)state;
    leader_hear(&l, LEADER_OURS, MS(2000));
    leader_hear(&l, LEADER_BEGUN, MS(2500));
    assert_int_equal(l.role, LEADER_LEADS);
    assert_int_equal(leader_next(&l, MS(2500)), LEADER_ACQUIRE);
}

static void test_one_that_is_no_standby_takes_the_key_of_a_fenced_one(void **s)
{
    struct leader l = make(false);

    (void)s;
    assert_int_equal(leader_next(&l, MS(100000)), LEADER_SLEEP);
    leader_hear(&l, LEADER_BEGUN, MS(2000));
    assert_int_equal(leader_next(&l, MS(2000)), LEADER_SEIZE);
    leader_hear(&l, LEADER_FREE, MS(2001));
    assert_int_equal(leader_next(&l, MS(2001)), LEADER_ACQUIRE);
    leader_hear(&l, LEADER_OURS, MS(2001));
    assert_int_equal(leader_next(&l, MS(5001)), LEADER_EXTEND);
}

static void test_a_key_lost_is_asked_for_but_not_taken_away(void **state)
{
    struct leader l = make_leading(2000);

    (void)state;
    leader_hear(&l, LEADER_OTHERS, MS(5000));
    assert_false(leader_may_speak(&l, MS(5000), MS(4999)));
    assert_int_equal(leader_next(&l, MS(5200)), LEADER_ACQUIRE);
}

static void test_speaks_while_nobody_else_can_have_the_key(void **state)
{
    struct leader l = make_leading(2000);

    (void)state;
    assert_true(leader_may_speak(&l, MS(2001), MS(2000)));
    assert_true(leader_may_speak(&l, MS(2000 + TTL_MS - 1), MS(2000)));
    assert_false(leader_may_speak(&l, MS(2000 + TTL_MS), MS(2000)));
    /* It counts from when it was asked, not from the answer. */
    leader_hear(&l, LEADER_OURS, MS(5000));
    assert_true(leader_may_speak(&l, MS(5000 + TTL_MS - 1), MS(2000)));
}

/* Stopped for a minute, in which another led and left again: the key is ours
 * once more, the epoch is not. */
static void test_a_key_found_again_proves_nothing(void **state)
{
    struct leader l = make_leading(2000);

    (void)state;
    leader_hear(&l, LEADER_OTHERS, MS(60000)); /* it had expired */
    leader_hear(&l, LEADER_OURS, MS(60001));
    assert_false(leader_may_speak(&l, MS(60002), MS(2000)));
    assert_true(leader_may_speak(&l, MS(60010), MS(60005)));
}

static void test_a_store_that_is_away_is_asked_again(void **state)
{
    struct leader l = make_leading(2000);

    (void)state;
    leader_hear(&l, LEADER_UNKNOWN, MS(5000));
    assert_true(leader_may_speak(&l, MS(5001), MS(2000)));
    assert_int_equal(leader_next(&l, MS(5499)), LEADER_SLEEP);
    assert_int_equal(leader_next(&l, MS(5500)), LEADER_EXTEND);
}

static void test_one_that_leaves_looks_who_follows(void **state)
{
    struct leader l = make_leading(2000);

    (void)state;
    leader_hear(&l, LEADER_LEAVES, MS(3000));
    assert_false(leader_may_speak(&l, MS(3000), MS(2999)));
    assert_int_equal(leader_next(&l, MS(3000)), LEADER_RELEASE);
    leader_hear(&l, LEADER_FREE, MS(3001));
    assert_int_equal(leader_next(&l, MS(3001)), LEADER_LOOK);
    leader_hear(&l, LEADER_OURS, MS(3001)); /* nobody has it */
    assert_int_equal(l.role, LEADER_LEFT);
    assert_int_equal(leader_next(&l, MS(3051)), LEADER_LOOK);
    leader_hear(&l, LEADER_OTHERS, MS(3052));
    assert_int_equal(l.role, LEADER_LEFT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_standby_asks_until_the_key_is_free),
        cmocka_unit_test(test_the_key_is_kept_while_the_log_is_read),
        cmocka_unit_test(test_one_that_leads_tells_its_epoch_in_the_key),
        cmocka_unit_test(
            test_one_that_is_no_standby_takes_the_key_of_a_fenced_one),
        cmocka_unit_test(test_a_key_lost_is_asked_for_but_not_taken_away),
        cmocka_unit_test(test_speaks_while_nobody_else_can_have_the_key),
        cmocka_unit_test(test_a_key_found_again_proves_nothing),
        cmocka_unit_test(test_a_store_that_is_away_is_asked_again),
        cmocka_unit_test(test_one_that_leaves_looks_who_follows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
