/* Merges that cannot be: what the file says, and what is told of it. */
#include "support/test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/merge/merge_run.h"
#include "support/llama_shape.h"
#include "sweep/spec.h"

/* A body of flow maps in three lines: 9 is `merge:`, 10 the first of it. */
#define HEAD                                                               \
    "sinter: 1\nname: bad\nsources:\n  a: ./a\n  b: ./b\n  base: ./base\n" \
    "evaluate:\n  size: {builtin: footprint}\nmerge:\n"
#define AB   "  models: [{model: a}, {model: b}]\n"
#define BASE "  base_model: base\n"

/* The first error of the file: "S015 10:3 message; suggestion". */
static char *first_error(const char *body)
{
    AUTO(free_pointer) char *text = xasprintf(HEAD "%s", body);
    const struct spec_input input = {
        .file = "bad", .text = text, .size = strlen(text), .directory = "/data"
    };
    struct spec_problems problems;
    json_t *document = NULL;
    struct status s = spec_compile(&input, job_catalog(), &document, &problems);

    json_decref(document);
    if (!status_failed(&s))
        return xstrdup("no error");
    for (size_t i = 0; i < problems.count; i++) {
        const struct spec_problem *p = &problems.items[i];

        if (!p->warning)
            return xasprintf("%s %u:%u %s%s%s", p->code, p->line, p->column,
                             p->message, p->suggestion[0] == '\0' ? "" : "; ",
                             p->suggestion);
    }
    return xstrdup(s.message);
}

