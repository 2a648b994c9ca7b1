#include "support/test.h"

#include "common/file.h"
#include "common/memory.h"
#include "jobs/data.h"
#include "support/tiny_llama.h"
#include "support/tokenizer_fixture.h"

/* A file of these bytes, opened as data; `format` NULL: by its name. */
static struct status open_file(const char *name, const char *format,
                               const void *bytes, size_t size,
                               const struct data_use *use, struct data *d)
{
    json_t *value;
    struct status st;

    assert_ok(file_write(fake_context_path(fake, name), bytes, size));
    value = fake_context_source(fake, name);
    if (format != NULL)
        value = json_pack("{ss so}", "format", format, "file", value);
    st = data_open(value, use, &fake->context, d);
    json_decref(value);
    return st;
}

static const struct data_use any = { .window = 0 };

/* Item `index` as "12 ^83 258": ^ before the first that is predicted. */
static void check_item(const struct data *d, uint64_t index, const char *wanted)
{
    char text[256] = "";
    size_t used = 0;
    struct batch b;
    bool added;

    batch_init(&b, 1, 64);
    assert_ok(data_add(d, index, &b, &added));
    assert_true(added);
    for (size_t i = 0; i < b.rows; i++) {
        bool first = i > 0 && b.labels[i - 1] != OP_NO_LABEL &&
                     (i < 2 || b.labels[i - 2] == OP_NO_LABEL);

        used +=
            (size_t)snprintf(text + used, sizeof(text) - used, "%s%s%d",
                             i == 0 ? "" : " ", first ? "^" : "", b.tokens[i]);
    }
    assert_string_equal(text, wanted);
    batch_release(&b);
}

/* --- text ---------------------------------------------------------------------- */

static void test_windows_of_a_tokenizer_have_no_beginning(void **state)
{
    const struct data_use use = { .window = 3, .tokenizer = gpt2 };
    struct data d;

    (void)state;
    assert_ok(open_file("a.txt", NULL, "the then!!", 10, &use, &d));
    assert_int_equal(d.items, 2); /* 83 258 262 | 77 0 0 */
    check_item(&d, 0, "83 ^258 262");
    check_item(&d, 1, "77 ^0 0");
    data_release(&d);
}

static void test_overlapping_windows_predict_each_token_once(void **state)
{
    const struct data_use use = { .window = 4 };
    struct data d;

    (void)state;
    assert_ok(open_file("a.txt", NULL, "abcdefg", 7, &use, &d));
    assert_int_equal(d.items, 3); /* begin abc | begin def | begin g */
    assert_ok(data_stride(&d, 2, false));
    assert_int_equal(d.items, 3);
    check_item(&d, 0, "256 ^97 98 99");
    check_item(&d, 1, "256 99 ^100 101");
    check_item(&d, 2, "256 101 ^102 103");
    assert_ok(data_stride(&d, 0, true));
    assert_int_equal(d.items, 2);
    assert_fails(data_stride(&d, 4, false), STATUS_INVALID, "leaves out");
    data_release(&d);
    assert_ok(open_file("a.txt", NULL, "ab", 2, &use, &d));
    assert_fails(data_stride(&d, 0, true), STATUS_INVALID,
                 "less than one window");
    data_release(&d);
}

static void test_windows_fit_the_positions(void **state)
{
    const struct data_use use = { .positions = 16 };
    struct data d;

    (void)state;
    assert_ok(open_file("a.txt", NULL, "abcdefg", 7, &use, &d));
    assert_int_equal(d.window, 16);
    data_release(&d);
    assert_ok(open_file("a.txt", NULL, "abcdefg", 7, &any, &d));
    assert_int_equal(d.window, DATA_ANY_LENGTH);
    data_release(&d);
}

/* Takes `value`. */
static struct status open_value(json_t *value, const struct data_use *use,
                                struct data *d)
{
    struct status st = data_open(value, use, &fake->context, d);

    json_decref(value);
    return st;
}

