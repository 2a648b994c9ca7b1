/* A pruned model heals by training a part of it, is stored as a delta and read
 * again to the same bytes. */
#include "support/test.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/recipe.h"
#include "jobs/recipe_mask.h"
#include "support/fake_fixture.h"
#include "support/tiny_llama.h"

#include <math.h>

/* A model that was trained for `steps`, as the result of job `key`. */
static void train_base(const char *key, const char *init, const char *dtype,
                       int steps)
{
    json_t *params = tiny_train(steps), *result;

    (void)json_object_set_new(params, "init", tiny_json("%s", init));
    (void)json_object_set_new(params, "dtype", json_string(dtype));
    assert_ok(tiny_run(fake, "train", params, &result));
    fake_context_set_job(fake, key, json_text_or(result, "artifact", ""));
    json_decref(params);
    json_decref(result);
}

#define OPT                                                             \
    "{'architecture':'opt','hidden':16,'layers':2,'heads':2,'tied':%s," \
    "'intermediate':24}"

static json_t *job(const char *key)
{
    return tiny_json("{'$job':'%s'}", key);
}

/* Magnitude pruning of job "base" to one half. */
static json_t *pruned(const char *key)
{
    return tiny_json("{'$recipe':{'kind':'prune','params':{'model':"
                     "{'$job':'%s'},'method':'magnitude','sparsity':0.5}}}",
                     key);
}

/* Takes the model. */
static json_t *retraining(json_t *model, const char *train, const char *more)
{
    json_t *params =
        tiny_json("{'mode':'retrain','train':%s,'lora':{'rank':4,'alpha':8},"
                  "'data':{'builtin':'tasks','mix':{'sort':1,'close':1},"
                  "'shortest':2,'longest':3,'split':'train'},'steps':12,"
                  "'batch':8,'optimizer':{'lr':0.01},'seed':0}",
                  train);
    json_t *changes = tiny_json("%s", more);

    (void)json_object_set_new(params, "model", model);
    (void)json_object_update(params, changes);
    json_decref(changes);
    return params;
}

/* The numbers are those that a sweep file may name. */
static void check_metrics(const json_t *params, const json_t *result)
{
    AUTO(json_release)
    json_t *names = job_kind_find("retrain")->catalog.metrics(params);
    const json_t *metrics = json_object_get(result, "metrics");

    assert_int_equal(json_array_size(names), json_object_size(metrics));
    for (size_t i = 0; i < json_array_size(names); i++)
        assert_non_null(json_object_get(
            metrics, json_string_value(json_array_get(names, i))));
}

/* Takes the parameters. */
static json_t *run(json_t *params, const char *key)
{
    json_t *result = NULL;

    assert_ok(tiny_run(fake, "retrain", params, &result));
    check_metrics(params, result);
    fake_context_set_job(fake, key, json_text_or(result, "artifact", ""));
    json_decref(params);
    return result;
}

static void assert_refused(json_t *params, const char *words)
{
    json_t *result;

    assert_fails(tiny_run(fake, "retrain", params, &result), STATUS_INVALID,
                 words);
    json_decref(params);
}

static struct recipe_model *open_model(json_t *model)
{
    struct recipe_model *m = NULL;

    assert_ok(recipe_open(model, &fake->context, &m));
    json_decref(model);
    return m;
}

/* Whoever has nothing but the job that retrained sees the very bytes it had. */
static void assert_reads_as_computed(const char *key, const json_t *result)
{
    json_t *inputs = fake->inputs;
    struct recipe_model *m;
    struct digest digest;
    char text[DIGEST_TEXT];

    fake->inputs = json_object();
    (void)json_object_set(fake->inputs, key, json_object_get(inputs, key));
    m = open_model(job(key));
    digest = recipe_digest(m);
    digest_to_text(&digest, text);
    assert_string_equal(text, json_text_or(result, "model_digest", ""));
    recipe_close(m);
    json_decref(fake->inputs);
    fake->inputs = inputs;
}

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
    json_t *params = retraining(pruned("base"), subsets[i].train, "{}");
    json_t *result = run(params, "healed");
    struct recipe_model *m;
    double fraction = tiny_metric(result, "fraction");

    assert_reads_as_computed("healed", result);
    m = open_model(job("healed"));
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
        char init[128];

        (void)snprintf(init, sizeof(init), OPT, "false");
        train_base("base", init, dtypes[d], 40);
        for (size_t i = 0; i < COUNT_OF(subsets); i++)
            check_subset(dtypes[d], i);
    }
}

static void opt_base(const char *tied)
{
    char init[128];

    (void)snprintf(init, sizeof(init), OPT, tied);
    train_base("base", init, "float32", 40);
}

