#include "tests/support/test.h"

#include "common/json.h"
#include "common/memory.h"
#include "sweep/compiled.h"

#include <stdlib.h>
#include <string.h>

/* The form of the quickstart: a base, two specialists, a lazy merge in two
 * cases, three evaluators of which one is a formula. */
static const char quickstart[] =
    "{\"sinter\": 1, \"name\": \"quick\","
    " \"parameters\": ["
    "  {\"name\": \"lambda\", \"from\": 0.5, \"to\": 1.5, \"count\": 3},"
    "  {\"name\": \"density\", \"values\": [0.2, 0.5], \"case\": \"dare\"}],"
    " \"cases\": ["
    "  {\"name\": \"task\", \"set\": {\"method\": \"task_arithmetic\"}},"
    "  {\"name\": \"dare\", \"set\": {\"method\": \"dare_linear\"}}],"
    " \"replicates\": {\"count\": 2},"
    " \"stages\": ["
    "  {\"name\": \"base\", \"kind\": \"train\", \"sort\": \"artifact\","
    "   \"variants\": [{\"params\": {\"steps\": 300, \"seed\": 0}}]},"
    "  {\"name\": \"sort\", \"kind\": \"train\", \"sort\": \"artifact\","
    "   \"memory\": 5000000000, \"limit_ms\": 60000,"
    "   \"variants\": [{\"params\": {\"model\": {\"$stage\": \"base\"},"
    "    \"task\": \"sort\"}}]},"
    "  {\"name\": \"spare\", \"kind\": \"train\", \"sort\": \"artifact\","
    "   \"variants\": [{\"params\": {\"steps\": 1}}]},"
    "  {\"name\": \"merged\", \"kind\": \"merge\", \"sort\": \"lazy\","
    "   \"variants\": ["
    "    {\"when\": {\"method\": \"task_arithmetic\"}, \"params\":"
    "     {\"method\": \"task_arithmetic\", \"base\": {\"$stage\": \"base\"},"
    "      \"models\": [{\"$stage\": \"sort\"}], \"lambda\": {\"$param\": "
    "\"lambda\"}}},"
    "    {\"when\": {\"method\": \"dare_linear\"}, \"params\":"
    "     {\"method\": \"dare_linear\", \"base\": {\"$stage\": \"base\"},"
    "      \"models\": [{\"$stage\": \"sort\"}], \"lambda\": {\"$param\": "
    "\"lambda\"}, \"density\": {\"$param\": \"density\"}, \"seed\": "
    "{\"$param\": \"seed\"}}}]}],"
    " \"evaluate\": ["
    "  {\"name\": \"copy\", \"kind\": \"evaluate.accuracy\", \"variants\": "
    "[{\"params\": {\"model\": {\"$stage\": \"merged\"}, \"task\": "
    "\"copy\"}}], \"metrics\": [\"accuracy\", \"loss\"]},"
    "  {\"name\": \"sorting\", \"kind\": \"evaluate.accuracy\", \"variants\": "
    "[{\"params\": {\"model\": {\"$stage\": \"merged\"}, \"task\": "
    "\"sort\", \"note\": {\"$text\": [\"l=\", {\"$param\": \"lambda\"}]}}}],"
    " \"metrics\": [\"accuracy\"]},"
    "  {\"name\": \"mean\", \"expr\": \"(copy.accuracy + sorting.accuracy) / "
    "2\"}],"
    " \"objective\": {\"metric\": \"mean.value\", \"goal\": \"maximize\"},"
    " \"limits\": {\"failures\": 5, \"time_ms\": 1000}, \"retries\": "
    "{\"max\": 1},"
    " \"priority\": 7}";

static struct compiled *parse(const char *json)
{
    struct compiled *c = NULL;

    assert_ok(compiled_parse(json, strlen(json), &c));
    return c;
}

static struct stage_jobs jobs_of(const struct compiled *c, uint64_t trial)
{
    struct stage_jobs jobs;
    json_t *values = NULL;
    bool excluded = true;