/* 14 bytes; what is held out begins with a line, behind the share. */
static const struct {
    const char *split;
    double share;
    const char *words; /* of the first window, or of the refusal */
} held[] = {
    { "train", 0.5, "256 ^111 110 101 10 116 119 111 10" },
    { "test", 0.5, "256 ^116 104 114 101 101 10" },
    { "test", 0.8, "256 ^116 119 111 10 116 104 114 101 101 10" },
    { "train", 0.1, NULL },
    { "test", 0.1, NULL },
};

static void test_the_end_of_a_text_is_held_out_by_lines(void **state)
{
    const struct data_use use = { .window = 16 };

    (void)state;
    assert_ok(
        file_write(fake_context_path(fake, "a.txt"), "one\ntwo\nthree\n", 14));
    for (size_t i = 0; i < COUNT_OF(held); i++) {
        json_t *value = json_pack("{ss sf so}", "split", held[i].split,
                                  "held_out", held[i].share, "file",
                                  fake_context_source(fake, "a.txt"));
        struct status st;
        struct data d;

        st = open_value(value, &use, &d);
        if (held[i].words == NULL) {
            assert_fails(st, STATUS_INVALID, "leaves nothing of one part");
            continue;
        }
        assert_ok(st);
        check_item(&d, 0, held[i].words);
        data_release(&d);
    }
}

/* A sequence of the built-in text as characters; `^` in front of it. */
static void draw_prose(const struct data *d, uint64_t index, char text[256])
{
    struct batch b;
    bool added;

    batch_init(&b, 1, 255);
    assert_ok(data_draw(d, 1, index, &b, &added));
    assert_true(added);
    for (size_t i = 0; i < b.rows; i++)
        text[i] = b.tokens[i] == TOKEN_BEGIN ? '^' : (char)b.tokens[i];
    text[b.rows] = '\0';
    batch_release(&b);
}

/* Windows from anywhere, across the ends of documents, without end. */
static void test_the_built_in_text_has_no_end(void **state)
{
    const struct data_use use = { .window = 200 };
    char text[256], again[256];
    size_t ends = 0, inside = 0;
    struct data d;

    (void)state;
    assert_ok(open_value(tiny_json("{'builtin':'text'}"), &use, &d));
    assert_int_equal(d.items, 0);
    for (uint64_t i = 0; i < 50; i++) {
        draw_prose(&d, i * i * i * 1000003, text);
        draw_prose(&d, i * i * i * 1000003, again);
        assert_string_equal(text, again);
        assert_int_equal(strlen(text), 200);
        assert_int_equal(text[0], '^');
        ends += strstr(text, ".\n\n") != NULL ? 1 : 0;
        inside += text[1] >= 'a' && text[1] <= 'z' ? 1 : 0;
    }
    assert_in_range(ends, 20, 50);
    assert_in_range(inside, 20, 50);
    data_release(&d);
}

static void test_the_built_in_text_takes_any_tokenizer(void **state)
{
    const struct data_use use = { .window = 64, .tokenizer = gpt2 };
    struct data d;
    struct batch b;
    bool added;

    (void)state;
    assert_ok(open_value(tiny_json("{'builtin':'text'}"), &use, &d));
    batch_init(&b, 1, 64);
    assert_ok(data_draw(&d, 0, 5, &b, &added));
    assert_true(added);
    assert_int_equal(b.rows, 64);
    batch_release(&b);
    data_release(&d);
}

/* As many documents as are asked for are a text like one of a file. */
static void test_documents_to_measure_have_an_end(void **state)
{
    const struct data_use use = { .window = 100 };
    struct data d, longer;

    (void)state;
    assert_ok(open_value(tiny_json("{'builtin':'text','split':'test',"
                                   "'items':3}"),
                         &use, &d));
    assert_ok(open_value(tiny_json("{'builtin':'text','split':'test',"
                                   "'items':4}"),
                         &use, &longer));
    assert_true(d.items > 2);
    assert_true(longer.tokens.count > d.tokens.count);
    assert_memory_equal(longer.tokens.bytes, d.tokens.bytes, d.tokens.count);
    assert_int_equal(d.tokens.bytes[d.tokens.count - 1], '.');
    assert_memory_equal(longer.tokens.bytes + d.tokens.count, "\n\n", 2);
    data_release(&longer);
    data_release(&d);
}

