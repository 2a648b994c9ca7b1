#include "support/test.h"

#include "common/json.h"
#include "common/json_scan.h"
#include "common/limits.h"
#include "common/memory.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_t *read_json(const char *text)
{
    json_t *json = NULL;

    assert_ok(json_parse(text, strlen(text), "text", &json));
    return json;
}

static void test_canonical_text_is_one_for_equal_values(void **state)
{
    static const struct {
        const char *text;
        const char *canonical;
    } rows[] = {
        { "{ \"b\" : 1 , \"a\" : [ ] }", "{\"a\":[],\"b\":1}" },
        { "{\"b\":{},\"B\":2,\"ab\":3,\"a\":4,\"\":5}",
          "{\"\":5,\"B\":2,\"a\":4,\"ab\":3,\"b\":{}}" },
        { "{\"\\u00e9\":1,\"z\":2}", "{\"z\":2,\"\xc3\xa9\":1}" },
        { "[1.0, 1, 1e0, 10e-1]", "[1,1,1,1]" },
        { "[-0.0, 0.0, 0, -0]", "[0,0,0,0]" },
        { "[0.1, 0.10, 1e-1]", "[0.1,0.1,0.1]" },
        { "[1e22, 1e300, 9007199254740992.0]",
          "[1e+22,1e+300,9007199254740992]" },
        { "[9007199254740993, -9223372036854775808]",
          "[9007199254740993,-9223372036854775808]" },
        { "[true,false,null]", "[true,false,null]" },
        { "[\"a\\/b\\n\\u0001\\\"\"]", "[\"a/b\\n\\u0001\\\"\"]" },
        { "{\"x\":[{\"b\":1,\"a\":2}]}", "{\"x\":[{\"a\":2,\"b\":1}]}" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        json_t *json = read_json(rows[i].text);
        char *text = json_canonical(json);
        json_t *again = read_json(text);
        char *twice = json_canonical(again);

        assert_string_equal(text, rows[i].canonical);
        assert_string_equal(twice, text);
        free(twice);
        free(text);
        json_decref(again);
        json_decref(json);
    }
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + 1442695040888963407U;
    return *state >> 11 ^ *state << 40;
}

/* Digits of a number without zeros at its ends. */
static int significant(const char *text)
{
    int count = 0;
    int zeros = 0;

    for (; *text != '\0' && *text != 'e'; text++) {
        if (*text < '0' || *text > '9')
            continue;
        zeros = *text == '0' ? zeros + 1 : 0;
        count += count > 0 || *text != '0';
    }
    return count > zeros ? count - zeros : count;
}

static void test_reals_are_the_shortest_that_read_back(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        { 0.3, "0.3" },
        { 0.1 + 0.2, "0.30000000000000004" },
        { 1.0 / 3.0, "0.3333333333333333" },
        { 5e-324, "5e-324" },
        { DBL_MAX, "1.7976931348623157e+308" },
        { -1.5, "-1.5" },
        { 123456.0, "123456" },
        { 1e-7, "1e-07" },
    };
    uint64_t random = 3;
    char text[32];
    char shorter[320];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        json_format_real(rows[i].value, text, sizeof text);
        assert_string_equal(text, rows[i].text);
    }
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = next_random(&random);
        double value;
        double back;

        memcpy(&value, &bits, sizeof value);
        if (value != value || value > DBL_MAX || value < -DBL_MAX)
            continue;
        json_format_real(value, text, sizeof text);
        back = strtod(text, NULL);
        assert_true(back == value);
        for (int digits = 1; digits < significant(text); digits++) {
            (void)snprintf(shorter, sizeof shorter, "%.*g", digits, value);
            assert_true(strtod(shorter, NULL) != value);
        }
    }
}

static void test_what_is_shown_keeps_order_and_type(void **state)
{
    json_t *json = read_json("{\"z\":[0.1,1.0,1,1e22,-0.0,null,\"\\\"\"],"
                             "\"a\":{},\"b\":[],\"c\":{\"d\":[{}]}}");
    char *lines = json_shown(json);
    char *line = json_shown_line(json);
    json_t *again = read_json(lines);

    (void)state;
    assert_string_equal(line,
                        "{\"z\":[0.1,1.0,1,1e+22,0.0,null,\"\\\"\"],\"a\":{},"
                        "\"b\":[],\"c\":{\"d\":[{}]}}");
    assert_string_equal(lines, "{\n  \"z\": [\n    0.1,\n    1.0,\n    1,\n"
                               "    1e+22,\n    0.0,\n    null,\n"
                               "    \"\\\"\"\n  ],\n  \"a\": {},\n"
                               "  \"b\": [],\n  \"c\": {\n    \"d\": [\n"
                               "      {}\n    ]\n  }\n}");
    assert_true(json_equal(again, json));
    json_decref(again);
    free(line);
    free(lines);
    json_decref(json);
}

