#include "support/test.h"

#include "common/file.h"
#include "common/memory.h"
#include "jobs/data.h"
#include "jobs/select/samples.h"
#include "support/tokenizer_fixture.h"

static struct status open_lines(const char *lines, struct select_samples *s)
{
    json_t *value;
    struct status st;

    assert_ok(
        file_write(fake_context_path(fake, "a.jsonl"), lines, strlen(lines)));
    value = fake_context_source(fake, "a.jsonl");
    st = select_samples_open(value, &fake->context, s);
    json_decref(value);
    return st;
}

static struct status open_value(const char *text, struct select_samples *s)
{
    json_t *value = json_loads(text, 0, NULL);
    struct status st = select_samples_open(value, &fake->context, s);

    assert_non_null(value);
    json_decref(value);
    return st;
}

static const struct select_encoding bytes = { .length = 64 };

/* "12 [83 44] 10 ^83 257": the instruction in brackets, ^ in front of the
 * answer. */
static void check_tokens(const struct select_samples *s, size_t number,
                         const char *wanted)
{
    struct select_sample one = select_samples_get(s, number);
    char text[512] = "";
    size_t used = 0;

    assert_non_null(one.tokens);
    for (size_t i = 0; i < one.prompt + one.answer; i++)
        used += (size_t)snprintf(
            text + used, sizeof(text) - used, "%s%s%s%d%s", i == 0 ? "" : " ",
            i == one.instruction_first && one.instruction_count > 0 ? "[" : "",
            i == one.prompt ? "^" : "", one.tokens[i],
            i + 1 == one.instruction_first + one.instruction_count ? "]" : "");
    assert_string_equal(text, wanted);
}

static void test_an_instruction_has_its_answer_behind_it(void **state)
{
    struct select_samples s;
    struct select_sample one;
    size_t first;

    (void)state;
    assert_ok(open_lines(
        "{\"instruction\": \"ab\", \"input\": \"c\", \"output\": \"de\"}\n "
        "\t\r\n"
        "{\"instruction\": \"ab\", \"input\": \"\", \"output\": \"d\"}\n"
        "{\"instruction\": \"ab\", \"input\": null, \"output\": \"e\"}\n"
        "{\"prompt\": \"ab\", \"answer\": \"d\"}\n",
        &s));
    assert_int_equal(s.count, 4);
    assert_int_equal(s.kept_count, 4);
    assert_true(s.answers);
    assert_ok(select_samples_encode(&s, &bytes, 0, 4));
    check_tokens(&s, 0, "256 [97 98] 10 99 10 ^100 101 257");
    check_tokens(&s, 1, "256 [97 98] 10 ^100 257");
    check_tokens(&s, 2, "256 [97 98] 10 ^101 257");
    check_tokens(&s, 3, "256 [97 98] ^100 257");
    one = select_samples_get(&s, 0);
    assert_int_equal(select_sample_rows(&one, &first), 3);
    assert_int_equal(first, 5);
    assert_string_equal(one.input.bytes, "c");
    assert_int_equal(select_samples_get(&s, 1).line, 3);
    select_samples_release(&s);
}

/* The same file as data to train on has the same tokens. */
static void test_training_sees_the_same_tokens(void **state)
{
    static const char line[] = /* behind the mark of UTF-8 */
        "\xef\xbb\xbf{\"instruction\": \"in the re.\", \"input\": \"on a\", "
        "\"output\": \"the on\"}\n";
    const struct select_encoding e = { gpt2, 64 };
    const struct data_use use = { .tokenizer = gpt2 };
    struct select_samples s;
    struct select_sample one;
    json_t *value;
    struct data d;

    (void)state;
    assert_ok(open_lines(line, &s));
    assert_ok(select_samples_encode(&s, &e, 0, 1));
    value = fake_context_source(fake, "a.jsonl");
    assert_ok(data_open(value, &use, &fake->context, &d));
    one = select_samples_get(&s, 0);
    assert_int_equal(d.items, 1);
    assert_int_equal(d.tokens.count, one.prompt + one.answer);
    assert_memory_equal(d.tokens.tokens, one.tokens,
                        d.tokens.count * sizeof(int32_t));
    assert_int_equal(d.tokens.first[0], one.prompt);
    json_decref(value);
    data_release(&d);
    select_samples_release(&s);
}

