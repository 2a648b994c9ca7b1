/* Recipes in the way people write them (tests/golden/recipes) on small models:
 * they compile, have one form, and give the bytes that digests.txt says;
 * SINTER_UPDATE_GOLDEN=1 writes it anew. */
#include "support/test.h"

#include <dirent.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/digest.h"
#include "common/file.h"
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/merge/merge_body.h"
#include "jobs/merge/merge_files.h"
#include "jobs/merge/merge_run.h"
#include "support/fake_context.h"
#include "support/llama_shape.h"
#include "sweep/compiled.h"
#include "sweep/problem.h"

#define FOLDER  TEST_DATA "/golden/recipes"
#define DIGESTS FOLDER "/digests.txt"

enum { FILE_LIMIT = 1 << 20, RECIPES = 25 };

/* The models that recipes name. */
static struct model {
    const char *name;
    uint64_t rows;
    uint32_t seed;         /* 0: near the first of as many rows */
    const char *tokens[9]; /* NULL-terminated; none: no files */
    struct small_model m;
    struct merge_files files;
} models[] = {
    { .name = "base", .rows = 20, .seed = 1 },
    { .name = "math", .rows = 20 },
    { .name = "code", .rows = 20 },
    { .name = "chat", .rows = 20 },
    { .name = "wide", .rows = 23, .seed = 5 },
    { .name = "plain",
      .rows = 6,
      .seed = 6,
      .tokens = { "a", "b", "c", "d", "e", "f" } },
    { .name = "spoken",
      .rows = 8,
      .seed = 7,
      .tokens = { "a", "b", "c", "d", "e", "f", "<|user|>", "<|bot|>" } },
    { .name = "tools",
      .rows = 7,
      .seed = 8,
      .tokens = { "b", "a", "c", "d", "e", "f", "<tool>" } },
};

static void write_file(struct fake_context *f, const char *model,
                       const char *name, const json_t *json)
{
    AUTO(free_pointer) char *text = json_pretty(json);
    AUTO(free_pointer) char *path = xasprintf("%s/%s/%s", f->root, model, name);

    assert_ok(file_write(path, text, strlen(text)));
}

static void write_files(struct fake_context *f, struct model *m)
{
    AUTO(free_pointer) char *directory = xasprintf("%s/%s", f->root, m->name);
    json_t *vocabulary = json_object();
    AUTO(json_release)
    json_t *config = json_pack("{s:i, s:i}", "vocab_size", (int)m->rows,
                               "num_hidden_layers", LLAMA_LAYERS);
    AUTO(json_release)
    json_t *tokenizer = json_pack("{s:{s:s, s:o}}", "model", "type", "BPE",
                                  "vocab", vocabulary);

    for (int i = 0; m->tokens[i] != NULL; i++)
        (void)json_object_set_new(vocabulary, m->tokens[i], json_integer(i));
    assert_ok(file_make_directories(directory));
    write_file(f, m->name, "config.json", config);
    if (m->tokens[0] != NULL)
        write_file(f, m->name, "tokenizer.json", tokenizer);
    assert_ok(merge_files_of_directory(directory, &m->files));
}

static int setup(void **state)
{
    struct fake_context *f = fake_context_new();

    for (size_t i = 0; i < COUNT_OF(models); i++) {
        struct model *m = &models[i];

        m->m = m->seed == 0
                   ? small_model_near(&models[0].m, (uint32_t)(10 + i), 0.01)
                   : llama_shape_new(m->rows, m->seed);
        write_files(f, m);
    }
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    for (size_t i = 0; i < COUNT_OF(models); i++) {
        small_model_release(&models[i].m);
        merge_files_release(&models[i].files);
    }
    fake_context_free(*state);
    return 0;
}

