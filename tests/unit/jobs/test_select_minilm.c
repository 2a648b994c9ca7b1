/* A BERT encoder against PyTorch, and its pieces of words against cases made by
 * hand: tests/golden/bert/make.py. */
#include "support/test.h"

#include "common/file.h"
#include "common/memory.h"
#include "jobs/select/embed.h"
#include "model/wordpiece.h"
#include "support/fake_context.h"

#include <math.h>
#include <string.h>

static const char folder[] = TEST_DATA "/golden/bert";
static struct fake_context *fake;
static json_t *cases;

static int set_up(void **state)
{
    (void)state;
    fake = fake_context_new();
    assert_ok(
        json_parse_file(TEST_DATA "/golden/bert/cases.json", 1 << 20, &cases));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fake_context_free(fake);
    json_decref(cases);
    return 0;
}

/* --- pieces of words ------------------------------------------------------------ */

static void check_pieces(const struct wordpiece *w)
{
    size_t i;
    json_t *one;

    json_array_foreach(cases, i, one)
    {
        const json_t *text = json_object_get(one, "text");
        const json_t *wanted = json_object_get(one, "tokens");
        int32_t tokens[16];
        size_t count = wordpiece_encode(w, json_string_value(text),
                                        json_string_length(text), 16, tokens);

        assert_int_equal(count, json_array_size(wanted));
        for (size_t t = 0; t < count; t++)
            if (tokens[t] != json_integer_value(json_array_get(wanted, t)))
                fail_msg("\"%s\": token %zu is %d", json_string_value(text), t,
                         tokens[t]);
    }
}

static void test_words_are_cut_as_by_hand(void **state)
{
    AUTO(free_pointer) char *text = NULL;
    struct wordpiece *w;
    size_t size;

    (void)state;
    assert_ok(
        file_read(TEST_DATA "/golden/bert/vocab.txt", 1 << 20, &text, &size));
    assert_ok(wordpiece_parse_list(text, size, "vocab.txt", &w));
    assert_int_equal(wordpiece_size(w), 46);
    check_pieces(w);
    wordpiece_free(w);
}

/* The caller decrefs. */
static json_t *json_of_pieces(void)
{
    AUTO(free_pointer) char *text = NULL;
    json_t *vocab = json_object();
    size_t size;

    assert_ok(
        file_read(TEST_DATA "/golden/bert/vocab.txt", 1 << 20, &text, &size));
    for (char *line = text, *end; (end = strchr(line, '\n')) != NULL;
         line = end + 1) {
        *end = '\0';
        (void)json_object_set_new(
            vocab, line, json_integer((json_int_t)json_object_size(vocab)));
    }
    return json_pack("{s{ss sb sb sn sb} s{ss} s{ss ss ss si so}}",
                     "normalizer", "type", "BertNormalizer", "clean_text", 1,
                     "handle_chinese_chars", 1, "strip_accents", "lowercase", 1,
                     "pre_tokenizer", "type", "BertPreTokenizer", "model",
                     "type", "WordPiece", "unk_token", "[UNK]",
                     "continuing_subword_prefix", "##",
                     "max_input_chars_per_word", 100, "vocab", vocab);
}

static struct status parse_json(const json_t *json, struct wordpiece **w)
{
    AUTO(free_pointer) char *text = json_canonical(json);

    return wordpiece_parse_json(text, strlen(text), "tokenizer.json", w);
}

static void test_tokenizer_json_means_the_same(void **state)
{
    AUTO(json_release) json_t *json = json_of_pieces();
    struct wordpiece *w;

    (void)state;
    assert_ok(parse_json(json, &w));
    check_pieces(w);
    wordpiece_free(w);
}

