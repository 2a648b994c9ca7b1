/* The compiler of sweep files with a small catalog that has every type of
 * key; messages of broken files are in tests/contract/test_spec_errors.c. */
#include "tests/support/test.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "sweep/compiled.h"
#include "sweep/problem.h"
#include "sweep/spec.h"

static const char *const colours[] = { "red", "blue", NULL };

static const struct catalog_key inner_keys[] = {
    { .name = "a", .type = KEY_INTEGER, .least = 1, .most = 9 },
    { .name = "b", .type = KEY_TEXT, .otherwise = "\"none\"" },
    { .name = NULL },
};
static const struct catalog_key text_row[] = {
    { .name = "*", .type = KEY_TEXT },
    { .name = NULL },
};
static const struct catalog_key model_row[] = {
    { .name = "*", .type = KEY_MODEL },
    { .name = NULL },
};
static const struct catalog_key data_keys[] = {
    { .name = "task", .type = KEY_TEXT, .required = true },
    { .name = NULL },
};

static const struct catalog_key make_keys[] = {
    { .name = "colour", .type = KEY_WORD, .words = colours },
    { .name = "text", .type = KEY_TEXT },
    { .name = "count", .type = KEY_INTEGER, .least = 0, .most = 100 },
    { .name = "number", .type = KEY_NUMBER },
    { .name = "flag", .type = KEY_BOOL },
    { .name = "time", .type = KEY_DURATION },
    { .name = "size", .type = KEY_BYTES },
    { .name = "model", .type = KEY_MODEL },
    { .name = "models", .type = KEY_LIST, .keys = model_row },
    { .name = "data", .type = KEY_DATA, .keys = data_keys },
    { .name = "map", .type = KEY_MAP, .keys = inner_keys },
    { .name = "names", .type = KEY_MAP_OF, .keys = text_row },
    { .name = "list", .type = KEY_LIST, .keys = text_row },
    { .name = "depth", .type = KEY_DEPTH, .least = 0, .most = 1 },
    { .name = "any", .type = KEY_ANY },
    { .name = "rate", .type = KEY_NUMBER, .otherwise = "0.5" },
    { .name = NULL },
};

static const char *const make_structural[] = { "colour", NULL };

/* Blue has no count; a count of 13 brings bad luck. */
static bool make_normalise(json_t *body, struct catalog_problem *wrong)
{
    if (json_int_or(body, "count", 0) == 13) {
        (void)snprintf(wrong->path, sizeof wrong->path, "/count");
        (void)snprintf(wrong->message, sizeof wrong->message, "bad luck");
        return false;
    }
    if (strcmp(json_text_or(body, "colour", ""), "blue") == 0)
        (void)json_object_del(body, "count");
    return true;
}

static json_t *score_metrics(const json_t *body)
{
    (void)body;
    return json_pack("[s, s]", "score", "loss");
}

static const struct catalog_key score_keys[] = {
    { .name = "model", .type = KEY_MODEL, .required = true },
    { .name = "limit", .type = KEY_INTEGER },
    { .name = NULL },
};

static int64_t make_memory(const json_t *params)
{
    return 1000 * json_int_or(params, "count", 0);
}

static const struct catalog_kind make = {
    .name = "make",
    .example = "",
    .sort = STAGE_ARTIFACT,
    .keys = make_keys,
    .structural = make_structural,
    .normalise = make_normalise,
    .memory = make_memory,
};
/* Whatever stands under `list` or at `number`. */
static json_t *mix_fusable(const json_t *body)
{
    json_t *places = json_pack("[s]", "/number");
    const json_t *list = json_object_get(body, "list");

    for (size_t i = 0; i < json_array_size(list); i++)
        (void)json_array_append_new(places, json_sprintf("/list/%zu", i));
    return places;
}

static const struct catalog_kind mix = {
    .name = "mix",
    .example = "",
    .sort = STAGE_LAZY,
    .keys = make_keys,
    .structural = make_structural,
    .fusable = mix_fusable,
};
static const struct catalog_kind score = {
    .name = "evaluate.score",
    .example = "",
    .sort = STAGE_VALUE,
    .keys = score_keys,
    .metrics = score_metrics,
};
static const struct catalog_kind *const kinds[] = { &make, &mix, &score, NULL };
static const struct catalog catalog = { .kinds = kinds };

