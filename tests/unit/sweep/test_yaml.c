#include "tests/support/test.h"

#include <string.h>

#include "common/limits.h"
#include "common/memory.h"
#include "sweep/yaml.h"

static struct yaml *parse(const char *text)
{
    struct yaml_place place;
    struct yaml *y = NULL;

    assert_ok(yaml_parse(text, strlen(text), &y, &place));
    return y;
}

struct scalar {
    const char *text, *json;
};

/* YAML 1.2 core: what PyYAML and friends read otherwise is marked. */
static const struct scalar scalars[] = {
    { "~", "null" },
    { "null", "null" },
    { "true", "true" },
    { "FALSE", "false" },
    { "no", "\"no\"" },   /* 1.1: false */
    { "yes", "\"yes\"" }, /* 1.1: true */
    { "on", "\"on\"" },   /* 1.1: true */
    { "12", "12" },
    { "-12", "-12" },
    { "+12", "12" },
    { "010", "10" }, /* 1.1: 8 */
    { "0o10", "8" },
    { "0x1F", "31" },
    { "0b1", "\"0b1\"" },
    { "1e-5", "1e-05" }, /* 1.1: a text */
    { "1.5e3", "1500" },
    { ".5", "0.5" },
    { "5.", "5" },
    { "1_000", "\"1_000\"" }, /* 1.1: 1000 */
    { "1:30", "\"1:30\"" },   /* 1.1: 90 */
    { "2026-11-22", "\"2026-11-22\"" },
    { "1e", "\"1e\"" },
    { "e5", "\"e5\"" },
    { "-", "[null]" },
    { ".", "\".\"" },
    { "'12'", "\"12\"" },
    { "\"true\"", "\"true\"" },
    { "!!str 12", "\"12\"" },
    { "nullx", "\"nullx\"" },
    { "9223372036854775807", "9223372036854775807" },
    { "9223372036854775808", "9.223372036854776e+18" },
    { "[1, a, 'b']", "[1,\"a\",\"b\"]" },
    { "{a: 1, b: [x]}", "{\"a\":1,\"b\":[\"x\"]}" },
    { "a: |\n  two\n  lines\n", "{\"a\":\"two\\nlines\\n\"}" },
    { "%YAML 1.2\n---\na: no\n", "{\"a\":\"no\"}" },
    { "a: &x {b: 1}\nc: *x\n", "{\"a\":{\"b\":1},\"c\":{\"b\":1}}" },
    { "a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}\n",
      "{\"a\":{\"b\":1,\"c\":2},\"d\":{\"b\":1,\"c\":3}}" },
    { "a: &x {b: 1}\ne: &y {b: 2, f: 3}\nd: {<<: [*x, *y]}\n",
      "{\"a\":{\"b\":1},\"d\":{\"b\":1,\"f\":3},\"e\":{\"b\":2,\"f\":3}}" },
    { "d: {'<<': 1}\n", "{\"d\":{\"<<\":1}}" },
};

static void test_scalars_follow_the_core_schema(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(scalars); i++) {
        struct yaml *y = parse(scalars[i].text);
        json_t *json = yaml_json(yaml_root(y));
        AUTO(free_pointer) char *text = json_canonical(json);

        if (strcmp(text, scalars[i].json) != 0)
            fail_msg("%s is %s", scalars[i].text, text);
        json_decref(json);
        yaml_tree_free(y);
    }
}

static void expect_place(const struct yaml_node *node, uint32_t line,
                         uint32_t column, uint32_t length)
{
    if (node->place.line != line || node->place.column != column ||
        node->place.length != length)
        fail_msg("%s at %u:%u+%u", node->text == NULL ? "?" : node->text,
                 node->place.line, node->place.column, node->place.length);
}

static void test_every_node_knows_its_place(void **state)
{
    struct yaml *y = parse("a: one\n"
                           "b:\n"
                           "  - 'two'\n"
                           "  - {c: [1, 2],\n"
                           "     d: 3}   # more\n"
                           "\xC3\xBC: \xE2\x88\x9E x\n");
    const struct yaml_node *root = yaml_root(y);
    const struct yaml_node *list = yaml_get(root, "b");

    (void)state;
    expect_place(root, 1, 1, 1);
    expect_place(yaml_get(root, "a"), 1, 4, 3);
    expect_place(root->pairs[1].key, 2, 1, 1);
    expect_place(list, 3, 3, 1);
    expect_place(list->items[0], 3, 5, 5);
    expect_place(list->items[1], 4, 5, 11); /* to the end of its line */
    expect_place(yaml_get(list->items[1], "c"), 4, 9, 6);
    expect_place(yaml_get(list->items[1], "d"), 5, 9, 1);
    expect_place(root->pairs[2].key, 6, 1, 1); /* characters, not bytes */
    expect_place(root->pairs[2].value, 6, 4, 3);
    yaml_tree_free(y);
}

struct bad {
    const char *text;
    enum status_code code;
    uint32_t line, column;
    const char *words;
};