/* Texts, numbers and words come out as jansson writes them. */
static void test_what_is_shown_is_written_as_jansson_writes_it(void **state)
{
    json_t *json = read_json(
        "{\"\\u0001\\n\\t\":\"a\\\\b\\\"c\\/d\",\"\xc3\xa9\":"
        "[true,false,null,\"\",-9223372036854775808,9223372036854775807,"
        "\"\x7f\",\"\\ud83d\\ude00\",0.5],\"\":{\"\":[[]]}}");
    char *shown = json_shown_line(json);
    char *wanted = json_dumps(json, JSON_COMPACT);

    (void)state;
    assert_string_equal(shown, wanted);
    free(shown);
    free(wanted);
    json_decref(json);
}

static void test_what_is_no_json_is_refused_with_its_place(void **state)
{
    json_t *json = NULL;
    const char *text = "{\"a\": 1,\n \"a\": 2}";

    (void)state;
    assert_fails(json_parse(text, strlen(text), "params", &json),
                 STATUS_CORRUPT, "params: line 2, column");
    assert_fails(json_parse("{\"a\":", 5, "params", &json), STATUS_CORRUPT,
                 "line 1");
    assert_fails(json_parse("[1] 2", 5, "params", &json), STATUS_CORRUPT, NULL);
    assert_fails(json_parse("[1e999]", 7, "params", &json), STATUS_CORRUPT,
                 NULL);
    assert_fails(json_parse("[NaN]", 5, "params", &json), STATUS_CORRUPT, NULL);
    assert_fails(json_parse("[\"\xff\"]", 5, "params", &json), STATUS_CORRUPT,
                 NULL);
    assert_fails(json_parse("", 0, "params", &json), STATUS_CORRUPT, NULL);
    assert_null(json);
}

static void test_nesting_has_a_limit(void **state)
{
    char text[4 * LIMIT_DEPTH];
    json_t *json = NULL;

    (void)state;
    memset(text, '[', LIMIT_DEPTH);
    memset(text + LIMIT_DEPTH, ']', LIMIT_DEPTH);
    assert_ok(json_parse(text, 2 * (size_t)LIMIT_DEPTH, "x", &json));
    json_decref(json);
    memset(text, '[', LIMIT_DEPTH + 1);
    memset(text + LIMIT_DEPTH + 1, ']', LIMIT_DEPTH + 1);
    assert_fails(json_parse(text, 2 * (size_t)LIMIT_DEPTH + 2, "x", &json),
                 STATUS_CORRUPT, "nested deeper than 64");
    /* Brackets of texts are none. */
    memset(text, '[', sizeof text);
    memcpy(text, "[\"\\\"", 4);
    memcpy(text + sizeof text - 2, "\"]", 2);
    assert_ok(json_parse(text, sizeof text, "x", &json));
    json_decref(json);
}

static void test_members_are_checked_by_name_and_type(void **state)
{
    json_t *o = read_json("{\"t\":\"x\",\"i\":-3,\"r\":0.5,\"b\":true,"
                          "\"o\":{},\"a\":[1]}");
    const char *text;
    int64_t number;
    double real;
    json_t *part;

    (void)state;
    assert_ok(json_member_text(o, "t", &text));
    assert_string_equal(text, "x");
    assert_ok(json_member_int(o, "i", &number));
    assert_int_equal(number, -3);
    assert_ok(json_member_real(o, "r", &real));
    assert_true(real == 0.5);
    assert_ok(json_member_real(o, "i", &real)); /* an integer is a number */
    assert_true(real == -3.0);
    assert_ok(json_member_object(o, "o", &part));
    assert_ok(json_member_array(o, "a", &part));
    assert_fails(json_member_text(o, "i", &text), STATUS_INVALID,
                 "\"i\" is missing or not a text");
    assert_fails(json_member_int(o, "r", &number), STATUS_INVALID, "\"r\"");
    assert_fails(json_member_real(o, "t", &real), STATUS_INVALID, "\"t\"");
    assert_fails(json_member_object(o, "a", &part), STATUS_INVALID, "\"a\"");
    assert_fails(json_member_array(o, "no", &part), STATUS_INVALID, "\"no\"");
    assert_string_equal(json_text_or(o, "i", "-"), "-");
    assert_int_equal(json_int_or(o, "i", 9), -3);
    assert_int_equal(json_int_or(o, "r", 9), 9);
    assert_true(json_real_or(o, "no", 2.5) == 2.5);
    assert_true(json_bool_or(o, "b", false));
    assert_true(json_bool_or(o, "i", true));
    json_decref(o);
}