/* --- tokens -------------------------------------------------------------------- */

static void test_packed_tokens_are_read(void **state)
{
    static const uint8_t narrow[] = { 1, 0, 2, 1, 255, 255 };
    static const uint8_t wide[] = { 1, 0, 0, 0, 2, 1, 1, 0 };
    struct data d;
    json_t *value;

    (void)state;
    assert_ok(open_file("a.bin", NULL, narrow, sizeof(narrow), &any, &d));
    check_item(&d, 0, "1 ^258 65535");
    data_release(&d);
    assert_ok(file_write(fake_context_path(fake, "b.bin"), wide, sizeof(wide)));
    value = json_pack("{ss ss so}", "format", "tokens", "type", "uint32",
                      "file", fake_context_source(fake, "b.bin"));
    assert_ok(data_open(value, &any, &fake->context, &d));
    check_item(&d, 0, "1 ^65794");
    data_release(&d);
    json_decref(value);
    assert_fails(open_file("a.bin", NULL, narrow, 5, &any, &d), STATUS_CORRUPT,
                 "a.bin, byte 5: ends inside a number");
    assert_fails(open_file("a.bin", NULL, narrow, 0, &any, &d), STATUS_INVALID,
                 "a.bin is empty");
}

/* A .npy of format 1 with this header. */
static size_t npy(const char *head, const void *numbers, size_t size,
                  uint8_t *ret_bytes)
{
    static const uint8_t magic[] = { 0x93, 'N', 'U', 'M', 'P', 'Y', 1, 0 };
    size_t length = strlen(head);

    memcpy(ret_bytes, magic, 8);
    ret_bytes[8] = (uint8_t)length;
    ret_bytes[9] = 0;
    memcpy(ret_bytes + 10, head, length);
    memcpy(ret_bytes + 10 + length, numbers, size);
    return 10 + length + size;
}

static const struct {
    const char *head, *words; /* NULL: it is fine */
} heads[] = {
    { "{'descr': '<u2', 'fortran_order': False, 'shape': (3,), }\n", NULL },
    { "{'descr': '<u2', 'fortran_order': False, 'shape': (4,), }\n",
      "its header says 4 numbers, and 3 follow; it is truncated" },
    { "{'descr': '<u2', 'fortran_order': False, 'shape': (3, 1), }\n",
      "one dimension" },
    { "{'descr': '<u2', 'fortran_order': True, 'shape': (3,), }\n",
      "one dimension" },
    { "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }\n",
      "not of the types" },
    { "{}", "not of the types" },
};

static void test_npy_files_are_read(void **state)
{
    static const uint8_t numbers[] = { 1, 0, 2, 0, 3, 0 };
    struct data d;
    uint8_t bytes[128];
    size_t size;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(heads); i++) {
        struct status st;

        size = npy(heads[i].head, numbers, sizeof(numbers), bytes);
        st = open_file("a.npy", NULL, bytes, size, &any, &d);
        if (heads[i].words == NULL) {
            assert_ok(st);
            check_item(&d, 0, "1 ^2 3");
            data_release(&d);
            continue;
        }
        assert_true(status_failed(&st));
        assert_non_null(strstr(st.message, heads[i].words));
    }
    size = npy(heads[0].head, numbers, sizeof(numbers), bytes);
    bytes[8] = 250;
    assert_fails(open_file("a.npy", NULL, bytes, size, &any, &d),
                 STATUS_CORRUPT, "ends inside its header");
}

