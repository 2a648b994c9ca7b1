#include "support/test.h"

#include "common/file.h"
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "support/fake_fixture.h"
#include "support/tiny_llama.h"
#include "tensor/safetensors.h"

#include <math.h>

/* Parameters changed at a JSON pointer of one or two names. */
static json_t *changed(const char *map, const char *key, const char *value)
{
    json_t *params = tiny_train(3);
    json_t *at = map == NULL ? params : json_object_get(params, map);

    (void)json_object_set_new(at, key,
                              json_loads(value, JSON_DECODE_ANY, NULL));
    return params;
}

static void test_a_fresh_model_learns(void **state)
{
    json_t *params = tiny_train(60);
    json_t *result;

    (void)state;
    assert_ok(tiny_run(fake, "train", params, &result));
    assert_true(tiny_metric(result, "loss") < 3.5); /* 5.6 at first */
    assert_true(tiny_metric(result, "steps") == 60.0);
    assert_true(tiny_metric(result, "parameters") == 6096.0);
    assert_int_equal(fake->done, 60);
    assert_int_equal(fake->total, 60);
    assert_non_null(strstr(fake->log, "step 6 of 60: loss "));
    assert_non_null(strstr(fake->log, "step 60 of 60: loss "));
    json_decref(params);
    json_decref(result);
}

static void test_the_artifact_is_a_model_directory(void **state)
{
    json_t *model = tiny_model(fake, 2);
    const json_t *input;
    const char *path;
    struct st_model *opened;
    const struct tensor *t;
    json_t *config;
    char *file;

    (void)state;
    assert_ok(fake->context.input(fake, "aa11", &input));
    assert_ok(fake->context.open_artifact(
        fake, json_text_or(input, "artifact", ""), &path));
    assert_ok(st_model_open(path, &opened));
    t = tensor_find(st_model_tensors(opened),
                    "model.layers.0.self_attn.k_proj.weight");
    assert_non_null(t);
    assert_int_equal(t->shape[0], 8);
    assert_int_equal(t->dtype, DTYPE_F32);
    assert_null(tensor_find(st_model_tensors(opened), "lm_head.weight"));
    st_model_close(opened);
    file = xasprintf("%s/config.json", path);
    assert_ok(json_parse_file(file, 1 << 16, &config));
    assert_string_equal(json_text_or(config, "model_type", ""), "llama");
    assert_string_equal(json_text_or(config, "tokenizer_class", ""),
                        "ByteTokenizer");
    assert_int_equal(json_int_or(config, "num_key_value_heads", 0), 1);
    free(file);
    json_decref(config);
    json_decref(model);
}

static char *artifact_of(json_t *params)
{
    json_t *result;
    char *digest;

    assert_ok(tiny_run(fake, "train", params, &result));
    digest = xstrdup(json_text_or(result, "artifact", ""));
    json_decref(result);
    json_decref(params);
    return digest;
}

static void test_equal_parameters_give_equal_bytes(void **state)
{
    char *one = artifact_of(tiny_train(5));
    char *two = artifact_of(tiny_train(5));
    char *seed = artifact_of(changed(NULL, "seed", "1"));
    char *more = artifact_of(tiny_train(3));

    (void)state;
    assert_string_equal(one, two);
    assert_string_not_equal(seed, more);
    free(one);
    free(two);
    free(seed);
    free(more);
}

static void test_it_goes_on_from_another_model(void **state)
{
    json_t *model = tiny_model(fake, 60);
    json_t *params = tiny_train(1);
    json_t *result;

    (void)state;
    (void)json_object_del(params, "init");
    (void)json_object_set_new(params, "model", model);
    (void)json_object_set_new(params, "dtype", json_string("bfloat16"));
    assert_ok(tiny_run(fake, "train", params, &result));
    assert_true(tiny_metric(result, "loss") < 3.5); /* it knows already */
    json_decref(params);
    json_decref(result);
}

static void test_a_text_file_is_data_too(void **state)
{
    json_t *params = tiny_train(20);
    json_t *result;
    const char *path = fake_context_path(fake, "text");
    char text[512];

    (void)state;
    memset(text, 'a', sizeof(text));
    assert_ok(file_write(path, text, sizeof(text)));
    (void)json_object_set_new(params, "data",
                              fake_context_source(fake, "text"));
    (void)json_object_set_new(params, "length", json_integer(16));
    assert_ok(tiny_run(fake, "train", params, &result));
    assert_true(tiny_metric(result, "loss") < 4.0);
    assert_true(tiny_metric(result, "tokens") == 20.0 * 8.0 * 16.0);
    json_decref(result);
    assert_ok(file_write(path, text, 0));
    assert_fails(tiny_run(fake, "train", params, &result), STATUS_INVALID,
                 "is empty");
    json_decref(params);
}

static void test_a_lost_loss_names_step_and_layer(void **state)
{
    json_t *params = changed("optimizer", "lr", "1e30");
    json_t *result;

    (void)state;
    assert_fails(tiny_run(fake, "train", params, &result), STATUS_FAILED,
                 "step 2: ");
    assert_fails(tiny_run(fake, "train", params, &result), STATUS_FAILED,
                 "lower optimizer.lr");
    json_decref(params);
}

