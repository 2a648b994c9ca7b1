/* A pruned model heals by training a part of it, is stored as a delta and read
 * again to the same bytes. */
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/recipe.h"
#include "jobs/recipe_mask.h"
#include "support/fake_fixture.h"
#include "support/healing.h"
#include "support/tiny_llama.h"

static size_t zeros_of(const struct recipe_model *m, const char *name)
{
    const struct tensor *t = tensor_find(recipe_tensors(m), name);
    float *values = xcalloc(t->count, sizeof(*values));
    size_t zeros = 0;

    dtype_to_f32(t->dtype, t->data, values, t->count);
    for (size_t i = 0; i < t->count; i++)
        zeros += values[i] == 0.0F;
    free(values);
    return zeros;
}

static const char fc1[] = "model.decoder.layers.1.fc1.weight";

static const struct {
    const char *train;
    bool sparse; /* what is pruned stays so */
    bool exact;  /* a merge changes nothing */
} subsets[] = {
    { "['bias']", true, true },
    { "['norm']", true, true },
    { "['bias','norm']", true, true },
    { "['embedding']", true, true },
    { "['full']", true, true },
    { "['name:*.fc1.weight']", true, true },
    { "['lora']", false, true },
    { "['bias','norm','lora_prune']", true, false },
    { "['bias','norm','mask_lora']", true, true },
    { "['bias','norm','scale_lora']", true, true },
    { "['head','mask_lora']", true, true },
    { "['head']", true, true },
    { "['head','scale_lora']", true, true },
};

static void check_subset(const char *dtype, size_t i)
{
    json_t *params =
        healing_params(healing_pruned("base"), subsets[i].train, "{}");
    json_t *result = healing_run(fake, params, "healed");
    struct recipe_model *m;
    double fraction = tiny_metric(result, "fraction");

    healing_reads_as_computed(fake, "healed", result);
    m = healing_open(fake, healing_job("healed"));
    if (subsets[i].sparse != (zeros_of(m, fc1) == 192))
        fail_msg("%s in %s: %zu zeros of 384", subsets[i].train, dtype,
                 zeros_of(m, fc1));
    recipe_close(m);
    assert_true(fraction > 0.0 && fraction <= 1.0);
    if (!(tiny_metric(result, "loss_after") <
          tiny_metric(result, "loss_before")))
        fail_msg("%s: %g after %g", subsets[i].train,
                 tiny_metric(result, "loss_after"),
                 tiny_metric(result, "loss_before"));
    if (strstr(subsets[i].train, "lora") != NULL)
        assert_true(subsets[i].exact ==
                    (tiny_metric(result, "loss_before_merge") ==
                     tiny_metric(result, "loss_after_merge")));
    json_decref(result);
}

static void test_every_subset_heals_and_reads_as_it_was_computed(void **state)
{
    static const char *const dtypes[] = { "float32", "bfloat16" };

    (void)state;
    for (size_t d = 0; d < COUNT_OF(dtypes); d++) {
        healing_opt(fake, "false", dtypes[d]);
        for (size_t i = 0; i < COUNT_OF(subsets); i++)
            check_subset(dtypes[d], i);
    }
}

static void test_the_delta_is_small(void **state)
{
    json_t *result;
    const char *path;
    struct recipe_model *m;

    (void)state;
    healing_opt(fake, "false", "float32");
    result = healing_run(
        fake, healing_params(healing_pruned("base"), "['bias']", "{}"),
        "healed");
    assert_true(tiny_metric(result, "trainable") ==
                2 * (5 * 16 + 24 + 2 * 16) + 16);
    assert_ok(fake->context.open_artifact(
        fake, json_text_or(result, "artifact", ""), &path));
    m = healing_open(fake, tiny_json("{'$source':{'url':'%s'}}", path));
    assert_int_equal(zeros_of(m, fc1), 192); /* a delta by its directory */
    recipe_close(m);
    json_decref(result);
}

static void test_masks_go_along(void **state)
{
    json_t *result;
    struct recipe_model *m;

    (void)state;
    healing_opt(fake, "false", "float32");
    result = healing_run(
        fake, healing_params(healing_pruned("base"), "['full']", "{}"),
        "healed");
    m = healing_open(fake, healing_job("healed"));
    assert_non_null(recipe_mask(m, fc1));
    assert_null(recipe_mask(m, "lm_head.weight"));
    recipe_close(m);
    json_decref(result);
    result = healing_run(
        fake, healing_params(healing_job("healed"), "['mask_lora']", "{}"),
        "again");
    healing_reads_as_computed(fake, "again", result);
    m = healing_open(fake, healing_job("again"));
    assert_int_equal(zeros_of(m, fc1), 192);
    recipe_close(m);
    json_decref(result);
}

