#include "support/test.h"

#include "common/file.h"
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "support/fake_fixture.h"
#include "support/tiny_llama.h"
#include "tensor/safetensors.h"

#include <math.h>

/* `data` with ' for ". */
static json_t *params_of(json_t *model, const char *data)
{
    json_t *params = tiny_json("{'data':%s}", data);

    (void)json_object_set_new(params, "model", model);
    return params;
}

static const char tasks[] = "{'builtin':'tasks','mix':{'close':1},"
                            "'split':'test','shortest':2,'longest':3,"
                            "'items':300}";

static void test_accuracy_comes_with_a_digit_for_each_item(void **state)
{
    json_t *params = params_of(tiny_model(fake, 250), tasks);
    json_t *result;
    const char *digits;
    size_t right = 0;

    (void)state;
    assert_ok(tiny_run(fake, "evaluate.accuracy", params, &result));
    digits = json_text_or(json_object_get(result, "scores"), "items", "");
    assert_int_equal(strlen(digits), 300);
    for (const char *c = digits; *c != '\0'; c++)
        right += *c == '1';
    assert_true(right > 3 && right < 300);
    assert_true(tiny_metric(result, "accuracy") == (double)right / 300.0);
    assert_true(tiny_metric(result, "items") == 300.0);
    assert_true(tiny_metric(result, "loss") > 0.0);
    assert_int_equal(fake->done, 300);
    json_decref(params);
    json_decref(result);
}

static void test_measuring_twice_gives_the_same_numbers(void **state)
{
    json_t *params = params_of(tiny_model(fake, 20), tasks);
    json_t *one, *two;

    (void)state;
    assert_ok(tiny_run(fake, "evaluate.accuracy", params, &one));
    assert_ok(tiny_run(fake, "evaluate.accuracy", params, &two));
    assert_true(json_equal(one, two));
    json_decref(params);
    json_decref(one);
    json_decref(two);
}

static void test_a_limit_takes_the_first_items(void **state)
{
    json_t *params = params_of(tiny_model(fake, 20), tasks);
    json_t *all, *few;
    const char *digits;

    (void)state;
    assert_ok(tiny_run(fake, "evaluate.accuracy", params, &all));
    (void)json_object_set_new(params, "limit", json_integer(100));
    assert_ok(tiny_run(fake, "evaluate.accuracy", params, &few));
    digits = json_text_or(json_object_get(few, "scores"), "items", "");
    assert_int_equal(strlen(digits), 100);
    assert_memory_equal(
        digits, json_text_or(json_object_get(all, "scores"), "items", ""), 100);
    json_decref(params);
    json_decref(all);
    json_decref(few);
}

static void test_perplexity_is_the_exponential_of_the_loss(void **state)
{
    json_t *params = params_of(tiny_model(fake, 40), tasks);
    json_t *result;
    double tokens;

    (void)state;
    assert_ok(tiny_run(fake, "evaluate.perplexity", params, &result));
    assert_true(fabs(log(tiny_metric(result, "perplexity")) -
                     tiny_metric(result, "loss")) < 1e-12);
    tokens = tiny_metric(result, "tokens");
    assert_true(tokens > 300.0 * 7.0 && tokens < 300.0 * 12.0);
    json_decref(result);
    (void)json_object_set_new(params, "tokens", json_integer(100));
    assert_ok(tiny_run(fake, "evaluate.perplexity", params, &result));
    assert_true(tiny_metric(result, "tokens") < 130.0);
    json_decref(params);
    json_decref(result);
}

static void test_windows_of_a_text_predict_each_byte_once(void **state)
{
    json_t *params = params_of(tiny_model(fake, 2), "{'$source':{'url':'x'}}");
    json_t *result;
    char text[100];

    (void)state;
    memset(text, 'x', sizeof(text));
    assert_ok(file_write(fake_context_path(fake, "text"), text, 100));
    (void)json_object_set_new(params, "data",
                              fake_context_source(fake, "text"));
    (void)json_object_set_new(params, "context", json_integer(32));
    assert_ok(tiny_run(fake, "evaluate.perplexity", params, &result));
    assert_true(tiny_metric(result, "tokens") == 100.0);
    assert_fails(tiny_run(fake, "evaluate.accuracy", params, &result),
                 STATUS_INVALID, "no answers");
    json_decref(params);
    json_decref(result);
}

static void test_a_merge_is_measured_in_memory(void **state)
{
    json_t *model = tiny_model(fake, 10);
    json_t *merge = json_pack("{s{ss s{ss s[{sO}] ss}}}", "$recipe", "kind",
                              "merge", "params", "merge_method", "linear",
                              "models", "model", model, "dtype", "float32");
    json_t *direct = params_of(model, tasks);
    json_t *lazy = params_of(merge, tasks);
    json_t *one, *two;

    (void)state;
    assert_ok(tiny_run(fake, "evaluate.accuracy", direct, &one));
    assert_ok(tiny_run(fake, "evaluate.accuracy", lazy, &two));
    assert_true(json_equal(one, two));
    json_decref(direct);
    json_decref(lazy);
    json_decref(one);
    json_decref(two);
}