static void test_a_cancel_is_seen_within_a_step(void **state)
{
    json_t *params = tiny_train(50);
    json_t *result;

    (void)state;
    fake->cancel_at = 4;
    assert_fails(tiny_run(fake, "train", params, &result), STATUS_CANCELLED,
                 "cancelled at step 4");
    assert_int_equal(fake->done, 3);
    json_decref(params);
}

/* What no check of a sweep file can see. */
static const struct {
    const char *map, *key, *value, *words;
} faults[] = {
    { "init", "kv_heads", "3", "key-value heads" },
    { "init", "vocab", "200", "token 256" },
    { "init", "positions", "8", "too long" },
    { "data", "mix", "{\"grok\": 1}", "no task \"grok\"" },
    { "data", "mix", "{\"sort\": 0}", "empty" },
    { NULL, "length", "8", "do not fit" },
    { NULL, "data", "{}", "neither a source" },
    { "optimizer", "warmup", "3", "warm-up" },
    { "optimizer", "schedule", "\"sine\"", "sine" },
    { NULL, "dtype", "\"float8\"", "float8" },
};

static void test_faults_of_the_parameters_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        json_t *params = changed(faults[i].map, faults[i].key, faults[i].value);
        json_t *result;

        assert_fails(tiny_run(fake, "train", params, &result), STATUS_INVALID,
                     faults[i].words);
        json_decref(params);
    }
}

static void test_memory_is_told_before_and_kept_to(void **state)
{
    json_t *params = tiny_train(3);
    json_t *result;
    int64_t bytes = job_kind_find("train")->catalog.memory(params);

    (void)state;
    assert_in_range(bytes, 100 * 1000, 2 * 1000 * 1000);
    fake->context.memory_bytes = bytes;
    assert_ok(tiny_run(fake, "train", params, &result));
    json_decref(result);
    fake->context.memory_bytes = bytes / 4;
    assert_fails(tiny_run(fake, "train", params, &result), STATUS_NO_MEMORY,
                 "--memory");
    json_decref(params);
}

/* --- what the sweep compiler is told -------------------------------------- */

static bool normalise(json_t *body, struct catalog_problem *problem)
{
    memset(problem, 0, sizeof(*problem));
    return job_kind_find("train")->catalog.normalise(body, problem);
}

static void test_a_body_starts_from_exactly_one_thing(void **state)
{
    json_t *both = changed(NULL, "model", "{\"$stage\": \"base\"}");
    json_t *none = changed(NULL, "steps", "3");
    struct catalog_problem problem;

    (void)state;
    assert_false(normalise(both, &problem));
    assert_string_equal(problem.path, "/init");
    (void)json_object_del(none, "init");
    assert_false(normalise(none, &problem));
    assert_non_null(strstr(problem.suggestion, "init:"));
    json_decref(both);
    json_decref(none);
}

static void test_ways_to_say_one_mix_become_one(void **state)
{
    json_t *a =
        tiny_json("{'init':{},'data':{'builtin':'tasks','task':'sort'}}");
    json_t *b = tiny_json("{'init':{},'data':{'builtin':'tasks',"
                          "'mix':{'sort':1},'split':'train'}}");
    struct catalog_problem problem;

    (void)state;
    assert_true(normalise(a, &problem));
    assert_true(normalise(b, &problem));
    assert_true(json_equal(a, b));
    json_decref(a);
    json_decref(b);
}

static void test_unknown_tasks_are_seen_by_the_compiler(void **state)
{
    json_t *body = tiny_json("{'init':{},'data':{'builtin':'tasks',"
                             "'mix':{'sorting':1}}}");
    struct catalog_problem problem;

    (void)state;
    assert_false(normalise(body, &problem));
    assert_string_equal(problem.path, "/data/mix");
    assert_string_equal(problem.suggestion, "known: reverse, sort, add, close");
    json_decref(body);
}

static void test_sizes_that_contradict_are_seen_by_the_compiler(void **state)
{
    json_t *params = changed("init", "heads", "5");
    struct catalog_problem problem;

    (void)state;
    assert_false(job_kind_find("train")->catalog.check(params, &problem));
    assert_non_null(strstr(problem.message, "no multiple of 5"));
    json_decref(params);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_fresh_model_learns),
        CASE(test_the_artifact_is_a_model_directory),
        CASE(test_equal_parameters_give_equal_bytes),
        CASE(test_it_goes_on_from_another_model),
        CASE(test_a_text_file_is_data_too),
        CASE(test_a_lost_loss_names_step_and_layer),
        CASE(test_a_cancel_is_seen_within_a_step),
        CASE(test_faults_of_the_parameters_are_named),
        CASE(test_memory_is_told_before_and_kept_to),
        CASE(test_a_body_starts_from_exactly_one_thing),
        CASE(test_ways_to_say_one_mix_become_one),
        CASE(test_unknown_tasks_are_seen_by_the_compiler),
        CASE(test_sizes_that_contradict_are_seen_by_the_compiler),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
