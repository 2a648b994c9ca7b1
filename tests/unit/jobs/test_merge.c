#include "support/test.h"

#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/merge/merge_method.h"

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
        "\"seed\": 3}",
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

/* Levels, modules, bases of slices: where a number stands means nothing. */
static void test_equal_slices_have_one_form(void **state)
{
    (void)state;
    assert_equal_work(
        "{\"merge_method\": \"linear\", \"modules\": {\"text\": {\"models\": "
        "[{\"model\": \"a\"}, {\"model\": \"b\"}], \"parameters\": "
        "{\"weight\": [{\"filter\": \"mlp\", \"value\": 2}]}}}, "
        "\"parameters\": {\"weight\": 3}, \"tokenizer\": {\"source\": "
        "\"base\"}, \"exclude\": []}",
        "{\"merge_method\": \"linear\", \"models\": [{\"model\": \"a\", "
        "\"parameters\": {\"weight\": [{\"filter\": \"mlp\", \"value\": [2]}, "
        "{\"filter\": \"*\", \"value\": 3}, {\"value\": 7}]}}, {\"model\": "
        "\"b\"}], \"parameters\": {\"weight\": [{\"filter\": \"mlp\", "
        "\"value\": 2}, {\"value\": 3}]}, \"tokenizer_source\": \"base\"}");
    assert_equal_work(
        "{\"merge_method\": \"task_arithmetic\", \"slices\": [{\"sources\": "
        "[{\"model\": \"a\", \"layer_range\": [0, 2], \"parameters\": "
        "{\"weight\": 1}}, {\"model\": \"base\", \"layer_range\": [0, 2], "
        "\"parameters\": {\"weight\": 9}}], \"base_model\": \"base\"}], "
        "\"parameters\": {\"lambda\": 2}}",
        "{\"merge_method\": \"task_arithmetic\", \"base_model\": \"base\", "
        "\"slices\": [{\"sources\": [{\"model\": \"base\", \"layer_range\": "
        "[0, 2]}, {\"model\": \"a\", \"layer_range\": [0, 2]}], "
        "\"parameters\": {\"weight\": 1, \"lambda\": 2, \"normalize\": "
        "false}}]}");
    assert_equal_work(
        "{\"merge_method\": \"linear\", \"models\": [{\"model\": \"a\"}], "
        "\"exclude\": [\"x\", \"b\", \"x\"]}",
        "{\"merge_method\": \"linear\", \"models\": [{\"model\": \"a\"}], "
        "\"exclude\": [\"b\", \"x\"]}");
}

/* Where a number without default is not said for all tensors, it stays so. */
static void test_defaults_fill_what_filters_leave_open(void **state)
{
    AUTO(free_pointer)
    char *form =
        normal("{\"merge_method\": \"ties\", \"base_model\": \"base\", "
               "\"models\": [{\"model\": \"a\"}], \"parameters\": "
               "{\"weight\": [{\"filter\": \"mlp\", \"value\": 2}], "
               "\"density\": [{\"filter\": \"mlp\", \"value\": 0.5}]}}");

    (void)state;
    assert_non_null(strstr(form, "\"density\":[{\"filter\":\"mlp\","
                                 "\"value\":0.5},{\"value\":1}]"));
    assert_non_null(
        strstr(form, "\"weight\":[{\"filter\":\"mlp\",\"value\":2}]"));
}

static void assert_fusable(const char *text, const char *expected)
{
    AUTO(free_pointer) char *form = normal(text);
    AUTO(json_release) json_t *body = parse(form);
    AUTO(json_release) json_t *places = job_merge.catalog.fusable(body);
    AUTO(free_pointer) char *list = json_canonical(places);

    assert_string_equal(list, expected);
}

static void test_fusable_numbers_are_named_where_the_form_has_them(void **state)
{
    (void)state;
    assert_fusable("{\"merge_method\": \"pcb\", \"base_model\": \"base\", "
                   "\"models\": [{\"model\": \"a\"}]}",
                   "[\"/parameters/ratio\",\"/models/0/parameters/lambda\"]");
    assert_fusable(
        "{\"merge_method\": \"slerp\", \"base_model\": \"b\", \"slices\": "
        "[{\"sources\": [{\"model\": \"a\", \"layer_range\": [0, 2]}, "
        "{\"model\": \"b\", \"layer_range\": [0, 2]}]}], \"parameters\": "
        "{\"t\": 0.5}}",
        "[\"/slices/0/parameters/t\"]");
}

/* What jobs/merge.c must repeat of the tables of methods. */
static const struct catalog_key *key_of(const struct catalog_key *keys,
                                        const char *name)
{
    for (; keys->name != NULL; keys++) {
        if (strcmp(keys->name, name) == 0)
            return keys;
    }
    fail_msg("there is no key %s", name);
    return NULL;
}

static void test_the_keys_are_those_of_the_tables(void **state)
{
    const struct catalog_key *keys = job_merge.catalog.keys;
    const struct catalog_key *parameters = key_of(keys, "parameters")->keys;
    const char *const *words = key_of(keys, "merge_method")->words;
    size_t names = 0;

    (void)state;
    for (int p = 0; p < MERGE_PARAMETERS; p++)
        assert_int_equal(key_of(parameters, merge_parameters[p].name)->type,
                         KEY_DEPTH);
    for (int o = 0; o < MERGE_OPTIONS; o++) {
        const struct merge_option_row *row = &merge_options[o];
        const struct catalog_key *key = key_of(parameters, row->name);

        assert_int_equal(key->type, strcmp(row->words[0], "false") == 0
                                        ? KEY_BOOL
                                        : KEY_WORD);
        for (size_t i = 0; key->type == KEY_WORD && row->words[i] != NULL; i++)
            assert_string_equal(row->words[i], key->words[i]);
    }
    for (; words[names] != NULL; names++)
        assert_non_null(merge_method_find(words[names], NULL));
    for (const struct merge_method *m = merge_methods; m->name != NULL; m++) {
        size_t i = 0;

        while (words[i] != NULL && strcmp(words[i], m->name) != 0)
            i++;
        if (i == names)
            fail_msg("merge_method does not know %s", m->name);
    }
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
        "{\"merge_method\": \"linear\", \"slices\": [{\"sources\": "
        "[{\"model\": \"a\", \"layer_range\": [0, {\"$param\": \"n\"}]}, "
        "{\"model\": \"b\", \"layer_range\": [0, 3]}]}], \"dtype\": "
        "{\"$param\": \"type\"}, \"on_shape_mismatch\": {\"$param\": "
        "\"m\"}, \"exclude\": [{\"$param\": \"x\"}, \"b\"]}",
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
          "/variant", "no variant \"x\"", "mergekit, " },
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
        cmocka_unit_test(test_equal_slices_have_one_form),
        cmocka_unit_test(test_defaults_fill_what_filters_leave_open),
        cmocka_unit_test(
            test_fusable_numbers_are_named_where_the_form_has_them),
        cmocka_unit_test(test_the_keys_are_those_of_the_tables),
        cmocka_unit_test(test_a_form_is_its_own_form),
        cmocka_unit_test(test_only_what_draws_has_a_seed),
        cmocka_unit_test(test_problems_have_place_and_suggestion),
        cmocka_unit_test(test_resolved_parameters_are_checked_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