static const struct {
    const char *body, *error;
} bad_files[] = {
    /* numbers out of range */
    { "  merge_method: ties\n" BASE
      "  models: [{model: a, parameters: {weight: 1, density: 1.5}}]\n",
      "S015 12:56 density of ties must be in (0, 1], not 1.5" },
    { "  merge_method: ties\n" BASE
      "  models: [{model: a, parameters: {weight: 1, density: [1, 0]}}]\n",
      "S015 12:60 density of ties must be in (0, 1], not 0" },
    { "  merge_method: dare_linear\n" BASE
      "  models: [{model: a, parameters: {weight: 1, density: [{filter: q, "
      "value: -1}, {value: 1}]}}]\n",
      "S015 12:76 density of dare_linear must be in [0, 1], not -1" },
    { "  merge_method: pcb\n" BASE AB "  parameters: {ratio: 0}\n",
      "S015 13:23 ratio of pcb must be in (0, 1], not 0" },
    { "  merge_method: linear\n" AB "  parameters: {weight: 1e9}\n",
      "S015 12:24 weight of linear must be in [-1e+06, 1e+06], not 1e+09" },
    { "  merge_method: slerp\n  base_model: a\n" AB "  parameters: {t: x}\n",
      "S006 13:19 `t` takes a number, a list over depth or a list of {filter, "
      "value}; this is a text" },
    /* layer ranges */
    { "  merge_method: passthrough\n  slices:\n"
      "    - sources: [{model: a, layer_range: [8, 0]}]\n",
      "S015 12:41 layer_range [8, 0] is empty: it goes from the first number "
      "up to, but without, the second" },
    { "  merge_method: passthrough\n  slices:\n"
      "    - sources: [{model: a, layer_range: [4, 4]}]\n",
      "S015 12:41 layer_range [4, 4] is empty: it goes from the first number "
      "up to, but without, the second" },
    { "  merge_method: passthrough\n  slices:\n"
      "    - sources: [{model: a, layer_range: [4]}]\n",
      "S015 12:41 a layer_range is two whole numbers [from, to); as in [0, "
      "16]" },
    { "  merge_method: passthrough\n  slices:\n"
      "    - sources: [{model: a, layer_range: [-1, 3]}]\n",
      "S008 12:42 `layer_range` is -1; it must be 0 to 2147483647" },
    { "  merge_method: passthrough\n  slices:\n"
      "    - sources: [{model: a}]\n",
      "S004 12:17 `layer_range` is missing from `sources`; add layer_range: "
      "...  # [from, to): the first layer, and the first that is not taken" },
    { "  merge_method: linear\n  slices:\n"
      "    - sources:\n"
      "        - {model: a, layer_range: [0, 4]}\n"
      "        - {model: b, layer_range: [0, 5]}\n",
      "S015 14:35 this source has 5 layers, the first one of the slice has 4; "
      "they must be as many" },
    /* slices and models */
    { "  merge_method: linear\n" AB "  slices: [{sources: [{model: a, "
      "layer_range: [0, 4]}]}]\n",
      "S015 12:11 `models` and `slices` exclude each other; keep the one that "
      "is meant" },
    { "  merge_method: linear\n  slices: []\n",
      "S015 11:11 0 slices; there can be 1 to 1024" },
    { "  merge_method: linear\n  slices: [{sources: []}]\n",
      "S015 11:12 a slice needs sources; add `sources:`" },
    { "  merge_method: linear\n  slices:\n    - sources: [{model: a, "
      "layer_range: [0, 4]}, {model: a, layer_range: [4, 8]}]\n",
      "S015 12:50 file:///data/a stands twice in one slice" },
    { "  merge_method: passthrough\n  slices:\n    - sources: [{model: a, "
      "layer_range: [0, 4]}, {model: b, layer_range: [4, 8]}]\n",
      "S015 12:16 passthrough takes exactly 1 model, not 2" },
    { "  merge_method: ties\n" BASE
      "  slices:\n    - sources: [{model: a, layer_range: [0, 4], parameters: "
      "{weight: 1}}]\n",
      "S015 13:16 the base_model file:///data/base is not among the sources "
      "of the slice, so its layers are not known; add the base with its "
      "layer_range to the sources" },
    { "  merge_method: pcb\n" BASE
      "  slices:\n    - sources: [{model: a, layer_range: [0, 4]}, {model: "
      "base, layer_range: [0, 4]}]\n",
      "S015 13:5 pcb looks at the model as a whole, not at slices; list whole "
      "models" },
    /* modules */
    { "  merge_method: linear\n"
      "  modules: {text: {models: [{model: a}]}, vision: {models: [{model: b}]"
      "}}\n",
      "S015 11:12 2 modules; models of several modules (image and text) are "
      "not merged as one; merge them one by one" },
    { "  merge_method: ties\n" BASE
      "  modules: {text: {models: [{model: a, parameters: {weight: 1, "
      "density: 2}}]}}\n",
      "S015 12:73 density of ties must be in (0, 1], not 2" },
    { "  merge_method: linear\n" AB "  modules: {text: {models: [{model: a}]}}"
      "\n",
      "S015 12:12 `modules` and `models` exclude each other; keep the one that "
      "is meant" },
    /* keys */
    { "  merge_method: linear\n" AB "  dtpye: float16\n",
      "S003 12:3 \"dtpye\" has no meaning here; did you mean `dtype`?" },
    { "  merge_method: ties\n" BASE
      "  models: [{model: a, parameters: {wieght: 1}}]\n",
      "S003 12:36 \"wieght\" has no meaning here; did you mean `weight`?" },
    { "  merge_method: linear\n  slices:\n    - sources: [{model: a, "
      "layer_range: [0, 4], layers: [0, 4]}]\n",
      "S003 12:49 \"layers\" has no meaning here" },
    { "  merge_method: linaer\n" AB,
      "S014 10:17 unknown merge_method \"linaer\"; did you mean `linear`?" },
    { "  merge_method: ties\n  variant: mergekti\n" BASE AB,
      "S015 11:12 ties has no variant \"mergekti\"" },
    { "  merge_method: slerp\n  base_model: a\n" AB,
      "S015 9:1 slerp needs a t under parameters; add `t: 0.5`" },
    { "  merge_method: slerp\n" AB "  parameters: {t: 0.5}\n",
      "S015 9:1 slerp needs a base_model: the one of its models that it starts "
      "from; add `base_model:`" },
    { "  merge_method: slerp\n  base_model: a\n  models: [{model: a, "
      "parameters: {t: 0.5}}, {model: b}]\n",
      "S015 12:39 t of slerp is not said of one model; put it under the "
      "parameters of the merge" },
    { "  merge_method: linear\n" AB "  tokenizer: {source: base, tokens: {x: "
      "{source: a}}}\n",
      "S015 12:37 embeddings are not chosen token by token: each model brings "
      "those it knows; leave them out" },
    { "  merge_method: linear\n" AB "  tokenizer_source: onion\n",
      "S020 12:21 \"onion\" is neither a name of `sources` nor a URL" },
    { "  merge_method: linear\n" AB "  tokenizer_source: base\n"
      "  tokenizer: {source: union}\n",
      "S015 13:14 `tokenizer` and `tokenizer_source` exclude each other; keep "
      "one of them" },
    { "  merge_method: linear\n" AB "  chat_template: chatml\n",
      "S015 12:18 chat_template \"chatml\" is no template; auto, none or the "
      "template itself" },
    { "  merge_method: linear\n  models: [{model: org/base+org/lora}]\n",
      "S020 11:20 \"org/base+org/lora\" is a model and an adapter; merge the "
      "adapter into the model first" },
    { "  merge_method: linear\n  models: [{model: ./c++/base+./lora}]\n",
      "S020 11:20 \"./c++/base+./lora\" is a model and an adapter" },
    /* types */
    { "  merge_method: linear\n  models: a\n",
      "S006 11:11 `models` takes a list; this is a text" },
    { "  merge_method: linear\n  models: [a, b]\n",
      "S006 11:12 `models` takes a map; this is a text" },
    { "  merge_method: linear\n" AB "  parameters: {normalize: yes}\n",
      "S006 12:27 `normalize` takes true or false; write true" },
    { "  merge_method: linear\n" AB "  parameters: {normalize: 1}\n",
      "S006 12:27 `normalize` takes true or false; this is an integer" },
    { "  merge_method: model_stock\n" BASE AB
      "  parameters: {filter_wise: 1}\n",
      "S006 13:29 `filter_wise` takes true or false; this is an integer" },
    { "  merge_method: linear\n" AB "  dtype: int8\n",
      "S014 12:10 unknown dtype \"int8\"" },
    { "  merge_method: pcb\n" BASE AB "  on_shape_mismatch: skip\n",
      "S015 13:22 pcb looks at the model as a whole; no model can be left out "
      "of one tensor; use submatrix" },
};

