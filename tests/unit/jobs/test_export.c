#include "support/test.h"

#include "common/file.h"
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "support/fake_context.h"
#include "support/small_model.h"
#include "tensor/safetensors.h"

extern const struct job_kind job_export;

static const struct small_row rows[] = {
    { "a.weight", DTYPE_F32, 2, { 30, 20 } },
    { "b.weight", DTYPE_BF16, 1, { 7 } },
    { NULL, DTYPE_F32, 0, { 0 } },
};

static int setup(void **state)
{
    struct fake_context *f = fake_context_new();
    struct small_model base = small_model_new(rows, 1, 1.0);

    fake_context_write_model(f, "base", &base.set,
                             "{\"model_type\": \"llama\"}");
    assert_ok(file_write(fake_context_path(f, "base/tokenizer.json"), "{}", 2));
    small_model_release(&base);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fake_context_free(*state);
    return 0;
}

static struct status export_model(struct fake_context *f, json_t *params,
                                  json_t **ret_result)
{
    struct status s = job_export.run(params, &f->context, ret_result);

    json_decref(params);
    assert_ok(file_remove_tree(f->scratch));
    assert_ok(file_make_directories(f->scratch));
    return s;
}

static json_t *params_of(struct fake_context *f)
{
    return json_pack("{s:o}", "model", fake_context_source(f, "base"));
}

static const char *artifact_path(struct fake_context *f, const json_t *result,
                                 const char *name)
{
    char path[256];

    (void)snprintf(path, sizeof path, "artifacts/%s/%s",
                   json_text_or(result, "artifact", "?"), name);
    return fake_context_path(f, path);
}

static void test_what_is_written_is_the_model(void **state)
{
    struct fake_context *f = *state;
    struct st_model *was, *is;
    json_t *result;

    assert_ok(export_model(f, params_of(f), &result));
    assert_ok(st_model_open(fake_context_path(f, "base"), &was));
    assert_ok(st_model_open(artifact_path(f, result, ""), &is));
    for (size_t i = 0; i < 2; i++) {
        const struct tensor *a = &st_model_tensors(was)->items[i];
        const struct tensor *b = &st_model_tensors(is)->items[i];

        assert_string_equal(a->name, b->name);
        assert_int_equal(a->dtype, b->dtype);
        assert_memory_equal(a->data, b->data, (size_t)tensor_bytes(a));
    }
    assert_int_equal(
        json_int_or(json_object_get(result, "metrics"), "bytes", 0), 2414);
    assert_int_equal(
        json_int_or(json_object_get(result, "metrics"), "tensors", 0), 2);
    assert_true(file_exists(artifact_path(f, result, "config.json")));
    assert_true(file_exists(artifact_path(f, result, "tokenizer.json")));
    st_model_close(was);
    st_model_close(is);
    json_decref(result);
}

static void test_the_recipe_lies_beside_it(void **state)
{
    struct fake_context *f = *state;
    json_t *result, *recipe;

    assert_ok(export_model(f, params_of(f), &result));
    assert_ok(json_parse_file(artifact_path(f, result, "recipe.json"),
                              LIMIT_PARAMS, &recipe));
    assert_string_equal(json_text_or(recipe, "model_digest", "?"),
                        json_text_or(result, "model_digest", "!"));
    assert_non_null(
        json_object_get(json_object_get(recipe, "model"), "$source"));
    json_decref(result);
    json_decref(recipe);
}

static void test_equal_exports_are_equal_bytes(void **state)
{
    struct fake_context *f = *state;
    json_t *a, *b, *c;
    json_t *sharded = params_of(f);

    (void)json_object_set_new(sharded, "shard_size", json_integer(1));
    assert_ok(export_model(f, params_of(f), &a));
    assert_ok(export_model(f, params_of(f), &b));
    assert_ok(export_model(f, sharded, &c));
    assert_string_equal(json_text_or(a, "artifact", "a"),
                        json_text_or(b, "artifact", "b"));
    assert_string_not_equal(json_text_or(a, "artifact", "a"),
                            json_text_or(c, "artifact", "a"));
    assert_string_equal(json_text_or(a, "model_digest", "a"),
                        json_text_or(c, "model_digest", "c"));
    assert_true(
        file_exists(artifact_path(f, c, "model.safetensors.index.json")));
    json_decref(a);
    json_decref(b);
    json_decref(c);
}

