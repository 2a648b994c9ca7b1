#include "support/test.h"

#include "common/file.h"
#include "common/memory.h"
#include "jobs/recipe.h"
#include "support/fake_context.h"
#include "support/small_model.h"
#include "tensor/safetensors.h"

static const struct small_row rows[] = {
    { "a.weight", DTYPE_F32, 2, { 30, 20 } },
    { "b.weight", DTYPE_F32, 1, { 7 } },
    { NULL, DTYPE_F32, 0, { 0 } },
};
enum { MODEL_BYTES = 64 + 2432 + 64 }; /* as the cache lays it out */

#define CONFIG "{\"model_type\": \"llama\", \"torch_dtype\": \"float32\"}"

static int setup(void **state)
{
    struct fake_context *f = fake_context_new();
    struct small_model base = small_model_new(rows, 1, 1.0);

    fake_context_write_model(f, "base", &base.set, CONFIG);
    for (uint32_t i = 0; i < 2; i++) {
        struct small_model task = small_model_near(&base, 5 + i, 0.1);

        fake_context_write_model(f, i == 0 ? "math" : "code", &task.set, NULL);
        small_model_release(&task);
    }
    small_model_release(&base);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fake_context *f = *state;

    recipe_cache_free(f->context.cache);
    fake_context_free(f);
    return 0;
}

/* base + lambda ((math - base) + (code - base)) */
static json_t *merged(struct fake_context *f, double lambda)
{
    return json_pack(
        "{s:{s:s, s:{s:s, s:o, s:[{s:o}, {s:o}], s:{s:f, s:f}}}}", "$recipe",
        "kind", "merge", "params", "merge_method", "task_arithmetic",
        "base_model", fake_context_source(f, "base"), "models", "model",
        fake_context_source(f, "math"), "model", fake_context_source(f, "code"),
        "parameters", "weight", 1.0, "lambda", lambda);
}

static struct recipe_model *open_model(struct fake_context *f, json_t *model)
{
    struct recipe_model *m;

    assert_ok(recipe_open(model, &f->context, &m));
    json_decref(model);
    return m;
}

static float first_of(const struct recipe_model *m, const char *name)
{
    const struct tensor *t = tensor_find(recipe_tensors(m), name);
    float value;

    assert_non_null(t);
    dtype_to_f32(t->dtype, t->data, &value, 1);
    return value;
}

static char *digest_text(const struct recipe_model *m)
{
    struct digest digest = recipe_digest(m);
    char *text = xcalloc(1, DIGEST_TEXT);

    digest_to_text(&digest, text);
    return text;
}

static void test_a_source_is_mapped_with_its_config(void **state)
{
    struct fake_context *f = *state;
    struct recipe_model *m = open_model(f, fake_context_source(f, "base"));

    assert_int_equal(recipe_tensors(m)->count, 2);
    assert_string_equal(json_text_or(recipe_config(m), "model_type", ""),
                        "llama");
    assert_string_equal(recipe_directory(m), fake_context_path(f, "base"));
    recipe_close(m);
}

static void test_one_file_has_no_config_and_no_directory(void **state)
{
    struct fake_context *f = *state;
    struct recipe_model *m =
        open_model(f, fake_context_source(f, "base/model.safetensors"));

    assert_null(recipe_config(m));
    assert_null(recipe_directory(m));
    recipe_close(m);
}

static void test_a_job_is_the_artifact_it_made(void **state)
{
    struct fake_context *f = *state;
    char artifact[DIGEST_TEXT];
    struct recipe_model *m;

    assert_ok(
        f->context.put_artifact(f, fake_context_path(f, "math"), artifact));
    fake_context_set_job(f, "k1", artifact);
    m = open_model(f, json_pack("{s:s}", "$job", "k1"));
    assert_int_equal(recipe_tensors(m)->count, 2);
    recipe_close(m);
}

static void test_a_recipe_is_realised(void **state)
{
    struct fake_context *f = *state;
    struct recipe_model *base = open_model(f, fake_context_source(f, "base"));
    struct recipe_model *math = open_model(f, fake_context_source(f, "math"));
    struct recipe_model *code = open_model(f, fake_context_source(f, "code"));
    struct recipe_model *m = open_model(f, merged(f, 0.5));
    float b = first_of(base, "b.weight");
    double sum = (double)(first_of(math, "b.weight") - b) +
                 (double)(first_of(code, "b.weight") - b);

    assert_true(first_of(m, "b.weight") == (float)((double)b + 0.5 * sum));
    assert_string_equal(json_text_or(recipe_config(m), "model_type", ""),
                        "llama");
    assert_string_equal(recipe_directory(m), fake_context_path(f, "base"));
    recipe_close(base);
    recipe_close(math);
    recipe_close(code);
    recipe_close(m);
}