static void test_faults_of_a_file_have_a_place_and_a_way_out(void **state)
{
    size_t wrong = 0;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad_files); i++) {
        AUTO(free_pointer) char *error = first_error(bad_files[i].body);

        if (strncmp(error, bad_files[i].error, strlen(bad_files[i].error)) == 0)
            continue;
        print_error("%s is\n    %s\n", bad_files[i].body, error);
        wrong++;
    }
    assert_int_equal(wrong, 0);
}

/* ---- models that do not fit -------------------------------------------- */

enum { MODELS = 3 };

struct bench {
    struct small_model models[MODELS]; /* base, a, b */
    struct merge_inputs inputs;
};

static int setup(void **state)
{
    struct bench *b = xnew(struct bench);

    b->models[0] = llama_shape_new(20, 1);
    b->models[1] = small_model_near(&b->models[0], 2, 0.01);
    b->models[2] = small_model_near(&b->models[0], 3, 0.01);
    b->inputs.base = &b->models[0].set;
    b->inputs.tasks[0] = &b->models[1].set;
    b->inputs.tasks[1] = &b->models[2].set;
    *state = b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;

    for (size_t i = 0; i < MODELS; i++)
        small_model_release(&b->models[i]);
    free(b);
    return 0;
}

/* With ' for ". The first element of a tensor is left in `ret_value`. */
static struct status merge_text(const struct merge_inputs *inputs,
                                const char *text, const char *tensor,
                                float *ret_value, size_t *ret_tensors)
{
    static const struct merge_runtime runtime = { .threads = 1 };
    AUTO(free_pointer) char *copy = xstrdup(text);
    struct merge_config config;
    struct merge *m = NULL;
    struct status s;
    json_t *json;

    for (char *c = copy; *c != '\0'; c++)
        *c = *c == '\'' ? '"' : *c;
    assert_ok(json_parse(copy, strlen(copy), "config", &json));
    s = merge_config_read(json, &config);
    if (!status_failed(&s))
        s = merge_new(&config, 1, inputs, &m);
    if (!status_failed(&s)) {
        const struct tensor_set *layout = merge_layout(m);
        void **targets = xcalloc(layout->count + 1, sizeof *targets);
        void *const *const points[] = { targets };

        for (size_t i = 0; i < layout->count; i++)
            targets[i] =
                xcalloc(1, (size_t)tensor_bytes(&layout->items[i]) + 8);
        s = merge_run(m, &runtime, points);
        for (size_t i = 0; i < layout->count; i++) {
            if (tensor != NULL && strcmp(layout->items[i].name, tensor) == 0)
                dtype_to_f32(layout->items[i].dtype, targets[i], ret_value, 1);
            free(targets[i]);
        }
        if (ret_tensors != NULL)
            *ret_tensors = layout->count;
        free(targets);
    }
    merge_free(m);
    json_decref(json);
    return s;
}

#define TA                                                                 \
    "{'merge_method': 'task_arithmetic', 'base_model': 'base', 'models': " \
    "[{'model': 'a'}, {'model': 'b'}], 'parameters': {'weight': 1}"