static void test_tokens_beyond_the_vocabulary_are_named(void **state)
{
    static const uint8_t tokens[] = { 1, 0, 2, 1, 3, 0 }; /* 258 */
    json_t *json = tiny_json("{'model_type':'llama','hidden_size':8,"
                             "'num_hidden_layers':1,'num_attention_heads':1,"
                             "'intermediate_size':8,'vocab_size':258,"
                             "'max_position_embeddings':16,'hidden_act':'silu',"
                             "'rms_norm_eps':1e-5}");
    struct model_config c;
    struct model *m;
    struct data d;

    (void)state;
    assert_ok(model_config_read(json, &c));
    assert_ok(model_new(&c, 0, &m));
    assert_ok(open_file("a.bin", NULL, tokens, sizeof(tokens), &any, &d));
    assert_fails(data_check(&d, m), STATUS_INVALID,
                 "token 258, number 2 of the data, is outside");
    data_release(&d);
    model_free(m);
    json_decref(json);
}

/* --- jsonl --------------------------------------------------------------------- */

static struct status open_lines(const char *lines, const struct data_use *use,
                                struct data *d)
{
    return open_file("a.jsonl", NULL, lines, strlen(lines), use, d);
}

static void test_documents_are_joined(void **state)
{
    struct data d;

    (void)state;
    assert_ok(open_lines("{\"text\": \"ab\"}\n\n{\"text\": \"c\", \"id\": 5}",
                         &any, &d));
    assert_int_equal(d.items, 1);
    check_item(&d, 0, "256 ^97 98 10 10 99");
    data_release(&d);
}

static void test_lines_of_windows_are_read(void **state)
{
    struct data d;

    (void)state;
    assert_ok(open_lines("\xEF\xBB\xBF{\"text\": \"ab\"}\r\n\r\n"
                         "{\"text\": \"c\"}\r\n",
                         &any, &d));
    check_item(&d, 0, "256 ^97 98 10 10 99");
    data_release(&d);
}

static void test_only_answers_are_predicted(void **state)
{
    const struct data_use use = { .tokenizer = gpt2 };
    static const char lines[] = "{\"prompt\": \"a\", \"answer\": \"bc\"}\n"
                                "{\"prompt\": \"!\", \"answer\": \" the\"}\n";
    struct data d;

    (void)state;
    assert_ok(open_lines(lines, &any, &d));
    assert_int_equal(d.items, 2);
    assert_int_equal(d.window, 7);
    check_item(&d, 0, "256 97 ^98 99 257");
    check_item(&d, 1, "256 33 ^32 116 104 101 257");
    data_release(&d);
    assert_ok(open_lines(lines, &use, &d));
    check_item(&d, 1, "0 ^262");
    data_release(&d);
}

static void test_items_are_drawn_once_in_an_epoch(void **state)
{
    static const char lines[] = "{\"prompt\": \"a\", \"answer\": \"0\"}\n"
                                "{\"prompt\": \"b\", \"answer\": \"0\"}\n"
                                "{\"prompt\": \"c\", \"answer\": \"0\"}\n";
    struct data d;
    struct batch b;

    (void)state;
    assert_ok(open_lines(lines, &any, &d));
    assert_ok(data_batch(&d, 3, &b));
    for (uint64_t epoch = 0; epoch < 4; epoch++) {
        int seen = 0;

        batch_clear(&b);
        for (uint64_t i = 0; i < 3; i++) {
            bool added;

            assert_ok(data_draw(&d, 1, epoch * 3 + i, &b, &added));
            seen |= 1 << (b.tokens[b.starts[i] + 1] - 'a');
        }
        assert_int_equal(seen, 7);
    }
    batch_release(&b);
    data_release(&d);
}

static void test_a_question_is_an_item_for_each_choice(void **state)
{
    static const char lines[] =
        "{\"question\": \"a\", \"choices\": [\"b\", \" cd\"], \"answer\": 1}\n"
        "{\"question\": \"e\", \"choices\": [\"f\", \"g\", \"h\"], "
        "\"answer\": \"A\"}\n";
    struct batch b;
    struct data d;
    bool added;

    (void)state;
    assert_ok(open_lines(lines, &any, &d));
    assert_int_equal(d.items, 5);
    assert_int_equal(d.tokens.questions, 2);
    assert_int_equal(d.tokens.choices[1], 2);
    assert_int_equal(d.tokens.choices[2], 5);
    assert_int_equal(d.tokens.right[0], 1);
    assert_int_equal(d.tokens.right[1], 2);
    assert_int_equal(d.tokens.lengths[1], 3);
    check_item(&d, 0, "256 97 ^32 98");
    check_item(&d, 1, "256 97 ^32 99 100");
    assert_ok(data_batch(&d, 1, &b));
    assert_fails(data_draw(&d, 0, 0, &b, &added), STATUS_INVALID,
                 "there to be measured");
    batch_release(&b);
    data_release(&d);
}

