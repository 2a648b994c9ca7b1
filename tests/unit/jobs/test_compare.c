#include "support/test.h"

#include "common/memory.h"
#include "jobs/job_kind.h"
#include "support/fake_fixture.h"
#include "support/tiny_llama.h"
#include "support/tiny_mlp.h"

#include <math.h>
#include <string.h>

static json_t *pair(json_t *a, json_t *b, const char *data)
{
    json_t *params = tiny_json("{'data':%s}", data);

    (void)json_object_set_new(params, "models", json_pack("[oo]", a, b));
    return params;
}

static const char train_images[] = "{'builtin':'teacher10k','items':1000}";
static const char test_images[] = "{'builtin':'teacher10k','split':'test'}";

static json_t *trained(const char *name, uint32_t seed, int steps)
{
    struct model *m = tiny_mlp(fake, seed, steps);
    json_t *source = tiny_mlp_write(fake, m, name);

    model_free(m);
    return source;
}

static json_t *run(const char *kind, json_t *params)
{
    json_t *result;

    assert_ok(tiny_run(fake, kind, params, &result));
    json_decref(params);
    return result;
}

/* --- error ------------------------------------------------------------------ */

static void test_training_lowers_the_error(void **state)
{
    json_t *params = tiny_json("{'data':%s}", test_images);
    json_t *before, *after;
    const char *digits;
    size_t wrong = 0;

    (void)state;
    (void)json_object_set_new(params, "model", trained("a", 1, 0));
    before = run("evaluate.error", json_deep_copy(params));
    (void)json_object_set_new(params, "model", trained("b", 1, 400));
    after = run("evaluate.error", params);
    assert_true(tiny_metric(before, "error") > 0.8);
    assert_true(tiny_metric(after, "error") < 0.3);
    assert_true(tiny_metric(after, "loss") < tiny_metric(before, "loss"));
    assert_true(fabs(tiny_metric(after, "error") +
                     tiny_metric(after, "accuracy") - 1.0) < 1e-12);
    digits = json_text_or(json_object_get(after, "scores"), "items", "");
    assert_int_equal(strlen(digits), 2000);
    for (const char *c = digits; *c != '\0'; c++)
        wrong += *c == '0';
    assert_true(tiny_metric(after, "error") == (double)wrong / 2000.0);
    json_decref(before);
    json_decref(after);
}

/* Each image is looked at alone: with statistics of the training, not of the
 * batch it happens to be in. */
static void test_an_image_does_not_depend_on_its_neighbours(void **state)
{
    json_t *params = tiny_json("{'data':%s}", test_images);
    json_t *all, *few;

    (void)state;
    (void)json_object_set_new(params, "model", trained("a", 1, 50));
    all = run("evaluate.error", json_deep_copy(params));
    (void)json_object_set_new(params, "limit", json_integer(3));
    few = run("evaluate.error", params);
    assert_true(tiny_metric(few, "items") == 3.0);
    assert_memory_equal(
        json_text_or(json_object_get(few, "scores"), "items", ""),
        json_text_or(json_object_get(all, "scores"), "items", ""), 3);
    json_decref(all);
    json_decref(few);
}

static void test_text_and_images_are_told_apart(void **state)
{
    json_t *params = tiny_json("{'data':%s}", test_images);
    json_t *result;

    (void)state;
    (void)json_object_set_new(params, "model", tiny_model(fake, 1));
    assert_fails(tiny_run(fake, "evaluate.error", params, &result),
                 STATUS_INVALID, "the model takes text");
    (void)json_object_set_new(params, "model", trained("a", 1, 0));
    assert_fails(tiny_run(fake, "evaluate.perplexity", params, &result),
                 STATUS_INVALID, "images have none");
    (void)json_object_set_new(
        params, "data",
        tiny_json("{'builtin':'tasks','mix':{'sort':1},'items':5}"));
    assert_fails(tiny_run(fake, "evaluate.error", params, &result),
                 STATUS_INVALID, "the data are text");
    json_decref(params);
}

/* --- lmc --------------------------------------------------------------------- */

/* Units of the hidden layer in reverse order: the same function. */
static void turn_units(struct model *m)
{
    for (size_t i = 0; i < m->parameter_count; i++) {
        struct model_parameter *p = &m->parameters[i];
        bool last = strncmp(p->name, "fc1", 3) == 0;
        size_t width = last ? 1 : p->count / 32;
        size_t rows = last ? p->count / 32 : 1;

        if (last && p->count == 10)
            continue; /* the bias of the classes */
        for (size_t r = 0; r < rows; r++)
            for (size_t a = 0; a < 16; a++)
                for (size_t k = 0; k < width; k++) {
                    float *x = p->own + r * 32 + a * width + k;
                    float *y = p->own + r * 32 + (31 - a) * width + k;
                    float kept = *x;

                    *x = *y;
                    *y = kept;
                }
    }
}

static void test_nothing_lies_between_a_model_and_itself(void **state)
{
    json_t *a = trained("a", 1, 100);
    json_t *result =
        run("evaluate.lmc", pair(json_incref(a), json_incref(a), train_images));
    const json_t *curve = json_object_get(result, "curve");

    (void)state;
    assert_int_equal(json_array_size(curve), 11);
    assert_true(tiny_metric(result, "connectivity") == 0.0);
    assert_true(tiny_metric(result, "barrier") == 0.0);
    assert_true(tiny_metric(result, "at") == 0.0);
    json_decref(a);
    json_decref(result);
}