static void test_recipes_nest(void **state)
{
    struct fake_context *f = *state;
    json_t *nested = merged(f, 1.0);
    json_t *params =
        json_object_get(json_object_get(nested, "$recipe"), "params");
    struct recipe_model *inner = open_model(f, merged(f, 0.5));
    struct recipe_model *base = open_model(f, fake_context_source(f, "base"));
    struct recipe_model *outer;
    float b = first_of(base, "a.weight");

    /* base + (inner - base) is inner, up to one rounding. */
    (void)json_object_set_new(params, "models",
                              json_pack("[{s:o}]", "model", merged(f, 0.5)));
    outer = open_model(f, nested);
    assert_true(first_of(outer, "a.weight") ==
                (float)((double)b + (double)(first_of(inner, "a.weight") - b)));
    recipe_close(inner);
    recipe_close(outer);
    recipe_close(base);
}

static void test_a_dtype_is_written_and_told(void **state)
{
    struct fake_context *f = *state;
    json_t *recipe = merged(f, 0.5);
    struct recipe_model *m;

    (void)json_object_set_new(
        json_object_get(json_object_get(recipe, "$recipe"), "params"), "dtype",
        json_string("bfloat16"));
    m = open_model(f, recipe);
    assert_int_equal(recipe_tensors(m)->items[0].dtype, DTYPE_BF16);
    assert_string_equal(json_text_or(recipe_config(m), "torch_dtype", ""),
                        "bfloat16");
    recipe_close(m);
}

static void test_the_cache_gives_the_same_model_again(void **state)
{
    struct fake_context *f = *state;
    struct recipe_model *m;
    const void *data;
    uint64_t fetches;

    f->context.cache = recipe_cache_new(10 * MODEL_BYTES);
    m = open_model(f, merged(f, 0.5));
    data = recipe_tensors(m)->items[0].data;
    recipe_close(m);
    fetches = f->fetches;
    m = open_model(f, merged(f, 0.5));
    assert_ptr_equal(recipe_tensors(m)->items[0].data, data);
    assert_int_equal(f->fetches, fetches + 1); /* the base's directory */
    assert_string_equal(recipe_directory(m), fake_context_path(f, "base"));
    recipe_close(m);
}

/* The cache of the worker may drop a model as soon as the job has ended. */
static void test_a_kept_model_has_its_files_by_itself(void **state)
{
    struct fake_context *f = *state;
    AUTO(merge_files_release) struct merge_files files = { .count = 0 };
    AUTO(free_pointer) char *bytes = NULL;
    struct recipe_model *m;
    size_t size;

    assert_ok(file_write(fake_context_path(f, "base/vocab.json"), "{}", 2));
    f->context.cache = recipe_cache_new(10 * MODEL_BYTES);
    recipe_close(open_model(f, merged(f, 0.5)));
    assert_ok(file_remove_tree(fake_context_path(f, "base/vocab.json")));
    m = open_model(f, merged(f, 0.5));
    assert_ok(recipe_files(m, &files));
    assert_int_equal(files.count, 1);
    assert_ok(merge_files_read(&files, 0, &bytes, &size));
    assert_string_equal(bytes, "{}");
    recipe_close(m);
}

static void test_the_oldest_makes_room_and_leaves_its_memory(void **state)
{
    struct fake_context *f = *state;
    struct recipe_model *m;
    const void *first, *second;

    f->context.cache = recipe_cache_new(MODEL_BYTES);
    m = open_model(f, merged(f, 0.1));
    first = recipe_tensors(m)->items[0].data;
    recipe_close(m);
    m = open_model(f, merged(f, 0.2));
    second = recipe_tensors(m)->items[0].data;
    recipe_close(m); /* 0.1 goes */
    m = open_model(f, merged(f, 0.3));
    assert_ptr_equal(recipe_tensors(m)->items[0].data, first);
    recipe_close(m); /* 0.2 goes */
    m = open_model(f, merged(f, 0.4));
    assert_ptr_equal(recipe_tensors(m)->items[0].data, second);
    recipe_close(m);
}

static void test_models_in_use_are_not_dropped(void **state)
{
    struct fake_context *f = *state;
    struct recipe_model *a, *b;
    char *before, *after;

    f->context.cache = recipe_cache_new(0);
    a = open_model(f, merged(f, 0.1));
    before = digest_text(a);
    b = open_model(f, merged(f, 0.2));
    recipe_close(b);
    b = open_model(f, merged(f, 0.3));
    after = digest_text(a);
    assert_string_equal(before, after);
    free(before);
    free(after);
    recipe_close(a);
    recipe_close(b);
}