static const struct {
    enum status_code code;
    const char *lines, *words;
} broken[] = {
    { STATUS_CORRUPT, "{\"text\": \"a\"}\n{\"text\": ", "a.jsonl: line 2" },
    { STATUS_CORRUPT, "{\"text\": \"a\"}\n\n[1]\n", "line 3: no \"text\"" },
    { STATUS_CORRUPT, "{\"prompt\": \"a\"}", "line 1: no \"text\"" },
    { STATUS_CORRUPT, "{\"prompt\": \"a\", \"answer\": \"\"}",
      "line 1: an answer is empty" },
    { STATUS_CORRUPT,
      "{\"prompt\": \"a\", \"answer\": \"b\"}\n{\"text\": \"a\"}",
      "line 2: a text among" },
    { STATUS_CORRUPT,
      "{\"text\": \"a\"}\n{\"prompt\": \"a\", \"answer\": \"b\"}",
      "line 2: a question among texts" },
    { STATUS_CORRUPT,
      "{\"question\": \"a\", \"choices\": [\"b\"], \"answer\": 0}",
      "less than two" },
    { STATUS_CORRUPT,
      "{\"question\": \"a\", \"choices\": [\"b\", \"c\"], \"answer\": 2}",
      "line 1: \"answer\" is neither" },
    { STATUS_CORRUPT,
      "{\"question\": \"a\", \"choices\": [\"b\", 5], \"answer\": 0}",
      "line 1: a choice is no text" },
    { STATUS_CORRUPT,
      "{\"prompt\": \"a\", \"answer\": \"b\"}\n"
      "{\"question\": \"a\", \"choices\": [\"b\", \"c\"], \"answer\": 0}",
      "line 2: choices among" },
    { STATUS_INVALID, "{\"text\": \"\"}\n", "no text in it" },
    { STATUS_INVALID, "\n\n", "no text in it" },
    { STATUS_INVALID, "{\"prompt\": \"abc\", \"answer\": \"defghijklm\"}",
      "line 1: 15 tokens do not fit into sequences of 12" },
};

static void test_broken_lines_are_named_by_number(void **state)
{
    const struct data_use use = { .window = 12 };
    struct data d;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(broken); i++)
        assert_fails(open_lines(broken[i].lines, &use, &d), broken[i].code,
                     broken[i].words);
}

static void test_items_longer_than_the_positions_are_named(void **state)
{
    const struct data_use use = { .positions = 8 };
    struct data d;

    (void)state;
    assert_fails(
        open_lines("{\"prompt\": \"a\", \"answer\": \"bcdefghi\"}", &use, &d),
        STATUS_INVALID, "line 1: 11 tokens are more than the model's 8");
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest all[] = {
        CASE(test_windows_of_a_tokenizer_have_no_beginning),
        CASE(test_overlapping_windows_predict_each_token_once),
        CASE(test_windows_fit_the_positions),
        CASE(test_the_end_of_a_text_is_held_out_by_lines),
        CASE(test_the_built_in_text_has_no_end),
        CASE(test_the_built_in_text_takes_any_tokenizer),
        CASE(test_documents_to_measure_have_an_end),
        CASE(test_packed_tokens_are_read),
        CASE(test_npy_files_are_read),
        CASE(test_tokens_beyond_the_vocabulary_are_named),
        CASE(test_documents_are_joined),
        CASE(test_lines_of_windows_are_read),
        CASE(test_only_answers_are_predicted),
        CASE(test_items_are_drawn_once_in_an_epoch),
        CASE(test_a_question_is_an_item_for_each_choice),
        CASE(test_broken_lines_are_named_by_number),
        CASE(test_items_longer_than_the_positions_are_named),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}