    assert_ok(compiled_trial(c, trial, &values, &excluded));
    assert_false(excluded);
    assert_ok(compiled_stages(c, values, &jobs));
    json_decref(values);
    return jobs;
}

static const struct stage_job *find(const struct stage_jobs *jobs,
                                    const char *stage)
{
    for (size_t i = 0; i < jobs->count; i++) {
        if (strcmp(jobs->items[i].stage, stage) == 0)
            return &jobs->items[i];
    }
    return NULL;
}

static bool needs(const struct stage_job *job, const struct stage_job *input)
{
    for (size_t i = 0; i < job->input_count; i++) {
        if (digest_equal(&job->inputs[i], &input->key))
            return true;
    }
    return false;
}

static void test_the_document_is_read_whole(void **state)
{
    struct compiled *c = parse(quickstart);
    struct sweep_limits l = compiled_limits(c);

    (void)state;
    assert_string_equal(compiled_name(c), "quick");
    /* task: 3 lambdas, dare: 3 x 2, two seeds each. */
    assert_int_equal(compiled_trial_count(c), 18);
    assert_int_equal(compiled_replicates(c), 2);
    assert_string_equal(compiled_objective(c).metric, "mean.value");
    assert_true(compiled_objective(c).maximize);
    assert_int_equal(l.failures, 5);
    assert_true(l.trials == UINT64_MAX);
    assert_int_equal(l.time_ms, 1000);
    assert_int_equal(l.retries, 1);
    assert_int_equal(l.backoff_ms, 1000);
    assert_int_equal(l.priority, 7);
    compiled_free(c);
}

static void test_jobs_come_in_order_with_what_they_need(void **state)
{
    struct compiled *c = parse(quickstart);
    struct stage_jobs jobs = jobs_of(c, 2); /* first dare point */
    const struct stage_job *copy = find(&jobs, "copy");

    (void)state;
    assert_int_equal(jobs.count, 4); /* base sort copy sorting */
    assert_string_equal(jobs.items[0].stage, "base");
    assert_string_equal(jobs.items[1].stage, "sort");
    assert_null(find(&jobs, "spare")); /* nothing needs it */
    assert_null(find(&jobs, "merged"));
    assert_int_equal(jobs.items[0].input_count, 0);
    assert_true(needs(&jobs.items[1], &jobs.items[0]));
    assert_int_equal(jobs.items[1].memory_bytes, 5000000000);
    assert_int_equal(jobs.items[1].limit_ms, 60000);
    assert_int_equal(jobs.items[1].sort, STAGE_ARTIFACT);
    assert_int_equal(copy->sort, STAGE_VALUE);
    assert_int_equal(copy->input_count, 2); /* through the recipe, each once */
    assert_true(needs(copy, &jobs.items[0]) && needs(copy, &jobs.items[1]));
    stage_jobs_release(&jobs);
    compiled_free(c);
}

/* The keys of results that farms hold: they change with SWEEP_NUMERICS only. */
static void test_keys_and_parameters_are_what_they_were(void **state)
{
    struct compiled *c = parse(quickstart);
    struct stage_jobs jobs = jobs_of(c, 0);
    char hex[DIGEST_TEXT];

    (void)state;
    digest_to_text(&jobs.items[0].key, hex);
    assert_string_equal(jobs.items[0].params, "{\"seed\":0,\"steps\":300}");
    assert_string_equal(hex, "bae627305398a921440acb123f6fb958"
                             "5dc6d26ddb9a0818216ffc1eb1377c4a");
    digest_to_text(&find(&jobs, "sort")->key, hex);
    assert_string_equal(hex, "b0cae72ab011fd5898bde3d4f72d1ada"
                             "dcd8caea6a56fe32c98fc5b314f4571f");
    digest_to_text(&find(&jobs, "sorting")->key, hex);
    assert_string_equal(hex, "5b88c0bc17bdd01fe9445b54e28cf732"
                             "e29c292a5549b0ace93150484cea20ed");
    assert_string_equal(
        find(&jobs, "sort")->params,
        "{\"model\":{\"$job\":\"bae627305398a921440acb123f6fb958"
        "5dc6d26ddb9a0818216ffc1eb1377c4a\"},\"task\":\"sort\"}");
    stage_jobs_release(&jobs);
    compiled_free(c);
}

