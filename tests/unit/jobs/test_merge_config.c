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

/* Messages as a worker would log them, for parameters that no check of a file
 * has seen. */
static void test_faults_are_told_in_words(void **state)
{
    static const struct {
        const char *text, *words;
    } rows[] = {
        { "{" AB "}", "there is no merge_method" },
        { "{\"merge_method\": \"tise\", " AB "}",
          "unknown merge_method \"tise\"" },
        { "{\"merge_method\": \"ties\", \"variant\": \"x\", " AB "}",
          "ties has no variant \"x\"; mergekit" },
        { "{\"merge_method\": \"ties\", " AB "}", "ties needs a base_model" },
        { "{\"merge_method\": \"linear\"}", "there are no models" },
        { "{\"merge_method\": \"linear\", \"models\": []}",
          "merge /models: linear needs at least 1 model" },
        { "{\"merge_method\": \"linear\", \"models\": [{}]}",
          "models[0] names no model" },
        { "{\"merge_method\": \"ties\", " BASE ", \"models\": "
          "[{\"model\": \"base\"}]}",
          "at least 1 model beside the base" },
        { "{\"merge_method\": \"ties\", " BASE ", " AB "}",
          "merge /models/0: ties needs a weight for each model; add "
          "`weight: 1.0`" },
        { "{\"merge_method\": \"ties\", " BASE ", " AB ", \"parameters\": "
          "{\"weight\": 1, \"density\": 0}}",
          "merge /parameters/density: density of ties must be in (0, 1], not "
          "0" },
        { "{\"merge_method\": \"dare_ties\", " BASE ", " AB ", \"parameters\":"
          " {\"weight\": 1, \"density\": 1.5}}",
          "density of dare_ties must be in [0, 1], not 1.5" },
        { "{\"merge_method\": \"ties\", " BASE ", " AB ", \"parameters\": "
          "{\"weight\": [1, \"x\"]}}",
          "merge /parameters/weight/1: a number is needed here" },
        { "{\"merge_method\": \"ties\", " BASE ", " AB ", \"parameters\": "
          "{\"weight\": {\"$param\": \"w\"}}}",
          "merge /parameters/weight: a number is needed here" },
        { "{\"merge_method\": \"ties\", " BASE ", " AB ", \"parameters\": "
          "{\"weight\": 1, \"normalize\": 1}}",
          "merge /parameters/normalize: true or false is needed here" },
        { "{\"merge_method\": \"pcb\", " BASE ", " AB ", \"parameters\": "
          "{\"ratio\": [0.1, 0.2]}}",
          "takes one number" },
        { "{\"merge_method\": \"dare_linear\", " BASE ", " AB ", "
          "\"parameters\": {\"weight\": 1, \"rescale_rule\": \"l3\"}}",
          "rescale_rule \"l3\" is not known; paper, l1 or none" },
        { "{\"merge_method\": \"dare_pcb\", " BASE ", " AB ", "
          "\"parameters\": {\"rescale_rule\": \"l1\"}}",
          "use paper or none" },
        { "{\"merge_method\": \"dare_linear\", " BASE ", " AB ", "
          "\"parameters\": {\"weight\": 1}, \"seed\": -1}",
          "seed is -1" },
        { "{\"merge_method\": \"linear\", " AB ", \"dtype\": \"int8\"}",
          "dtype \"int8\" is not one of" },
        { "{\"merge_method\": \"linear\", " AB ", \"exclude\": [1]}",
          "exclude is a list of at most 256 parts of names" },
        { "{\"merge_method\": \"linear\", " AB
          ", \"on_shape_mismatch\": \"x\"}",
          "on_shape_mismatch \"x\" is not known; error, submatrix or skip" },
        { "{\"merge_method\": \"linear\", " AB ", \"tokenizer_source\": \"c\"}",
          "tokenizer_source c is no model of this merge" },
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

/* The step of a tensor outside of layers. */
static struct status first_step(const struct merge_config *config,
                                struct merge_step *ret_step)
{
    struct merge_slice slice;

    merge_config_slice(config, 0, &slice);
    return merge_config_step(config, &slice, depth_place("x", 0), ret_step);
}

static void test_weights_that_cancel_cannot_be_normalized(void **state)
{
    const char *text = "{\"merge_method\": \"linear\", \"models\": "
                       "[{\"model\": \"a\", \"parameters\": {\"weight\": 1}}, "
                       "{\"model\": \"b\", \"parameters\": "
                       "{\"weight\": -1}}]}";
    struct merge_config config;
    struct merge_step step;
    json_t *json;

    (void)state;
    assert_ok(read_text(text, &json, &config));
    assert_fails(first_step(&config, &step), STATUS_INVALID,
                 "the weights add up to 0");
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
    struct merge_step step;
    json_t *json;

    (void)state;
    assert_ok(read_text(text, &json, &config));
    assert_ok(first_step(&config, &step));
    assert_int_equal(config.count, 2);
    assert_true(step.values.number[MERGE_WEIGHT][0] == 2.0 &&
                step.values.number[MERGE_WEIGHT][1] == 3.0);
    assert_true(step.values.number[MERGE_DENSITY][1] == 1.0 &&
                step.values.number[MERGE_LAMBDA][0] == 0.5);
    assert_true(step.normalize);
    assert_true(config.has_dtype && config.dtype == DTYPE_BF16);
    assert_int_equal(config.rescale, MERGE_RESCALE_NONE);
    json_decref(json);
}

/* A filter that does not fit leaves it to the level above; so does a slice. */
static void test_levels_are_asked_one_after_the_other(void **state)
{
    static const struct {
        const char *tensor;
        double t, weight;
        bool normalize;
    } rows[] = {
        { "a.mlp.w", 0.0, 1.0, true },
        { "a.attn.w", 0.0, 2.0, true },
        { "a.norm.w", 0.5, 4.0, false },
        { "a.norm.w", 1.0, 5.0, false },
    };
    const char *text =
        "{\"merge_method\": \"linear\", \"slices\": [{\"sources\": [{\"model\":"
        " \"a\", \"layer_range\": [2, 4], \"parameters\": {\"weight\": "
        "[{\"filter\": \"mlp\", \"value\": 1}]}}], \"parameters\": "
        "{\"weight\": "
        "[{\"filter\": \"attn\", \"value\": 2}], \"normalize\": [{\"filter\": "
        "\"norm\", \"value\": false}]}}], \"parameters\": {\"weight\": [3, "
        "5]}}";
    struct merge_config config;
    struct merge_slice slice;
    json_t *json;

    (void)state;
    assert_ok(read_text(text, &json, &config));
    assert_int_equal(merge_config_slices(&config), 1);
    merge_config_slice(&config, 0, &slice);
    assert_int_equal(slice.sources[0].from, 2);
    assert_int_equal(slice.sources[0].end, 4);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct depth_place place = { rows[i].tensor, rows[i].t };
        struct merge_step step;

        assert_ok(merge_config_step(&config, &slice, place, &step));
        assert_true(step.values.number[MERGE_WEIGHT][0] == rows[i].weight);
        assert_int_equal(step.normalize, rows[i].normalize);
    }
    json_decref(json);
}

/* With digests and a version or without, a model has the same mask. */
static void test_a_mask_does_not_hang_on_digests(void **state)
{
    static const char *const sources[] = {
        "{\"url\": \"http://x/a\"}",
        "{\"url\": \"http://x/a\", \"sha256\": {\"a\": \"00\"}}",
        "{\"url\": \"http://x/a\", \"sha256\": {\"a\": \"11\"}}",
        "{\"url\": \"http://x/a\", \"version\": \"2\"}",
        "{\"url\": \"http://x/b\"}",
    };
    uint32_t streams[COUNT_OF(sources)][2];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sources); i++) {
        struct merge_config config;
        char text[1024];
        json_t *json;

        (void)snprintf(text, sizeof text,
                       "{\"merge_method\": \"dare_linear\", " BASE
                       ", \"parameters\": {\"weight\": 1}, \"models\": "
                       "[{\"model\": {\"$source\": %s}}, {\"model\": "
                       "{\"$recipe\": {\"kind\": \"merge\", \"params\": "
                       "{\"base_model\": {\"$source\": %s}}}}}]}",
                       sources[i], sources[i]);
        assert_ok(read_text(text, &json, &config));
        memcpy(streams[i], config.streams, sizeof streams[i]);
        json_decref(json);
    }
    for (size_t k = 0; k < 2; k++) {
        assert_int_equal(streams[0][k], streams[1][k]);
        assert_int_equal(streams[0][k], streams[2][k]);
        assert_int_equal(streams[0][k], streams[3][k]);
        assert_int_not_equal(streams[0][k], streams[4][k]);
    }
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
        assert_int_equal(m->counts != NULL, m->survey != NULL);
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
        cmocka_unit_test(test_levels_are_asked_one_after_the_other),
        cmocka_unit_test(test_a_mask_does_not_hang_on_digests),
        cmocka_unit_test(test_what_a_drop_rescales_by),
        cmocka_unit_test(test_labels_name_what_people_know),
        cmocka_unit_test(test_every_row_of_the_table_is_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
