/* Tokenizers that meet in a merge, and the files that a result has. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/merge/merge_files.h"
#include "jobs/merge/merge_run.h"
#include "support/fake_fixture.h"
#include "support/small_model.h"

enum { MODELS = 3, FILES = 5, WIDTH = 2 };

#define EMBEDDING "transformer.wte.weight"

/* A model of one embedding, with files beside it. */
struct given {
    const char *label;
    uint64_t rows;
    struct {
        const char *name, *text; /* with ' for " */
    } files[FILES];
};

struct made {
    struct small_model model;
    struct merge_files files;
};

static void make(struct fake_context *f, const struct given *g,
                 struct made *ret_made)
{
    const struct small_row rows[] = {
        { "transformer.h.0.w", DTYPE_F32, 1, { 3 } },
        { "transformer.h.1.w", DTYPE_F32, 1, { 3 } },
        { EMBEDDING, DTYPE_F32, 2, { g->rows, WIDTH } },
        { NULL, DTYPE_F32, 0, { 0 } },
    };
    const char *directory = fake_context_path(f, g->label);

    assert_ok(file_make_directories(directory));
    for (size_t i = 0; i < FILES && g->files[i].name != NULL; i++) {
        AUTO(free_pointer)
        char *path = xasprintf("%s/%s", directory, g->files[i].name);
        AUTO(free_pointer) char *text = xstrdup(g->files[i].text);

        for (char *c = text; *c != '\0'; c++)
            *c = *c == '\'' ? '"' : *c;
        assert_ok(file_write(path, text, strlen(text)));
    }
    ret_made->model = small_model_new(rows, (uint32_t)g->rows, 1.0);
    assert_ok(merge_files_of_directory(directory, &ret_made->files));
}

/* A merge of base and the others, and what came out. */
struct result {
    struct made made[MODELS];
    struct merge_inputs inputs;
    struct merge_config config;
    struct merge *merge;
    json_t *json;
    float *rows; /* of the embedding */
    size_t row_count;
    struct merge_files files;
};

static void result_release(struct result *r)
{
    for (size_t i = 0; i < MODELS; i++) {
        small_model_release(&r->made[i].model);
        merge_files_release(&r->made[i].files);
    }
    merge_free(r->merge);
    merge_files_release(&r->files);
    json_decref(r->json);
    free(r->rows);
}

static struct status run(struct result *r)
{
    static const struct merge_runtime runtime = { .threads = 1 };
    const struct tensor_set *layout;
    void *targets[8] = { NULL };
    void *const *const points[] = { targets };
    struct status s;

    TRY_PLAIN(merge_new(&r->config, 1, &r->inputs, &r->merge));
    layout = merge_layout(r->merge);
    for (size_t i = 0; i < layout->count; i++)
        targets[i] = xcalloc(1, (size_t)tensor_bytes(&layout->items[i]) + 8);
    s = merge_run(r->merge, &runtime, points);
    r->rows = targets[layout->count - 1];
    r->row_count = (size_t)layout->items[layout->count - 1].shape[0];
    for (size_t i = 0; i + 1 < layout->count; i++)
        free(targets[i]);
    if (!status_failed(&s))
        s = merge_files_of(r->merge, &r->files);
    return s;
}