static void test_the_key_is_sha256_of_kind_numerics_and_parameters(void **state)
{
    struct digest key = compiled_key("train", "{}");
    struct digest expected = digest_of("sinter-key-1\0train\0002\0{}",
                                       sizeof "sinter-key-1\0train\0002\0{}");

    (void)state;
    assert_true(digest_equal(&key, &expected));
}

static void test_replicates_share_what_draws_nothing(void **state)
{
    struct compiled *c = parse(quickstart);
    struct stage_jobs first = jobs_of(c, 0); /* task, seed 0 */
    struct stage_jobs twin = jobs_of(c, 1);  /* task, seed 1 */
    struct stage_jobs dare = jobs_of(c, 2);  /* dare, seed 0 */
    struct stage_jobs dare_twin = jobs_of(c, 3);

    (void)state;
    assert_true(
        digest_equal(&find(&first, "copy")->key, &find(&twin, "copy")->key));
    assert_false(digest_equal(&find(&dare, "copy")->key,
                              &find(&dare_twin, "copy")->key));
    assert_true(digest_equal(&find(&first, "sort")->key,
                             &find(&dare_twin, "sort")->key));
    stage_jobs_release(&first);
    stage_jobs_release(&twin);
    stage_jobs_release(&dare);
    stage_jobs_release(&dare_twin);
    compiled_free(c);
}

static void test_text_holes_are_joined(void **state)
{
    struct compiled *c = parse(quickstart);
    struct stage_jobs jobs = jobs_of(c, 0);

    (void)state;
    assert_non_null(
        strstr(find(&jobs, "sorting")->params, "\"note\":\"l=0.5\""));
    stage_jobs_release(&jobs);
    compiled_free(c);
}

static void test_values_without_a_variant_are_refused(void **state)
{
    struct compiled *c = parse(quickstart);
    struct stage_jobs jobs;
    json_t *values = json_pack("{s:s}", "method", "slerp");

    (void)state;
    assert_fails(compiled_stages(c, values, &jobs), STATUS_INVALID,
                 "stage merged has no variant");
    json_decref(values);
    compiled_free(c);
}

static void test_absent_parameters_vanish_from_the_body(void **state)
{
    struct compiled *c = parse(
        "{\"sinter\": 1, \"name\": \"n\", \"parameters\": ["
        "{\"name\": \"a\", \"values\": [1], \"when\": \"false\"}],"
        "\"stages\": [{\"name\": \"s\", \"kind\": \"train\", \"sort\": "
        "\"artifact\", \"variants\": [{\"params\": {\"a\": {\"$param\": "
        "\"a\"}, \"b\": [{\"$param\": \"a\"}, 2], \"c\": {\"$text\": [\"x\", "
        "{\"$param\": \"a\"}]}}}]}]}");
    struct stage_jobs jobs = jobs_of(c, 0);

    (void)state;
    /* And the last stage runs although nothing consumes it. */
    assert_int_equal(jobs.count, 1);
    assert_string_equal(jobs.items[0].params, "{\"b\":[2]}");
    stage_jobs_release(&jobs);
    compiled_free(c);
}