/* The recipe as the body of a sweep. */
static char *sweep_of(const char *recipe)
{
    char *text = xstrdup("sinter: 1\nname: recipe\nsources:\n");

    for (size_t i = 0; i < COUNT_OF(models); i++) {
        char *longer =
            xasprintf("%s  %s: ./%s\n", text, models[i].name, models[i].name);

        free(text);
        text = longer;
    }
    for (const char *line = recipe; *line != '\0';) {
        size_t size = strcspn(line, "\n");
        char *longer =
            xasprintf("%s%s  %.*s\n", text, line == recipe ? "merge:\n" : "",
                      (int)size, line);

        free(text);
        text = longer;
        line += size + (line[size] == '\n');
    }
    recipe = text;
    text = xasprintf("%sevaluate:\n  size: {builtin: footprint}\n", recipe);
    free_pointer(&recipe);
    return text;
}

/* Parameters of the merge as a job gets them. */
static json_t *params_of(const char *name, const char *recipe)
{
    AUTO(free_pointer) char *text = sweep_of(recipe);
    AUTO(free_pointer) char *json = NULL;
    const struct spec_input input = {
        .file = name, .text = text, .size = strlen(text), .directory = "/data"
    };
    struct spec_problems problems;
    struct compiled *c = NULL;
    json_t *document = NULL, *values = NULL, *model = NULL, *params;
    bool excluded;
    struct status s = spec_compile(&input, job_catalog(), &document, &problems);

    for (size_t i = 0; i < problems.count && status_failed(&s); i++)
        spec_print_problem(&problems.items[i], &input, false, stderr);
    assert_ok(s);
    json = json_canonical(document);
    assert_ok(compiled_parse(json, strlen(json), &c));
    assert_ok(compiled_trial(c, 0, &values, &excluded));
    assert_ok(compiled_model(c, values, &model));
    params = json_deep_copy(
        json_object_get(json_object_get(model, "$recipe"), "params"));
    assert_non_null(params);
    json_decref(document);
    json_decref(values);
    json_decref(model);
    compiled_free(c);
    return params;
}

static const struct model *model_of(const json_t *json)
{
    const char *url = json_text_or(json_object_get(json, "$source"), "url", "");

    for (size_t i = 0; i < COUNT_OF(models); i++) {
        if (strcmp(strrchr(url, '/') + 1, models[i].name) == 0)
            return &models[i];
    }
    fail_msg("no model %s", url);
    return NULL;
}

struct output {
    json_t *params;
    struct merge_config config;
    struct merge_inputs inputs;
    struct merge *merge;
    const struct tensor_set *layout;
    void **targets;
    struct merge_files files;
};

static void output_release(struct output *o)
{
    for (size_t i = 0; i < o->layout->count; i++)
        free(o->targets[i]);
    free(o->targets);
    merge_files_release(&o->files);
    merge_free(o->merge);
    json_decref(o->params);
}

static void set_inputs(struct output *o)
{
    if (o->config.base != NULL) {
        o->inputs.base = &model_of(o->config.base)->m.set;
        o->inputs.base_files = &model_of(o->config.base)->files;
    }
    for (size_t i = 0; i < o->config.count; i++) {
        o->inputs.tasks[i] = &model_of(o->config.models[i])->m.set;
        o->inputs.files[i] = &model_of(o->config.models[i])->files;
    }
}

static void run(const char *name, struct output *o)
{
    static const struct merge_runtime runtime = { .threads = 2 };
    AUTO(free_pointer) char *path = xasprintf(FOLDER "/%s.yaml", name);
    AUTO(free_pointer) char *text = NULL;
    void *const *points[1];
    size_t size;

    *o = (struct output){ .merge = NULL };
    assert_ok(file_read(path, FILE_LIMIT, &text, &size));
    o->params = params_of(name, text);
    assert_ok(merge_config_read(o->params, &o->config));
    set_inputs(o);
    assert_ok(merge_new(&o->config, 1, &o->inputs, &o->merge));
    o->layout = merge_layout(o->merge);
    o->targets = xcalloc(o->layout->count + 1, sizeof *o->targets);
    for (size_t i = 0; i < o->layout->count; i++)
        o->targets[i] =
            xcalloc(1, (size_t)tensor_bytes(&o->layout->items[i]) + 1);
    points[0] = o->targets;
    assert_ok(merge_run(o->merge, &runtime, points));
    assert_ok(merge_files_of(o->merge, &o->files));
}