/* `rest` are further keys of the configuration, with ' for ". */
static struct status merge_given(struct fake_context *f,
                                 const struct given given[MODELS],
                                 const char *rest, struct result *ret_result)
{
    struct result *r = ret_result;
    AUTO(free_pointer)
    char *text = xasprintf("{'merge_method': 'task_arithmetic', "
                           "'base_model': 'base', 'models': [{'model': 'a'}, "
                           "{'model': 'b'}], 'parameters': {'weight': 1}%s}",
                           rest);

    *r = (struct result){ .merge = NULL };
    for (size_t i = 0; i < MODELS; i++)
        make(f, &given[i], &r->made[i]);
    for (char *c = text; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    assert_ok(json_parse(text, strlen(text), "config", &r->json));
    assert_ok(merge_config_read(r->json, &r->config));
    r->inputs = (struct merge_inputs){ .base = &r->made[0].model.set,
                                       .base_files = &r->made[0].files };
    for (size_t i = 0; i < 2; i++) {
        r->inputs.tasks[i] = &r->made[i + 1].model.set;
        r->inputs.files[i] = &r->made[i + 1].files;
    }
    return run(r);
}

static double own(const struct result *r, size_t model, size_t row)
{
    return small_model_get(&r->made[model].model, EMBEDDING, row * WIDTH);
}

static void assert_row(const struct result *r, size_t row, double expected)
{
    if (fabs((double)r->rows[row * WIDTH] - expected) > 1e-6)
        fail_msg("row %zu is %g, not %g", row, (double)r->rows[row * WIDTH],
                 expected);
}

#define BPE(tokens)                                                           \
    {                                                                         \
        "tokenizer.json", "{'model': {'type': 'BPE', 'vocab': {" tokens "}}}" \
    }

/* ---- rows -------------------------------------------------------------- */

/* The three forms in which tokens are written down. */
static void test_all_forms_of_a_vocabulary_are_read(void **state)
{
    static const struct given given[MODELS] = {
        { "base", 2, { BPE("'x': 0, 'y': 1") } },
        { "a",
          3,
          { { "tokenizer.json",
              "{'model': {'type': 'Unigram', 'vocab': [['y', 0.0], ['x', "
              "-1.5]]}, 'added_tokens': [{'id': 2, 'content': '<a>', "
              "'special': true}]}" } } },
        { "b",
          4,
          { { "vocab.json", "{'x': 0, 'y': 1, 'z': 2}" },
            { "added_tokens.json", "{'<b>': 3}" } } },
    };
    struct result r;

    assert_ok(merge_given(*state, given, ", 'tokenizer_source': 'union'", &r));
    assert_int_equal(r.row_count, 5); /* x y <a> z <b> */
    assert_row(&r, 0,
               own(&r, 0, 0) + (own(&r, 1, 1) - own(&r, 0, 0)) +
                   (own(&r, 2, 0) - own(&r, 0, 0)));
    assert_row(&r, 1,
               own(&r, 0, 1) + (own(&r, 1, 0) - own(&r, 0, 1)) +
                   (own(&r, 2, 1) - own(&r, 0, 1)));
    assert_row(&r, 2, own(&r, 1, 2));
    assert_row(&r, 3, own(&r, 2, 2));
    assert_row(&r, 4, own(&r, 2, 3));
    result_release(&r);
}

/* <t> is known to both, each with a row of its own: the base takes the mean. */
static void test_a_new_token_of_several_begins_as_their_mean(void **state)
{
    static const struct given given[MODELS] = {
        { "base", 1, { BPE("'x': 0") } },
        { "a", 2, { BPE("'x': 0, '<t>': 1") } },
        { "b", 3, { BPE("'x': 0, 'q': 1, '<t>': 2") } },
    };
    struct result r;
    double mean;

    assert_ok(merge_given(*state, given, ", 'tokenizer_source': 'union'", &r));
    assert_int_equal(r.row_count, 3); /* x <t> q */
    mean = (own(&r, 1, 1) + own(&r, 2, 2)) / 2;
    assert_row(&r, 1, mean + (own(&r, 1, 1) - mean) + (own(&r, 2, 2) - mean));
    assert_row(&r, 2, own(&r, 2, 1));
    result_release(&r);
}

/* <t> is a token without a row anywhere; id 1 of the base is none. */
static void test_a_row_that_nobody_has_is_the_mean_of_all(void **state)
{
    static const struct given given[MODELS] = {
        { "base", 3, { BPE("'x': 0, 'y': 2") } },
        { "a", 2, { BPE("'x': 0, 'y': 1, '<t>': 2") } },
        { "b", 3, { BPE("'x': 0, 'y': 2") } },
    };
    struct result r;

    assert_ok(merge_given(*state, given, ", 'tokenizer_source': 'union'", &r));
    assert_int_equal(r.row_count, 4);
    assert_row(&r, 3, (own(&r, 0, 0) + own(&r, 0, 1) + own(&r, 0, 2)) / 3);
    assert_row(&r, 1, own(&r, 2, 1)); /* both have it, a takes the base's */
    result_release(&r);
}

/* Rows beyond the tokens are padding; equal tokenizers leave them alone. */
static void test_equal_tokenizers_move_nothing(void **state)
{
    static const struct given given[MODELS] = {
        { "base", 4, { BPE("'x': 0, 'y': 1") } },
        { "a", 4, { BPE("'y': 1, 'x': 0") } },
        { "b", 4, { BPE("'x': 0, 'y': 1") } },
    };
    struct result r;

    assert_ok(merge_given(*state, given, ", 'tokenizer_source': 'union'", &r));
    assert_int_equal(r.row_count, 4);
    assert_non_null(merge_files_find(&r.files, "tokenizer.json")->path);
    result_release(&r);
}

/* The base's tokens: what others have more is left out. */
static void test_the_base_s_tokenizer_cuts_the_others(void **state)
{
    static const struct given given[MODELS] = {
        { "base", 2, { BPE("'x': 0, 'y': 1") } },
        { "a", 3, { BPE("'x': 0, '<t>': 1, 'y': 2") } },
        { "b", 2, { BPE("'x': 0, 'y': 1") } },
    };
    struct result r;

    assert_ok(merge_given(*state, given, ", 'tokenizer_source': 'base'", &r));
    assert_int_equal(r.row_count, 2);
    assert_row(&r, 1,
               own(&r, 0, 1) + (own(&r, 1, 2) - own(&r, 0, 1)) +
                   (own(&r, 2, 1) - own(&r, 0, 1)));
    assert_int_equal(
        json_array_size(r.files.config) + (size_t)(r.files.config != NULL), 0);
    result_release(&r);
}

static void test_broken_tokenizers_are_told(void **state)
{
    static const struct {
        const char *file, *text, *words;
        enum status_code code;
    } rows[] = {
        { "tokenizer.json", "{'model': ", "a: tokenizer.json: line 1",
          STATUS_CORRUPT },
        { "tokenizer.json",
          "{'model': {'vocab': {'x': 0}}, 'added_tokens': [{'id': 1, "
          "'content': 'x'}]}",
          "a: tokenizer.json: token \"x\" has two ids", STATUS_CORRUPT },
        { "tokenizer.json", "{'model': {'vocab': {'x': 4194304}}}",
          "token \"x\" has no id in 0 ... 4194303", STATUS_CORRUPT },
        { "tokenizer.json", "{'model': {'vocab': {'x': 'y'}}}",
          "a: tokenizer.json: \"x\" has no id", STATUS_CORRUPT },
        { "tokenizer.json", "{'model': {'vocab': [[1, 2]]}}",
          "token \"?\" has no id", STATUS_CORRUPT },
        { "merges.txt", "", "a has neither a tokenizer.json nor a vocab.json",
          STATUS_INVALID },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct given given[MODELS] = {
            { "base", 1, { BPE("'x': 0") } },
            { "a", 1, { { rows[i].file, rows[i].text } } },
            { "b", 1, { BPE("'x': 0") } },
        };
        struct fake_context *f = fake_context_new();
        struct result r;

        assert_fails(merge_given(f, given, ", 'tokenizer_source': 'union'", &r),
                     rows[i].code, rows[i].words);
        result_release(&r);
        fake_context_free(f);
    }
    (void)state;
}

/* Rows so long that making them would take more memory than a merge may. */
static void test_too_many_rows_to_make_are_refused(void **state)
{
    static const struct given given[MODELS] = {
        { "base", 1, { BPE("'x': 0") } },
        { "a", 1, { BPE("'x': 0, 'p': 1, 'q': 2, 'r': 3, 's': 4, 't': 5") } },
        { "b", 1, { BPE("'x': 0") } },
    };
    static const struct tensor huge[] = {
        { .name = EMBEDDING,
          .dtype = DTYPE_BF16,
          .rank = 2,
          .shape = { 1, 1 << 23 },
          .count = 1 << 23 },
    };
    static const struct tensor_set set = { 1, huge };
    struct result r;

    assert_ok(merge_given(*state, given, ", 'tokenizer_source': 'union'", &r));
    r.inputs.base = r.inputs.tasks[0] = r.inputs.tasks[1] = &set;
    merge_free(r.merge);
    r.merge = NULL;
    assert_fails(merge_new(&r.config, 1, &r.inputs, &r.merge), STATUS_TOO_BIG,
                 "5 tokens are not known to all models, too many to make rows "
                 "of transformer.wte.weight for");
    result_release(&r);
}

/* ---- files ------------------------------------------------------------- */

#define SETTINGS(rest)                                             \
    {                                                              \
        "tokenizer_config.json", "{'model_max_length': 9" rest "}" \
    }

static const struct given talking[MODELS] = {
    { "base",
      1,
      { BPE("'x': 0"),
        SETTINGS(", 'added_tokens_decoder': {'0': {'content': 'x'}}"),
        { "config.json", "{'n_layer': 2, 'vocab_size': 1, 'layer_types': "
                         "['s', 'f'], 'dtype': 'float32'}" } } },
    { "a", 2, { BPE("'x': 0, '<t>': 1"), SETTINGS("") } },
    { "b",
      1,
      { BPE("'x': 0"),
        SETTINGS(", 'chat_template': 'old'"),
        { "chat_template.jinja", "{{ new }}" } } },
};

/* A file of the result as JSON; the caller decrefs. */
static json_t *file_json(const struct result *r, const char *name)
{
    const struct merge_file *file = merge_files_find(&r->files, name);
    char *text;
    size_t size;
    json_t *json;

    assert_non_null(file);
    assert_ok(merge_files_read(&r->files, (size_t)(file - r->files.items),
                               &text, &size));
    assert_ok(json_parse(text, size, name, &json));
    free(text);
    return json;
}

static void test_templates_are_chosen_given_or_left_out(void **state)
{
    static const struct {
        const char *rest, *template;
    } rows[] = {
        { "", NULL },
        { ", 'chat_template': 'auto'", "{{ new }}" },
        { ", 'chat_template': 'none'", NULL },
        { ", 'chat_template': '{{ mine }}'", "{{ mine }}" },
        { ", 'tokenizer_source': 'b', 'chat_template': 'none'", NULL },
        { ", 'tokenizer_source': 'b', 'chat_template': '{{ mine }}'",
          "{{ mine }}" },
    };

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        AUTO(free_pointer)
        char *rest =
            xasprintf("%s, 'on_shape_mismatch': 'submatrix'", rows[i].rest);
        struct result r;
        json_t *json;
        const char *text;

        assert_ok(merge_given(*state, talking, rest, &r));
        json = file_json(&r, "tokenizer_config.json");
        text = json_text_or(json, "chat_template", NULL);
        if (rows[i].template == NULL)
            assert_null(text);
        else
            assert_string_equal(text, rows[i].template);
        assert_null(merge_files_find(&r.files, "chat_template.jinja"));
        assert_int_equal(json_int_or(json, "model_max_length", 0), 9);
        json_decref(json);
        result_release(&r);
    }
}