static void test_the_delta_is_small(void **state)
{
    json_t *result;
    const char *path;
    struct recipe_model *m;

    (void)state;
    opt_base("false");
    result = run(retraining(pruned("base"), "['bias']", "{}"), "healed");
    assert_true(tiny_metric(result, "trainable") ==
                2 * (5 * 16 + 24 + 2 * 16) + 16);
    assert_ok(fake->context.open_artifact(
        fake, json_text_or(result, "artifact", ""), &path));
    m = open_model(tiny_json("{'$source':{'url':'%s'}}", path));
    assert_int_equal(zeros_of(m, fc1), 192); /* a delta by its directory */
    recipe_close(m);
    json_decref(result);
}

static void test_masks_go_along(void **state)
{
    json_t *result;
    struct recipe_model *m;

    (void)state;
    opt_base("false");
    result = run(retraining(pruned("base"), "['full']", "{}"), "healed");
    m = open_model(job("healed"));
    assert_non_null(recipe_mask(m, fc1));
    assert_null(recipe_mask(m, "lm_head.weight"));
    recipe_close(m);
    json_decref(result);
    result = run(retraining(job("healed"), "['mask_lora']", "{}"), "again");
    assert_reads_as_computed("again", result);
    m = open_model(job("again"));
    assert_int_equal(zeros_of(m, fc1), 192);
    recipe_close(m);
    json_decref(result);
}

static void test_a_tied_head_becomes_one_of_its_own(void **state)
{
    json_t *result, *params;
    struct recipe_model *m;

    (void)state;
    opt_base("true");
    result =
        run(retraining(pruned("base"), "['head','mask_lora']", "{}"), "healed");
    assert_reads_as_computed("healed", result);
    m = open_model(job("healed"));
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
    opt_base("false");
    result = run(retraining(pruned("base"), "[]", "{'mode':'none'}"), "healed");
    assert_reads_as_computed("healed", result);
    m = open_model(pruned("base"));
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
    opt_base("false");
    result =
        run(retraining(pruned("base"), "['bias','mask_lora']", "{}"), "healed");
    params = json_pack("{s:o}", "model", job("healed"));
    assert_ok(tiny_run(fake, "export", params, &exported));
    fake_context_set_job(fake, "whole", json_text_or(exported, "artifact", ""));
    json_decref(exported);
    m = open_model(job("whole"));
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
    (void)json_object_set_new(params, "model", job("whole"));
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
    opt_base("false");
    result = run(retraining(pruned("base"), "['bias']", "{}"), "healed");
    fake->context.cache = recipe_cache_new(1 << 20);
    a = open_model(job("healed"));
    b = open_model(job("healed"));
    assert_ptr_equal(recipe_tensors(a), recipe_tensors(b));
    recipe_close(a);
    recipe_close(b);
    json_decref(result);
}

/* --- a slot that dies --------------------------------------------------------- */

static void die_at_nine(void *self, uint64_t done, uint64_t total,
                        const char *unit)
{
    (void)self;
    (void)total;
    if (strcmp(unit, "step") == 0 && done == 9)
        (void)raise(SIGKILL);
}

static uint64_t due;

static bool every_fourth(void *self)
{
    (void)self;
    return ++due % 4 == 0;
}

