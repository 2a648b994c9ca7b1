#include "support/test.h"

#include "common/memory.h"
#include "jobs/job_kind.h"

extern const struct job_kind job_merge;

static json_t *parse(const char *text)
{
    json_t *json;

    assert_ok(json_parse(text, strlen(text), "body", &json));
    return json;
}

/* The canonical form a body is brought to. */
static char *normal(const char *text)
{
    struct catalog_problem problem = { .path = "" };
    json_t *body = parse(text);
    char *canonical;

    if (!job_merge.catalog.normalise(body, &problem))
        fail_msg("%s: %s", problem.path, problem.message);
    canonical = json_canonical(body);
    json_decref(body);
    return canonical;
}

static void assert_equal_work(const char *a, const char *b)
{
    AUTO(free_pointer) char *x = normal(a);
    AUTO(free_pointer) char *y = normal(b);

    assert_string_equal(x, y);
}

static void test_equal_work_has_one_form(void **state)
{
    (void)state;
    /* Shared numbers, the base among the models, keys without meaning. */
    assert_equal_work(
        "{\"merge_method\": \"task_arithmetic\", \"base_model\": \"base\", "
        "\"models\": [{\"model\": \"base\"}, {\"model\": \"a\"}], "
        "\"parameters\": {\"weight\": 0.5, \"density\": 0.3, "
        "\"int8_mask\": true, \"rescale\": true, \"ratio\": 0.1}, "
        "\"seed\": 3, \"tokenizer_source\": \"base\"}",
        "{\"merge_method\": \"task_arithmetic\", \"base_model\": \"base\", "
        "\"models\": [{\"model\": \"a\", \"parameters\": {\"weight\": 0.5}}],"
        " \"parameters\": {\"normalize\": false, \"lambda\": 1}}");
    assert_equal_work(
        "{\"merge_method\": \"ties\", \"base_model\": \"base\", \"models\": "
        "[{\"model\": \"a\", \"parameters\": {\"weight\": 1}}]}",
        "{\"merge_method\": \"ties\", \"variant\": \"mergekit\", "
        "\"base_model\": \"base\", \"models\": [{\"model\": \"a\"}], "
        "\"parameters\": {\"weight\": 1, \"density\": 1, \"normalize\": true,"
        " \"lambda\": 1}}");
    assert_equal_work(
        "{\"merge_method\": \"linear\", \"base_model\": \"a\", \"dtype\": "
        "\"float32\", \"out_dtype\": \"float16\", \"models\": "
        "[{\"model\": \"a\"}, {\"model\": \"b\"}]}",
        "{\"merge_method\": \"linear\", \"dtype\": \"float16\", \"models\": "
        "[{\"model\": \"a\", \"parameters\": {\"weight\": 1}}, "
        "{\"model\": \"b\"}], \"on_shape_mismatch\": \"error\"}");
    assert_equal_work(
        "{\"merge_method\": \"dare_linear\", \"base_model\": \"base\", "
        "\"models\": [{\"model\": \"a\"}], \"parameters\": {\"weight\": 1, "
        "\"rescale\": false, \"rescale_rule\": \"l1\"}}",
        "{\"merge_method\": \"dare_linear\", \"base_model\": \"base\", "
        "\"models\": [{\"model\": \"a\"}], \"seed\": {\"$param\": \"seed\"}, "
        "\"parameters\": {\"weight\": 1, \"rescale_rule\": \"none\"}}");
}

static void test_a_form_is_its_own_form(void **state)
{
    static const char *const bodies[] = {
        "{\"merge_method\": \"dare_ties\", \"base_model\": \"base\", "
        "\"models\": [{\"model\": \"a\"}], \"parameters\": {\"weight\": "
        "{\"$param\": \"w\"}, \"density\": {\"$param\": \"d\"}, \"rescale\": "
        "{\"$param\": \"r\"}}}",
        "{\"merge_method\": \"average\", \"models\": [{\"model\": \"a\", "
        "\"parameters\": {\"weight\": 3}}]}",
        "{\"merge_method\": \"pcb\", \"base_model\": \"base\", \"models\": "
        "[{\"model\": \"a\"}, {\"model\": \"b\", \"parameters\": "
        "{\"lambda\": 2}}], \"parameters\": {\"lambda\": 1.5}}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        AUTO(free_pointer) char *once = normal(bodies[i]);

        assert_equal_work(bodies[i], once);
    }
}

static void test_only_what_draws_has_a_seed(void **state)
{
    AUTO(free_pointer)
    char *dare = normal("{\"merge_method\": \"dare_linear\", \"base_model\": "
                        "\"base\", \"models\": [{\"model\": \"a\"}], "
                        "\"parameters\": {\"weight\": 1}}");
    AUTO(free_pointer)
    char *ties = normal("{\"merge_method\": \"ties\", \"base_model\": "
                        "\"base\", \"models\": [{\"model\": \"a\"}], "
                        "\"parameters\": {\"weight\": 1}, \"seed\": 7}");

    (void)state;
    assert_non_null(strstr(dare, "\"seed\":{\"$param\":\"seed\"}"));
    assert_null(strstr(ties, "seed"));
}