static void test_metrics_take_formulas_and_leave_out_what_is_missing(
    void **state)
{
    struct compiled *c = parse(quickstart);
    json_t *results = json_pack("{s:{s:{s:f, s:s}}, s:{s:{s:f}}}", "copy",
                                "metrics", "accuracy", 0.5, "note", "no number",
                                "sorting", "metrics", "accuracy", 1.0);
    json_t *metrics = NULL;

    (void)state;
    assert_ok(compiled_metrics(c, results, &metrics));
    assert_true(json_real_or(metrics, "mean.value", 0.0) == 0.75);
    assert_true(json_real_or(metrics, "copy.accuracy", 0.0) == 0.5);
    assert_null(json_object_get(metrics, "copy.note"));
    json_decref(metrics);
    (void)json_object_del(results, "copy");
    assert_ok(compiled_metrics(c, results, &metrics));
    assert_null(json_object_get(metrics, "mean.value"));
    json_decref(metrics);
    json_decref(results);
    compiled_free(c);
}

static void test_numbers_of_a_stage_are_those_the_document_lists(void **state)
{
    struct compiled *c =
        parse("{\"sinter\": 1, \"name\": \"n\", \"stages\": [{\"name\": \"s\", "
              "\"kind\": \"train\", \"sort\": \"artifact\", \"metrics\": "
              "[\"loss\"], \"variants\": [{\"params\": {}}]}], \"evaluate\": "
              "[{\"name\": \"twice\", \"expr\": \"2 * s.loss\"}]}");
    json_t *results = json_pack("{s:{s:{s:f, s:f}}}", "s", "metrics", "loss",
                                1.5, "steps", 3.0);
    json_t *metrics = NULL;

    (void)state;
    assert_ok(compiled_metrics(c, results, &metrics));
    assert_int_equal(json_object_size(metrics), 2);
    assert_true(json_real_or(metrics, "s.loss", 0.0) == 1.5);
    assert_true(json_real_or(metrics, "twice.value", 0.0) == 3.0);
    json_decref(metrics);
    json_decref(results);
    compiled_free(c);
}

static void test_the_model_of_a_trial_is_its_last_stage(void **state)
{
    struct compiled *c = parse(quickstart);
    json_t *values = NULL;
    json_t *model = NULL;
    bool excluded;

    (void)state;
    assert_ok(compiled_trial(c, 5, &values, &excluded));
    assert_ok(compiled_model(c, values, &model));
    assert_string_equal(
        json_text_or(json_object_get(model, "$recipe"), "kind", ""), "merge");
    json_decref(model);
    json_decref(values);
    compiled_free(c);
}

static void test_an_export_shares_all_jobs_and_adds_one(void **state)
{
    struct compiled *c = parse(quickstart);
    struct stage_jobs trial = jobs_of(c, 9);
    struct stage_jobs jobs;
    struct compiled *exported = NULL;
    json_t *values = NULL;
    json_t *document = NULL;
    char *text;
    bool excluded;

    (void)state;
    assert_ok(compiled_trial(c, 9, &values, &excluded));
    assert_ok(compiled_export_document(c, values, 1 << 20, &document));
    text = json_canonical(document);
    exported = parse(text);
    assert_string_equal(compiled_name(exported), "quick-export");
    assert_true(json_bool_or(compiled_document(exported), "hidden", false));
    assert_int_equal(compiled_trial_count(exported), 1);
    jobs = jobs_of(exported, 0);
    assert_int_equal(jobs.count, 3);
    assert_true(digest_equal(&jobs.items[0].key, &trial.items[0].key));
    assert_true(digest_equal(&jobs.items[1].key, &trial.items[1].key));
    assert_string_equal(jobs.items[2].kind, "export");
    assert_non_null(strstr(jobs.items[2].params, "\"shard_size\":1048576"));
    /* It exports the very model the trial's evaluators saw. */
    {
        json_t *model = NULL;
        char *recipe;

        assert_ok(compiled_model(c, values, &model));
        recipe = json_canonical(model);
        assert_non_null(strstr(jobs.items[2].params, recipe));
        free(recipe);
        json_decref(model);
    }
    stage_jobs_release(&jobs);
    stage_jobs_release(&trial);
    compiled_free(exported);
    free(text);
    json_decref(document);
    json_decref(values);
    compiled_free(c);
}