enum { MOST_SETS = 4 };

static struct status compile(const char *text, const char *const *sets,
                             json_t **ret_document,
                             struct spec_problems *problems)
{
    struct spec_override overrides[MOST_SETS] = { { NULL } };
    struct spec_input input = { .file = "t.yaml",
                                .text = text,
                                .size = strlen(text),
                                .directory = "/data/here",
                                .overrides = overrides };

    while (sets != NULL && sets[input.override_count] != NULL) {
        overrides[input.override_count].text = sets[input.override_count];
        input.override_count++;
    }
    return spec_compile(&input, &catalog, ret_document, problems);
}

static json_t *good(const char *text, const char *const *sets)
{
    struct spec_problems problems;
    json_t *document = NULL;

    assert_ok(compile(text, sets, &document, &problems));
    return document;
}

/* The member at a path such as "stages/0/variants/0/params", canonical. */
static char *at(const json_t *json, const char *path)
{
    AUTO(free_pointer) char *copy = xstrdup(path);
    char *rest = copy;

    for (char *part; json != NULL && (part = strsep(&rest, "/")) != NULL;)
        json = json_is_array(json)
                   ? json_array_get(json, (size_t)strtoul(part, NULL, 10))
                   : json_object_get(json, part);
    return json == NULL ? xstrdup("absent") : json_canonical(json);
}

static void expect_at(const json_t *json, const char *path,
                      const char *expected)
{
    AUTO(free_pointer) char *text = at(json, path);

    assert_string_equal(text, expected);
}

#define PARAMS "stages/0/variants/0/params/"

struct row {
    const char *yaml; /* a line of the body */
    const char *key;
    const char *json; /* what the job gets */
};

static const struct row plain_rows[] = {
    { "colour: red", "colour", "\"red\"" },
    { "text: 12", "text", "\"12\"" },
    { "text: true", "text", "\"true\"" },
    { "text: a$$b", "text", "\"a$b\"" },
    { "text: ^x([0-9])$", "text", "\"^x([0-9])$\"" },
    { "text: ${out}/x", "text", "\"${out}/x\"" },
    { "count: 1e1", "count", "10" },
    { "number: 2", "number", "2" },
    { "flag: true", "flag", "true" },
    { "time: 20m", "time", "1200000" },
    { "size: 5KiB", "size", "5120" },
    { "model: ./m", "model",
      "{\"$source\":{\"url\":\"file:///data/here/m\"}}" },
    { "model: ../m/", "model", "{\"$source\":{\"url\":\"file:///data/m\"}}" },
    { "model: file:///a/./b", "model",
      "{\"$source\":{\"url\":\"file:///a/b\"}}" },
    { "models: [known, 'https://h/x']", "models",
      "[{\"$source\":{\"url\":\"http://h/known/\"}},"
      "{\"$source\":{\"url\":\"https://h/x\"}}]" },
    { "models: [org/a, org/b@v1.0, hf://a/b@main, 's3://c/d']", "models",
      "[{\"$source\":{\"url\":\"hf://org/a\"}},"
      "{\"$source\":{\"url\":\"hf://org/b@v1.0\"}},"
      "{\"$source\":{\"url\":\"hf://a/b@main\"}},"
      "{\"$source\":{\"url\":\"s3://c/d\"}}]" },
    { "data: {task: sort}", "data", "{\"task\":\"sort\"}" },
    { "data: known", "data", "{\"$source\":{\"url\":\"http://h/known/\"}}" },
    { "map: {a: 3}", "map", "{\"a\":3,\"b\":\"none\"}" },
    { "names: {x: 1, y: z}", "names", "{\"x\":\"1\",\"y\":\"z\"}" },
    { "list: [a, 2]", "list", "[\"a\",\"2\"]" },
    { "depth: 0.5", "depth", "0.5" },
    { "depth: [0, 0.5, 1]", "depth", "[0,0.5,1]" },
    { "depth: [{filter: mlp, value: 0.2}, {value: 1}]", "depth",
      "[{\"filter\":\"mlp\",\"value\":0.2},{\"value\":1}]" },
    { "any: {a: [1, {b: c}]}", "any", "{\"a\":[1,{\"b\":\"c\"}]}" },
    { "text: x", "rate", "0.5" },
};

