#include "support/test.h"

#include "common/memory.h"
#include "common/philox.h"
#include "model/tokenizer.h"
#include "model/tokenizer_bpe.h"
#include "model/tokenizer_split.h"
#include "model/unicode.h"
#include "support/tiny_tokenizer.h"

#include <string.h>

/* --- characters --------------------------------------------------------------- */

static const struct {
    uint32_t c;
    enum unicode_sort sort;
} sorts[] = {
    { 'a', UNICODE_LETTER },     { 'Z', UNICODE_LETTER },
    { '7', UNICODE_NUMBER },     { '_', UNICODE_OTHER },
    { '\n', UNICODE_SPACE },     { 0x1C, UNICODE_OTHER },
    { 0x85, UNICODE_SPACE },     { 0xA0, UNICODE_SPACE },
    { 0xAA, UNICODE_LETTER },    { 0xB2, UNICODE_NUMBER },
    { 0xBD, UNICODE_NUMBER },    { 0xE9, UNICODE_LETTER },
    { 0xD7, UNICODE_OTHER },     { 0x301, UNICODE_OTHER },
    { 0x663, UNICODE_NUMBER },   { 0x2167, UNICODE_NUMBER },
    { 0x200B, UNICODE_OTHER },   { 0x3000, UNICODE_SPACE },
    { 0x4E2D, UNICODE_LETTER },  { 0x1F600, UNICODE_OTHER },
    { 0x10FFFF, UNICODE_OTHER }, { 0x110080, UNICODE_OTHER },
};

static void test_characters_have_their_sort(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sorts); i++)
        if (unicode_sort(sorts[i].c) != sorts[i].sort)
            fail_msg("U+%04X is of sort %d", sorts[i].c,
                     (int)unicode_sort(sorts[i].c));
}

static void check_ranges(const struct unicode_range *r, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_true(r[i].first <= r[i].last);
        assert_true(i == 0 || r[i - 1].last + 1 < r[i].first);
    }
}

static void test_tables_are_in_order(void **state)
{
    (void)state;
    check_ranges(unicode_letters, unicode_letters_count);
    check_ranges(unicode_numbers, unicode_numbers_count);
    check_ranges(unicode_not_composed, unicode_not_composed_count);
}

static void test_what_composes_is_known(void **state)
{
    (void)state;
    assert_true(unicode_is_composed('e'));
    assert_true(unicode_is_composed(0xE9));
    assert_true(unicode_is_composed(0xAC00));
    assert_false(unicode_is_composed(0x301));
    assert_false(unicode_is_composed(0x1161));
    assert_false(unicode_is_composed(0x212B)); /* Angstrom */
}

/* --- pieces --------------------------------------------------------------------- */

#define LLAMA3                                                    \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" \
    "\\p{N}{1,3}| "                                               \
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define QWEN2                                                     \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" \
    "\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/* Pieces with | between them; text holds none. */
static const struct {
    const char *regex; /* NULL: that of GPT-2 */
    const char *pieces;
} splits[] = {
    { NULL, "Hello|'s| | world| 123|!|\n\n| x" },
    { NULL, "HELLO|'|S|'ll|'d" },
    { NULL, "(|foo|)" },
    { NULL, "don|\u2019|t" },
    { NULL, "a| | b" },
    { NULL, "trailing|   " },
    { NULL, "x1|" },
    { NULL, " \u4e2d\u6587|\uff0c| \u0663\u0664|\u2003\u2003" },
    { NULL, "1234567" },
    { NULL, "''|t" },
    { LLAMA3, "Hello|'S| | world| |123|45|!\n\n| x" },
    { LLAMA3, "(foo|)" },
    { LLAMA3, "don|\u2019t" },
    { LLAMA3, "a|\t|\tb" },
    { LLAMA3, "x| \n \n| y" },
    { LLAMA3, "x|  \n|  | y" },
    { LLAMA3, "it|'\u017f| \u00e9t\u00e9" },
    { LLAMA3, "end| ...\r\n" },
    { LLAMA3, "123|456|7" },
    { QWEN2, "a| |1|2|3" },
};

