/* Greedy soups of tiny models: which are chosen is checked against a soup
 * that is made here step by step, from files, in plain double. */
#include "support/test.h"

#include "common/file.h"
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/soup_pot.h"
#include "support/fake_fixture.h"
#include "support/small_model.h"
#include "support/tiny_llama.h"
#include "tensor/safetensors.h"

#include <math.h>

enum { MODELS = 4 };

static const char tasks[] = "{'builtin':'tasks','mix':{'close':1},"
                            "'split':'test','shortest':2,'longest':3,"
                            "'items':200,'predict':'answers'}";

/* --- the pot --------------------------------------------------------------
 */

static const struct small_row rows[] = {
    { "a", DTYPE_F32, 2, { 50, 100 } }, { "b", DTYPE_BF16, 1, { 4099 } },
    { "c", DTYPE_F16, 1, { 77 } },      { "d", DTYPE_I32, 1, { 3 } },
    { NULL, DTYPE_F32, 0, { 0 } },
};

static double value(const struct tensor *t, uint64_t i)
{
    float x;

    dtype_to_f32(t->dtype, (const char *)t->data + i * dtype_size(t->dtype), &x,
                 1);
    return (double)x;
}

/* The nearest number of a narrow type to a double: of the neighbours of the
 * rounded one, by trying. */
static void assert_nearest(const struct tensor *t, uint64_t i, double wanted)
{
    const unsigned char *data = t->data;
    double got = value(t, i), error = fabs(got - wanted);

    for (int step = -1; step <= 1; step += 2) {
        uint32_t bits = 0;
        float x;

        memcpy(&bits, data + i * dtype_size(t->dtype), dtype_size(t->dtype));
        bits += (uint32_t)step;
        dtype_to_f32(t->dtype, &bits, &x, 1);
        if (fabs((double)x - wanted) < error)
            fail_msg("%s[%d]: %.17g is nearer to %.17g than %.17g", t->name,
                     (int)i, (double)x, wanted, got);
    }
}

static void test_the_average_is_rounded_once(void **state)
{
    struct small_model models[3];
    struct soup_pot pot;

    (void)state;
    models[0] = small_model_new(rows, 1, 1.0);
    for (uint32_t m = 1; m < 3; m++)
        models[m] = small_model_near(&models[0], m, 0.1);
    assert_ok(soup_pot_init(&pot, &models[0].set, NULL, &fake->context));
    soup_pot_keep(&pot, &models[0].set);
    soup_pot_keep(&pot, &models[1].set);
    assert_ok(soup_pot_try(&pot, &models[2].set));
    for (size_t t = 0; t < 3; t++) {
        for (uint64_t i = 0; i < models[0].set.items[t].count; i++) {
            double sum = 0.0;

            for (size_t m = 0; m < 3; m++)
                sum += value(&models[m].set.items[t], i);
            assert_nearest(&pot.set.items[t], i, sum / 3.0);
        }
    }
    assert_memory_equal(pot.set.items[3].data, models[0].set.items[3].data, 12);
    soup_pot_serve(&pot);
    assert_nearest(&pot.set.items[0], 4999,
                   (value(&models[0].set.items[0], 4999) +
                    value(&models[1].set.items[0], 4999)) /
                       2.0);
    soup_pot_release(&pot);
    for (size_t m = 0; m < 3; m++)
        small_model_release(&models[m]);
}

static void test_models_of_another_form_are_refused(void **state)
{
    static const struct small_row shape[] = {
        { "a", DTYPE_F32, 2, { 51, 100 } }, { "b", DTYPE_BF16, 1, { 4099 } },
        { "c", DTYPE_F16, 1, { 77 } },      { "d", DTYPE_I32, 1, { 3 } },
        { NULL, DTYPE_F32, 0, { 0 } },
    };
    struct small_model a = small_model_new(rows, 1, 1.0);
    struct small_model b = small_model_new(shape, 1, 1.0);
    struct small_model c = small_model_new(shape + 1, 1, 1.0);
    struct soup_pot pot;

    (void)state;
    assert_ok(soup_pot_init(&pot, &a.set, NULL, &fake->context));
    assert_fails(soup_pot_try(&pot, &b.set), STATUS_INVALID, "51x100");
    assert_fails(soup_pot_try(&pot, &c.set), STATUS_INVALID, "no tensor \"a\"");
    soup_pot_release(&pot);
    fake->context.memory_bytes = 1000;
    assert_fails(soup_pot_init(&pot, &a.set, NULL, &fake->context),
                 STATUS_NO_MEMORY, "the slot has 1000");
    soup_pot_release(&pot);
    small_model_release(&a);
    small_model_release(&b);
    small_model_release(&c);
}

/* --- the kind -------------------------------------------------------------
 */

static json_t *models_of(json_t *const *models, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(list,
                                    json_pack("{s:O}", "model", models[i]));
    return list;
}

static json_t *params_of(json_t *const *models, size_t count,
                         const char *metric)
{
    json_t *params = tiny_json("{'data':%s,'metric':'%s'}", tasks, metric);

    (void)json_object_set_new(params, "models", models_of(models, count));
    return params;
}

static double score_of(json_t *model, const char *metric)
{
    json_t *params = tiny_json("{'data':%s}", tasks);
    json_t *result;
    double score;

    (void)json_object_set(params, "model", model);
    assert_ok(tiny_run(fake, "evaluate.accuracy", params, &result));
    score = tiny_metric(result, metric);
    json_decref(params);
    json_decref(result);
    return strcmp(metric, "loss") == 0 ? -score : score;
}