/* ---- every recipe ------------------------------------------------------ */

static void digest_of_output(const struct output *o, char text[DIGEST_TEXT])
{
    struct digest_stream *stream = digest_begin();
    struct digest digest;

    for (size_t i = 0; i < o->layout->count; i++) {
        const struct tensor *t = &o->layout->items[i];
        char shape[64];

        digest_add(stream, t->name, strlen(t->name));
        digest_add(stream, dtype_name(t->dtype), strlen(dtype_name(t->dtype)));
        (void)tensor_shape_text(t, shape, sizeof shape);
        digest_add(stream, shape, strlen(shape));
        digest_add(stream, o->targets[i], (size_t)tensor_bytes(t));
    }
    digest = digest_end(stream);
    digest_to_text(&digest, text);
}

/* A form that is brought to its form stays as it is. */
static void check_form(const struct output *o)
{
    struct catalog_problem problem = { .path = "" };
    json_t *again = json_deep_copy(o->params);
    AUTO(free_pointer) char *first = json_canonical(o->params);
    AUTO(free_pointer) char *second = NULL;

    assert_true(merge_body_normalise(again, &problem));
    second = json_canonical(again);
    assert_string_equal(first, second);
    json_decref(again);
    assert_true(merge_body_check(o->params, &problem));
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_recipe(const struct dirent *entry)
{
    size_t size = strlen(entry->d_name);

    return size > 5 && strcmp(entry->d_name + size - 5, ".yaml") == 0;
}

static void test_recipes_give_the_bytes_they_gave(void **state)
{
    struct dirent **entries;
    int count = scandir(FOLDER, &entries, is_recipe, by_name);
    AUTO(free_pointer) char *expected = NULL;
    char *seen = xstrdup("");
    size_t size;

    (void)state;
    assert_true(count >= RECIPES);
    for (int i = 0; i < count; i++) {
        AUTO(free_pointer)
        char *name =
            xstrndup(entries[i]->d_name, strlen(entries[i]->d_name) - 5);
        char digest[DIGEST_TEXT];
        struct output o;
        char *longer;

        run(name, &o);
        check_form(&o);
        digest_of_output(&o, digest);
        longer =
            xasprintf("%s%s %zu %.16s\n", seen, name, o.layout->count, digest);
        free(seen);
        seen = longer;
        output_release(&o);
        free(entries[i]);
    }
    free(entries);
    if (getenv("SINTER_UPDATE_GOLDEN") != NULL)
        assert_ok(file_write(DIGESTS, seen, strlen(seen)));
    assert_ok(file_read(DIGESTS, FILE_LIMIT, &expected, &size));
    assert_string_equal(seen, expected);
    free(seen);
}

/* ---- what some of them must give --------------------------------------- */

static const void *bytes_of(const struct output *o, const char *name)
{
    const struct tensor *t = tensor_find(o->layout, name);

    if (t == NULL)
        fail_msg("there is no %s", name);
    return o->targets[t - o->layout->items];
}

static float value_of(const struct output *o, const char *name, uint64_t i)
{
    const struct tensor *t = tensor_find(o->layout, name);
    float value;

    assert_non_null(t);
    dtype_to_f32(t->dtype,
                 (const char *)bytes_of(o, name) + i * dtype_size(t->dtype),
                 &value, 1);
    return value;
}

static struct small_model *named(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(models); i++) {
        if (strcmp(models[i].name, name) == 0)
            return &models[i].m;
    }
    return NULL;
}