static void test_equal_samples_are_one(void **state)
{
    struct select_samples s;

    (void)state;
    assert_ok(open_lines(
        "{\"instruction\": \"a\", \"output\": \"b\"}\n"
        "{\"instruction\": \"a\", \"input\": \"b\", \"output\": \"b\"}\n"
        "{\"instruction\": \"a\", \"input\": \"\", \"output\": \"b\"}\n"
        "{\"instruction\": \"a\", \"output\": \"\"}\n"
        "{\"instruction\": \"\", \"output\": \"b\"}\n",
        &s));
    assert_int_equal(s.count, 5);
    assert_int_equal(s.kept_count, 3);
    assert_int_equal(s.kept[0], 0);
    assert_int_equal(s.kept[1], 1);
    assert_int_equal(s.kept[2], 4);
    assert_int_equal(select_samples_get(&s, 1).same_as, 1);
    assert_int_equal(select_samples_get(&s, 2).same_as, 0);
    assert_null(select_samples_get(&s, 2).invalid);
    assert_string_equal(select_samples_get(&s, 3).invalid,
                        "its answer is empty");
    select_samples_release(&s);
}

static void test_long_samples_are_cut(void **state)
{
    const struct select_encoding six = { .length = 6 };
    struct select_samples s;
    struct select_sample one;

    (void)state;
    assert_ok(open_lines("{\"prompt\": \"abc\", \"answer\": \"defg\"}\n"
                         "{\"prompt\": \"abcde\", \"answer\": \"f\"}\n"
                         "{\"prompt\": \"abcdefghi\", \"answer\": \"f\"}\n",
                         &s));
    assert_int_equal(s.kept_count, 3);
    assert_ok(select_samples_encode(&s, &six, 0, 3));
    check_tokens(&s, 0, "256 [97 98 99] ^100 101");
    for (size_t i = 1; i < 3; i++) {
        one = select_samples_get(&s, i);
        assert_string_equal(one.invalid,
                            "its answer lies beyond the longest sequence");
        assert_int_equal(one.answer, 0);
        assert_int_equal(one.instruction_count, 5);
    }
    select_samples_release(&s);
}

/* gpt2 puts nothing in front of a text. */
static void test_an_answer_without_a_prompt_is_invalid(void **state)
{
    const struct select_encoding e = { gpt2, 64 };
    struct select_samples s;

    (void)state;
    assert_ok(open_lines("{\"prompt\": \"\", \"answer\": \"ab\"}\n", &s));
    assert_ok(select_samples_encode(&s, &e, 0, 1));
    assert_string_equal(select_samples_get(&s, 0).invalid,
                        "nothing stands in front of its answer");
    select_samples_release(&s);
}

static void test_ranges_have_the_tokens_of_the_whole(void **state)
{
    static const char pool[] =
        "{\"builtin\": \"tasks\", \"mix\": {\"sort\": 1, \"add\": 1}, "
        "\"items\": 50, \"seed\": 3}";
    struct select_samples whole, part;
    size_t first = 0, end = 0;

    (void)state;
    assert_ok(open_value(pool, &whole));
    assert_ok(open_value(pool, &part));
    assert_true(whole.built_in);
    assert_false(whole.answers);
    assert_true(digest_equal(&whole.digest, &part.digest));
    assert_ok(select_samples_encode(&whole, &bytes, 0, whole.kept_count));
    for (size_t p = 0; p < 7; p++) {
        end = select_part(part.kept_count, p, 7, &first);
        assert_ok(select_samples_encode(&part, &bytes, first, end - first));
        for (size_t i = first; i < end; i++) {
            struct select_sample a = select_samples_get(&whole, whole.kept[i]);
            struct select_sample b = select_samples_get(&part, part.kept[i]);

            assert_int_equal(a.prompt, b.prompt);
            assert_int_equal(a.answer, b.answer);
            assert_memory_equal(a.tokens, b.tokens,
                                (a.prompt + a.answer) * sizeof(int32_t));
        }
        if (first > 0)
            assert_null(select_samples_get(&part, part.kept[0]).tokens);
    }
    assert_int_equal(end, part.kept_count);
    select_samples_release(&whole);
    select_samples_release(&part);
}

static void test_parts_are_next_to_each_other(void **state)
{
    (void)state;
    for (size_t count = 0; count < 40; count++)
        for (size_t parts = 1; parts < 12; parts++) {
            size_t first, end = 0, before;

            for (size_t p = 0; p < parts; p++) {
                before = end;
                end = select_part(count, p, parts, &first);
                assert_int_equal(first, before);
                assert_in_range(end - first, count / parts, count / parts + 1);
            }
            assert_int_equal(end, count);
        }
}