/* Two evaluators of a merge of a merge; lambda is fused in the outer one,
 * density in the inner one, norm nowhere. */
static const char fused[] =
    "{\"sinter\": 1, \"name\": \"fused\","
    " \"parameters\": ["
    "  {\"name\": \"lambda\", \"values\": [1, 2]},"
    "  {\"name\": \"density\", \"values\": [0.1, 0.2]},"
    "  {\"name\": \"norm\", \"values\": [false, true]}],"
    " \"stages\": ["
    "  {\"name\": \"inner\", \"kind\": \"merge\", \"sort\": \"lazy\","
    "   \"variants\": [{\"params\": {\"models\": [{\"d\": {\"$param\": "
    "\"density\"}}]}, \"fuse\": [\"/models/0/d\"]}]},"
    "  {\"name\": \"outer\", \"kind\": \"merge\", \"sort\": \"lazy\","
    "   \"variants\": [{\"params\": {\"base\": {\"$stage\": \"inner\"},"
    "    \"lambda\": [{\"$param\": \"lambda\"}, 0], \"norm\": {\"$param\": "
    "\"norm\"}}, \"fuse\": [\"/lambda\"]}]}],"
    " \"evaluate\": ["
    "  {\"name\": \"a\", \"kind\": \"evaluate.accuracy\", \"variants\": "
    "[{\"params\": {\"model\": {\"$stage\": \"outer\"}, \"note\": "
    "{\"$param\": \"lambda\"}}}], \"metrics\": [\"x\"]},"
    "  {\"name\": \"b\", \"kind\": \"evaluate.noop\", \"variants\": "
    "[{\"params\": {\"model\": {\"$stage\": \"outer\"}}}], \"metrics\": "
    "[\"x\"]},"
    "  {\"name\": \"c\", \"kind\": \"evaluate.noop\", \"variants\": "
    "[{\"params\": {\"x\": {\"$param\": \"lambda\"}}}], \"metrics\": "
    "[\"x\"]}]}";

/* Lambda and density do not tell families apart, wherever else they stand;
 * norm does. A job without a lazy model has none. */
static void test_jobs_whose_models_differ_in_fused_places_are_a_family(
    void **state)
{
    struct compiled *c = parse(fused);
    uint64_t families[2] = { 0, 0 };

    (void)state;
    for (uint64_t i = 0; i < compiled_trial_count(c); i++) {
        struct stage_jobs jobs = jobs_of(c, i);
        json_t *values = NULL;
        bool excluded;
        uint64_t *family;

        assert_ok(compiled_trial(c, i, &values, &excluded));
        family = &families[json_bool_or(values, "norm", false)];
        if (*family == 0)
            *family = find(&jobs, "a")->family;
        assert_true(find(&jobs, "a")->family == *family);
        assert_true(find(&jobs, "b")->family == *family);
        assert_true(find(&jobs, "c")->family == 0);
        json_decref(values);
        stage_jobs_release(&jobs);
    }
    assert_true(families[0] != 0 && families[1] != 0);
    assert_true(families[0] != families[1]);
    compiled_free(c);
}

static struct digest key_of(const char *json, uint64_t trial)
{
    struct compiled *c = parse(json);
    struct stage_jobs jobs = jobs_of(c, trial);
    struct digest key = find(&jobs, "a")->key;

    stage_jobs_release(&jobs);
    compiled_free(c);
    return key;
}

/* What is fused is how it is computed, not what. */
static void test_fused_places_are_not_part_of_keys(void **state)
{
    AUTO(free_pointer) char *plain = xstrdup(fused);
    char *at;

    (void)state;
    while ((at = strstr(plain, "\"fuse\"")) != NULL)
        memcpy(at, "\"none\"", 6);
    for (uint64_t i = 0; i < 8; i++) {
        struct digest a = key_of(fused, i);
        struct digest b = key_of(plain, i);

        assert_true(digest_equal(&a, &b));
    }
}

