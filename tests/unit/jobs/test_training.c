/* The steps that `train` and `retrain` share: optimisers, schedules, epochs,
 * memory, and going on where a slot that was killed had come to. */
#include "support/test.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/train_init.h"
#include "jobs/training.h"
#include "support/fake_fixture.h"
#include "support/tiny_files.h"
#include "support/tiny_llama.h"
#include "support/tiny_tokenizer.h"

#include <math.h>

/* `more` replaces members of the tiny training. */
static json_t *training_with(int steps, const char *more)
{
    json_t *params = tiny_train(steps);
    json_t *changes = tiny_json("%s", more);

    (void)json_object_update(params, changes);
    json_decref(changes);
    return params;
}

static char *artifact_of(const json_t *params)
{
    json_t *result;
    char *digest;

    assert_ok(tiny_run(fake, "train", params, &result));
    digest = xstrdup(json_text_or(result, "artifact", ""));
    json_decref(result);
    return digest;
}

/* --- a slot that dies ------------------------------------------------------- */

static uint64_t die_at; /* step */

static void die(void *self, uint64_t done, uint64_t total, const char *unit)
{
    (void)self;
    (void)total;
    if (strcmp(unit, "step") == 0 && done == die_at)
        (void)raise(SIGKILL);
}

static bool always(void *self)
{
    (void)self;
    return true;
}

static uint64_t due;

static bool every_third(void *self)
{
    (void)self;
    return ++due % 3 == 0;
}