static const struct bad bads[] = {
    { "", STATUS_NOT_FOUND, 1, 1, "empty" },
    { "\xEF\xBB\xBF", STATUS_NOT_FOUND, 1, 1, "empty" },
    { "\xEF\xBB\xBF"
      "a: 1\nb: \xFF\n",
      STATUS_INVALID, 2, 4, "save the file as UTF-8" },
    { "a: [1, 2\nb: 1\n", STATUS_INVALID, 2, 2, "expected ',' or ']'" },
    { "a: 1\n b: 2\n", STATUS_INVALID, 2, 3, "mapping values" },
    { "a: 1\nb: 2\na: 3\n", STATUS_CORRUPT, 3, 1, "first at line 1" },
    { "a: 1\n---\nb: 1\n", STATUS_INVALID, 2, 1, "second document" },
    { "? [a]\n: 1\n", STATUS_INVALID, 1, 3, "a key must be a word" },
    { "a: *b\n", STATUS_INVALID, 1, 4, "no anchor is called &b" },
    { "a: &b [*b]\n", STATUS_INVALID, 1, 8, "stands inside itself" },
    { "a: !python/object x\n", STATUS_INVALID, 1, 4, "has no meaning" },
    { "a: .inf\n", STATUS_INVALID, 1, 4, "not a finite number" },
    { "a: 1e999\n", STATUS_INVALID, 1, 4, "not a finite number" },
    { "a: \"\\0\"\n", STATUS_INVALID, 1, 4, "zero byte" },
    { "a: {<<: 1}\n", STATUS_INVALID, 1, 5, "<< takes a map" },
    { "a: 1\nb: \x01\n", STATUS_INVALID, 2, 4, "control characters" },
    { "a: \xFF\n", STATUS_INVALID, 1, 4, "invalid" },
};

/* As editors of Windows write it. */
static void test_a_byte_order_mark_moves_nothing(void **state)
{
    struct yaml *y = parse("\xEF\xBB\xBF"
                           "a: 1\nb: 2\n");
    const struct yaml_node *a = yaml_get(yaml_root(y), "a");
    const struct yaml_node *b = yaml_get(yaml_root(y), "b");

    (void)state;
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(a->place.column, 4);
    assert_int_equal(b->place.line, 2);
    assert_int_equal(b->place.column, 4);
    yaml_tree_free(y);
}

static void test_every_mistake_has_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bads); i++) {
        struct yaml_place place;
        struct yaml *y = NULL;

        assert_fails(yaml_parse(bads[i].text, strlen(bads[i].text), &y, &place),
                     bads[i].code, bads[i].words);
        if (place.line != bads[i].line || place.column != bads[i].column)
            fail_msg("%s: %u:%u", bads[i].text, place.line, place.column);
    }
}

/* a: &a [x, x] / b: &b [*a, *a] ...: each line doubles the last. */
static void test_aliases_have_a_budget(void **state)
{
    char text[4096] = "a0: &a0 [x, x]\n";
    size_t used = strlen(text);
    struct yaml_place place;
    struct yaml *y = NULL;

    (void)state;
    for (int i = 1; i < 40; i++)
        used +=
            (size_t)snprintf(text + used, sizeof text - used,
                             "a%d: &a%d [*a%d, *a%d]\n", i, i, i - 1, i - 1);
    assert_fails(yaml_parse(text, used, &y, &place), STATUS_TOO_BIG,
                 "100000 nodes");
}

static void test_depth_and_size_are_limited(void **state)
{
    char deep[200];
    char *large = calloc(1, LIMIT_SPEC + 2);
    struct yaml_place place;
    struct yaml *y = NULL;

    (void)state;
    memset(deep, '[', sizeof deep);
    assert_fails(yaml_parse(deep, sizeof deep, &y, &place), STATUS_TOO_BIG,
                 "too deeply");
    memset(large, ' ', LIMIT_SPEC + 1);
    assert_fails(yaml_parse(large, LIMIT_SPEC + 1, &y, &place), STATUS_TOO_BIG,
                 "at most 1048576");
    free(large);
}

static void test_lines_end_where_libyaml_ends_them(void **state)
{
    static const char text[] = "one\r\ntwo\rthree\nfour";
    static const char *const lines[] = { "one", "two", "three", "four", "" };

    (void)state;
    for (uint32_t i = 0; i < COUNT_OF(lines); i++) {
        size_t length;
        const char *line = yaml_line(text, strlen(text), i + 1, &length);

        assert_int_equal(length, strlen(lines[i]));
        assert_memory_equal(line, lines[i], length);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars_follow_the_core_schema),
        cmocka_unit_test(test_every_node_knows_its_place),
        cmocka_unit_test(test_a_byte_order_mark_moves_nothing),
        cmocka_unit_test(test_every_mistake_has_its_place),
        cmocka_unit_test(test_aliases_have_a_budget),
        cmocka_unit_test(test_depth_and_size_are_limited),
        cmocka_unit_test(test_lines_end_where_libyaml_ends_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