static void test_every_type_of_key_gives_its_json(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(plain_rows); i++) {
        AUTO(free_pointer)
        char *yaml = xasprintf("sinter: 1\nsources: {known: http://h/known/}\n"
                               "make:\n  %s\n",
                               plain_rows[i].yaml);
        AUTO(free_pointer)
        char *path = xasprintf(PARAMS "%s", plain_rows[i].key);
        json_t *document = good(yaml, NULL);

        expect_at(document, path, plain_rows[i].json);
        json_decref(document);
    }
}

static const struct row reference_rows[] = {
    { "text: $w", "text", "{\"$text\":[{\"$param\":\"w\"}]}" },
    { "text: \"${w}\"", "text", "{\"$text\":[{\"$param\":\"w\"}]}" },
    { "text: a-${w}-b", "text",
      "{\"$text\":[\"a-\",{\"$param\":\"w\"},\"-b\"]}" },
    { "colour: red\n  count: $n", "count", "{\"$param\":\"n\"}" },
    { "number: $w", "number", "{\"$param\":\"w\"}" },
    { "number: $half", "number", "{\"$param\":\"half\"}" },
    { "depth: [$w, 1]", "depth", "[{\"$param\":\"w\"},1]" },
    { "any: {x: $w, y: [$n]}", "any",
      "{\"x\":{\"$param\":\"w\"},\"y\":[{\"$param\":\"n\"}]}" },
    { "number: $seed", "number", "{\"$param\":\"seed\"}" },
};

static void test_references_stay_open_where_they_can(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(reference_rows); i++) {
        AUTO(free_pointer)
        char *yaml =
            xasprintf("sinter: 1\nmake:\n  %s\n  names: {x: $w, y: $n, z: "
                      "$half}\nparameters: {w: "
                      "[0.1, 0.2], n: [1, 2]}\nderive: {half: w / 2}\n",
                      reference_rows[i].yaml);
        AUTO(free_pointer)
        char *path = xasprintf(PARAMS "%s", reference_rows[i].key);
        json_t *document;

        document = good(yaml, NULL);
        expect_at(document, path, reference_rows[i].json);
        json_decref(document);
    }
}

static void test_values_that_decide_make_variants(void **state)
{
    json_t *document =
        good("sinter: 1\n"
             "sources: {a: http://h/a, b: http://h/b}\n"
             "make: {colour: $c, model: $m, time: $t, count: 5}\n"
             "parameters: {c: [red, blue], m: [a, b], t: [1m]}\n",
             NULL);

    (void)state;
    expect_at(document, "stages/0/variants/4", "absent");
    expect_at(document, "stages/0/variants/0/when",
              "{\"c\":\"red\",\"m\":\"a\"}");
    expect_at(document, PARAMS "model",
              "{\"$source\":{\"url\":\"http://h/a\"}}");
    expect_at(document, PARAMS "time", "60000");
    expect_at(document, PARAMS "count", "5");
    /* normalise() ran on the variant. */
    expect_at(document, "stages/0/variants/2/when",
              "{\"c\":\"blue\",\"m\":\"a\"}");
    expect_at(document, "stages/0/variants/2/params/count", "absent");
    /* memory() of the largest job. */
    expect_at(document, "stages/0/memory", "5000");
    json_decref(document);
}

static void test_parameters_of_other_cases_leave_the_body(void **state)
{
    json_t *document = good("sinter: 1\n"
                            "make: {colour: $c, count: $n, number: $w}\n"
                            "cases:\n"
                            "  one: {set: {c: red}, parameters: {n: [1, 2]}}\n"
                            "  two: {set: {c: blue}, parameters: {w: [0.5]}}\n",
                            NULL);

    (void)state;
    expect_at(document, "stages/0/variants/0/params",
              "{\"colour\":\"red\",\"count\":{\"$param\":\"n\"},\"rate\":0.5}");
    expect_at(
        document, "stages/0/variants/1/params",
        "{\"colour\":\"blue\",\"number\":{\"$param\":\"w\"},\"rate\":0.5}");
    json_decref(document);
}

