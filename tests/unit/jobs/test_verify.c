/* A job run again gives what it gave; the slot's cache answers nothing. */
#include "support/test.h"

#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/recipe.h"
#include "support/fake_fixture.h"
#include "support/tiny_llama.h"

static int set_up_cache(void **state)
{
    (void)set_up(state);
    fake->context.cache = recipe_cache_new(1 << 30);
    return 0;
}

static json_t *merge_of(json_t *model)
{
    return json_pack("{s:{s:s, s:{s:s, s:[{s:O, s:{s:f}}, {s:O, s:{s:f}}], "
                     "s:{s:b}}}}",
                     "$recipe", "kind", "merge", "params", "merge_method",
                     "linear", "models", "model", model, "parameters", "weight",
                     0.25, "model", model, "parameters", "weight", 0.75,
                     "parameters", "normalize", 0);
}

static void test_an_evaluation_comes_out_again(void **state)
{
    json_t *trained = tiny_model(fake, 20);
    json_t *params = tiny_json("{'data':{'builtin':'tasks','mix':{'close':1},"
                               "'split':'test','items':50}}");
    json_t *verify, *was, *is;

    (void)state;
    (void)json_object_set_new(params, "model", merge_of(trained));
    assert_ok(tiny_run(fake, "evaluate.accuracy", params, &was));
    verify = json_pack("{s:s, s:s, s:O, s:s}", "stage", "x", "kind",
                       "evaluate.accuracy", "params", params, "nonce", "1");
    assert_ok(tiny_run(fake, "evaluate.verify", verify, &is));
    assert_true(json_equal(json_object_get(is, "result"), was));
    assert_string_equal(json_text_or(is, "stage", ""), "x");
    json_decref(verify);
    json_decref(params);
    json_decref(was);
    json_decref(is);
    json_decref(trained);
}

static void test_a_model_gives_the_digest_that_its_export_has(void **state)
{
    json_t *trained = tiny_model(fake, 20);
    json_t *merged = merge_of(trained);
    json_t *export = json_pack("{s:O}", "model", merged);
    json_t *verify = json_pack("{s:s, s:O, s:s}", "stage", "merged", "model",
                               merged, "nonce", "2");
    json_t *was, *is;

    (void)state;
    assert_ok(tiny_run(fake, "export", export, &was));
    assert_ok(tiny_run(fake, "evaluate.verify", verify, &is));
    assert_string_equal(
        json_text_or(was, "model_digest", "was"),
        json_text_or(json_object_get(is, "result"), "model_digest", "is"));
    json_decref(verify);
    json_decref(export);
    json_decref(merged);
    json_decref(trained);
    json_decref(was);
    json_decref(is);
}

/* A cached model that was damaged would answer with its damage. */
static void test_the_cache_is_passed_by(void **state)
{
    json_t *trained = tiny_model(fake, 20);
    json_t *merged = merge_of(trained);
    json_t *verify =
        json_pack("{s:s, s:O}", "stage", "merged", "model", merged);
    struct recipe_model *cached;
    json_t *before, *after;
    const struct tensor *t;

    (void)state;
    assert_ok(tiny_run(fake, "evaluate.verify", verify, &before));
    assert_ok(recipe_open(merged, &fake->context, &cached));
    t = &recipe_tensors(cached)->items[0];
    ((unsigned char *)(uintptr_t)t->data)[0] ^= 1;
    recipe_close(cached);
    assert_ok(tiny_run(fake, "evaluate.verify", verify, &after));
    assert_true(json_equal(before, after));
    json_decref(verify);
    json_decref(merged);
    json_decref(trained);
    json_decref(before);
    json_decref(after);
}

static void test_what_cannot_be_run_is_told(void **state)
{
    json_t *verify = tiny_json("{'stage':'x','kind':'nothing','params':{}}");
    json_t *lazy = tiny_json("{'stage':'x','kind':'merge','params':{}}");
    json_t *bare = tiny_json("{'stage':'x'}");
    json_t *result;

    (void)state;
    assert_fails(tiny_run(fake, "evaluate.verify", verify, &result),
                 STATUS_INVALID, "no jobs of kind nothing");
    assert_fails(tiny_run(fake, "evaluate.verify", lazy, &result),
                 STATUS_INVALID, "no jobs of kind merge");
    assert_fails(tiny_run(fake, "evaluate.verify", bare, &result),
                 STATUS_INVALID, "kind");
    json_decref(verify);
    json_decref(lazy);
    json_decref(bare);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up_cache, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_an_evaluation_comes_out_again),
        TEST(test_a_model_gives_the_digest_that_its_export_has),
        TEST(test_the_cache_is_passed_by),
        TEST(test_what_cannot_be_run_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
