#include "support/test.h"

#include "common/buf.h"

#include <stdlib.h>
#include <string.h>

static void test_it_grows_up_to_its_limit_and_no_further(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 1000);
    for (int i = 0; i < 100; i++)
        assert_ok(buf_add(&b, "0123456789", 10));
    assert_int_equal(b.size, 1000);
    assert_ok(buf_add(&b, "", 0));
    assert_fails(buf_add(&b, "x", 1), STATUS_TOO_BIG, "1 bytes after 1000");
    assert_fails(buf_print(&b, "%d", 1), STATUS_TOO_BIG, NULL);
    assert_fails(buf_add_text(&b, "abc"), STATUS_TOO_BIG, NULL);
    assert_int_equal(b.size, 1000);
    assert_int_equal(strlen(b.data), 1000);
    buf_release(&b);
}

static void test_a_huge_addition_cannot_wrap_around(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, 16);
    assert_ok(buf_add(&b, "abc", 3));
    assert_fails(buf_add(&b, "abc", SIZE_MAX), STATUS_TOO_BIG, NULL);
    assert_string_equal(b.data, "abc");
    buf_release(&b);
}

static void test_texts_are_joined_and_terminated(void **state)
{
    struct buf b;
    char *text;

    (void)state;
    buf_init(&b, 100);
    assert_ok(buf_add_text(&b, "a"));
    assert_ok(buf_print(&b, "-%d-%s", 7, "b"));
    assert_string_equal(b.data, "a-7-b");
    buf_clear(&b);
    assert_int_equal(b.size, 0);
    assert_string_equal(b.data, "");
    assert_ok(buf_add_text(&b, "again"));
    text = buf_take(&b);
    assert_string_equal(text, "again");
    assert_int_equal(b.size, 0);
    free(text);
    buf_release(&b);
}

static void test_nothing_is_taken_as_an_empty_text(void **state)
{
    struct buf b;
    char *text;

    (void)state;
    buf_init(&b, 1);
    text = buf_take(&b);
    assert_string_equal(text, "");
    free(text);
    buf_clear(&b);
    buf_release(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_grows_up_to_its_limit_and_no_further),
        cmocka_unit_test(test_a_huge_addition_cannot_wrap_around),
        cmocka_unit_test(test_texts_are_joined_and_terminated),
        cmocka_unit_test(test_nothing_is_taken_as_an_empty_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