static void check_split(const struct split_rule *rule, const char *pieces)
{
    char text[128];
    size_t size = 0, at = 0;
    const char *piece = pieces;

    for (const char *c = pieces; *c != '\0'; c++)
        if (*c != '|')
            text[size++] = *c;
    while (at < size) {
        size_t wanted = strcspn(piece, "|");
        size_t found = split_next(rule, text + at, size - at);

        if (found != wanted)
            fail_msg("\"%s\": at byte %zu a piece of %zu, not %zu", pieces, at,
                     found, wanted);
        at += found;
        piece += wanted + 1;
    }
}

static void test_text_is_cut_as_the_expressions_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(splits); i++) {
        const struct split_rule *rule =
            splits[i].regex == NULL ? &split_gpt2 : split_find(splits[i].regex);

        if (strcmp(splits[i].pieces, "x1|") == 0)
            check_split(rule, "x|1");
        else
            check_split(rule, splits[i].pieces);
    }
    assert_null(split_find("\\w+"));
}

/* --- merges ---------------------------------------------------------------------- */

/* Looks at all pairs each time. */
static size_t naive(int32_t *tokens, size_t count, int32_t (*merges)[3],
                    size_t merge_count)
{
    for (;;) {
        size_t best = merge_count, at = 0;

        for (size_t i = 0; i + 1 < count; i++)
            for (size_t m = 0; m < best; m++)
                if (merges[m][0] == tokens[i] &&
                    merges[m][1] == tokens[i + 1]) {
                    best = m;
                    at = i;
                }
        if (best == merge_count)
            return count;
        tokens[at] = merges[best][2];
        memmove(tokens + at + 1, tokens + at + 2,
                (count - at - 2) * sizeof(*tokens));
        count--;
    }
}

/* Words of three letters and merges drawn at random. */
static void test_merging_is_as_looking_at_all_pairs(void **state)
{
    struct philox_key key = { .seed = 5 };
    uint64_t next = 0;

    (void)state;
    for (int round = 0; round < 300; round++) {
        int32_t merges[40][3], bytes[256] = { 0 }, found[80], wanted[80];
        struct tokenizer_merges *m = bpe_merges_new(40);
        size_t size = 1 + philox_below(key, next++, 79), count;
        char text[80];

        for (int32_t i = 0; i < 40; i++) {
            merges[i][0] = (int32_t)philox_below(key, next++, 3U + (uint32_t)i);
            merges[i][1] = (int32_t)philox_below(key, next++, 3U + (uint32_t)i);
            merges[i][2] = 3 + i;
            bpe_merges_add(m, merges[i][0], merges[i][1], (uint32_t)i, 3 + i);
        }
        bytes['b'] = 1;
        bytes['c'] = 2;
        for (size_t i = 0; i < size; i++) {
            text[i] = "abc"[philox_below(key, next++, 3)];
            wanted[i] = bytes[(unsigned char)text[i]];
        }
        count = naive(wanted, size, merges, 40);
        assert_int_equal(bpe_encode(m, bytes, text, size, found), count);
        assert_memory_equal(found, wanted, count * sizeof(*found));
        bpe_merges_free(m);
    }
}

/* --- tokenizer.json ---------------------------------------------------------------- */

static struct status parse(json_t *json, struct tokenizer **t)
{
    char *text = json_canonical(json);
    struct status st = tokenizer_parse(text, strlen(text), "t.json", t);

    json_decref(json);
    free(text);
    return st;
}

/* `more`, with ' for ", replaces members of the tiny one. */
static json_t *changed(const char *more)
{
    json_t *json = tiny_tokenizer(), *members;
    char *text = xstrdup(more);

    for (char *c = text; *c != '\0'; c++)
        *c = *c == '`' ? '"' : *c;
    assert_ok(json_parse(text, strlen(text), "more", &members));
    if (json_object_get(members, "model") != NULL) {
        (void)json_object_update(json_object_get(json, "model"),
                                 json_object_get(members, "model"));
        (void)json_object_del(members, "model");
    }
    (void)json_object_update(json, members);
    json_decref(members);
    free(text);
    return json;
}