/* Killed at its ninth step, it says so and ends as if it had not been. */
static void check_killed(json_t *params, const char *words)
{
    json_t *result;
    char *whole;
    pid_t child;
    int status;

    assert_ok(tiny_run(fake, "retrain", params, &result));
    whole = xstrdup(json_text_or(result, "artifact", ""));
    json_decref(result);
    fake_context_keeps(fake);
    child = fork();
    if (child == 0) {
        struct status s;

        fake->context.progress = die_at_nine;
        s = tiny_run(fake, "retrain", params, &result);
        _exit(status_failed(&s) ? 2 : 3); /* it was to be killed */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_ok(tiny_run(fake, "retrain", params, &result));
    assert_non_null(strstr(fake->log, words));
    assert_string_equal(whole, json_text_or(result, "artifact", ""));
    json_decref(params);
    json_decref(result);
    free(whole);
}

static void test_a_killed_retraining_goes_on_to_the_same_bytes(void **state)
{
    (void)state;
    opt_base("false");
    fake->context.save_due = every_fourth;
    check_killed(retraining(pruned("base"), "['bias','mask_lora']", "{}"),
                 "goes on behind step 8");
}

static bool always(void *self)
{
    (void)self;
    return true;
}

static void test_a_killed_reconstruction_goes_on_to_the_same_bytes(void **state)
{
    static const char *const trained[] = { "['bias','mask_lora']", "['full']" };
    static const char *const inputs[] = { "sparse", "dense" };

    (void)state;
    opt_base("false");
    for (size_t i = 0; i < 4; i++) {
        json_t *params = retraining(pruned("base"), trained[i / 2],
                                    "{'mode':'reconstruct','steps':6}");
        json_t *how = tiny_json("{'samples':16,'inputs':'%s'}", inputs[i % 2]);

        (void)json_object_set_new(params, "reconstruct", how);
        fake->context.save_due = always;
        fake->log[0] = '\0';
        fake->context.keep = NULL;
        check_killed(params, "goes on behind block 1");
        assert_ok(file_remove_tree(fake->keep));
    }
}

/* --- reconstruction ----------------------------------------------------------- */

static const char *const reconstructions[] = {
    "{'inputs':'sparse','targets':'inputs'}",
    "{'inputs':'sparse','targets':'dense'}",
    "{'inputs':'dense','targets':'inputs'}",
};

static const char *const blocks[] = { "['mask_lora']", "['bias','norm']",
                                      "['lora_prune','bias']", "['full']" };

static void test_blocks_are_reconstructed(void **state)
{
    (void)state;
    opt_base("false");
    for (size_t i = 0; i < COUNT_OF(reconstructions); i++)
        for (size_t k = 0; k < COUNT_OF(blocks); k++) {
            json_t *params = retraining(
                pruned("base"), blocks[k],
                "{'mode':'reconstruct','steps':30,'optimizer':{'lr':0.01,"
                "'schedule':'linear','warmup':0.1}}");
            json_t *how = tiny_json("%s", reconstructions[i]), *result;

            (void)json_object_set_new(how, "samples", json_integer(24));
            (void)json_object_set_new(params, "reconstruct", how);
            result = run(params, "healed");
            assert_reads_as_computed("healed", result);
            assert_true(tiny_metric(result, "blocks") == 2.0);
            if (!(tiny_metric(result, "error_after") <
                  0.8 * tiny_metric(result, "error_before")))
                fail_msg("%s, %s: error %g after %g", reconstructions[i],
                         blocks[k], tiny_metric(result, "error_after"),
                         tiny_metric(result, "error_before"));
            assert_non_null(strstr(fake->log, "block 2: error "));
            fake->log[0] = '\0';
            json_decref(result);
        }
}

static void test_blocks_of_every_architecture_are_reconstructed(void **state)
{
    static const char *const names[] = { "llama", "mistral", "qwen2", "gpt2",
                                         "gpt_neox" };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char init[128];
        json_t *params, *result;

        (void)snprintf(init, sizeof(init),
                       "{'architecture':'%s','hidden':16,'layers':2,'heads':2,"
                       "'intermediate':24}",
                       names[i]);
        train_base("base", init, "float32", 5);
        params = retraining(
            pruned("base"), "['mask_lora']",
            "{'mode':'reconstruct','steps':30,'reconstruct':{'samples':24,"
            "'inputs':'sparse','targets':'inputs'},'optimizer':{'lr':0.01}}");
        result = run(params, "healed");
        assert_reads_as_computed("healed", result);
        if (!(tiny_metric(result, "error_after") <
              0.9 * tiny_metric(result, "error_before")))
            fail_msg("%s: error %g after %g", names[i],
                     tiny_metric(result, "error_after"),
                     tiny_metric(result, "error_before"));
        json_decref(result);
    }
}

static void test_the_dense_model_is_found_or_given(void **state)
{
    static const char *const more =
        "{'mode':'reconstruct','steps':4,'reconstruct':{'samples':8}}";
    json_t *result, *params;

    (void)state;
    opt_base("false");
    assert_refused(retraining(job("base"), "['bias']", more), "`dense`");
    result = run(retraining(pruned("base"), "['bias']", "{}"), "healed");
    json_decref(result);
    result = run(retraining(job("healed"), "['bias']", more), "again");
    json_decref(result); /* below two of them */
    params = retraining(job("base"), "['bias']", more);
    (void)json_object_set_new(params, "dense", job("base"));
    result = run(params, "again");
    assert_true(tiny_metric(result, "error_before") == 0.0);
    json_decref(result);
}

/* --- faults --------------------------------------------------------------------- */

static void test_what_an_architecture_has_not_is_refused(void **state)
{
    (void)state;
    train_base("base", "{'hidden':16,'layers':1,'heads':2}", "float32", 3);
    assert_refused(retraining(pruned("base"), "['bias']", "{}"), "no \"bias\"");
    assert_refused(retraining(pruned("base"), "['name:*.fc9']", "{}"),
                   "no tensor of the model");
    assert_refused(retraining(pruned("base"), "['brain']", "{}"),
                   "knows no \"brain\"");
    assert_refused(
        retraining(pruned("base"), "['mask_lora']", "{'lora':{'rank':17}}"),
        "rank 17 is not possible");
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
    json_t *result, *model = job("healed");

    (void)state;
    opt_base("false");
    result = run(retraining(pruned("base"), "['mask_lora']", "{}"), "healed");
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
        CASE(test_a_killed_reconstruction_goes_on_to_the_same_bytes),
        CASE(test_blocks_are_reconstructed),
        CASE(test_blocks_of_every_architecture_are_reconstructed),
        CASE(test_the_dense_model_is_found_or_given),
        CASE(test_what_an_architecture_has_not_is_refused),
        CASE(test_contradictions_are_seen_by_the_compiler),
        CASE(test_what_means_nothing_is_no_part_of_the_key),
        CASE(test_a_broken_delta_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
