#include "support/test.h"

#include <string.h>

static void test_every_code_is_found_by_its_name(void **state)
{
    (void)state;
    for (int code = 0; code < STATUS_COUNT; code++) {
        const char *name = status_name((enum status_code)code);

        assert_int_equal(status_find(name), code);
    }
    assert_int_equal(status_find("no such code"), STATUS_FAILED);
    assert_int_equal(status_find(""), STATUS_FAILED);
}

static void test_only_what_may_pass_is_tried_again(void **state)
{
    (void)state;
    assert_int_equal(status_retry(STATUS_UNAVAILABLE), RETRY_LATER);
    assert_int_equal(status_retry(STATUS_NO_SPACE), RETRY_LATER);
    assert_int_equal(status_retry(STATUS_INVALID), RETRY_NEVER);
    assert_int_equal(status_retry(STATUS_CORRUPT), RETRY_NEVER);
    assert_int_equal(status_retry(STATUS_CANCELLED), RETRY_NEVER);
}

static struct status inner(int n)
{
    return n == 0 ? SUCCESS : FAIL(STATUS_LOST, "shard %d", n);
}

static struct status outer(int n)
{
    TRY(inner(n), "read %s", "model");
    return SUCCESS;
}

static struct status plain(int n)
{
    TRY_PLAIN(outer(n));
    return SUCCESS;
}

static void test_a_failure_carries_its_place_and_its_story(void **state)
{
    struct status st = plain(7);

    (void)state;
    assert_int_equal(st.code, STATUS_LOST);
    assert_string_equal(st.message, "read model: shard 7");
    assert_non_null(strstr(st.file, "test_status.c"));
    assert_true(st.line > 0);
    assert_ok(plain(0));
}

static void test_a_long_story_is_cut_and_not_overrun(void **state)
{
    char text[2 * STATUS_MESSAGE_SIZE];
    struct status st;

    (void)state;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    st = FAIL(STATUS_INVALID, "%s", text);
    assert_int_equal(strlen(st.message), STATUS_MESSAGE_SIZE - 1);
    st = status_wrap(st, "%s", text);
    assert_int_equal(strlen(st.message), STATUS_MESSAGE_SIZE - 1);
    assert_int_equal(st.code, STATUS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_is_found_by_its_name),
        cmocka_unit_test(test_only_what_may_pass_is_tried_again),
        cmocka_unit_test(test_a_failure_carries_its_place_and_its_story),
        cmocka_unit_test(test_a_long_story_is_cut_and_not_overrun),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