static void assert_from(const struct output *o, const char *name,
                        const char *model, const char *own)
{
    const struct tensor *t = tensor_find(&named(model)->set, own);

    assert_non_null(t);
    assert_memory_equal(bytes_of(o, name), t->data, (size_t)tensor_bytes(t));
}

static void test_layers_are_stacked_as_slices_say(void **state)
{
    struct output o;

    (void)state;
    run("12-depth-upscaling", &o);
    assert_int_equal(depth_layers(o.layout), 12);
    assert_from(&o, "model.layers.5.mlp.up_proj.weight", "chat",
                "model.layers.5.mlp.up_proj.weight");
    assert_from(&o, "model.layers.6.mlp.up_proj.weight", "chat",
                "model.layers.2.mlp.up_proj.weight");
    assert_from(&o, "model.layers.11.self_attn.q_proj.weight", "chat",
                "model.layers.7.self_attn.q_proj.weight");
    assert_from(&o, "lm_head.weight", "chat", "lm_head.weight");
    assert_int_equal(json_int_or(o.files.config, "num_hidden_layers", 0), 12);
    output_release(&o);
}

/* What is outside of layers comes from the first and the last slice. */
static void test_ends_come_from_the_slices_beside_them(void **state)
{
    struct output o;

    (void)state;
    run("31-slices-of-two-bases", &o);
    for (uint64_t i = 0; i < LLAMA_WIDTH; i++) {
        double base =
            small_model_get(named("base"), "model.embed_tokens.weight", i);
        double math =
            small_model_get(named("math"), "model.embed_tokens.weight", i);

        assert_true(value_of(&o, "model.embed_tokens.weight", i) ==
                    (float)(base + 0.5 * (double)(float)(math - base)));
    }
    /* t is 0 outside of layers, so the code model's weight is 0. */
    assert_from(&o, "model.norm.weight", "chat", "model.norm.weight");
    assert_from(&o, "model.layers.4.mlp.up_proj.weight", "chat",
                "model.layers.4.mlp.up_proj.weight");
    output_release(&o);
}

static void test_repeated_layers_can_begin_as_nothing(void **state)
{
    const char *name = "model.layers.4.self_attn.o_proj.weight";
    struct output o;

    (void)state;
    run("13-passthrough-zeroed", &o);
    assert_int_equal(depth_layers(o.layout), 9);
    for (uint64_t i = 0; i < LLAMA_WIDTH * LLAMA_WIDTH; i++)
        assert_true(value_of(&o, name, i) == 0.0F);
    assert_true(value_of(&o, "model.layers.4.self_attn.q_proj.weight", 3) !=
                0.0F);
    output_release(&o);
}

static void test_numbers_of_a_source_go_before_those_of_slice_and_merge(
    void **state)
{
    static const struct {
        const char *name, *first, *second;
        double a, b;
    } rows[] = {
        { "model.layers.1.mlp.up_proj.weight", "math", "code", 0.8, 0.5 },
        { "model.layers.5.mlp.up_proj.weight", "chat", "code", 0.1, 0.1 },
        { "model.layers.5.self_attn.q_proj.weight", "chat", "code", 0.5, 0.5 },
    };
    struct output o;

    (void)state;
    run("15-linear-slices", &o);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        double x = small_model_get(named(rows[i].first), rows[i].name, 7);
        double y = small_model_get(named(rows[i].second), rows[i].name, 7);
        double mean = (rows[i].a * x + rows[i].b * y) / (rows[i].a + rows[i].b);

        assert_true(fabs((double)value_of(&o, rows[i].name, 7) - mean) < 1e-8);
    }
    output_release(&o);
}