struct bad {
    const char *json;
    const char *words;
};
#define HEAD  "{\"sinter\":1,\"name\":\"n\""
#define STAGE "\"kind\":\"k\",\"sort\":\"lazy\",\"variants\":[{\"params\":"

static const struct bad bads[] = {
    { "[]", "is a JSON object" },
    { "{}", "\"sinter\" is missing" },
    { "{\"sinter\":2,\"name\":\"n\"}", "format 2" },
    { "{\"sinter\":1}", "\"name\"" },
    { "{\"sinter\":1,\"name\":\"n\"}", "neither a stage nor" },
    { HEAD ",\"stages\":{}}", "not a list" },
    { HEAD ",\"stages\":[{}]}", "stages[0]" },
    { HEAD ",\"stages\":[{\"name\":\"a b\"}]}", "other characters" },
    { HEAD ",\"stages\":[{\"name\":\"a\",\"kind\":\"\\\"\"}]}",
      "other characters" },
    { HEAD ",\"stages\":[{\"name\":\"a\",\"kind\":\"k\"}]}", "\"sort\"" },
    { HEAD ",\"stages\":[{\"name\":\"a\",\"kind\":\"k\",\"sort\":\"lazy\"}]}",
      "\"variants\"" },
    { HEAD ",\"stages\":[{\"name\":\"a\",\"kind\":\"k\",\"sort\":\"lazy\","
           "\"variants\":[]}]}",
      "1 to 1024" },
    { HEAD ",\"stages\":[{\"name\":\"a\"," STAGE "[]}]}]}", "\"params\"" },
    { HEAD ",\"stages\":[{\"name\":\"a\"," STAGE
           "{\"x\":{\"$param\":\"p\"}}}]}]}",
      "$param \"p\" is not declared" },
    { HEAD ",\"stages\":[{\"name\":\"a\"," STAGE
           "{\"x\":{\"$stage\":\"p\"}}}]}]}",
      "$stage \"p\" does not exist" },
    { HEAD ",\"stages\":[{\"name\":\"a\"," STAGE "{\"x\":{\"$evil\":1}}}]}]}",
      "\"$evil\" has no meaning" },
    { HEAD ",\"stages\":[{\"name\":\"a\"," STAGE
           "{\"x\":{\"$stage\":\"a\"}}}]}]}",
      "depends on itself" },
    { HEAD ",\"stages\":[{\"name\":\"a\"," STAGE "{}}]},{\"name\":\"a\"," STAGE
           "{}}]}]}",
      "two stages" },
    { HEAD ",\"stages\":[{\"name\":\"a\"," STAGE "{}}],\"memory\":-1}]}",
      "\"memory\" must be" },
    { HEAD ",\"stages\":[{\"name\":\"a\"," STAGE "{},\"fuse\":{}}]}]}",
      "\"fuse\" is not a list" },
    { HEAD ",\"stages\":[{\"name\":\"a\"," STAGE "{},\"fuse\":[1]}]}]}",
      "fuse[0] is not a text" },
    { HEAD ",\"stages\":[{\"name\":\"a\"," STAGE
           "{\"x\":1},\"fuse\":[\"/y\"]}]}]}",
      "no parameter stands at \"/y\"" },
    { HEAD ",\"stages\":[{\"name\":\"a\"," STAGE
           "{\"x\":1},\"fuse\":[\"\"]}]}]}",
      "no parameter stands at" },
    { HEAD ",\"stages\":[{\"name\":\"a\"," STAGE
           "{\"x\":1},\"fuse\":[\"x\"]}]}]}",
      "no parameter stands at" },
    { HEAD ",\"evaluate\":[{\"name\":\"a\",\"expr\":\"b.c\"}]}",
      "`b.c` is not declared" },
    { HEAD ",\"stages\":[{\"name\":\"a\"," STAGE
           "{}}]}],\"objective\":{\"metric\":\"x.y\"}}",
      "nothing measures" },
    { HEAD ",\"stages\":[{\"name\":\"a\"," STAGE "{}}]}],\"priority\":101}",
      "\"priority\" must be" },
    { HEAD ",\"stages\":[{\"name\":\"a\"," STAGE "{}}]}],\"weight\":0}",
      "\"weight\" must be 0.01 to 100" },
    { HEAD ",\"stages\":[{\"name\":\"a\"," STAGE "{}}]}],\"weight\":\"2\"}",
      "\"weight\" is missing or not a number" },
    { HEAD ",\"stages\":[{\"name\":\"a\"," STAGE "{}}],\"cpus\":5000}]}",
      "\"cpus\" must be 0 to 4096" },
    { HEAD ",\"stages\":[{\"name\":\"a\"," STAGE "{}}],\"labels\":[]}]}",
      "\"labels\" is no map" },
    { HEAD ",\"stages\":[{\"name\":\"a\"," STAGE
           "{}}],\"labels\":{\"a\":\"x,y\"}}]}",
      "labels: a name and its text" },
    { HEAD ",\"stages\":[{\"name\":\"a\"," STAGE
           "{}}],\"labels\":{\"a=b\":\"x\"}}]}",
      "labels: a name and its text" },
    { HEAD ",\"stages\":[{\"name\":\"a\"," STAGE "{}}],\"labels\":{\"a\":1}}]}",
      "labels: a name and its text" },
    { HEAD ",\"stages\":[{\"name\":\"a\"," STAGE "{}}]}],\"limits\":[]}",
      "are objects" },
};

