#include "support/test.h"

#include <dirent.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/recipe.h"
#include "jobs/stream_model.h"
#include "support/fake_context.h"
#include "support/small_model.h"
#include "tensor/safetensors.h"

static const struct small_row rows[] = {
    { "a.weight", DTYPE_F32, 2, { 300, 200 } },
    { "b.counts", DTYPE_I64, 1, { 5 } },
    { "c.none", DTYPE_F32, 2, { 3, 0 } },
    { "d.weight", DTYPE_BF16, 2, { 128, 64 } },
    { "e.bias", DTYPE_F16, 1, { 7 } },
    { "f.weight", DTYPE_F32, 2, { 90, 100 } },
    { NULL, DTYPE_F32, 0, { 0 } },
};
enum { TENSORS = 6 };

#define CONFIG "{\"model_type\": \"llama\", \"torch_dtype\": \"float32\"}"

static int setup(void **state)
{
    struct fake_context *f = fake_context_new();
    struct small_model base = small_model_new(rows, 1, 1.0);

    fake_context_write_model(f, "base", &base.set, CONFIG);
    assert_ok(file_write(fake_context_path(f, "base/tokenizer.json"), "{}", 2));
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
    fake_context_free(*state);
    return 0;
}

static json_t *merged(struct fake_context *f, const char *method, json_t *base,
                      json_t *parameters)
{
    return json_pack(
        "{s:{s:s, s:{s:s, s:o, s:[{s:o}, {s:o}], s:o, s:i}}}", "$recipe",
        "kind", "merge", "params", "merge_method", method, "base_model", base,
        "models", "model", fake_context_source(f, "math"), "model",
        fake_context_source(f, "code"), "parameters", parameters, "seed", 7);
}

/* One of each way through the engine: no survey, draws, ranks of a tensor and
 * of the model. */
static json_t *merge_of(struct fake_context *f, size_t way)
{
    static const char *const methods[] = { "task_arithmetic", "dare_linear",
                                           "ties", "pcb" };

    return merged(f, methods[way], fake_context_source(f, "base"),
                  way == 3
                      ? json_pack("{s:f, s:f}", "ratio", 0.3, "lambda", 1.0)
                      : json_pack("{s:f, s:f}", "weight", 0.5, "density", 0.5));
}
enum { WAYS = 4 };

static struct status stream(struct fake_context *f, const char *name,
                            const json_t *model, uint64_t shard_bytes,
                            struct stream_outcome *ret_outcome)
{
    const struct stream_wish wish = { .model = model,
                                      .directory = fake_context_path(f, name),
                                      .shard_bytes = shard_bytes };

    f->polls = 0;
    return stream_model(&wish, &f->context, ret_outcome);
}

/* Files of both directories are equal, in name and byte. */
static void check_same(struct fake_context *f, const char *one, const char *two)
{
    struct dirent **entries;
    int count = scandir(fake_context_path(f, one), &entries, NULL, alphasort);
    struct dirent **others;
    int other_count =
        scandir(fake_context_path(f, two), &others, NULL, alphasort);

    assert_int_equal(count, other_count);
    for (int i = 0; i < count; i++) {
        char a[512];
        char b[512];
        struct digest da;
        struct digest db;

        assert_string_equal(entries[i]->d_name, others[i]->d_name);
        if (entries[i]->d_name[0] != '.') {
            (void)snprintf(a, sizeof a, "%s/%s/%s", f->root, one,
                           entries[i]->d_name);
            (void)snprintf(b, sizeof b, "%s/%s/%s", f->root, two,
                           entries[i]->d_name);
            assert_ok(digest_of_file(a, &da));
            assert_ok(digest_of_file(b, &db));
            assert_true(digest_equal(&da, &db));
        }
        free(entries[i]);
        free(others[i]);
    }
    free(entries);
    free(others);
}

static void test_a_stream_is_what_memory_would_hold(void **state)
{
    struct fake_context *f = *state;

    for (size_t way = 0; way < WAYS; way++) {
        AUTO(json_release) json_t *model = merge_of(f, way);
        struct stream_outcome outcome;
        struct recipe_model *m = NULL;
        struct st_model *is = NULL;
        struct digest digest;
        char text[DIGEST_TEXT];
        uint64_t bytes = 0;

        assert_ok(stream(f, "out", model, 0, &outcome));
        assert_ok(recipe_open(model, &f->context, &m));
        digest = recipe_digest(m);
        digest_to_text(&digest, text);
        assert_string_equal(outcome.digest, text);
        assert_int_equal(outcome.tensors, TENSORS);
        assert_true(outcome.bytes_read >= outcome.bytes);
        assert_int_equal(outcome.bytes_kept, 0);
        assert_ok(st_model_open(fake_context_path(f, "out"), &is));
        for (size_t i = 0; i < TENSORS; i++) {
            const struct tensor *a = &recipe_tensors(m)->items[i];
            const struct tensor *b = &st_model_tensors(is)->items[i];

            assert_string_equal(a->name, b->name);
            assert_true(tensor_same_shape(a, b));
            assert_memory_equal(a->data, b->data, (size_t)tensor_bytes(a));
            bytes += tensor_bytes(b);
        }
        assert_int_equal(bytes, outcome.bytes);
        assert_true(file_exists(fake_context_path(f, "out/config.json")));
        assert_true(file_exists(fake_context_path(f, "out/tokenizer.json")));
        assert_true(file_exists(fake_context_path(f, "out/recipe.json")));
        st_model_close(is);
        recipe_close(m);
        assert_ok(file_remove_tree(fake_context_path(f, "out")));
    }
}