/* The trained model with one number changed, as a source. */
static json_t *spoiled_model(const char *tensor, float value)
{
    json_t *model = tiny_model(fake, 2);
    const json_t *input;
    const char *path;
    struct st_model *opened;
    struct tensor items[16];
    struct tensor_set set = { .items = items };
    char *config, *text;
    size_t size;
    float *copy;

    assert_ok(fake->context.input(fake, "aa11", &input));
    assert_ok(fake->context.open_artifact(
        fake, json_text_or(input, "artifact", ""), &path));
    assert_ok(st_model_open(path, &opened));
    set.count = st_model_tensors(opened)->count;
    memcpy(items, st_model_tensors(opened)->items, set.count * sizeof(*items));
    config = xasprintf("%s/config.json", path);
    assert_ok(file_read(config, 1 << 16, &text, &size));
    copy = NULL;
    for (size_t i = 0; i < set.count; i++)
        if (strcmp(items[i].name, tensor) == 0) {
            copy = xcalloc((size_t)items[i].count, sizeof(*copy));
            memcpy(copy, items[i].data, (size_t)items[i].count * 4);
            copy[5] = value;
            items[i].data = copy;
        }
    assert_non_null(copy);
    fake_context_write_model(fake, "spoiled", &set, text);
    st_model_close(opened);
    free(copy);
    free(config);
    free(text);
    json_decref(model);
    return fake_context_source(fake, "spoiled");
}

static void test_a_nan_weight_names_tensor_and_element(void **state)
{
    json_t *params = params_of(spoiled_model("model.norm.weight", NAN), tasks);
    json_t *result;

    (void)state;
    assert_fails(tiny_run(fake, "evaluate.accuracy", params, &result),
                 STATUS_CORRUPT,
                 "\"model.norm.weight\" has a NaN or infinity at element 5");
    json_decref(params);
}

static void test_numbers_that_overflow_are_no_result(void **state)
{
    json_t *params =
        params_of(spoiled_model("model.norm.weight", 3e38F), tasks);
    json_t *result;

    (void)state;
    assert_fails(tiny_run(fake, "evaluate.perplexity", params, &result),
                 STATUS_FAILED, "");
    json_decref(params);
}

static void test_a_single_file_has_no_config(void **state)
{
    json_t *params = params_of(spoiled_model("model.norm.weight", 1.0F), tasks);
    char *file =
        xasprintf("%s", fake_context_path(fake, "spoiled/config.json"));
    json_t *result;

    (void)state;
    assert_int_equal(remove(file), 0);
    assert_fails(tiny_run(fake, "evaluate.accuracy", params, &result),
                 STATUS_INVALID, "no config.json");
    free(file);
    json_decref(params);
}

static void test_a_cancel_stops_it(void **state)
{
    json_t *params = params_of(tiny_model(fake, 2), tasks);
    json_t *result;

    (void)state;
    fake->cancel_at = fake->polls + 2;
    assert_fails(tiny_run(fake, "evaluate.accuracy", params, &result),
                 STATUS_CANCELLED, "cancelled at item");
    json_decref(params);
}

static void test_footprint_counts_what_is_there(void **state)
{
    json_t *params = tiny_json("{}");
    json_t *result;

    (void)state;
    (void)json_object_set_new(params, "model",
                              spoiled_model("model.norm.weight", 0.0F));
    assert_ok(tiny_run(fake, "evaluate.footprint", params, &result));
    assert_true(tiny_metric(result, "parameters") == 6096.0);
    assert_true(tiny_metric(result, "bytes") == 4.0 * 6096.0);
    assert_true(tiny_metric(result, "nonzero") == 6095.0);
    json_decref(params);
    json_decref(result);
}

/* --- what the sweep compiler is told -------------------------------------- */

static void test_texts_have_no_accuracy(void **state)
{
    json_t *body = tiny_json("{'data':{'$source':{'url':'http://a/b'}}}");
    struct catalog_problem problem;

    (void)state;
    assert_false(
        job_kind_find("evaluate.accuracy")->catalog.normalise(body, &problem));
    assert_string_equal(problem.path, "/data");
    json_decref(body);
}

static void test_defaults_are_written_out(void **state)
{
    json_t *body = tiny_json("{'data':{'builtin':'tasks','task':'add'}}");
    json_t *wanted = tiny_json("{'data':{'builtin':'tasks','mix':{'add':1},"
                               "'split':'test','items':256,'predict':'answers',"
                               "'shortest':3,'longest':6,'seed':0}}");
    struct catalog_problem problem;

    (void)state;
    assert_true(
        job_kind_find("evaluate.accuracy")->catalog.normalise(body, &problem));
    assert_true(json_equal(body, wanted));
    json_decref(body);
    json_decref(wanted);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest all[] = {
        CASE(test_accuracy_comes_with_a_digit_for_each_item),
        CASE(test_measuring_twice_gives_the_same_numbers),
        CASE(test_a_limit_takes_the_first_items),
        CASE(test_perplexity_is_the_exponential_of_the_loss),
        CASE(test_windows_of_a_text_predict_each_byte_once),
        CASE(test_a_merge_is_measured_in_memory),
        CASE(test_a_nan_weight_names_tensor_and_element),
        CASE(test_numbers_that_overflow_are_no_result),
        CASE(test_a_single_file_has_no_config),
        CASE(test_a_cancel_stops_it),
        CASE(test_footprint_counts_what_is_there),
        CASE(test_texts_have_no_accuracy),
        CASE(test_defaults_are_written_out),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}