static void test_other_tokenizers_are_refused(void **state)
{
    static const struct {
        const char *part, *key, *value, *words;
    } others[] = {
        { "model", "type", "\"BPE\"", "\"model\" is not WordPiece" },
        { "model", "continuing_subword_prefix", "\"@@\"", "\"model\"" },
        { "normalizer", "lowercase", "false", "\"normalizer\"" },
        { "normalizer", "strip_accents", "false", "\"normalizer\"" },
        { "pre_tokenizer", "type", "\"Whitespace\"", "\"pre_tokenizer\"" },
        { "model", "vocab", "{\"[UNK]\": 0}", "no token \"[CLS]\"" },
    };
    struct wordpiece *w;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        AUTO(json_release) json_t *json = json_of_pieces();

        (void)json_object_set_new(
            json_object_get(json, others[i].part), others[i].key,
            json_loads(others[i].value, JSON_DECODE_ANY, NULL));
        assert_fails(parse_json(json, &w), STATUS_INVALID, others[i].words);
    }
    assert_fails(wordpiece_parse_list("[UNK]\n[SEP]", 11, "vocab.txt", &w),
                 STATUS_INVALID, "vocab.txt: the vocabulary has no token");
}

static void test_bytes_that_are_no_text_do_no_harm(void **state)
{
    static const char list[] = "[UNK]\r\n[CLS]\r\n[SEP]\r\na\r\n##b";
    static const char text[] = "\xFF"
                               "a\0\xC3"
                               "b\xE4\xB8";
    struct wordpiece *w;
    int32_t tokens[8];

    (void)state;
    assert_ok(wordpiece_parse_list(list, sizeof(list) - 1, "vocab.txt", &w));
    assert_int_equal(wordpiece_encode(w, text, sizeof(text) - 1, 8, tokens), 4);
    assert_int_equal(tokens[0], 1);
    assert_int_equal(tokens[1], 3);
    assert_int_equal(tokens[2], 4);
    assert_int_equal(tokens[3], 2);
    assert_int_equal(wordpiece_encode(w, text, sizeof(text) - 1, 2, tokens), 2);
    wordpiece_free(w);
}

/* --- the encoder ------------------------------------------------------------------ */

/* The texts of the cases as instructions. */
static void open_cases(struct select_samples *s)
{
    AUTO(free_pointer) char *lines = xcalloc(1 << 16, 1);
    json_t *one, *value;
    size_t i, used = 0;

    json_array_foreach(cases, i, one)
    {
        AUTO(json_release)
        json_t *line = json_pack("{sO ss}", "instruction",
                                 json_object_get(one, "text"), "output", "x");
        AUTO(free_pointer) char *text = json_canonical(line);

        used += (size_t)snprintf(lines + used, (1 << 16) - used, "%s\n", text);
    }
    assert_ok(file_write(fake_context_path(fake, "a.jsonl"), lines, used));
    value = fake_context_source(fake, "a.jsonl");
    assert_ok(select_samples_open(value, &fake->context, s));
    json_decref(value);
    assert_int_equal(s->kept_count, json_array_size(cases));
}

static void check_row(size_t number, const float *row, size_t width)
{
    const json_t *one = json_array_get(cases, number);
    const json_t *wanted = json_object_get(one, "row");

    for (size_t i = 0; i < width; i++)
        if (!(fabs((double)row[i] -
                   json_number_value(json_array_get(wanted, i))) < 2e-6))
            fail_msg("\"%s\": [%zu] is %.9g instead of %.9g",
                     json_text_or(one, "text", ""), i, (double)row[i],
                     json_number_value(json_array_get(wanted, i)));
}

static void test_the_encoder_agrees_with_torch(void **state)
{
    struct select_minilm *m;
    struct select_samples s;
    float *rows;
    size_t width;

    (void)state;
    open_cases(&s);
    assert_ok(select_minilm_open(folder, &m));
    width = select_minilm_width(m);
    assert_int_equal(width, 24);
    rows = xcalloc(s.kept_count * width, sizeof(*rows));
    assert_ok(
        select_minilm_embed(m, &s, 0, s.kept_count, &fake->context, rows));
    for (size_t i = 0; i < s.kept_count; i++)
        check_row(i, rows + i * width, width);
    free(rows);
    select_minilm_close(m);
    select_samples_release(&s);
}