static void test_threads_and_memory_change_no_byte(void **state)
{
    struct fake_context *f = *state;

    for (size_t way = 0; way < WAYS; way++) {
        AUTO(json_release) json_t *model = merge_of(f, way);
        struct stream_outcome outcome;

        f->context.threads = 1;
        f->context.memory_bytes = INT64_C(1) << 30;
        assert_ok(stream(f, "one", model, 0, &outcome));
        f->context.threads = 3;
        f->context.memory_bytes = 1 << 20;
        assert_ok(stream(f, "two", model, 0, &outcome));
        check_same(f, "one", "two");
        assert_ok(file_remove_tree(fake_context_path(f, "one")));
        assert_ok(file_remove_tree(fake_context_path(f, "two")));
    }
}

/* Cancelled at later and later polls, and run again after each. */
static void test_a_cut_at_any_poll_goes_on_to_the_same_bytes(void **state)
{
    struct fake_context *f = *state;
    bool resumed = false;

    for (size_t way = 0; way <= WAYS; way++) {
        AUTO(json_release)
        json_t *model =
            way == WAYS ? fake_context_source(f, "math") : merge_of(f, way);
        struct stream_outcome outcome;
        uint64_t kept = 0;
        struct status st;

        f->cancel_at = 0;
        assert_ok(stream(f, "whole", model, 100000, &outcome));
        assert_null(outcome.anew);
        do {
            f->cancel_at += 1 + f->cancel_at / 4;
            st = stream(f, "cut", model, 100000, &outcome);
            if (status_failed(&st)) {
                assert_int_equal(st.code, STATUS_CANCELLED);
                assert_false(file_exists(fake_context_path(f, "cut")));
            }
            assert_null(outcome.anew);
            assert_true(outcome.bytes_kept >= kept);
            kept = outcome.bytes_kept;
        } while (status_failed(&st));
        resumed = resumed || kept > 0;
        check_same(f, "whole", "cut");
        assert_ok(file_remove_tree(fake_context_path(f, "whole")));
        assert_ok(file_remove_tree(fake_context_path(f, "cut")));
    }
    assert_true(resumed);
    f->cancel_at = 0;
}

/* Cancel late, so that something is whole. */
static void cut(struct fake_context *f, const json_t *model,
                const json_t *identity)
{
    const struct stream_wish wish = { .model = model,
                                      .directory = fake_context_path(f, "out"),
                                      .identity = identity };
    const char *partial = "out.partial/partial.json";
    struct stream_outcome outcome;

    for (uint64_t at = 1; !file_exists(fake_context_path(f, partial)); at++) {
        f->polls = 0;
        f->cancel_at = at;
        assert_fails(stream_model(&wish, &f->context, &outcome),
                     STATUS_CANCELLED, NULL);
    }
    f->cancel_at = 0;
}

static void test_other_models_begin_anew_and_say_so(void **state)
{
    struct fake_context *f = *state;
    AUTO(json_release) json_t *model = fake_context_source(f, "math");
    AUTO(json_release) json_t *other = fake_context_source(f, "code");
    AUTO(json_release) json_t *was = json_pack("{s:s}", "version", "1");
    struct stream_outcome outcome;

    cut(f, model, NULL);
    assert_ok(stream(f, "out", other, 0, &outcome));
    assert_non_null(strstr(outcome.anew, "another recipe"));
    assert_int_equal(outcome.bytes_kept, 0);
    assert_ok(file_remove_tree(fake_context_path(f, "out")));
    cut(f, model, was); /* the same model in another state */
    assert_ok(stream(f, "out", model, 0, &outcome));
    assert_non_null(strstr(outcome.anew, "another recipe"));
}

static void test_a_merge_of_a_merge_keeps_its_memory(void **state)
{
    struct fake_context *f = *state;
    AUTO(json_release)
    json_t *model = merged(f, "task_arithmetic", merge_of(f, 0),
                           json_pack("{s:f}", "weight", 0.5));
    struct stream_outcome outcome;
    struct recipe_model *m = NULL;
    struct digest digest;
    char text[DIGEST_TEXT];

    assert_ok(stream(f, "out", model, 0, &outcome));
    assert_ok(recipe_open(model, &f->context, &m));
    digest = recipe_digest(m);
    digest_to_text(&digest, text);
    assert_string_equal(outcome.digest, text);
    recipe_close(m);
}

static void test_a_failure_leaves_no_directory(void **state)
{
    struct fake_context *f = *state;
    AUTO(json_release)
    json_t *model =
        merged(f, "task_arithmetic", fake_context_source(f, "absent"),
               json_pack("{s:f}", "weight", 0.5));
    struct stream_outcome outcome;

    assert_fails(stream(f, "out", model, 0, &outcome), STATUS_NOT_FOUND,
                 "absent is not there");
    assert_false(file_exists(fake_context_path(f, "out")));
    assert_false(file_exists(fake_context_path(f, "out.partial")));
    assert_ok(file_make_directories(fake_context_path(f, "out")));
    json_decref(model);
    model = fake_context_source(f, "base");
    assert_fails(stream(f, "out", model, 0, &outcome), STATUS_INVALID,
                 "exists");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_stream_is_what_memory_would_hold),
        TEST(test_threads_and_memory_change_no_byte),
        TEST(test_a_cut_at_any_poll_goes_on_to_the_same_bytes),
        TEST(test_other_models_begin_anew_and_say_so),
        TEST(test_a_merge_of_a_merge_keeps_its_memory),
        TEST(test_a_failure_leaves_no_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