static void test_absent_deciders_come_last(void **state)
{
    json_t *document = good("sinter: 1\n"
                            "make: {colour: $c, number: $w}\n"
                            "parameters: {w: [1, 2]}\n"
                            "cases:\n"
                            "  one: {set: {c: red}}\n"
                            "  two: {}\n",
                            NULL);

    (void)state;
    expect_at(document, "stages/0/variants/0/when", "{\"c\":\"red\"}");
    expect_at(document, "stages/0/variants/1/when", "{}");
    expect_at(document, "stages/0/variants/1/params/colour", "absent");
    json_decref(document);
}

static void test_evaluators_get_the_last_stage_and_formulas_their_order(
    void **state)
{
    json_t *document =
        good("sinter: 1\n"
             "stages:\n"
             "  first: {make: {text: a}}\n"
             "  last: {make: {model: $stages.first.model}}\n"
             "evaluate:\n"
             "  sum: {expr: double.value + s.loss}\n"
             "  double: {expr: 2 * s.score}\n"
             "  s: {builtin: score, limit: 5}\n"
             "  t: {builtin: score, model: $stages.first.model}\n"
             "objective: {metric: sum.value, goal: minimize}\n",
             NULL);

    (void)state;
    expect_at(document, "evaluate/0/name", "\"s\"");
    expect_at(document, "evaluate/0/variants/0/params",
              "{\"limit\":5,\"model\":{\"$stage\":\"last\"}}");
    expect_at(document, "evaluate/1/name", "\"double\"");
    expect_at(document, "evaluate/2/name", "\"sum\"");
    expect_at(document, "evaluate/3/variants/0/params/model",
              "{\"$stage\":\"first\"}");
    json_decref(document);
}

/* Only places that vary are worth a word, and each variant has its own. */
static void test_places_that_can_be_fused_are_listed(void **state)
{
    json_t *document =
        good("sinter: 1\n"
             "parameters: {c: [red, blue], n: [1, 2], t: [a, b]}\n"
             "mix: {colour: $c, number: $n, list: [x, $t, z], rate: $n}\n",
             NULL);
    json_t *fixed = good("sinter: 1\n"
                         "mix: {number: 1, list: [x]}\n",
                         NULL);

    (void)state;
    expect_at(document, "stages/0/variants/0/fuse",
              "[\"/number\",\"/list/1\"]");
    expect_at(document, "stages/0/variants/1/fuse",
              "[\"/number\",\"/list/1\"]");
    expect_at(fixed, "stages/0/variants/0/fuse", "absent");
    json_decref(document);
    json_decref(fixed);
}

static void test_fixed_sections_are_written_in_plain_units(void **state)
{
    json_t *document =
        good("sinter: 1\nname: all\npriority: -5\nmake: {number: $w}\n"
             "parameters: {w: {from: 1, to: 3, count: 3}}\n"
             "strategy: random\nreplicates: {count: 2, seeds: [7, 8]}\n"
             "limits: {trials: 9, time: 1h, trial_time: 90s, failures: 0}\n"
             "retries: {max: 1, backoff: 2s}\nresources: {memory: 1MiB}\n"
             "outputs: {keep: top 3, to: \"./x/${sweep}\", shard_size: 1GiB}\n"
             "x-anything: [1, 2]\n",
             NULL);

    (void)state;
    expect_at(document, "priority", "-5");
    expect_at(document, "limits",
              "{\"failures\":0,\"time_ms\":3600000,\"trial_time_ms\":90000,"
              "\"trials\":9}");
    expect_at(document, "retries", "{\"backoff_ms\":2000,\"max\":1}");
    expect_at(document, "outputs",
              "{\"count\":3,\"keep\":\"top\",\"shard_size\":1073741824,"
              "\"to\":\"./x/${sweep}\"}");
    expect_at(document, "replicates", "{\"count\":2,\"seeds\":[7,8]}");
    expect_at(document, "stages/0/memory", "1048576");
    expect_at(document, "stages/0/limit_ms", "90000");
    expect_at(document, "x-anything", "absent");
    json_decref(document);
}