static void test_equal_models_have_equal_digests(void **state)
{
    struct fake_context *f = *state;
    struct recipe_model *m = open_model(f, merged(f, 0.5));
    struct recipe_model *again = open_model(f, merged(f, 0.5));
    struct recipe_model *other = open_model(f, merged(f, 0.6));
    char *x = digest_text(m);
    char *y = digest_text(again);
    char *z = digest_text(other);

    assert_string_equal(x, y);
    assert_string_not_equal(x, z);
    free(x);
    free(y);
    free(z);
    recipe_close(m);
    recipe_close(again);
    recipe_close(other);
}

static void test_a_digest_does_not_see_shards(void **state)
{
    struct fake_context *f = *state;
    struct recipe_model *m = open_model(f, fake_context_source(f, "base"));
    const struct st_writer_settings settings = {
        .directory = fake_context_path(f, "shards"), .shard_bytes = 1
    };
    struct recipe_model *shards;
    struct st_writer *w;
    char *x = digest_text(m);
    char *y;

    assert_ok(st_writer_new(&settings, recipe_tensors(m), &w));
    for (size_t i = 0; i < 2; i++)
        assert_ok(
            st_writer_add(w, recipe_tensors(m)->items[i].data,
                          (size_t)tensor_bytes(&recipe_tensors(m)->items[i])));
    assert_ok(st_writer_finish(w));
    st_writer_free(w);
    shards = open_model(f, fake_context_source(f, "shards"));
    y = digest_text(shards);
    assert_string_equal(x, y);
    free(x);
    free(y);
    recipe_close(m);
    recipe_close(shards);
}

static void test_failures_name_the_model(void **state)
{
    struct fake_context *f = *state;
    json_t *missing = merged(f, 0.5);
    json_t *unknown =
        json_pack("{s:{s:s, s:{}}}", "$recipe", "kind", "fold", "params");
    json_t *nothing = json_object();
    struct recipe_model *m;

    (void)json_object_set_new(
        json_object_get(json_object_get(missing, "$recipe"), "params"),
        "base_model", fake_context_source(f, "absent"));
    assert_fails(recipe_open(missing, &f->context, &m), STATUS_NOT_FOUND,
                 "absent is not there");
    assert_fails(recipe_open(unknown, &f->context, &m), STATUS_INVALID,
                 "cannot realise a fold");
    assert_fails(recipe_open(nothing, &f->context, &m), STATUS_INVALID,
                 "one of $source, $job, $recipe");
    json_decref(missing);
    json_decref(unknown);
    json_decref(nothing);
}

static void test_a_model_beyond_the_budget_is_refused(void **state)
{
    struct fake_context *f = *state;
    json_t *recipe = merged(f, 0.5);
    struct recipe_model *m;

    f->context.memory_bytes = 1000;
    assert_fails(recipe_open(recipe, &f->context, &m), STATUS_NO_MEMORY,
                 "the realised model takes 2560 bytes, the slot has 1000");
    json_decref(recipe);
}

static void test_a_cancelled_merge_leaves_nothing(void **state)
{
    struct fake_context *f = *state;
    json_t *recipe = merged(f, 0.5);
    struct recipe_model *m;

    f->context.cache = recipe_cache_new(10 * MODEL_BYTES);
    f->cancel_at = 1;
    assert_fails(recipe_open(recipe, &f->context, &m), STATUS_CANCELLED, NULL);
    f->cancel_at = 0;
    m = open_model(f, recipe);
    recipe_close(m);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_source_is_mapped_with_its_config),
        TEST(test_one_file_has_no_config_and_no_directory),
        TEST(test_a_job_is_the_artifact_it_made),
        TEST(test_a_recipe_is_realised),
        TEST(test_recipes_nest),
        TEST(test_a_dtype_is_written_and_told),
        TEST(test_the_cache_gives_the_same_model_again),
        TEST(test_a_kept_model_has_its_files_by_itself),
        TEST(test_the_oldest_makes_room_and_leaves_its_memory),
        TEST(test_models_in_use_are_not_dropped),
        TEST(test_equal_models_have_equal_digests),
        TEST(test_a_digest_does_not_see_shards),
        TEST(test_failures_name_the_model),
        TEST(test_a_model_beyond_the_budget_is_refused),
        TEST(test_a_cancelled_merge_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
