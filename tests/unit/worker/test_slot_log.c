#include <string.h>

#include "support/test.h"

#include "common/limits.h"
#include "worker/slot_log.h"

static void expect(const struct slot_log *l, const char *text)
{
    struct wire_bytes tail = slot_log_tail(l);

    assert_int_equal(tail.size, strlen(text));
    if (tail.size > 0)
        assert_memory_equal(tail.data, text, tail.size);
}

static bool add(struct slot_log *l, const char *text)
{
    return slot_log_add(l, text, strlen(text));
}

static void test_lines_are_kept_when_they_end(void **state)
{
    struct slot_log l;

    (void)state;
    slot_log_init(&l);
    assert_false(add(&l, "one"));
    expect(&l, "");
    assert_true(add(&l, " line\nand"));
    expect(&l, "one line\n");
    slot_log_end(&l);
    expect(&l, "one line\nand\n");
    slot_log_clear(&l);
    expect(&l, "");
    slot_log_release(&l);
}

static void test_what_is_no_text_is_replaced(void **state)
{
    struct slot_log l;

    (void)state;
    slot_log_init(&l);
    (void)add(&l, "10%\r20%\rdone\r\n\n");
    (void)add(&l, "\tgr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\n");
    (void)add(&l, "\x1b[1m \xff \xc0\xaf \xed\xa0\x80 \xe2\x82\n");
    (void)slot_log_add(&l, "a\0b\n", 4);
    expect(&l, "10%\n20%\ndone\n\n"
               "\tgr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80\n"
               "?[1m ? ?? ??? ??\n"
               "a?b\n");
    slot_log_release(&l);
}

static void test_only_the_last_lines_stay(void **state)
{
    struct slot_log l;
    struct wire_bytes tail;
    char line[32];

    (void)state;
    slot_log_init(&l);
    for (int i = 0; i < 5000; i++) {
        (void)snprintf(line, sizeof line, "line %d\n", i);
        (void)add(&l, line);
    }
    tail = slot_log_tail(&l);
    assert_true(tail.size <= LIMIT_LOG_TAIL && tail.size > LIMIT_LOG_TAIL - 32);
    assert_memory_equal(tail.data, "line ", 5);
    assert_memory_equal(tail.data + tail.size - 10, "line 4999\n", 10);
    slot_log_release(&l);
}

static void test_a_line_without_end_is_cut(void **state)
{
    static char much[60000];
    struct slot_log l;

    (void)state;
    slot_log_init(&l);
    memset(much, 'x', sizeof much);
    for (int i = 0; i < 10; i++)
        (void)slot_log_add(&l, much, sizeof much);
    slot_log_end(&l);
    assert_true(slot_log_tail(&l).size <= LIMIT_LOG_TAIL);
    assert_true(slot_log_tail(&l).size > LIMIT_LOG_TAIL / 2);
    slot_log_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_are_kept_when_they_end),
        cmocka_unit_test(test_what_is_no_text_is_replaced),
        cmocka_unit_test(test_only_the_last_lines_stay),
        cmocka_unit_test(test_a_line_without_end_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