static void test_resources_reach_every_job_and_no_parameter(void **state)
{
    static const char file[] = "sinter: 1\nname: all\nmake: {number: 1}\n";
    AUTO(free_pointer)
    char *text = xasprintf("%sweight: 2.5\nresources: {memory: 1MiB, cpus: 4, "
                           "gpus: 2, labels: {zone: a, disk: ssd}}\n",
                           file);
    json_t *plain = good(file, NULL);
    json_t *document = good(text, NULL);
    json_t *zero = good("sinter: 1\nname: z\nmake: {number: 1}\n"
                        "resources: {memory: 0, gpus: 0}\n",
                        NULL);
    json_t *variants = json_object_get(
        json_array_get(json_object_get(plain, "stages"), 0), "variants");

    (void)state;
    expect_at(document, "weight", "2.5");
    expect_at(document, "stages/0/memory", "1048576");
    expect_at(document, "stages/0/cpus", "4");
    expect_at(document, "stages/0/gpus", "absent");
    expect_at(document, "stages/0/labels",
              "{\"disk\":\"ssd\",\"gpus\":\"2\",\"zone\":\"a\"}");
    assert_true(json_equal(
        variants,
        json_object_get(json_array_get(json_object_get(document, "stages"), 0),
                        "variants")));
    expect_at(zero, "stages/0/labels", "absent");
    expect_at(zero, "stages/0/cpus", "absent");
    json_decref(zero);
    json_decref(document);
    json_decref(plain);
}

static void test_overrides_change_what_they_name(void **state)
{
    static const char *const sets[] = { "w=[5, 6]", "strategy.method=random",
                                        "name=other", NULL };
    json_t *document =
        good("sinter: 1\nname: mine\nmake: {number: $w, text: $v}\n"
             "vars: {v: x}\nparameters: {w: [1]}\n",
             sets);

    (void)state;
    expect_at(document, "parameters/0/values", "[5,6]");
    expect_at(document, "strategy/method", "\"random\"");
    expect_at(document, "name", "\"other\"");
    expect_at(document, PARAMS "text", "\"x\"");
    json_decref(document);
}

static void test_the_name_is_that_of_the_file_if_not_given(void **state)
{
    json_t *document = good("sinter: 1\nmake: {text: a}\n", NULL);

    (void)state;
    expect_at(document, "name", "\"t\"");
    json_decref(document);
}

static void test_random_over_intervals_takes_trials_from_limits(void **state)
{
    json_t *document = good(
        "sinter: 1\nmake: {number: $w}\nparameters: {w: {min: 0, max: 1}}\n"
        "strategy: random\nlimits: {trials: 10}\nreplicates: 3\n",
        NULL);

    (void)state;
    expect_at(document, "strategy/trials", "4"); /* points: 10 / 3, up */
    json_decref(document);
}

static void test_distributions_mean_what_wandb_means(void **state)
{
    json_t *document =
        good("sinter: 1\nmake: {number: $w, count: $n}\nparameters:\n"
             "  w: {distribution: log_uniform_values, min: 1e-6, max: 1.0}\n"
             "  n: {distribution: int_uniform, min: 1, max: 9}\n"
             "strategy: {method: random, trials: 3}\n",
             NULL);

    (void)state;
    expect_at(document, "parameters/0/scale", "\"log\"");
    expect_at(document, "parameters/1/scale", "\"linear\"");
    json_decref(document);
}

static void test_problems_beyond_twenty_are_counted(void **state)
{
    char text[8192] = "sinter: 1\nmake:\n";
    size_t used = strlen(text);
    struct spec_problems problems;
    json_t *document = NULL;

    (void)state;
    for (int i = 0; i < 30; i++)
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "  wrong%d: 1\n", i);
    assert_fails(compile(text, NULL, &document, &problems), STATUS_INVALID,
                 "has no meaning here");
    assert_int_equal(problems.count, SPEC_PROBLEMS);
    assert_int_equal(problems.more, 10);
}

