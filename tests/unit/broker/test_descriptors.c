#include "broker/descriptors.h"
#include "common/clock.h"
#include "support/test.h"

#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void test_workers_take_five_of_six(void **state)
{
    struct descriptors d = { .limit = 1200 };

    (void)state;
    assert_ok(descriptors_share(&d, 0));
    assert_int_equal(d.workers, 1000);
    assert_ok(descriptors_share(&d, 1000));
    assert_ok(descriptors_share(&d, 7));
    assert_int_equal(d.workers, 7);
    assert_fails(descriptors_share(&d, 1001), STATUS_INVALID,
                 "--max-workers 1001 needs 1202 descriptors, and this process "
                 "may have 1200");
    d.limit = 1 << 20;
    assert_ok(descriptors_share(&d, 0));
    assert_int_equal(d.workers, 10000);
}

static void test_the_limit_is_raised(void **state)
{
    struct rlimit limit = { 0 };
    struct descriptors d;
    rlim_t before;

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    before = limit.rlim_cur;
    limit.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_ok(descriptors_prepare(&d, 10));
    assert_int_equal(d.limit, limit.rlim_max);
    assert_int_equal(d.workers, 10);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(limit.rlim_cur, limit.rlim_max);
    limit.rlim_cur = before;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static bool judge(struct descriptors *d, uint64_t open)
{
    d->open = open;
    return descriptors_judge(d);
}

static void test_an_alarm_at_80_percent_is_said_once(void **state)
{
    struct descriptors d = { .limit = 100 };

    (void)state;
    assert_false(judge(&d, 79));
    assert_true(judge(&d, 80));
    assert_true(d.alarm);
    assert_false(judge(&d, 99));
    assert_false(judge(&d, 70));
    assert_true(judge(&d, 69));
    assert_false(d.alarm);
    assert_false(judge(&d, 1));
}

static void test_open_ones_are_counted(void **state)
{
    enum { MORE = 20 };
    struct descriptors d = { .limit = 1000 };
    int more[MORE];
    uint64_t before;

    (void)state;
    descriptors_watch(&d, 1);
    before = d.open;
    assert_in_range(before, 3, 100);
    for (int i = 0; i < MORE; i++)
        more[i] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    descriptors_watch(&d, 2); /* too soon */
    assert_int_equal(d.open, before);
    descriptors_watch(&d, 60 * NS_PER_S);
    assert_int_equal(d.open, before + MORE);
    for (int i = 0; i < MORE; i++)
        (void)close(more[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_workers_take_five_of_six),
        cmocka_unit_test(test_the_limit_is_raised),
        cmocka_unit_test(test_an_alarm_at_80_percent_is_said_once),
        cmocka_unit_test(test_open_ones_are_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