static void test_hostile_documents_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bads); i++) {
        struct compiled *c = NULL;

        assert_fails(compiled_parse(bads[i].json, strlen(bads[i].json), &c),
                     STATUS_INVALID, bads[i].words);
    }
}

/* Each stage holds the one before twice: 2^60 times the first. */
static void test_recipes_that_double_are_stopped(void **state)
{
    json_t *stages = json_array();
    json_t *document = json_pack("{s:i, s:s, s:o}", "sinter", 1, "name", "n",
                                 "stages", stages);
    struct compiled *c = NULL;
    struct stage_jobs jobs;
    json_t *model = NULL;
    json_t *values = json_object();
    char *text;

    (void)state;
    for (int i = 0; i < 60; i++) {
        AUTO(free_pointer) char *name = xasprintf("s%d", i);
        AUTO(free_pointer) char *last = xasprintf("s%d", i - 1);
        json_t *params = i == 0 ? json_object()
                                : json_pack("{s:{s:s}, s:{s:s}}", "a", "$stage",
                                            last, "b", "$stage", last);

        json_array_append_new(stages,
                              json_pack("{s:s, s:s, s:s, s:[{s:o}]}", "name",
                                        name, "kind", "merge", "sort", "lazy",
                                        "variants", "params", params));
    }
    text = json_canonical(document);
    c = parse(text);
    assert_fails(compiled_model(c, values, &model), STATUS_TOO_BIG, "stage s");
    assert_ok(compiled_stages(c, values, &jobs));
    assert_int_equal(jobs.count, 0);
    stage_jobs_release(&jobs);
    compiled_free(c);
    free(text);
    json_decref(values);
    json_decref(document);
}

/* A few bytes can ask for any number of values. */
static void test_values_of_all_parameters_together_have_a_limit(void **state)
{
    json_t *list = json_array();
    json_t *document =
        json_pack("{s:i, s:s, s:o, s:[{s:s, s:s, s:s, s:[{s:{}}]}]}", "sinter",
                  1, "name", "n", "parameters", list, "stages", "name", "a",
                  "kind", "k", "sort", "artifact", "variants", "params");
    struct compiled *c = NULL;
    char *text;

    (void)state;
    for (int i = 0; i < 11; i++) {
        AUTO(free_pointer) char *name = xasprintf("p%d", i);

        (void)json_array_append_new(list, json_pack("{s:s, s:i, s:i, s:i}",
                                                    "name", name, "from", 1,
                                                    "to", 2, "count", 100000));
    }
    text = json_canonical(document);
    assert_fails(compiled_parse(text, strlen(text), &c), STATUS_TOO_BIG,
                 "more than 1000000 values together");
    free(text);
    json_decref(document);
}