/* The job in a process of its own, killed behind step `step`. */
static void run_and_kill(const json_t *params, uint64_t step)
{
    pid_t child = fork();
    int status;

    assert_true(child >= 0);
    if (child == 0) {
        json_t *result;
        struct status s;

        die_at = step;
        fake->context.progress = die;
        s = tiny_run(fake, "train", params, &result);
        _exit(status_failed(&s) ? 2 : 3); /* it was to be killed */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void forget_keep(void)
{
    assert_ok(file_remove_tree(fake->keep));
    assert_ok(file_make_directories(fake->keep));
    fake->log[0] = '\0';
}

static void test_a_killed_training_goes_on_to_the_same_bytes(void **state)
{
    static const char *const trainings[] = {
        "{'optimizer':{'lr':0.01}}",
        "{'optimizer':{'name':'sgd','lr':0.05,'rho':0.05},'accumulate':2}",
    };
    unsigned seed = (unsigned)time(NULL);

    (void)state;
    print_message("steps drawn by seed %u\n", seed);
    for (size_t i = 0; i < COUNT_OF(trainings); i++) {
        json_t *params = training_with(20, trainings[i]);
        char *whole = artifact_of(params), *again;

        fake_context_keeps(fake);
        for (int round = 0; round < 3; round++) {
            uint64_t step = 3 + (uint64_t)rand_r(&seed) % 17;

            fake->context.save_due = round == 0 ? always : every_third;
            due = 0;
            forget_keep();
            run_and_kill(params, step);
            again = artifact_of(params);
            assert_non_null(strstr(fake->log, "goes on behind step "));
            assert_string_equal(whole, again);
            free(again);
        }
        fake->context.keep = NULL;
        fake->context.save_due = NULL;
        json_decref(params);
        free(whole);
    }
}

static void test_a_cancelled_training_goes_on_where_it_was(void **state)
{
    json_t *params = tiny_train(20);
    char *whole = artifact_of(params), *again;
    json_t *result;

    (void)state;
    fake_context_keeps(fake);
    forget_keep();
    fake->polls = 0;
    fake->cancel_at = 8;
    assert_fails(tiny_run(fake, "train", params, &result), STATUS_CANCELLED,
                 "cancelled at step 8");
    fake->cancel_at = 0;
    again = artifact_of(params);
    assert_non_null(strstr(fake->log, "goes on behind step 7"));
    assert_string_equal(whole, again);
    json_decref(params);
    free(whole);
    free(again);
}

static void test_a_state_that_does_not_fit_is_left_alone(void **state)
{
    json_t *params = tiny_train(20), *wider = tiny_train(20);
    char *whole, *again;
    json_t *result;

    (void)state;
    (void)json_object_set_new(json_object_get(wider, "init"), "intermediate",
                              json_integer(32));
    whole = artifact_of(wider);
    fake_context_keeps(fake);
    forget_keep();
    fake->polls = 0;
    fake->cancel_at = 8;
    assert_fails(tiny_run(fake, "train", params, &result), STATUS_CANCELLED,
                 "cancelled");
    fake->cancel_at = 0;
    again = artifact_of(wider);
    assert_non_null(strstr(fake->log, "begins anew"));
    assert_string_equal(whole, again);
    json_decref(params);
    json_decref(wider);
    free(whole);
    free(again);
}

/* --- memory ----------------------------------------------------------------- */

static void test_values_are_made_again_where_memory_is_short(void **state)
{
    json_t *params = training_with(
        2, "{'init':{'hidden':16,'layers':6,'heads':2},'batch':64}");
    int64_t ample = job_kind_find("train")->catalog.memory(params);
    char *whole, *again;
    json_t *result;

    (void)state;
    fake->context.memory_bytes = ample;
    whole = artifact_of(params);
    assert_null(strstr(fake->log, "made again"));
    fake->context.memory_bytes = ample / 2;
    again = artifact_of(params);
    assert_non_null(strstr(fake->log, "made again in backward"));
    assert_string_equal(whole, again);
    fake->context.memory_bytes = ample / 10;
    assert_fails(tiny_run(fake, "train", params, &result), STATUS_NO_MEMORY,
                 "lower `batch` or `length`");
    json_decref(params);
    free(whole);
    free(again);
}

/* --- architectures, optimisers, epochs -------------------------------------- */

static void test_every_text_architecture_learns(void **state)
{
    static const char *const names[] = { "llama", "mistral", "qwen2",
                                         "opt",   "gpt2",    "gpt_neox" };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        json_t *params = tiny_train(40), *result;
        json_t *init = tiny_json("{'architecture':'%s','hidden':16,"
                                 "'layers':1,'heads':2}",
                                 names[i]);

        (void)json_object_set_new(params, "init", init);
        assert_ok(tiny_run(fake, "train", params, &result));
        if (!(tiny_metric(result, "loss") < 4.2)) /* 5.6 at first */
            fail_msg("%s: %g", names[i], tiny_metric(result, "loss"));
        json_decref(params);
        json_decref(result);
    }
}

static void test_images_are_learnt_by_epochs(void **state)
{
    json_t *params =
        tiny_json("{'init':{'architecture':'mlp','sizes':[64,32,10]},"
                  "'data':{'builtin':'teacher10k','split':'train'},'epochs':3,"
                  "'batch':100,'optimizer':{'name':'sgd','lr':0.1,"
                  "'schedule':'multistep','milestones':[0.5,0.75],"
                  "'weight_decay':2e-3}}");
    json_t *result;

    (void)state;
    assert_ok(tiny_run(fake, "train", params, &result));
    assert_true(tiny_metric(result, "steps") == 240.0);
    assert_true(tiny_metric(result, "tokens") == 24000.0);
    if (!(tiny_metric(result, "loss") < 1.2)) /* 2.3 at first */
        fail_msg("%g", tiny_metric(result, "loss"));
    json_decref(params);
    json_decref(result);
}

static void test_data_without_end_has_no_epochs(void **state)
{
    json_t *params = training_with(3, "{'epochs':2}");
    json_t *result;

    (void)state;
    (void)json_object_del(params, "steps");
    assert_fails(tiny_run(fake, "train", params, &result), STATUS_INVALID,
                 "no end");
    json_decref(params);
}

static void test_shares_of_the_steps_are_steps(void **state)
{
    json_t *params =
        tiny_json("{'optimizer':{'schedule':'multistep','milestones':[0.5,150],"
                  "'warmup':0.1,'gamma':0.5}}");
    struct schedule s;

    (void)state;
    assert_ok(training_schedule(params, 200, &s));
    assert_int_equal(s.milestones[0], 100);
    assert_int_equal(s.milestones[1], 150);
    assert_int_equal(s.warmup, 20);
    assert_true(fabs(schedule_factor(&s, 10) - 0.5) < 1e-12);
    assert_true(fabs(schedule_factor(&s, 99) - 1.0) < 1e-12);
    assert_true(fabs(schedule_factor(&s, 160) - 0.25) < 1e-12);
    json_decref(params);
}

static void test_accumulated_passes_are_a_larger_batch(void **state)
{
    json_t *one = training_with(6, "{'batch':8,'clip':0}");
    json_t *two = training_with(6, "{'batch':4,'accumulate':2,'clip':0}");
    json_t *a, *b;

    (void)state;
    assert_ok(tiny_run(fake, "train", one, &a));
    assert_ok(tiny_run(fake, "train", two, &b));
    assert_true(tiny_metric(a, "tokens") == tiny_metric(b, "tokens"));
    assert_true(fabs(tiny_metric(a, "loss") - tiny_metric(b, "loss")) < 0.05);
    json_decref(one);
    json_decref(two);
    json_decref(a);
    json_decref(b);
}

/* A model with a tokenizer of its own, as ROOT/told. */
static void write_told_model(void)
{
    struct tiny_files t;
    json_t *json = tiny_tokenizer();
    char *text = json_pretty(json), *path;

    tiny_files_of(&t,
                  "{'model_type':'opt','hidden_size':16,'ffn_dim':24,"
                  "'num_hidden_layers':1,'num_attention_heads':2,"
                  "'vocab_size':263,'max_position_embeddings':32}",
                  DTYPE_F32, 3);
    tiny_files_write(&t, fake, "told");
    tiny_files_release(&t);
    path = xasprintf("%s/tokenizer.json", fake_context_path(fake, "told"));
    assert_ok(file_write(path, text, strlen(text)));
    free(path);
    free(text);
    json_decref(json);
}

static char *tokenizer_in(const char *artifact)
{
    char *text, *path;
    const char *directory;
    size_t size;

    assert_ok(fake->context.open_artifact(fake, artifact, &directory));
    path = xasprintf("%s/tokenizer.json", directory);
    assert_ok(file_read(path, 1 << 20, &text, &size));
    free(path);
    return text;
}

static void test_a_tokenizer_is_used_and_goes_along(void **state)
{
    static const char text[] = "the hello of the other and the rest of them";
    json_t *params = tiny_json("{'steps':2,'batch':2,'length':8}"), *result;
    char *tokenizer;

    (void)state;
    write_told_model();
    assert_ok(file_write(fake_context_path(fake, "text"), text, strlen(text)));
    (void)json_object_set_new(params, "model",
                              fake_context_source(fake, "told"));
    (void)json_object_set_new(params, "data",
                              fake_context_source(fake, "text"));
    assert_ok(tiny_run(fake, "train", params, &result));
    tokenizer = tokenizer_in(json_text_or(result, "artifact", ""));
    assert_non_null(strstr(tokenizer, "merges"));
    free(tokenizer);
    json_decref(result);
    (void)json_object_set_new(params, "train", tiny_json("['bias']"));
    assert_ok(tiny_run(fake, "retrain", params, &result));
    fake_context_set_job(fake, "healed", json_text_or(result, "artifact", ""));
    json_decref(result);
    json_decref(params);
    params = tiny_json("{'model':{'$job':'healed'}}");
    assert_ok(tiny_run(fake, "export", params, &result));
    tokenizer = tokenizer_in(json_text_or(result, "artifact", ""));
    assert_non_null(strstr(tokenizer, "merges"));
    free(tokenizer);
    json_decref(result);
    json_decref(params);
}

/* --- what the sweep compiler is told ----------------------------------------- */

static bool normalise(json_t *body, struct catalog_problem *problem)
{
    memset(problem, 0, sizeof(*problem));
    return job_kind_find("train")->catalog.normalise(body, problem);
}

static const struct {
    const char *body, *path, *message;
} refused[] = {
    { "{'init':{},'steps':3,'epochs':1}", "/epochs", "say the same" },
    { "{'init':{},'optimizer':{'name':'sgd','beta1':0.9}}", "/optimizer/beta1",
      "means nothing to sgd" },
    { "{'init':{},'optimizer':{'name':'adamw','momentum':0.9}}",
      "/optimizer/momentum", "means nothing to adamw" },
    { "{'init':{},'optimizer':{'schedule':'multistep'}}", "/optimizer/schedule",
      "milestones" },
    { "{'init':{'architecture':'mlp','hidden':12}}", "/init/hidden",
      "means nothing to mlp" },
    { "{'init':{'architecture':'mlp'}}", "/init", "needs `sizes`" },
    { "{'init':{'architecture':'lama'}}", "/init/architecture",
      "no architecture \"lama\"" },
    { "{'init':{'architecture':'opt','rotary':0.5}}", "/init/rotary",
      "means nothing to opt" },
};

static void test_contradictions_are_seen_by_the_compiler(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refused); i++)
        tiny_refuses("train", refused[i].body, refused[i].path,
                     refused[i].message);
}