static void test_settings_have_the_new_tokens(void **state)
{
    struct result r;
    json_t *json, *decoder;

    assert_ok(merge_given(*state, talking,
                          ", 'tokenizer_source': 'union', 'dtype': 'float16'",
                          &r));
    json = file_json(&r, "tokenizer_config.json");
    decoder = json_object_get(json, "added_tokens_decoder");
    assert_int_equal(json_object_size(decoder), 2);
    assert_string_equal(
        json_text_or(json_object_get(decoder, "1"), "content", ""), "<t>");
    assert_int_equal(json_int_or(r.files.config, "vocab_size", 0), 2);
    assert_string_equal(json_text_or(r.files.config, "dtype", ""), "float16");
    assert_null(json_object_get(r.files.config, "torch_dtype"));
    json_decref(json);
    result_release(&r);
}

static void test_lists_of_layers_follow_the_slices(void **state)
{
    static const char text[] =
        "{\"merge_method\": \"passthrough\", \"slices\": [{\"sources\": "
        "[{\"model\": \"a\", \"layer_range\": [0, 2]}]}, {\"sources\": "
        "[{\"model\": \"a\", \"layer_range\": [1, 2]}]}]}";
    struct result r;
    json_t *types;

    r = (struct result){ .merge = NULL };
    make(*state, &talking[0], &r.made[0]);
    assert_ok(json_parse(text, strlen(text), "config", &r.json));
    assert_ok(merge_config_read(r.json, &r.config));
    r.inputs.tasks[0] = &r.made[0].model.set;
    r.inputs.files[0] = &r.made[0].files;
    assert_ok(run(&r));
    types = json_object_get(r.files.config, "layer_types");
    assert_int_equal(json_int_or(r.files.config, "n_layer", 0), 3);
    assert_int_equal(json_array_size(types), 3);
    assert_string_equal(json_string_value(json_array_get(types, 2)), "f");
    result_release(&r);
}

static void test_a_model_without_directory_has_no_files(void **state)
{
    struct merge_files files;

    (void)state;
    assert_ok(merge_files_of_directory(NULL, &files));
    assert_int_equal(files.count, 0);
    assert_null(files.config);
    assert_null(merge_files_find(NULL, "tokenizer.json"));
    assert_ok(merge_files_of_directory("/dev/null", &files));
    assert_int_equal(files.count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_all_forms_of_a_vocabulary_are_read),
        TEST(test_a_new_token_of_several_begins_as_their_mean),
        TEST(test_a_row_that_nobody_has_is_the_mean_of_all),
        TEST(test_equal_tokenizers_move_nothing),
        TEST(test_the_base_s_tokenizer_cuts_the_others),
        cmocka_unit_test(test_broken_tokenizers_are_told),
        TEST(test_too_many_rows_to_make_are_refused),
        TEST(test_templates_are_chosen_given_or_left_out),
        TEST(test_settings_have_the_new_tokens),
        TEST(test_lists_of_layers_follow_the_slices),
        cmocka_unit_test(test_a_model_without_directory_has_no_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