static void test_any_number_of_warnings_is_no_error(void **state)
{
    char text[8192] = "sinter: 1\nmake: {text: a}\nsources:\n";
    size_t used = strlen(text);
    struct spec_problems problems;
    json_t *document = NULL;

    (void)state;
    for (int i = 0; i < 30; i++)
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "  spare%d: ./x\n", i);
    assert_ok(compile(text, NULL, &document, &problems));
    assert_int_equal(problems.count, SPEC_PROBLEMS);
    assert_int_equal(problems.more, 10);
    json_decref(document);
}

static void test_variables_that_double_are_stopped(void **state)
{
    char text[8192] = "sinter: 1\nmake: {any: $v39}\nvars:\n  v0: [x, x]\n";
    size_t used = strlen(text);
    struct spec_problems problems;
    json_t *document = NULL;

    (void)state;
    for (int i = 1; i < 40; i++)
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "  v%d: [$v%d, $v%d]\n", i, i - 1, i - 1);
    assert_fails(compile(text, NULL, &document, &problems), STATUS_INVALID,
                 "too many nodes");
    used = (size_t)snprintf(text, sizeof text,
                            "sinter: 1\nmake: {text: $v39}\nvars:\n  v0: "
                            "0123456789\n");
    for (int i = 1; i < 40; i++)
        used += (size_t)snprintf(text + used, sizeof text - used,
                                 "  v%d: ${v%d}${v%d}\n", i, i - 1, i - 1);
    assert_fails(compile(text, NULL, &document, &problems), STATUS_INVALID,
                 "1 MiB");
}

/* docs/errors.md has a section for each code, and none for others. */
static void test_every_code_is_documented(void **state)
{
    size_t sections = 0;
    FILE *in = fopen(TEST_DATA "/../docs/errors.md", "r");
    char line[512];

    (void)state;
    assert_non_null(in);
    while (fgets(line, sizeof line, in) != NULL) {
        bool known = strncmp(line, "### ", 4) != 0;

        sections += known ? 0 : 1;
        for (size_t i = 0; i < PROBLEM_COUNT && !known; i++)
            known = strncmp(line + 4, problem_rows[i].code, 4) == 0 &&
                    strstr(line, problem_rows[i].meaning) != NULL;
        if (!known)
            fail_msg("docs/errors.md: %s is not in the table", line);
    }
    (void)fclose(in);
    assert_int_equal(sections, PROBLEM_COUNT);
}

static void test_codes_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < PROBLEM_COUNT; i++) {
        assert_int_equal(problem_rows[i].warning,
                         problem_rows[i].code[0] == 'W');
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(problem_rows[i].code, problem_rows[j].code);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type_of_key_gives_its_json),
        cmocka_unit_test(test_references_stay_open_where_they_can),
        cmocka_unit_test(test_values_that_decide_make_variants),
        cmocka_unit_test(test_parameters_of_other_cases_leave_the_body),
        cmocka_unit_test(test_absent_deciders_come_last),
        cmocka_unit_test(
            test_evaluators_get_the_last_stage_and_formulas_their_order),
        cmocka_unit_test(test_places_that_can_be_fused_are_listed),
        cmocka_unit_test(test_fixed_sections_are_written_in_plain_units),
        cmocka_unit_test(test_resources_reach_every_job_and_no_parameter),
        cmocka_unit_test(test_overrides_change_what_they_name),
        cmocka_unit_test(test_the_name_is_that_of_the_file_if_not_given),
        cmocka_unit_test(test_random_over_intervals_takes_trials_from_limits),
        cmocka_unit_test(test_distributions_mean_what_wandb_means),
        cmocka_unit_test(test_problems_beyond_twenty_are_counted),
        cmocka_unit_test(test_any_number_of_warnings_is_no_error),
        cmocka_unit_test(test_variables_that_double_are_stopped),
        cmocka_unit_test(test_every_code_is_documented),
        cmocka_unit_test(test_codes_are_unique),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