static void test_defaults_are_written_out(void **state)
{
    json_t *short_one = tiny_json("{'init':{'architecture':'opt'},"
                                  "'data':{'builtin':'tasks'},"
                                  "'optimizer':{'name':'sgd'}}");
    json_t *long_one = tiny_json(
        "{'init':{'architecture':'opt','hidden':128,'layers':4,'heads':4,"
        "'vocab':258,'positions':512,'activation':'relu','tied':true},"
        "'data':{'builtin':'tasks'},'steps':300,'clip':0.0,"
        "'optimizer':{'name':'sgd','momentum':0.9,'weight_decay':0.0,"
        "'rho':0}}");
    struct catalog_problem problem;

    (void)state;
    assert_true(normalise(short_one, &problem));
    assert_true(normalise(long_one, &problem));
    assert_true(json_equal(short_one, long_one));
    json_decref(short_one);
    json_decref(long_one);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(test_a_killed_training_goes_on_to_the_same_bytes),
        CASE(test_a_cancelled_training_goes_on_where_it_was),
        CASE(test_a_state_that_does_not_fit_is_left_alone),
        CASE(test_values_are_made_again_where_memory_is_short),
        CASE(test_every_text_architecture_learns),
        CASE(test_images_are_learnt_by_epochs),
        CASE(test_data_without_end_has_no_epochs),
        CASE(test_shares_of_the_steps_are_steps),
        CASE(test_accumulated_passes_are_a_larger_batch),
        CASE(test_a_tokenizer_is_used_and_goes_along),
        CASE(test_contradictions_are_seen_by_the_compiler),
        CASE(test_defaults_are_written_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
