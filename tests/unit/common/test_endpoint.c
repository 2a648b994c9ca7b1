#include "common/endpoint.h"
#include "common/macros.h"
#include "common/memory.h"
#include "support/test.h"

#include <string.h>
#include <unistd.h>

static void test_who_can_reach_an_address(void **state)
{
    static const char *const own[] = {
        "ipc:///run/x",      "inproc://a",  "tcp://127.0.0.1:7420",
        "tcp://127.1.2.3:*", "127.0.0.1:0", "localhost:7422",
        "tcp://[::1]:7420",  "[::1]:80",
    };
    static const char *const open[] = {
        "tcp://*:7420",
        "tcp://0.0.0.0:7420",
        "tcp://[::]:7420",
        "[::]:7422",
        "tcp://10.0.0.1:7420",
        "tcp://broker:7420",
        "tcp://127.evil.org:7420",
        "tcp://127.0.0.1.evil.org:7420",
        "tcp://localhost.evil.org:7420",
        "tcp://127.0.0.1:0;evil.org:7420",
        "tcp://eth0:7420",
        "tcp://lo:7420",
        "tcp://",
        "127.0.0.1",
        "",
        "tcp://[::ffff:10.0.0.1]:7420",
        "tcp://[:7420",
        "pgm://127.0.0.1:7",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(own); i++)
        if (!endpoint_is_private(own[i]))
            fail_msg("%s", own[i]);
    for (size_t i = 0; i < COUNT_OF(open); i++)
        if (endpoint_is_private(open[i]))
            fail_msg("%s", open[i]);
}

static void test_what_is_bound_to_all_addresses(void **state)
{
    (void)state;
    assert_true(endpoint_is_everywhere("tcp://*:7420"));
    assert_true(endpoint_is_everywhere("0.0.0.0:7422"));
    assert_true(endpoint_is_everywhere("[::]:7422"));
    assert_false(endpoint_is_everywhere("tcp://10.0.0.0:7422"));
    assert_false(endpoint_is_everywhere("[::1]:7422"));
    assert_false(endpoint_is_everywhere("ipc://*"));
}

static void check_advertised(const char *bound, const char *host,
                             const char *wanted)
{
    AUTO(free_pointer) char *got = endpoint_advertised(bound, host);

    assert_string_equal(got, wanted);
}

static void test_where_others_are_told_to_come(void **state)
{
    char machine[65] = "";
    AUTO(free_pointer) char *here = NULL;

    (void)state;
    assert_int_equal(gethostname(machine, sizeof machine - 1), 0);
    here = xasprintf("tcp://%s:7420", machine);
    check_advertised("tcp://0.0.0.0:7420", NULL, here);
    check_advertised("tcp://[::]:7420", "", here);
    check_advertised("tcp://0.0.0.0:7420", "broker-2", "tcp://broker-2:7420");
    check_advertised("tcp://10.0.0.1:7420", NULL, "tcp://10.0.0.1:7420");
    check_advertised("tcp://10.0.0.1:7420", "b", "tcp://b:7420");
    check_advertised("127.0.0.1:7422", NULL, "127.0.0.1:7422");
    check_advertised("0.0.0.0:7422", "b", "b:7422");
    check_advertised("0.0.0.0:7422", "fd00::1", "[fd00::1]:7422");
    check_advertised("0.0.0.0:7422", "[fd00::1]", "[fd00::1]:7422");
    check_advertised("ipc:///tmp/a:b", "b", "ipc:///tmp/a:b");
}

static void test_where_a_worker_says_that_it_serves(void **state)
{
    static const char *const good[] = { "http://h:1", "http://10.0.0.7:7423",
                                        "http://[fd00::1]:65535",
                                        "http://worker-1.lab_x.org:7423" };
    static const char *const bad[] = {
        "",
        "h:1",
        "http://",
        "http://:1",
        "http://h",
        "http://h:",
        "http://h:99:1",
        "http://[h:99]:1",
        "http://[::1:1",
        "http://[]:1",
        "http://h]:1",
        "http://h:1/",
        "http://h:1/x",
        "http://h:123456",
        "http://u@h:1",
        "http://h :1",
        "http://h:1\n",
        "http://h/../x:1",
        "http://%68:1",
        "HTTP://h:1",
        "https://h:1",
        "file://h:1",
    };
    char lengthy[400] = "http://";

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_true(endpoint_is_http(good[i], strlen(good[i])));
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        if (endpoint_is_http(bad[i], strlen(bad[i])))
            fail_msg("\"%s\" is taken", bad[i]);
    assert_false(endpoint_is_http("http://h\0:1", 11));
    memset(lengthy + 7, 'h', 350);
    memcpy(lengthy + 357, ":1", 3);
    assert_false(endpoint_is_http(lengthy, strlen(lengthy)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_can_reach_an_address),
        cmocka_unit_test(test_what_is_bound_to_all_addresses),
        cmocka_unit_test(test_where_others_are_told_to_come),
        cmocka_unit_test(test_where_a_worker_says_that_it_serves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