static void test_a_tied_head_becomes_one_of_its_own(void **state)
{
    json_t *result, *params;
    struct recipe_model *m;

    (void)state;
    healing_opt(fake, "true", "float32");
    result = healing_run(
        fake,
        healing_params(healing_pruned("base"), "['head','mask_lora']", "{}"),
        "healed");
    healing_reads_as_computed(fake, "healed", result);
    m = healing_open(fake, healing_job("healed"));
    assert_non_null(tensor_find(recipe_tensors(m), "lm_head.weight"));
    assert_false(json_bool_or(recipe_config(m), "tie_word_embeddings", true));
    recipe_close(m);
    json_decref(result);
    params = tiny_json("{'model':{'$job':'healed'},'data':{'builtin':'tasks',"
                       "'mix':{'sort':1},'split':'test','items':20}}");
    assert_ok(tiny_run(fake, "evaluate.perplexity", params, &result));
    assert_true(tiny_metric(result, "perplexity") > 1.0);
    json_decref(params);
    json_decref(result);
}

static void test_nothing_is_done_if_nothing_is_asked(void **state)
{
    struct recipe_model *m;
    json_t *result;
    struct digest digest;
    char text[DIGEST_TEXT];

    (void)state;
    healing_opt(fake, "false", "float32");
    result = healing_run(
        fake, healing_params(healing_pruned("base"), "[]", "{'mode':'none'}"),
        "healed");
    healing_reads_as_computed(fake, "healed", result);
    m = healing_open(fake, healing_pruned("base"));
    digest = recipe_digest(m);
    digest_to_text(&digest, text);
    assert_string_equal(text, json_text_or(result, "model_digest", ""));
    assert_true(tiny_metric(result, "fraction") == 0.0);
    recipe_close(m);
    json_decref(result);
}

/* What reads models reads a delta: an export writes it out, whole. */
static void test_a_delta_is_exported_and_measured(void **state)
{
    json_t *result, *params, *exported, *data;
    struct recipe_model *m;
    struct digest digest;
    char text[DIGEST_TEXT];
    double perplexity;

    (void)state;
    healing_opt(fake, "false", "float32");
    result = healing_run(
        fake,
        healing_params(healing_pruned("base"), "['bias','mask_lora']", "{}"),
        "healed");
    params = json_pack("{s:o}", "model", healing_job("healed"));
    assert_ok(tiny_run(fake, "export", params, &exported));
    fake_context_set_job(fake, "whole", json_text_or(exported, "artifact", ""));
    json_decref(exported);
    m = healing_open(fake, healing_job("whole"));
    assert_true(recipe_is_mapped(m));
    digest = recipe_digest(m);
    digest_to_text(&digest, text);
    assert_string_equal(text, json_text_or(result, "model_digest", ""));
    recipe_close(m);
    json_decref(result);
    data = tiny_json("{'builtin':'tasks','mix':{'sort':1},'split':'test',"
                     "'items':20}");
    (void)json_object_set_new(params, "data", data);
    assert_ok(tiny_run(fake, "evaluate.perplexity", params, &result));
    perplexity = tiny_metric(result, "perplexity");
    json_decref(result);
    (void)json_object_set_new(params, "model", healing_job("whole"));
    assert_ok(tiny_run(fake, "evaluate.perplexity", params, &result));
    assert_true(tiny_metric(result, "perplexity") == perplexity);
    json_decref(result);
    json_decref(params);
}

/* The slot's cache realises a delta once. */
static void test_a_delta_is_kept_like_a_merge(void **state)
{
    struct recipe_model *a, *b;
    json_t *result;

    (void)state;
    healing_opt(fake, "false", "float32");
    result = healing_run(
        fake, healing_params(healing_pruned("base"), "['bias']", "{}"),
        "healed");
    fake->context.cache = recipe_cache_new(1 << 20);
    a = healing_open(fake, healing_job("healed"));
    b = healing_open(fake, healing_job("healed"));
    assert_ptr_equal(recipe_tensors(a), recipe_tensors(b));
    recipe_close(a);
    recipe_close(b);
    json_decref(result);
}

/* --- a slot that dies --------------------------------------------------------- */

static uint64_t due;

static bool every_fourth(void *self)
{
    (void)self;
    return ++due % 4 == 0;
}

static void test_a_killed_retraining_goes_on_to_the_same_bytes(void **state)
{
    (void)state;
    healing_opt(fake, "false", "float32");
    fake->context.save_due = every_fourth;
    healing_killed(
        fake,
        healing_params(healing_pruned("base"), "['bias','mask_lora']", "{}"),
        "goes on behind step 8");
}

/* --- faults --------------------------------------------------------------------- */