/* The average of models that are files, as a `linear` merge. */
static json_t *average_of(json_t *const *models, const size_t *chosen,
                          size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        (void)json_array_append(list, models[chosen[i]]);
    if (count == 1) {
        json_t *only = json_incref(json_array_get(list, 0));

        json_decref(list);
        return only;
    }
    for (size_t i = 0; i < count; i++)
        (void)json_array_set_new(list, i,
                                 json_pack("{s:O, s:{s:f}}", "model",
                                           json_array_get(list, i),
                                           "parameters", "weight", 1.0));
    return json_pack("{s:{s:s, s:{s:s, s:o, s:{s:b}}}}", "$recipe", "kind",
                     "merge", "params", "merge_method", "linear", "models",
                     list, "parameters", "normalize", 1);
}

/* Greedy, one average after the other; the number chosen. */
static size_t greedy(json_t *const *models, const char *metric, size_t *chosen)
{
    double scores[MODELS], best;
    size_t order[MODELS], count = 1;

    for (size_t i = 0; i < MODELS; i++) {
        size_t at = i;

        scores[i] = score_of(models[i], metric);
        for (; at > 0 && scores[order[at - 1]] < scores[i]; at--)
            order[at] = order[at - 1];
        order[at] = i;
    }
    chosen[0] = order[0];
    best = scores[order[0]];
    for (size_t i = 1; i < MODELS; i++) {
        json_t *soup;
        double score;

        chosen[count] = order[i];
        soup = average_of(models, chosen, count + 1);
        score = score_of(soup, metric);
        json_decref(soup);
        if (score > best) {
            best = score;
            count++;
        }
    }
    return count;
}

static void check_soup(json_t *const *models, const char *metric)
{
    json_t *params = params_of(models, MODELS, metric);
    json_t *result, *again;
    size_t chosen[MODELS + 1], count = greedy(models, metric, chosen);
    json_t *wanted = average_of(models, chosen, count);
    json_t *members;

    assert_ok(tiny_run(fake, "soup", params, &result));
    members = json_object_get(result, "members");
    assert_int_equal(json_array_size(members), count);
    assert_true(tiny_metric(result, "members") == (double)count);
    assert_true(tiny_metric(result, "evaluations") == 2 * MODELS - 1);
    fake_context_set_job(fake, "soup", json_text_or(result, "artifact", "?"));
    again = json_pack("{s:s}", "$job", "soup");
    assert_true(fabs(score_of(again, metric) - score_of(wanted, metric)) <
                1e-6);
    assert_true(fabs(fabs(tiny_metric(result, "score")) -
                     fabs(score_of(again, metric))) < 1e-12);
    json_decref(again);
    json_decref(wanted);
    json_decref(result);
    json_decref(params);
}

/* Fine-tunes of one start: trained on for some steps more each. */
static void train_models(json_t *ret_models[MODELS])
{
    static const char *const keys[MODELS] = { "m0", "m1", "m2", "m3" };
    json_t *start = tiny_model(fake, 60);

    for (int i = 0; i < MODELS; i++) {
        json_t *params = tiny_train(30);
        json_t *result;

        (void)json_object_del(params, "init");
        (void)json_object_set(params, "model", start);
        (void)json_object_set_new(params, "seed", json_integer(i + 1));
        assert_ok(tiny_run(fake, "train", params, &result));
        fake_context_set_job(fake, keys[i],
                             json_text_or(result, "artifact", "?"));
        ret_models[i] = json_pack("{s:s}", "$job", keys[i]);
        json_decref(params);
        json_decref(result);
    }
    json_decref(start);
}

static void test_it_chooses_what_plain_greed_does(void **state)
{
    json_t *models[MODELS];

    (void)state;
    train_models(models);
    check_soup(models, "accuracy");
    check_soup(models, "loss");
    for (size_t i = 0; i < MODELS; i++)
        json_decref(models[i]);
}

static void test_twins_are_taken_in_the_order_of_the_file(void **state)
{
    json_t *one = tiny_model(fake, 40);
    json_t *twins[] = { one, one };
    json_t *params = params_of(twins, 2, "accuracy");
    json_t *a, *b;

    (void)state;
    (void)json_object_set_new(params, "dtype", json_string("bfloat16"));
    assert_ok(tiny_run(fake, "soup", params, &a));
    assert_ok(tiny_run(fake, "soup", params, &b));
    assert_true(json_equal(a, b)); /* the same bytes each time */
    assert_true(tiny_metric(a, "members") >= 1.0);
    assert_non_null(strstr(fake->log, "alone: "));
    json_decref(a);
    json_decref(b);
    json_decref(params);
    json_decref(one);
}

static void test_bad_bodies_are_told(void **state)
{
    const struct job_kind *kind = job_kind_find("soup");
    struct catalog_problem problem;
    json_t *one = tiny_json("{'models':[{'model':1}],'metric':'accuracy'}");
    json_t *text = tiny_json("{'models':[{'model':1},{'model':2}],'metric':"
                             "'accuracy','data':{'$source':{}}}");

    (void)state;
    assert_false(kind->catalog.normalise(one, &problem));
    assert_non_null(strstr(problem.message, "two models"));
    assert_false(kind->catalog.normalise(text, &problem));
    assert_string_equal(problem.suggestion, "metric: loss");
    json_decref(one);
    json_decref(text);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_average_is_rounded_once),
        TEST(test_models_of_another_form_are_refused),
        TEST(test_it_chooses_what_plain_greed_does),
        TEST(test_twins_are_taken_in_the_order_of_the_file),
        TEST(test_bad_bodies_are_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