static void test_a_cancel_writes_nothing(void **state)
{
    struct fake_context *f = *state;
    json_t *result;

    f->cancel_at = 2;
    assert_fails(export_model(f, params_of(f), &result), STATUS_CANCELLED,
                 "cancelled");
}

/* ---- what an attempt before this one left ------------------------------ */

/* A checkpoint after each tensor. */
static json_t *careful(struct fake_context *f)
{
    return json_pack("{s:o, s:i}", "model", fake_context_source(f, "base"),
                     "checkpoint", 1);
}

static json_t *undisturbed(struct fake_context *f)
{
    json_t *result;

    f->context.keep = NULL;
    assert_ok(export_model(f, careful(f), &result));
    fake_context_keeps(f);
    return result;
}

static void assert_as(const json_t *got, const json_t *wanted)
{
    assert_string_equal(json_text_or(got, "artifact", "?"),
                        json_text_or(wanted, "artifact", "!"));
    assert_string_equal(json_text_or(got, "model_digest", "?"),
                        json_text_or(wanted, "model_digest", "!"));
    assert_true(json_equal(json_object_get(got, "metrics"),
                           json_object_get(wanted, "metrics")));
}

static void test_a_cut_export_goes_on(void **state)
{
    struct fake_context *f = *state;
    AUTO(json_release) json_t *wanted = undisturbed(f);
    AUTO(json_release) json_t *result = NULL;

    f->polls = 0;
    f->cancel_at = 2; /* before the second tensor */
    assert_fails(export_model(f, careful(f), &result), STATUS_CANCELLED, NULL);
    f->cancel_at = 0;
    assert_ok(export_model(f, careful(f), &result));
    assert_string_equal(f->log,
                        "continuing export: 1 of 2 tensors are there\n");
    assert_as(result, wanted);
}

static struct status no_depot(void *self, const char *path,
                              char ret_digest[DIGEST_TEXT])
{
    (void)self;
    (void)path;
    (void)ret_digest;
    return FAIL(STATUS_UNAVAILABLE, "the depot is away");
}

/* Written whole and not stored. */
static void leave_finished(struct fake_context *f)
{
    const struct job_context whole = f->context;
    json_t *result;

    f->context.put_artifact = no_depot;
    assert_fails(export_model(f, careful(f), &result), STATUS_UNAVAILABLE,
                 "away");
    f->context.put_artifact = whole.put_artifact;
    f->log[0] = '\0';
}

static void test_a_whole_export_is_stored(void **state)
{
    struct fake_context *f = *state;
    AUTO(json_release) json_t *wanted = undisturbed(f);
    AUTO(json_release) json_t *result = NULL;

    leave_finished(f);
    f->polls = 0;
    f->cancel_at = 1;
    assert_fails(export_model(f, careful(f), &result), STATUS_CANCELLED, NULL);
    f->cancel_at = 0;
    assert_ok(export_model(f, careful(f), &result));
    assert_string_equal(f->log, "continuing export: all 2 tensors are there\n");
    assert_as(result, wanted);
}

static void test_a_broken_export_begins_anew(void **state)
{
    static const char *const files[] = { "keep/model/model.safetensors",
                                         "keep/model/recipe.json" };
    struct fake_context *f = *state;
    AUTO(json_release) json_t *wanted = undisturbed(f);

    for (size_t i = 0; i < COUNT_OF(files); i++) {
        AUTO(json_release) json_t *result = NULL;

        leave_finished(f);
        assert_ok(file_write(fake_context_path(f, files[i]), "{}", 2));
        assert_ok(export_model(f, careful(f), &result));
        assert_string_equal(f->log, "");
        assert_as(result, wanted);
        assert_ok(file_remove_tree(fake_context_path(f, "keep/model")));
    }
}

static void test_a_missing_model_is_told(void **state)
{
    struct fake_context *f = *state;
    json_t *result;

    assert_fails(export_model(f, json_object(), &result), STATUS_INVALID,
                 "model");
    assert_fails(export_model(f,
                              json_pack("{s:o}", "model",
                                        fake_context_source(f, "absent")),
                              &result),
                 STATUS_NOT_FOUND, "absent is not there");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_written_is_the_model),
        TEST(test_the_recipe_lies_beside_it),
        TEST(test_equal_exports_are_equal_bytes),
        TEST(test_a_cancel_writes_nothing),
        TEST(test_a_cut_export_goes_on),
        TEST(test_a_whole_export_is_stored),
        TEST(test_a_broken_export_begins_anew),
        TEST(test_a_missing_model_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
