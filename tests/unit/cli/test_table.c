#include "support/test.h"

#include "cli/table.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

/* A table with a text, a parameter and a measured column. */
static struct table *sample(void)
{
    struct table *t = table_new();
    json_t *first = json_real(0.84123456789);
    json_t *second = json_real(0.5);
    json_t *rate = json_real(0.1);

    table_column(t, "id", TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "rate", TABLE_RIGHT, 50);
    table_column(t, "accuracy", TABLE_MEASURED, 10);
    table_add(t, "#1", NULL);
    table_add_value(t, rate);
    table_add_value(t, first);
    table_add(t, "#12, \"odd\"", NULL);
    table_add_value(t, NULL);
    table_add_value(t, second);
    json_decref(first);
    json_decref(second);
    json_decref(rate);
    return t;
}

/* What the table prints; the caller frees. */
static char *printed(const struct table *t, enum table_format format,
                     size_t width, struct buf *dropped)
{
    char *text = NULL;
    size_t size = 0;
    struct terminal terminal = { .width = width };

    terminal.stream = open_memstream(&text, &size);
    table_print(t, format, &terminal, dropped);
    fclose(terminal.stream);
    return text;
}

static void assert_prints(enum table_format format, size_t width,
                          const char *wanted)
{
    struct table *t = sample();
    AUTO(free_pointer) char *text = printed(t, format, width, NULL);

    assert_string_equal(text, wanted);
    table_free(t);
}

static void test_people_see_aligned_columns(void **state)
{
    (void)state;
    assert_prints(TABLE_PEOPLE, SIZE_MAX,
                  " id          rate  accuracy\n"
                  " #1           0.1    0.8412\n"
                  " #12, \"odd\"          0.5000\n");
}

static void test_programs_see_every_digit(void **state)
{
    (void)state;
    assert_prints(TABLE_CSV, 10,
                  "id,rate,accuracy\n#1,0.1,0.84123456789\n"
                  "\"#12, \"\"odd\"\"\",,0.5\n");
    assert_prints(TABLE_TSV, 10,
                  "id\trate\taccuracy\n#1\t0.1\t0.84123456789\n"
                  "#12, \"odd\"\t\t0.5\n");
    assert_prints(TABLE_JSON_LINES, 10,
                  "{\"id\":\"#1\",\"rate\":0.1,"
                  "\"accuracy\":0.84123456789}\n"
                  "{\"id\":\"#12, \\\"odd\\\"\",\"rate\":null,"
                  "\"accuracy\":0.5}\n");
    assert_prints(TABLE_IDS, 10, "#1\n#12, \"odd\"\n");
}

static void test_markdown_has_a_rule_below_its_head(void **state)
{
    (void)state;
    assert_prints(TABLE_MARKDOWN, 10,
                  "| id | rate | accuracy |\n| --- | ---: | ---: |\n"
                  "| #1 | 0.1 | 0.8412 |\n| #12, \"odd\" |  | 0.5000 |\n");
}

static void test_a_narrow_terminal_loses_the_least_important(void **state)
{
    struct table *t = sample();
    struct buf dropped;
    char *text = NULL;

    (void)state;
    buf_init(&dropped, 100);
    text = printed(t, TABLE_PEOPLE, 20, &dropped);
    assert_null(strstr(text, "accuracy"));
    assert_non_null(strstr(text, "rate"));
    assert_string_equal(dropped.data, "accuracy");
    free(text);
    buf_clear(&dropped);
    text = printed(t, TABLE_PEOPLE, 12, &dropped);
    assert_string_equal(dropped.data, "rate, accuracy");
    free(text);
    buf_release(&dropped);
    table_free(t);
}

static void test_a_long_text_leaves_room_for_what_stands_behind_it(void **state)
{
    struct table *t = table_new();
    AUTO(free_pointer) char *text = NULL;

    (void)state;
    table_column(t, "id", TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "name", TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "state", TABLE_TEXT, TABLE_ALWAYS);
    table_add(t, "1", NULL);
    table_add(t, "a-very-long-name", NULL);
    table_add(t, "done", NULL);
    text = printed(t, TABLE_PEOPLE, 24, NULL);
    assert_string_equal(text, " id  name         state\n"
                              " 1   a-very-long  done\n");
    table_free(t);
}

static void test_control_characters_do_not_break_a_row(void **state)
{
    struct table *t = table_new();
    AUTO(free_pointer) char *text = NULL;

    (void)state;
    table_column(t, "message", TABLE_TEXT, TABLE_ALWAYS);
    table_add(t, "two\nlines\033[2J", NULL);
    text = printed(t, TABLE_PEOPLE, SIZE_MAX, NULL);
    assert_string_equal(text, " message\n two lines [2J\n");
    table_free(t);
}

static void test_every_format_has_its_name(void **state)
{
    (void)state;
    assert_int_equal(table_format_find("csv"), TABLE_CSV);
    assert_int_equal(table_format_find("table"), TABLE_PEOPLE);
    assert_int_equal(table_format_find("ids"), TABLE_IDS);
    assert_int_equal(table_format_find("xml"), TABLE_FORMATS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_people_see_aligned_columns),
        cmocka_unit_test(test_programs_see_every_digit),
        cmocka_unit_test(test_markdown_has_a_rule_below_its_head),
        cmocka_unit_test(test_a_narrow_terminal_loses_the_least_important),
        cmocka_unit_test(
            test_a_long_text_leaves_room_for_what_stands_behind_it),
        cmocka_unit_test(test_control_characters_do_not_break_a_row),
        cmocka_unit_test(test_every_format_has_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
