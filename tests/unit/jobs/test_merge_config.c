#include "support/test.h"

#include "jobs/merge/merge_config.h"

#define AB   "\"models\": [{\"model\": \"a\"}, {\"model\": \"b\"}]"
#define BASE "\"base_model\": \"base\""

static struct status read_text(const char *text, json_t **ret_json,
                               struct merge_config *ret_config)
{
    assert_ok(json_parse(text, strlen(text), "config", ret_json));
    return merge_config_read(*ret_json, ret_config);
}

static void test_faults_are_told_in_words(void **state)
{
    static const struct {
        const char *text, *words;
    } rows[] = {
        { "{" AB "}", "merge_method" },
        { "{\"merge_method\": \"tise\", " AB "}",
          "unknown merge_method \"tise\"" },
        { "{\"merge_method\": \"ties\", \"variant\": \"x\", " AB "}",
          "ties has no variant \"x\"" },
        { "{\"merge_method\": \"ties\", " AB "}", "ties needs a base_model" },
        { "{\"merge_method\": \"linear\"}", "models" },
        { "{\"merge_method\": \"linear\", \"models\": []}", "at least 1" },
        { "{\"merge_method\": \"linear\", \"models\": [{}]}",
          "models[0] names no model" },
        { "{\"merge_method\": \"ties\", " BASE ", \"models\": "
          "[{\"model\": \"base\"}]}",
          "0 models beside the base" },
        { "{\"merge_method\": \"ties\", " BASE ", " AB "}",
          "model a has no weight; add `weight: 1.0`" },
        { "{\"merge_method\": \"ties\", " BASE ", " AB ", \"parameters\": "
          "{\"weight\": 1, \"density\": 0}}",
          "ties: density is 0, it must be in (0, 1]" },
        { "{\"merge_method\": \"dare_ties\", " BASE ", " AB ", \"parameters\":"
          " {\"weight\": 1, \"density\": 1.5}}",
          "density is 1.5, it must be in [0, 1]" },
        { "{\"merge_method\": \"ties\", " BASE ", " AB ", \"parameters\": "
          "{\"weight\": [1, \"x\"]}}",
          "parameter weight/1: a number" },
        { "{\"merge_method\": \"pcb\", " BASE ", " AB ", \"parameters\": "
          "{\"ratio\": [0.1, 0.2]}}",
          "its ratio is one number" },
        { "{\"merge_method\": \"dare_linear\", " BASE ", " AB ", "
          "\"parameters\": {\"weight\": 1, \"rescale_rule\": \"l3\"}}",
          "known: paper, l1, none" },
        { "{\"merge_method\": \"dare_pcb\", " BASE ", " AB ", "
          "\"parameters\": {\"rescale_rule\": \"l1\"}}",
          "use paper or none" },
        { "{\"merge_method\": \"dare_linear\", " BASE ", " AB ", "
          "\"parameters\": {\"weight\": 1}, \"seed\": -1}",
          "seed is -1" },
        { "{\"merge_method\": \"linear\", " AB ", \"dtype\": \"int8\"}",
          "dtype \"int8\" is not one of" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct merge_config config;
        json_t *json;

        assert_fails(read_text(rows[i].text, &json, &config), STATUS_INVALID,
                     rows[i].words);
        json_decref(json);
    }
}

static void test_weights_that_cancel_cannot_be_normalized(void **state)
{
    const char *text = "{\"merge_method\": \"linear\", \"models\": "
                       "[{\"model\": \"a\", \"parameters\": {\"weight\": 1}}, "
                       "{\"model\": \"b\", \"parameters\": "
                       "{\"weight\": -1}}]}";
    struct merge_config config;
    struct merge_values values;
    json_t *json;

    (void)state;
    assert_ok(read_text(text, &json, &config));
    assert_fails(merge_config_values(&config, depth_place("x", 0), &values),
                 STATUS_INVALID, "the weights add up to 0");
    json_decref(json);
}

static void test_a_model_s_own_number_goes_before_the_shared_one(void **state)
{
    const char *text = "{\"merge_method\": \"ties\", " BASE ", \"models\": "
                       "[{\"model\": \"base\"}, {\"model\": \"a\", "
                       "\"parameters\": {\"weight\": 2}}, {\"model\": \"b\"}],"
                       " \"parameters\": {\"weight\": 3, \"lambda\": 0.5}, "
                       "\"dtype\": \"float32\", \"out_dtype\": \"bfloat16\"}";
    struct merge_config config;
    struct merge_values values;
    json_t *json;

    (void)state;
    assert_ok(read_text(text, &json, &config));
    assert_ok(merge_config_values(&config, depth_place("x", 0), &values));
    assert_int_equal(config.count, 2);
    assert_true(values.weight[0] == 2.0 && values.weight[1] == 3.0);
    assert_true(values.density[1] == 1.0 && values.lambda[0] == 0.5);
    assert_true(config.normalize);
    assert_true(config.has_dtype && config.dtype == DTYPE_BF16);
    assert_int_equal(config.rescale, MERGE_RESCALE_NONE);
    json_decref(json);
}

static void test_what_a_drop_rescales_by(void **state)
{
    static const struct {
        const char *parameters;
        enum merge_rescale rule;
    } rows[] = {
        { "\"weight\": 1", MERGE_RESCALE_PAPER },
        { "\"weight\": 1, \"rescale\": false", MERGE_RESCALE_NONE },
        { "\"weight\": 1, \"rescale\": true", MERGE_RESCALE_PAPER },
        { "\"weight\": 1, \"rescale_rule\": \"l1\"", MERGE_RESCALE_L1 },
        { "\"weight\": 1, \"rescale_rule\": \"none\"", MERGE_RESCALE_NONE },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct merge_config config;
        char text[512];
        json_t *json;

        (void)snprintf(text, sizeof text,
                       "{\"merge_method\": \"dare_linear\", " BASE ", " AB
                       ", \"parameters\": {%s}}",
                       rows[i].parameters);
        assert_ok(read_text(text, &json, &config));
        assert_int_equal(config.rescale, rows[i].rule);
        json_decref(json);
    }
}

static void test_labels_name_what_people_know(void **state)
{
    static const struct {
        const char *json, *label;
    } rows[] = {
        { "{\"$source\": {\"url\": \"http://x/m\"}}", "http://x/m" },
        { "{\"$job\": \"0123456789abcdef\"}", "job 01234567" },
        { "{\"$recipe\": {\"kind\": \"merge\", \"params\": {}}}", "a merge" },
    };
    char text[64];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        json_t *json;

        assert_ok(json_parse(rows[i].json, strlen(rows[i].json), "m", &json));
        assert_string_equal(merge_model_label(json, text, sizeof text),
                            rows[i].label);
        json_decref(json);
    }
}

static void test_every_row_of_the_table_is_whole(void **state)
{
    (void)state;
    for (const struct merge_method *m = merge_methods; m->name != NULL; m++) {
        assert_non_null(m->summary);
        assert_non_null(m->formula);
        assert_non_null(m->combine);
        assert_ptr_equal(merge_method_find(m->name, m->variant)->combine,
                         m->combine);
        assert_true(m->least_models >= 1);
        for (const struct merge_use *use = m->uses; use->most > 0.0; use++) {
            assert_true(use->least < use->most);
            assert_in_range(use->parameter, 0, MERGE_PARAMETERS - 1);
            if (!use->required)
                assert_true(use->otherwise >= use->least &&
                            use->otherwise <= use->most);
        }
        if (m->draws)
            assert_non_null(merge_method_use(m, MERGE_DENSITY));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_faults_are_told_in_words),
        cmocka_unit_test(test_weights_that_cancel_cannot_be_normalized),
        cmocka_unit_test(test_a_model_s_own_number_goes_before_the_shared_one),
        cmocka_unit_test(test_what_a_drop_rescales_by),
        cmocka_unit_test(test_labels_name_what_people_know),
        cmocka_unit_test(test_every_row_of_the_table_is_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
