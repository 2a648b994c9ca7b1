#include "support/healing.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/memory.h"
#include "jobs/job_kind.h"
#include "support/test.h"
#include "support/tiny_llama.h"

void healing_base(struct fake_context *f, const char *key, const char *init,
                  const char *dtype, int steps)
{
    json_t *params = tiny_train(steps), *result;

    (void)json_object_set_new(params, "init", tiny_json("%s", init));
    (void)json_object_set_new(params, "dtype", json_string(dtype));
    assert_ok(tiny_run(f, "train", params, &result));
    fake_context_set_job(f, key, json_text_or(result, "artifact", ""));
    json_decref(params);
    json_decref(result);
}

json_t *healing_job(const char *key)
{
    return tiny_json("{'$job':'%s'}", key);
}

json_t *healing_pruned(const char *key)
{
    return tiny_json("{'$recipe':{'kind':'prune','params':{'model':"
                     "{'$job':'%s'},'method':'magnitude','sparsity':0.5}}}",
                     key);
}

json_t *healing_params(json_t *model, const char *train, const char *more)
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

json_t *healing_run(struct fake_context *f, json_t *params, const char *key)
{
    json_t *result = NULL;

    assert_ok(tiny_run(f, "retrain", params, &result));
    check_metrics(params, result);
    fake_context_set_job(f, key, json_text_or(result, "artifact", ""));
    json_decref(params);
    return result;
}

void healing_refused(struct fake_context *f, json_t *params, const char *words)
{
    json_t *result;

    assert_fails(tiny_run(f, "retrain", params, &result), STATUS_INVALID,
                 words);
    json_decref(params);
}

struct recipe_model *healing_open(struct fake_context *f, json_t *model)
{
    struct recipe_model *m = NULL;

    assert_ok(recipe_open(model, &f->context, &m));
    json_decref(model);
    return m;
}

void healing_reads_as_computed(struct fake_context *f, const char *key,
                               const json_t *result)
{
    json_t *inputs = f->inputs;
    struct recipe_model *m;
    struct digest digest;
    char text[DIGEST_TEXT];

    f->inputs = json_object();
    (void)json_object_set(f->inputs, key, json_object_get(inputs, key));
    m = healing_open(f, healing_job(key));
    digest = recipe_digest(m);
    digest_to_text(&digest, text);
    assert_string_equal(text, json_text_or(result, "model_digest", ""));
    recipe_close(m);
    json_decref(f->inputs);
    f->inputs = inputs;
}

#define OPT                                                             \
    "{'architecture':'opt','hidden':16,'layers':2,'heads':2,'tied':%s," \
    "'intermediate':24}"

void healing_opt(struct fake_context *f, const char *tied, const char *dtype)
{
    char init[128];

    (void)snprintf(init, sizeof(init), OPT, tied);
    healing_base(f, "base", init, dtype, 40);
}

static void die_at_nine(void *self, uint64_t done, uint64_t total,
                        const char *unit)
{
    (void)self;
    (void)total;
    if (strcmp(unit, "step") == 0 && done == 9)
        (void)raise(SIGKILL);
}

void healing_killed(struct fake_context *f, json_t *params, const char *words)
{
    json_t *result;
    char *whole;
    pid_t child;
    int status;

    assert_ok(tiny_run(f, "retrain", params, &result));
    whole = xstrdup(json_text_or(result, "artifact", ""));
    json_decref(result);
    fake_context_keeps(f);
    child = fork();
    if (child == 0) {
        struct status s;

        f->context.progress = die_at_nine;
        s = tiny_run(f, "retrain", params, &result);
        _exit(status_failed(&s) ? 2 : 3); /* it was to be killed */
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_ok(tiny_run(f, "retrain", params, &result));
    assert_non_null(strstr(f->log, words));
    assert_string_equal(whole, json_text_or(result, "artifact", ""));
    json_decref(params);
    json_decref(result);
    free(whole);
}