static void test_what_an_architecture_has_not_is_refused(void **state)
{
    (void)state;
    healing_base(fake, "base", "{'hidden':16,'layers':1,'heads':2}", "float32",
                 3);
    healing_refused(fake,
                    healing_params(healing_pruned("base"), "['bias']", "{}"),
                    "no \"bias\"");
    healing_refused(
        fake, healing_params(healing_pruned("base"), "['name:*.fc9']", "{}"),
        "no tensor of the model");
    healing_refused(fake,
                    healing_params(healing_pruned("base"), "['brain']", "{}"),
                    "knows no \"brain\"");
    healing_refused(fake,
                    healing_params(healing_pruned("base"), "['mask_lora']",
                                   "{'lora':{'rank':17}}"),
                    "lower `lora.rank`");
}

static const struct {
    const char *body, *path, *message;
} refused[] = {
    { "{'mode':'retrain','train':[]}", "/train", "nothing is trained" },
    { "{'mode':'retrain','train':['lora','mask_lora']}", "/train",
      "one sort of adapter" },
    { "{'mode':'retrain','train':['full','bias']}", "/train", "everything" },
    { "{'mode':'reconstruct','train':['head']}", "/train", "in no block" },
    { "{'mode':'retrain','train':['bias']}", "", "`data` is missing" },
    { "{'mode':'reconstruct','train':['bias'],'data':{'builtin':'tasks'},"
      "'epochs':2}",
      "/epochs", "by steps" },
    { "{'mode':'reconstruct','train':['bias'],'data':{'builtin':'tasks'},"
      "'accumulate':2}",
      "/accumulate", "one batch a step" },
    { "{'mode':'retrain','train':['lora'],'data':{'builtin':'tasks'},"
      "'lora':{'rank':4,'dropout':0.05}}",
      "/lora/dropout", "without dropout" },
};

static bool normalise(json_t *body, struct catalog_problem *problem)
{
    memset(problem, 0, sizeof(*problem));
    return job_kind_find("retrain")->catalog.normalise(body, problem);
}

static void test_contradictions_are_seen_by_the_compiler(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refused); i++)
        tiny_refuses("retrain", refused[i].body, refused[i].path,
                     refused[i].message);
}

static void test_what_means_nothing_is_no_part_of_the_key(void **state)
{
    json_t *none = tiny_json("{'mode':'none','train':[],'model':'m',"
                             "'data':{'builtin':'tasks'},'steps':5}");
    json_t *bias = tiny_json("{'mode':'retrain','train':['bias'],'model':'m',"
                             "'lora':{'rank':4},'reconstruct':{},"
                             "'data':{'builtin':'tasks'}}");
    struct catalog_problem problem;

    (void)state;
    assert_true(normalise(none, &problem));
    assert_int_equal(json_object_size(none), 2);
    assert_true(normalise(bias, &problem));
    assert_null(json_object_get(bias, "lora"));
    assert_null(json_object_get(bias, "reconstruct"));
    json_decref(none);
    json_decref(bias);
}

static void test_a_broken_delta_is_told(void **state)
{
    char *path, *text;
    const char *directory;
    struct recipe_model *m = NULL;
    json_t *result, *model = healing_job("healed");

    (void)state;
    healing_opt(fake, "false", "float32");
    result = healing_run(
        fake, healing_params(healing_pruned("base"), "['mask_lora']", "{}"),
        "healed");
    assert_ok(fake->context.open_artifact(
        fake, json_text_or(result, "artifact", ""), &directory));
    path = xasprintf("%s/delta.json", directory);
    text = xstrdup("{\"sinter_delta\": 2, \"base\": {}}");
    assert_ok(file_write(path, text, strlen(text)));
    assert_fails(recipe_open(model, &fake->context, &m), STATUS_INVALID,
                 "of a version");
    free(text);
    text = xasprintf("{\"sinter_delta\": 1, \"base\": {\"$job\": \"base\"}, "
                     "\"adapters\": {\"%s\": {\"variant\": \"lorax\"}}}",
                     fc1);
    assert_ok(file_write(path, text, strlen(text)));
    assert_fails(recipe_open(model, &fake->context, &m), STATUS_CORRUPT,
                 "is no such");
    free(text);
    free(path);
    json_decref(model);
    json_decref(result);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_every_subset_heals_and_reads_as_it_was_computed),
        CASE(test_the_delta_is_small),
        CASE(test_masks_go_along),
        CASE(test_a_tied_head_becomes_one_of_its_own),
        CASE(test_nothing_is_done_if_nothing_is_asked),
        CASE(test_a_delta_is_exported_and_measured),
        CASE(test_a_delta_is_kept_like_a_merge),
        CASE(test_a_killed_retraining_goes_on_to_the_same_bytes),
        CASE(test_what_an_architecture_has_not_is_refused),
        CASE(test_contradictions_are_seen_by_the_compiler),
        CASE(test_what_means_nothing_is_no_part_of_the_key),
        CASE(test_a_broken_delta_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