/* plain: a b c d e f; spoken adds two, tools one, and turns a and b round. */
static void test_a_union_has_the_rows_of_those_who_know_a_token(void **state)
{
    const char *name = "model.embed_tokens.weight";
    struct output o;

    (void)state;
    run("26-union-tokenizer", &o);
    assert_int_equal(tensor_find(o.layout, name)->shape[0], 9);
    for (uint64_t i = 0; i < LLAMA_WIDTH; i++) {
        double base = small_model_get(named("plain"), name, i);
        double spoken = small_model_get(named("spoken"), name, i);
        double tools = small_model_get(named("tools"), name, LLAMA_WIDTH + i);
        double user =
            small_model_get(named("spoken"), name, 6 * LLAMA_WIDTH + i);
        double known = base + 0.5 * (spoken - base) + 0.5 * (tools - base);

        assert_true(fabs((double)value_of(&o, name, i) - known) < 1e-7);
        /* Only one model has it, so it is everybody's. */
        assert_true(value_of(&o, name, 6 * LLAMA_WIDTH + i) == (float)user);
    }
    assert_int_equal(json_int_or(o.files.config, "vocab_size", 0), 9);
    output_release(&o);
}

static void test_a_union_s_tokenizer_has_the_new_tokens(void **state)
{
    static const char *const added[] = { "<|user|>", "<|bot|>", "<tool>" };
    const struct merge_file *file;
    struct output o;
    json_t *json, *list;

    (void)state;
    run("26-union-tokenizer", &o);
    file = merge_files_find(&o.files, "tokenizer.json");
    assert_non_null(file);
    assert_ok(json_parse(file->bytes, file->size, "tokenizer", &json));
    list = json_object_get(json, "added_tokens");
    assert_int_equal(json_array_size(list), 3);
    for (size_t i = 0; i < 3; i++) {
        const json_t *token = json_array_get(list, i);

        assert_string_equal(json_text_or(token, "content", ""), added[i]);
        assert_int_equal(json_int_or(token, "id", 0), (int64_t)(6 + i));
    }
    json_decref(json);
    output_release(&o);
}

/* The model without the two tokens has the base's, here its own first. */
static void test_a_model_s_tokenizer_goes_along(void **state)
{
    const struct merge_file *file;
    struct output o;

    (void)state;
    run("27-tokenizer-of-a-model", &o);
    assert_int_equal(
        tensor_find(o.layout, "model.embed_tokens.weight")->shape[0], 8);
    assert_int_equal(tensor_find(o.layout, "lm_head.weight")->shape[0], 8);
    assert_int_equal(json_int_or(o.files.config, "vocab_size", 0), 8);
    assert_string_equal(json_text_or(o.files.config, "torch_dtype", ""),
                        "bfloat16");
    file = merge_files_find(&o.files, "tokenizer.json");
    assert_non_null(strstr(file->bytes, "<|bot|>"));
    output_release(&o);
}

static void test_a_model_that_is_left_out_leaves_the_base(void **state)
{
    struct output o;

    (void)state;
    run("30-left-out", &o);
    assert_from(&o, "model.norm.weight", "base", "model.norm.weight");
    assert_from(&o, "model.layers.2.input_layernorm.weight", "base",
                "model.layers.2.input_layernorm.weight");
    assert_int_equal(tensor_find(o.layout, "lm_head.weight")->shape[0], 20);
    output_release(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recipes_give_the_bytes_they_gave),
        cmocka_unit_test(test_layers_are_stacked_as_slices_say),
        cmocka_unit_test(test_ends_come_from_the_slices_beside_them),
        cmocka_unit_test(test_repeated_layers_can_begin_as_nothing),
        cmocka_unit_test(
            test_numbers_of_a_source_go_before_those_of_slice_and_merge),
        cmocka_unit_test(test_a_union_has_the_rows_of_those_who_know_a_token),
        cmocka_unit_test(test_a_union_s_tokenizer_has_the_new_tokens),
        cmocka_unit_test(test_a_model_s_tokenizer_goes_along),
        cmocka_unit_test(test_a_model_that_is_left_out_leaves_the_base),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