static void test_problems_have_place_and_suggestion(void **state)
{
    static const struct {
        const char *body, *path, *words, *suggestion;
    } rows[] = {
        { "{\"merge_method\": \"ties\", \"models\": [{\"model\": \"a\"}]}", "",
          "ties needs a base_model", "add `base_model:`" },
        { "{\"merge_method\": \"linear\"}", "", "no models", "add `models:`" },
        { "{\"merge_method\": \"linear\", \"variant\": \"x\", \"models\": []}",
          "/variant", "linear has no variants", "leave it out" },
        { "{\"merge_method\": \"ties\", \"variant\": \"x\", \"models\": []}",
          "/variant", "no variant \"x\"", "mergekit, mergelm" },
        { "{\"merge_method\": \"linear\", \"slices\": [], \"models\": []}",
          "/slices", "layer slices", "whole models" },
        { "{\"merge_method\": \"linear\", \"tokenizer_source\": \"union\", "
          "\"models\": []}",
          "/tokenizer_source", "\"union\" is not supported",
          "tokenizer_source: base" },
        { "{\"merge_method\": \"ties\", \"base_model\": \"base\", \"models\": "
          "[{\"model\": \"base\"}, {\"model\": \"a\", \"parameters\": "
          "{\"density\": 0.5}}]}",
          "/models/1/parameters", "ties needs a weight for each model",
          "add `weight: 1.0`" },
        { "{\"merge_method\": \"ties\", \"base_model\": \"base\", \"models\": "
          "[{\"model\": \"a\"}]}",
          "/models/0", "ties needs a weight", "add `weight: 1.0`" },
        { "{\"merge_method\": \"ties\", \"base_model\": \"base\", \"models\": "
          "[{\"model\": \"a\", \"parameters\": {\"weight\": 1, \"density\": "
          "[0.5, 0]}}]}",
          "/models/0/parameters/density/1",
          "density of ties must be in (0, 1], not 0", "" },
        { "{\"merge_method\": \"ties\", \"base_model\": \"base\", \"models\": "
          "[{\"model\": \"a\"}], \"parameters\": {\"weight\": 1, \"density\": "
          "2}}",
          "/parameters/density", "must be in (0, 1], not 2", "" },
        { "{\"merge_method\": \"pcb\", \"base_model\": \"base\", \"models\": "
          "[{\"model\": \"a\"}], \"parameters\": {\"ratio\": 0}}",
          "/parameters/ratio", "must be in (0, 1], not 0", "" },
        { "{\"merge_method\": \"dare_ties\", \"variant\": \"mergelm\", "
          "\"base_model\": \"base\", \"models\": [{\"model\": \"a\"}], "
          "\"parameters\": {\"rescale_rule\": \"l1\"}}",
          "/parameters/rescale_rule", "no rule l1", "use paper" },
        { "{\"merge_method\": \"ties\", \"base_model\": \"base\", \"models\": "
          "[{\"model\": \"base\"}]}",
          "/models", "at least 1 model beside", "" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct catalog_problem problem = { .path = "" };
        json_t *body = parse(rows[i].body);

        assert_false(job_merge.catalog.normalise(body, &problem));
        assert_string_equal(problem.path, rows[i].path);
        if (strstr(problem.message, rows[i].words) == NULL ||
            strstr(problem.suggestion, rows[i].suggestion) == NULL)
            fail_msg("%zu: %s / %s", i, problem.message, problem.suggestion);
        json_decref(body);
    }
}

static void test_resolved_parameters_are_checked_too(void **state)
{
    struct catalog_problem problem = { .path = "" };
    json_t *fine = parse("{\"merge_method\": \"linear\", \"models\": "
                         "[{\"model\": \"a\"}, {\"model\": \"b\"}]}");
    json_t *bad = parse("{\"merge_method\": \"linear\", \"models\": "
                        "[{\"model\": \"a\", \"parameters\": {\"weight\": 0}}"
                        "]}");

    (void)state;
    assert_true(job_merge.catalog.check(fine, &problem));
    assert_false(job_merge.catalog.check(bad, &problem));
    assert_non_null(strstr(problem.message, "add up to 0"));
    json_decref(fine);
    json_decref(bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_work_has_one_form),
        cmocka_unit_test(test_a_form_is_its_own_form),
        cmocka_unit_test(test_only_what_draws_has_a_seed),
        cmocka_unit_test(test_problems_have_place_and_suggestion),
        cmocka_unit_test(test_resolved_parameters_are_checked_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