static struct status plain_merge(const struct bench *b, const char *text)
{
    return merge_text(&b->inputs, text, NULL, NULL, NULL);
}

static void test_a_range_beyond_the_model_is_told(void **state)
{
    assert_fails(
        plain_merge(*state,
                    "{'merge_method': 'passthrough', 'slices': [{'sources': "
                    "[{'model': 'a', 'layer_range': [0, 8]}]}, {'sources': "
                    "[{'model': 'a', 'layer_range': [6, 9]}]}]}"),
        STATUS_INVALID,
        "merge /slices/1: layer_range [6, 9] of a ends beyond its 8 layers");
}

static void test_a_missing_tensor_is_told_or_left_out(void **state)
{
    struct bench *b = *state;
    struct tensor_set less = b->models[2].set;
    float value = 0.0F;
    double base, a;

    less.count--; /* without the last one, the final norm */
    b->inputs.tasks[1] = &less;
    assert_fails(plain_merge(b, TA "}"), STATUS_INVALID,
                 "tensor model.norm.weight (8) of base is missing in b");
    assert_ok(merge_text(&b->inputs, TA ", 'on_shape_mismatch': 'skip'}",
                         "model.norm.weight", &value, NULL));
    base = small_model_get(&b->models[0], "model.norm.weight", 0);
    a = small_model_get(&b->models[1], "model.norm.weight", 0);
    assert_true(value == (float)(base + (double)(float)(a - base)));
}

/* A tensor that the base has not means nothing. */
static void test_a_tensor_more_is_not_looked_at(void **state)
{
    struct bench *b = *state;
    struct tensor_set less = b->models[0].set;
    size_t tensors = 0;

    less.count--;
    b->inputs.base = &less;
    assert_ok(merge_text(&b->inputs, TA "}", NULL, NULL, &tensors));
    assert_int_equal(tensors, less.count);
}

static void test_where_all_are_left_out_the_base_stays(void **state)
{
    struct bench *b = *state;
    struct tensor_set less = b->models[2].set;
    float value = 0.0F;

    less.count--;
    b->inputs.tasks[0] = &less;
    b->inputs.tasks[1] = &less;
    for (size_t i = 0; i < 2; i++) {
        const char *const texts[] = {
            TA ", 'on_shape_mismatch': 'skip', 'dtype': 'float16'}",
            "{'merge_method': 'model_stock', 'base_model': 'base', 'models': "
            "[{'model': 'a'}, {'model': 'b'}], 'on_shape_mismatch': 'skip'}",
        };

        assert_ok(merge_text(&b->inputs, texts[i], "model.norm.weight", &value,
                             NULL));
        assert_true(fabs((double)value - small_model_get(&b->models[0],
                                                         "model.norm.weight",
                                                         0)) < 1e-4);
    }
    b->inputs.base = NULL;
    b->inputs.tasks[0] = &b->models[1].set;
    assert_fails(
        plain_merge(b, "{'merge_method': 'slerp', 'base_model': 'a', 'models':"
                       " [{'model': 'a'}, {'model': 'b'}], 'parameters': {'t':"
                       " 0.5}, 'on_shape_mismatch': 'skip'}"),
        STATUS_INVALID,
        "tensor model.norm.weight has one shape in only 1 model, slerp merges "
        "at least 2");
}

/* Task vectors keep the base's rows; without a base those that all have. */
static void test_rows_are_cut_to_the_base_or_to_what_all_have(void **state)
{
    static const struct {
        const char *text;
        const char *fault; /* NULL: fine */
        uint64_t base_rows;
    } rows[] = {
        { TA "}", "is 20x8 in a but 23x8 in base", 23 },
        { TA ", 'on_shape_mismatch': 'submatrix'}", "is 20x8 in a but 23x8",
          23 },
        { TA ", 'on_shape_mismatch': 'submatrix'}", NULL, 17 },
        { TA ", 'on_shape_mismatch': 'skip'}", NULL, 23 },
        { "{'merge_method': 'linear', 'base_model': 'base', 'models': "
          "[{'model': 'a'}], 'on_shape_mismatch': 'submatrix'}",
          NULL, 23 },
        { "{'merge_method': 'model_stock', 'base_model': 'base', 'models': "
          "[{'model': 'a'}, {'model': 'b'}], 'on_shape_mismatch': "
          "'submatrix'}",
          NULL, 23 },
    };
    struct bench *b = *state;

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct small_model base = llama_shape_new(rows[i].base_rows, 9);

        b->inputs.base = &base.set;
        if (rows[i].fault != NULL)
            assert_fails(plain_merge(b, rows[i].text), STATUS_INVALID,
                         rows[i].fault);
        else
            assert_ok(plain_merge(b, rows[i].text));
        small_model_release(&base);
    }
}