static void test_ranges_give_the_rows_of_the_whole(void **state)
{
    struct select_minilm *m;
    struct select_samples s;
    float whole[16 * 24], part[24];

    (void)state;
    open_cases(&s);
    assert_ok(select_minilm_open(folder, &m));
    assert_ok(
        select_minilm_embed(m, &s, 0, s.kept_count, &fake->context, whole));
    for (size_t i = 0; i < s.kept_count; i++) {
        assert_ok(select_minilm_embed(m, &s, i, 1, &fake->context, part));
        assert_memory_equal(part, whole + i * 24, sizeof(part));
    }
    fake->polls = 0;
    fake->cancel_at = 3;
    assert_fails(
        select_minilm_embed(m, &s, 0, s.kept_count, &fake->context, whole),
        STATUS_CANCELLED, "sample 3 of");
    fake->cancel_at = 0;
    select_minilm_close(m);
    select_samples_release(&s);
}

/* The folder once more, with one key of config.json set to something else. */
static struct status open_changed(const char *key, const char *value)
{
    static const char *const files[] = { "model.safetensors", "vocab.txt" };
    AUTO(json_release) json_t *config = NULL;
    AUTO(free_pointer) char *text = NULL;
    struct select_minilm *m = NULL;
    struct status st;

    assert_ok(file_make_directories(fake_context_path(fake, "bert")));
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        AUTO(free_pointer) char *from = xasprintf("%s/%s", folder, files[i]);
        AUTO(free_pointer) char *name = xasprintf("bert/%s", files[i]);
        AUTO(free_pointer) char *bytes = NULL;
        size_t size;

        assert_ok(file_read(from, 1 << 20, &bytes, &size));
        assert_ok(file_write(fake_context_path(fake, name), bytes, size));
    }
    assert_ok(json_parse_file(TEST_DATA "/golden/bert/config.json", 1 << 20,
                              &config));
    (void)json_object_set_new(config, key,
                              json_loads(value, JSON_DECODE_ANY, NULL));
    text = json_canonical(config);
    assert_ok(file_write(fake_context_path(fake, "bert/config.json"), text,
                         strlen(text)));
    st = select_minilm_open(fake_context_path(fake, "bert"), &m);
    select_minilm_close(m);
    return st;
}

static void test_what_is_no_such_encoder_is_refused(void **state)
{
    static const struct {
        const char *key, *value, *words;
    } wrong[] = {
        { "model_type", "\"mpnet\"", "\"model_type\" is \"mpnet\"" },
        { "hidden_act", "\"silu\"", "\"hidden_act\"" },
        { "position_embedding_type", "\"relative_key\"", "known is: absolute" },
        { "is_decoder", "true", "\"is_decoder\"" },
        { "head_dim", "4", "3 heads of 4" },
        { "num_hidden_layers", "3",
          "\"bert.encoder.layer.2.attention.self.query.weight\" is missing" },
        { "vocab_size", "44", "word_embeddings.weight\" is " },
    };

    (void)state;
    assert_ok(open_changed("hidden_act", "\"gelu\""));
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_fails(open_changed(wrong[i].key, wrong[i].value), STATUS_INVALID,
                     wrong[i].words);
    assert_ok(file_write(fake_context_path(fake, "bert/tokenizer_config.json"),
                         "{\"do_lower_case\": false}", 24));
    assert_fails(open_changed("hidden_act", "\"gelu\""), STATUS_INVALID,
                 "\"do_lower_case\" is false");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_are_cut_as_by_hand),
        cmocka_unit_test(test_tokenizer_json_means_the_same),
        cmocka_unit_test(test_other_tokenizers_are_refused),
        cmocka_unit_test(test_bytes_that_are_no_text_do_no_harm),
        cmocka_unit_test(test_the_encoder_agrees_with_torch),
        cmocka_unit_test(test_ranges_give_the_rows_of_the_whole),
        cmocka_unit_test(test_what_is_no_such_encoder_is_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