static void check_tokens(const struct tokenizer *t, const char *text,
                         const int32_t *wanted, size_t count)
{
    int32_t *tokens = NULL;
    size_t found = 0;

    assert_ok(tokenizer_add(t, text, strlen(text), &tokens, &found));
    if (found != count)
        fail_msg("\"%s\": %zu tokens, not %zu", text, found, count);
    for (size_t i = 0; i < count; i++)
        if (tokens[i] != wanted[i])
            fail_msg("\"%s\": token %zu is %d, not %d", text, i, tokens[i],
                     wanted[i]);
    free(tokens);
}
#define CHECK(t, text, ...)                                 \
    check_tokens(t, text, (const int32_t[]){ __VA_ARGS__ }, \
                 COUNT_OF(((const int32_t[]){ __VA_ARGS__ })))

static void test_ids_are_those_of_gpt2(void **state)
{
    struct tokenizer *t;

    (void)state;
    assert_ok(parse(tiny_tokenizer(), &t));
    assert_int_equal(tokenizer_size(t), TINY_TOKENIZER_SIZE);
    assert_int_equal(tokenizer_begin(t), -1);
    CHECK(t, "!", 0);
    CHECK(t, " the", 262);
    CHECK(t, "the", 83, 258);
    CHECK(t, "\n", 198);
    CHECK(t, "  the", 220, 262);
    CHECK(t, "\uff0c", 171, 120, 234);
    CHECK(t, "on a there", 261, 257, 262, 260);
    check_tokens(t, "", NULL, 0);
    tokenizer_free(t);
}

static const char added[] =
    "{`added_tokens`: [{`id`: 263, `content`: `<s>`, `special`: true},"
    "{`id`: 264, `content`: `<s>>`}], `post_processor`: {`type`: `Sequence`,"
    "`processors`: [{`type`: `ByteLevel`}, {`type`: `TemplateProcessing`,"
    "`single`: [{`SpecialToken`: {`id`: `<s>`}}, {`Sequence`: {`id`: "
    "`A`}}]}]}}";

static void test_added_tokens_are_found_in_text(void **state)
{
    struct tokenizer *t;

    (void)state;
    assert_ok(parse(changed(added), &t));
    assert_int_equal(tokenizer_size(t), 265);
    assert_int_equal(tokenizer_begin(t), 263);
    assert_int_equal(tokenizer_end(t), -1);
    CHECK(t, "!<s> the<s>><s", 0, 263, 262, 264, 27, 82);
    tokenizer_free(t);
}

static void test_a_text_may_begin_with_a_blank(void **state)
{
    struct tokenizer *t;

    (void)state;
    assert_ok(parse(changed("{`pre_tokenizer`: {`type`: `ByteLevel`}}"), &t));
    CHECK(t, "the on", 262, 220, 261);
    CHECK(t, " the", 262);
    tokenizer_free(t);
}

/* Without merges: whole pieces of the vocabulary are taken as they are. */
static void test_whole_pieces_need_no_merge(void **state)
{
    struct tokenizer *t;

    (void)state;
    assert_ok(parse(changed("{`model`: {`merges`: []}}"), &t));
    CHECK(t, " the", 220, 83, 71, 68);
    tokenizer_free(t);
    assert_ok(
        parse(changed("{`model`: {`merges`: [], `ignore_merges`: true}}"), &t));
    CHECK(t, " the", 262);
    CHECK(t, " then", 220, 83, 71, 68, 77);
    tokenizer_free(t);
}

static void test_merges_may_be_lists(void **state)
{
    struct tokenizer *t;

    (void)state;
    assert_ok(parse(changed("{`model`: {`merges`: [[`h`, `e`]]}}"), &t));
    CHECK(t, "the", 83, 258);
    tokenizer_free(t);
}