static void test_a_turned_twin_is_behind_a_barrier(void **state)
{
    struct model *m = tiny_mlp(fake, 1, 300);
    json_t *a = tiny_mlp_write(fake, m, "a"), *b, *result;
    const json_t *curve;
    double first, last, lowest;

    (void)state;
    turn_units(m);
    b = tiny_mlp_write(fake, m, "b");
    model_free(m);
    result = run("evaluate.lmc", pair(a, b, train_images));
    curve = json_object_get(result, "curve");
    first = json_number_value(json_array_get(curve, 0));
    last = json_number_value(json_array_get(curve, 10));
    lowest = json_number_value(json_array_get(curve, 5));
    assert_true(fabs(first - last) < 0.003 && lowest > first + 0.2);
    assert_true(tiny_metric(result, "connectivity") < -0.2);
    assert_true(tiny_metric(result, "barrier") ==
                -tiny_metric(result, "connectivity"));
    assert_true(fabs(tiny_metric(result, "ends") - (first + last) / 2.0) <
                1e-12);
    assert_true(tiny_metric(result, "at") > 0.3 &&
                tiny_metric(result, "at") < 0.7);
    json_decref(result);
}

static void test_the_line_of_two_texts_is_of_losses(void **state)
{
    json_t *params = pair(tiny_model(fake, 1), tiny_model(fake, 30),
                          "{'builtin':'tasks','mix':{'sort':1},'items':40}");
    json_t *result;

    (void)state;
    (void)json_object_set_new(params, "points", json_integer(3));
    result = run("evaluate.lmc", params);
    assert_int_equal(json_array_size(json_object_get(result, "curve")), 3);
    assert_true(json_number_value(
                    json_array_get(json_object_get(result, "curve"), 0)) > 3.0);
    json_decref(result);
}

/* --- cka ---------------------------------------------------------------------- */

static double similarity(json_t *a, json_t *b, const char *form,
                         const char *output)
{
    json_t *params = pair(a, b, train_images);
    json_t *result;
    double value;

    (void)json_object_set_new(params, "form", json_string(form));
    (void)json_object_set_new(params, "output", json_string(output));
    (void)json_object_set_new(params, "limit", json_integer(300));
    result = run("evaluate.cka", params);
    assert_true(tiny_metric(result, "rows") == 300.0);
    value = tiny_metric(result, "similarity");
    json_decref(result);
    return value;
}

static void test_outputs_are_compared(void **state)
{
    json_t *a = trained("a", 1, 200), *b = trained("b", 2, 200);
    json_t *c = trained("c", 2, 0);
    double near, far;

    (void)state;
    assert_true(
        fabs(similarity(json_incref(a), json_incref(a), "feature", "softmax") -
             1.0) < 1e-12);
    near = similarity(json_incref(a), json_incref(b), "feature", "softmax");
    far = similarity(json_incref(a), json_incref(c), "feature", "softmax");
    assert_true(near > 0.5 && near < 1.0 && far < near);
    assert_true(fabs(near - similarity(json_incref(a), json_incref(b), "gram",
                                       "softmax")) < 1e-9);
    assert_true(similarity(json_incref(a), json_incref(b), "debiased",
                           "softmax") < near);
    assert_true(similarity(json_incref(a), json_incref(b), "feature",
                           "logits") != near);
    json_decref(a);
    json_decref(b);
    json_decref(c);
}

static void test_outputs_that_do_not_vary_are_no_number(void **state)
{
    struct model *m = tiny_mlp(fake, 1, 0);
    json_t *a = tiny_mlp_write(fake, m, "a"), *params, *result;

    (void)state;
    for (size_t i = 0; i < m->parameter_count; i++)
        if (strcmp(m->parameters[i].name, "fc1.weight") == 0)
            memset(m->parameters[i].own, 0,
                   m->parameters[i].count * sizeof(float));
    params = pair(a, tiny_mlp_write(fake, m, "b"), train_images);
    assert_fails(tiny_run(fake, "evaluate.cka", params, &result), STATUS_FAILED,
                 "second model do not vary");
    model_free(m);
    json_decref(params);
}

/* --- both --------------------------------------------------------------------- */

static void test_models_of_other_shapes_are_refused(void **state)
{
    json_t *a = trained("a", 1, 0);
    json_t *params = pair(a, tiny_model(fake, 1), train_images);
    json_t *result;

    (void)state;
    assert_fails(tiny_run(fake, "evaluate.lmc", params, &result),
                 STATUS_INVALID, "cannot be compared");
    (void)json_array_remove(json_object_get(params, "models"), 1);
    assert_fails(tiny_run(fake, "evaluate.cka", params, &result),
                 STATUS_INVALID, "two models are compared");
    json_decref(params);
}

static void test_a_body_without_two_models_is_refused(void **state)
{
    static const char *const kinds[] = { "evaluate.lmc", "evaluate.cka" };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        json_t *body = tiny_json("{'data':{'builtin':'teacher10k'}}");
        struct catalog_problem problem;

        assert_false(
            job_kind_find(kinds[i])->catalog.normalise(body, &problem));
        assert_non_null(strstr(problem.suggestion, "across: replicates"));
        (void)json_object_set_new(body, "models", tiny_json("[{},{}]"));
        assert_true(job_kind_find(kinds[i])->catalog.normalise(body, &problem));
        assert_string_equal(
            json_text_or(json_object_get(body, "data"), "split", ""), "train");
        json_decref(body);
    }
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest all[] = {
        CASE(test_training_lowers_the_error),
        CASE(test_an_image_does_not_depend_on_its_neighbours),
        CASE(test_text_and_images_are_told_apart),
        CASE(test_nothing_lies_between_a_model_and_itself),
        CASE(test_a_turned_twin_is_behind_a_barrier),
        CASE(test_the_line_of_two_texts_is_of_losses),
        CASE(test_outputs_are_compared),
        CASE(test_outputs_that_do_not_vary_are_no_number),
        CASE(test_models_of_other_shapes_are_refused),
        CASE(test_a_body_without_two_models_is_refused),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}