static void test_needs_reach_the_jobs_and_no_key(void **state)
{
    static const char form[] =
        "{\"sinter\":1,\"name\":\"n\",\"stages\":[{\"name\":\"a\",\"kind\":"
        "\"k\",\"sort\":\"artifact\",\"variants\":[{\"params\":{}}]%s}]%s}";
    AUTO(free_pointer) char *bare = xasprintf(form, "", "");
    AUTO(free_pointer)
    char *full = xasprintf(form,
                           ",\"memory\":7,\"cpus\":3,\"labels\":{\"zone\":"
                           "\"a\",\"disk\":\"ssd\",\"gpus\":\"1\"}",
                           ",\"weight\":0.25");
    struct compiled *plain = parse(bare);
    struct compiled *needy = parse(full);
    struct stage_jobs a = jobs_of(plain, 0);
    struct stage_jobs b = jobs_of(needy, 0);

    (void)state;
    assert_true(digest_equal(&a.items[0].key, &b.items[0].key));
    assert_int_equal(a.items[0].cpus, 0);
    assert_null(a.items[0].labels);
    assert_int_equal(b.items[0].memory_bytes, 7);
    assert_int_equal(b.items[0].cpus, 3);
    assert_string_equal(b.items[0].labels, "disk=ssd,gpus=1,zone=a");
    assert_true(compiled_limits(plain).weight == 1.0);
    assert_true(compiled_limits(needy).weight == 0.25);
    assert_int_equal(compiled_stage_count(needy), 1);
    assert_string_equal(b.items[0].stage, "a");
    assert_string_equal(b.items[0].kind, "k");
    stage_jobs_release(&a);
    stage_jobs_release(&b);
    compiled_free(plain);
    compiled_free(needy);
}

static void test_a_trial_beyond_the_last_is_not_found(void **state)
{
    struct compiled *c = parse(quickstart);
    json_t *values = NULL;
    bool excluded;

    (void)state;
    assert_fails(compiled_trial(c, 18, &values, &excluded), STATUS_NOT_FOUND,
                 "only 18");
    compiled_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_document_is_read_whole),
        cmocka_unit_test(test_jobs_come_in_order_with_what_they_need),
        cmocka_unit_test(test_keys_and_parameters_are_what_they_were),
        cmocka_unit_test(
            test_the_key_is_sha256_of_kind_numerics_and_parameters),
        cmocka_unit_test(test_replicates_share_what_draws_nothing),
        cmocka_unit_test(test_text_holes_are_joined),
        cmocka_unit_test(test_values_without_a_variant_are_refused),
        cmocka_unit_test(test_absent_parameters_vanish_from_the_body),
        cmocka_unit_test(
            test_metrics_take_formulas_and_leave_out_what_is_missing),
        cmocka_unit_test(test_numbers_of_a_stage_are_those_the_document_lists),
        cmocka_unit_test(test_the_model_of_a_trial_is_its_last_stage),
        cmocka_unit_test(test_an_export_shares_all_jobs_and_adds_one),
        cmocka_unit_test(
            test_jobs_whose_models_differ_in_fused_places_are_a_family),
        cmocka_unit_test(test_fused_places_are_not_part_of_keys),
        cmocka_unit_test(test_hostile_documents_are_refused),
        cmocka_unit_test(test_recipes_that_double_are_stopped),
        cmocka_unit_test(test_values_of_all_parameters_together_have_a_limit),
        cmocka_unit_test(test_needs_reach_the_jobs_and_no_key),
        cmocka_unit_test(test_a_trial_beyond_the_last_is_not_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