static void test_text_is_not_normalised_silently(void **state)
{
    struct tokenizer *t;
    int32_t *tokens = NULL;
    size_t count = 0;

    (void)state;
    assert_ok(parse(changed("{`normalizer`: {`type`: `NFC`}}"), &t));
    CHECK(t, "\u00e9", 127, 102);
    assert_fails(tokenizer_add(t, "ae\u0301", 4, &tokens, &count),
                 STATUS_INVALID, "U+0301 at byte 2");
    tokenizer_free(t);
}

static const struct {
    enum status_code code;
    const char *more, *words;
} refusals[] = {
    { STATUS_INVALID, "{`model`: {`type`: `Unigram`}}", "\"Unigram\"" },
    { STATUS_INVALID, "{`model`: {`byte_fallback`: true}}", "byte_fallback" },
    { STATUS_INVALID, "{`model`: {`end_of_word_suffix`: `</w>`}}",
      "end_of_word_suffix" },
    { STATUS_INVALID, "{`model`: {`dropout`: 0.1}}", "dropout" },
    { STATUS_INVALID, "{`model`: {`vocab`: {`a`: 1}}}", "byte 0x00" },
    { STATUS_CORRUPT, "{`model`: {`vocab`: {`a`: -1}}}", "\"a\" has no id" },
    { STATUS_CORRUPT, "{`model`: {`vocab`: 5}}", "no \"vocab\"" },
    { STATUS_CORRUPT, "{`model`: {`merges`: {}}}", "no \"merges\"" },
    { STATUS_CORRUPT, "{`model`: {`merges`: [`h e`, 7]}}",
      "merge 2 is no pair" },
    { STATUS_CORRUPT, "{`model`: {`merges`: [`h q`]}}", "\"h\" and \"q\"" },
    { STATUS_INVALID, "{`pre_tokenizer`: null}", "no step ByteLevel" },
    { STATUS_INVALID, "{`pre_tokenizer`: {`type`: `Metaspace`}}", "Metaspace" },
    { STATUS_INVALID,
      "{`pre_tokenizer`: {`type`: `Sequence`, `pretokenizers`: [{`type`: "
      "`Split`, `pattern`: {`Regex`: `a+`}, `behavior`: `Isolated`}]}}",
      "\"Split\"" },
    { STATUS_INVALID,
      "{`pre_tokenizer`: {`type`: `ByteLevel`, `use_regex`: false}}",
      "ByteLevel" },
    { STATUS_INVALID, "{`normalizer`: {`type`: `Lowercase`}}", "Lowercase" },
    { STATUS_INVALID, "{`post_processor`: {`type`: `BertProcessing`}}",
      "BertProcessing" },
    { STATUS_CORRUPT,
      "{`post_processor`: {`type`: `TemplateProcessing`, `single`: "
      "[{`SpecialToken`: {`id`: `<s>`}}]}}",
      "no added token \"<s>\"" },
    { STATUS_INVALID,
      "{`added_tokens`: [{`id`: 5, `content`: `x`, `lstrip`: true}]}",
      "takes blanks" },
    { STATUS_CORRUPT, "{`added_tokens`: [{`content`: `x`}]}", "has no id" },
};

static void test_what_is_not_known_is_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        struct tokenizer *t;

        assert_fails(parse(changed(refusals[i].more), &t), refusals[i].code,
                     refusals[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_characters_have_their_sort),
        cmocka_unit_test(test_tables_are_in_order),
        cmocka_unit_test(test_what_composes_is_known),
        cmocka_unit_test(test_text_is_cut_as_the_expressions_say),
        cmocka_unit_test(test_merging_is_as_looking_at_all_pairs),
        cmocka_unit_test(test_ids_are_those_of_gpt2),
        cmocka_unit_test(test_added_tokens_are_found_in_text),
        cmocka_unit_test(test_a_text_may_begin_with_a_blank),
        cmocka_unit_test(test_whole_pieces_need_no_merge),
        cmocka_unit_test(test_merges_may_be_lists),
        cmocka_unit_test(test_text_is_not_normalised_silently),
        cmocka_unit_test(test_what_is_not_known_is_refused_by_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