static void test_the_digest_is_of_the_texts(void **state)
{
    static const char *const other[] = {
        "{\"instruction\": \"a\", \"output\": \"b\"}\n",
        "{\"instruction\": \"a\", \"input\": \"b\", \"output\": \"c\"}\n",
        "{\"prompt\": \"ab\", \"answer\": \"c\"}\n",
        "{\"prompt\": \"a\", \"answer\": \"bc\"}\n",
        "{\"prompt\": \"a\", \"answer\": \"b\"}\n",
    };
    struct select_samples s[COUNT_OF(other)];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(other); i++) {
        assert_ok(open_lines(other[i], &s[i]));
        for (size_t j = 0; j < i; j++)
            assert_false(digest_equal(&s[i].digest, &s[j].digest));
    }
    for (size_t i = 0; i < COUNT_OF(other); i++)
        select_samples_release(&s[i]);
}

static const struct {
    enum status_code code;
    const char *lines, *words;
} broken[] = {
    { STATUS_CORRUPT, "{\"prompt\": \"a\", \"answer\": \"b\"}\n{\"prompt\"",
      "a.jsonl: line 2, column 9: " },
    { STATUS_CORRUPT, "\n{\"instruction\": \"a\"}\n",
      "a.jsonl, line 2: no \"instruction\" and \"output\"" },
    { STATUS_CORRUPT, "{\"text\": \"a\", \"output\": 5}\n",
      "line 1: no \"instruction\" and \"output\" and no \"prompt\" and "
      "\"answer\": it cannot be selected; it has \"text\", \"output\" (no "
      "text)" },
    { STATUS_CORRUPT,
      "{\"instruction\": \"a\", \"input\": 5, \"output\": \"b\"}\n",
      "line 1: no \"instruction\"" },
    { STATUS_CORRUPT, "7\n", "line 1, column 1: " },
    { STATUS_CORRUPT, "[{\"prompt\": \"a\", \"answer\": \"b\"}]",
      "a.jsonl is one JSON array" },
    { STATUS_CORRUPT, "\xef\xbb\xbf[\n", "a.jsonl is one JSON array" },
    { STATUS_CORRUPT, "\x1f\x8b\x08", "a.jsonl is compressed" },
    { STATUS_CORRUPT, "\xff\xfe{", "a.jsonl is UTF-16" },
    { STATUS_INVALID, "{\"prompt\": \"a\", \"answer\": \"\"}\n",
      "of 1 samples none can be selected" },
    { STATUS_INVALID, "\n", "a.jsonl has no samples in it" },
    { STATUS_INVALID, "\xef\xbb\xbf", "a.jsonl has no samples in it" },
};

static void test_broken_lines_are_named(void **state)
{
    struct select_samples s;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(broken); i++)
        assert_fails(open_lines(broken[i].lines, &s), broken[i].code,
                     broken[i].words);
}

static void test_other_data_is_refused(void **state)
{
    const struct select_encoding e = { gpt2, 64 };
    struct select_samples s;

    (void)state;
    assert_fails(open_value("{\"builtin\": \"tasks\", \"task\": \"sort\"}", &s),
                 STATUS_INVALID, "give them `items`");
    assert_fails(open_value("{\"builtin\": \"teacher10k\"}", &s),
                 STATUS_INVALID, "only instructions with answers");
    assert_fails(open_value("{\"format\": \"text\", \"file\": {}}", &s),
                 STATUS_INVALID, "only instructions with answers");
    assert_ok(open_value(
        "{\"builtin\": \"tasks\", \"task\": \"sort\", \"items\": 3}", &s));
    assert_fails(select_samples_encode(&s, &e, 0, 3), STATUS_INVALID,
                 "tokenizer of its own");
    select_samples_release(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_instruction_has_its_answer_behind_it),
        cmocka_unit_test(test_training_sees_the_same_tokens),
        cmocka_unit_test(test_equal_samples_are_one),
        cmocka_unit_test(test_long_samples_are_cut),
        cmocka_unit_test(test_an_answer_without_a_prompt_is_invalid),
        cmocka_unit_test(test_ranges_have_the_tokens_of_the_whole),
        cmocka_unit_test(test_parts_are_next_to_each_other),
        cmocka_unit_test(test_the_digest_is_of_the_texts),
        cmocka_unit_test(test_broken_lines_are_named),
        cmocka_unit_test(test_other_data_is_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