static void test_a_file_is_named_in_what_is_said_of_it(void **state)
{
    char path[] = "/tmp/sinter-json-XXXXXX";
    int fd = mkstemp(path);
    json_t *json = NULL;

    (void)state;
    assert_true(fd >= 0 && write(fd, "{\"a\":}", 6) == 6);
    assert_fails(json_parse_file(path, 100, &json), STATUS_CORRUPT, path);
    assert_fails(json_parse_file(path, 5, &json), STATUS_TOO_BIG, path);
    assert_int_equal(ftruncate(fd, 0), 0);
    assert_int_equal(pwrite(fd, "{}", 2, 0), 2);
    assert_ok(json_parse_file(path, 100, &json));
    json_decref(json);
    (void)close(fd);
    (void)unlink(path);
    assert_fails(json_parse_file(path, 100, &json), STATUS_NOT_FOUND, path);
}

/* What the quick look takes, the parser takes: over texts with every byte
 * changed in turn. */
static void test_the_quick_look_never_says_more_than_the_parser(void **state)
{
    static const char *const texts[] = {
        "{}",
        " {\"metrics\": {\"value\":1}}\n",
        "{\"a\":-0.5e-10,\"b\":[1,2.5,-3,1E5,[]],\"c\":null,\"d\":true}",
        "{\"a\":{\"a\":{\"b\":false}},\"b\":\"text\",\"c\":{\"b\":0}}",
        "{\"long\":12345678901234567,\"more\":1.2345678901234567}",
    };
    static const char bytes[] = "{}[]\":,.-+eE0129 ab\\\x01\x7f\x80\xc3ntf";
    int taken = 0;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        AUTO(free_pointer) char *text = xstrdup(texts[i]);

        assert_true(json_is_plain_object(text, strlen(text)));
        for (size_t at = 0; texts[i][at] != '\0'; at++) {
            for (const char *b = bytes; *b != '\0'; b++) {
                json_t *json = NULL;

                text[at] = *b;
                if (!json_is_plain_object(text, strlen(text)))
                    continue;
                assert_ok(json_parse(text, strlen(text), "text", &json));
                assert_true(json_is_object(json));
                json_decref(json);
                taken++;
            }
            text[at] = texts[i][at];
        }
    }
    assert_true(taken > 100);
    assert_false(json_is_plain_object("", 0));
    assert_false(json_is_plain_object("[1]", 3));
    assert_false(json_is_plain_object("{\"a\":1e999}", 11));
    assert_false(json_is_plain_object("{\"a\":1,\"a\":2}", 13));
    assert_false(json_is_plain_object("{\"a\":99999999999999999999}", 26));
}

static void test_a_text_ends_at_its_own_quotation_mark(void **state)
{
    static const struct {
        const char *text;
        int end; /* -1: none */
    } rows[] = {
        { "\"", 0 },        { "ab\" \"", 2 },     { "a\\\"b\"", 4 },
        { "\\\\\" \"", 2 }, { "\\\\\\\" \"", 5 }, { "", -1 },
        { "ab", -1 },       { "ab\\", -1 },       { "ab\\\"", -1 },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        size_t size = strlen(rows[i].text);
        char *text = xcalloc(1, size); /* nothing behind it */
        const char *end;

        memcpy(text, rows[i].text, size);
        end = json_end_of_text(text, text + size);
        if (end != (rows[i].end < 0 ? NULL : text + rows[i].end))
            fail_msg("%s: another end", rows[i].text);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canonical_text_is_one_for_equal_values),
        cmocka_unit_test(test_reals_are_the_shortest_that_read_back),
        cmocka_unit_test(test_what_is_shown_keeps_order_and_type),
        cmocka_unit_test(test_what_is_shown_is_written_as_jansson_writes_it),
        cmocka_unit_test(test_what_is_no_json_is_refused_with_its_place),
        cmocka_unit_test(test_nesting_has_a_limit),
        cmocka_unit_test(test_the_quick_look_never_says_more_than_the_parser),
        cmocka_unit_test(test_a_text_ends_at_its_own_quotation_mark),
        cmocka_unit_test(test_members_are_checked_by_name_and_type),
        cmocka_unit_test(test_a_file_is_named_in_what_is_said_of_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