static void test_integers_against_floats_are_told(void **state)
{
    static const struct small_row floats[] = { { "w", DTYPE_F32, 1, { 4 } },
                                               { NULL, DTYPE_F32, 0, { 0 } } };
    static const struct small_row integers[] = {
        { "w", DTYPE_I32, 1, { 4 } }, { NULL, DTYPE_F32, 0, { 0 } }
    };
    struct small_model base = small_model_new(floats, 1, 1.0);
    struct small_model task = small_model_new(integers, 1, 1.0);
    const struct merge_inputs inputs = { .base = &base.set,
                                         .tasks = { &task.set, &task.set } };
    const struct merge_inputs turned = { .base = &task.set,
                                         .tasks = { &base.set, &base.set } };
    size_t tensors = 0;

    (void)state;
    assert_fails(merge_text(&inputs, TA "}", NULL, NULL, NULL), STATUS_INVALID,
                 "tensor w is I32 in a but F32 in base");
    /* What the base has as integers is copied. */
    assert_ok(merge_text(&turned, TA "}", NULL, NULL, &tensors));
    assert_int_equal(tensors, 1);
    small_model_release(&base);
    small_model_release(&task);
}

/* One element, no tensor at all, and fine-tunes that changed nothing. */
static void test_the_smallest_models_merge(void **state)
{
    static const struct small_row one[] = { { "w", DTYPE_F32, 1, { 1 } },
                                            { NULL, DTYPE_F32, 0, { 0 } } };
    static const char *const methods[] = {
        "'ties'",        "'dare_ties'",   "'dare_linear'",
        "'sce'",         "'breadcrumbs'", "'della'",
        "'model_stock'", "'pcb'",         "'task_arithmetic'",
    };
    struct small_model base = small_model_new(one, 1, 1.0);
    struct small_model none = small_model_new(one + 1, 1, 1.0);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        AUTO(free_pointer)
        char *text = xasprintf(
            "{'merge_method': %s, 'base_model': 'base', 'models': [{'model': "
            "'a'}, {'model': 'b'}], 'parameters': {'weight': 0.5, 'density': "
            "0.5}}",
            methods[i]);
        struct merge_inputs inputs = { .base = &base.set,
                                       .tasks = { &base.set, &base.set } };
        float value = 0.0F;
        size_t tensors = 1;

        assert_ok(merge_text(&inputs, text, "w", &value, NULL));
        assert_true((double)value == small_model_get(&base, "w", 0));
        inputs = (struct merge_inputs){ .base = &none.set,
                                        .tasks = { &none.set, &none.set } };
        assert_ok(merge_text(&inputs, text, NULL, NULL, &tensors));
        assert_int_equal(tensors, 0);
    }
    small_model_release(&base);
    small_model_release(&none);
}

static void test_a_tokenizer_must_be_there_to_be_looked_at(void **state)
{
    assert_fails(
        plain_merge(*state, TA ", 'tokenizer_source': 'union'}"),
        STATUS_INVALID,
        "base has neither a tokenizer.json nor a vocab.json; leave out "
        "tokenizer_source, or give the directory of the model");
}

static void test_a_filter_that_fits_nothing_is_told(void **state)
{
    assert_fails(
        plain_merge(*state, "{'merge_method': 'task_arithmetic', 'base_model': "
                            "'base', 'models': [{'model': 'a', 'parameters': "
                            "{'weight': [{'filter': 'mlp', 'value': 1}]}}]}"),
        STATUS_INVALID,
        "task_arithmetic: no filter of weight fits tensor lm_head.weight; add "
        "an item without filter");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults_of_a_file_have_a_place_and_a_way_out),
        TEST(test_a_range_beyond_the_model_is_told),
        TEST(test_a_missing_tensor_is_told_or_left_out),
        TEST(test_a_tensor_more_is_not_looked_at),
        TEST(test_where_all_are_left_out_the_base_stays),
        TEST(test_rows_are_cut_to_the_base_or_to_what_all_have),
        cmocka_unit_test(test_integers_against_floats_are_told),
        cmocka_unit_test(test_the_smallest_models_merge),
        TEST(test_a_tokenizer_must_be_there_to_be_looked_at),
        TEST(test_a_filter_that_fits_nothing_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
