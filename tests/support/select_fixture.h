/* select_fixture.h -- two small models, a pool and all stages of a selection of
 * it, for the tests that include this once. */
#ifndef SINTER_TESTS_SUPPORT_SELECT_FIXTURE_H
#define SINTER_TESTS_SUPPORT_SELECT_FIXTURE_H

#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/select_stages.h"
#include "support/fake_fixture.h"
#include "support/tiny_files.h"
#include "support/tiny_llama.h"

#define SHAPE                                                        \
    "'hidden_size':16,'intermediate_size':24,'num_hidden_layers':2," \
    "'num_attention_heads':4,'max_position_embeddings':32,"
#define POOL "'data':{'builtin':'tasks','items':100,'predict':'answers'}"

static inline void write_model(const char *name, const char *config,
                               uint32_t seed)
{
    struct tiny_files t;

    assert_ok(file_remove_tree(fake_context_path(fake, name)));
    tiny_files_of(&t, config, DTYPE_F32, seed);
    tiny_files_write(&t, fake, name);
    tiny_files_release(&t);
}

static inline void write_models(void)
{
    write_model("original", "{'model_type':'llama'," SHAPE "'vocab_size':260}",
                1);
    write_model("pruned", "{'model_type':'llama'," SHAPE "'vocab_size':260}",
                2);
}

static inline void write_pool(const char *text)
{
    assert_ok(
        file_write(fake_context_path(fake, "pool.jsonl"), text, strlen(text)));
}

/* A body as the compiler leaves it; members of `text` over defaults. */
static inline json_t *body_of(const char *text)
{
    json_t *body = tiny_json(
        "{'method':'paser','embed':'tfidf','clusters':'3','budget':0.3,"
        "'jsd':'mean_answer','tau':1,'sigma_scale':1,'graph':'auto','time':0,"
        "'cost':'square','budget_mode':'capped','min_per_cluster':0,"
        "'conflicts':false,'cluster_order':'canonical','parts':1}");
    json_t *given = tiny_json("{%s}", text);
    struct catalog_problem problem;

    (void)json_object_set_new(body, "original",
                              fake_context_source(fake, "original"));
    (void)json_object_set_new(body, "pruned",
                              fake_context_source(fake, "pruned"));
    if (json_object_get(given, "data") == NULL)
        (void)json_object_set_new(body, "data",
                                  fake_context_source(fake, "pool.jsonl"));
    (void)json_object_update(body, given);
    json_decref(given);
    if (!job_kind_find("select")->catalog.normalise(body, &problem))
        fail_msg("%s: %s", problem.path, problem.message);
    if (json_object_get(json_object_get(body, "seed"), "$param") != NULL)
        (void)json_object_set_new(body, "seed", json_integer(0));
    return body;
}

/* {"$stage"} becomes {"$job"}. */
static inline void name_jobs(json_t *json)
{
    json_t *stage = json_object_get(json, "$stage");
    const char *name;
    json_t *member;

    if (stage != NULL) {
        (void)json_object_set(json, "$job", stage);
        (void)json_object_del(json, "$stage");
        return;
    }
    json_object_foreach(json, name, member) name_jobs(member);
    for (size_t i = 0; i < json_array_size(json); i++)
        name_jobs(json_array_get(json, i));
}

static inline struct status run_stage(const char *name, const char *kind,
                                      json_t *params)
{
    json_t *result = NULL;

    name_jobs(params);
    TRY_PLAIN(tiny_run(fake, kind, params, &result));
    fake_context_set_job(fake, name, json_text_or(result, "artifact", ""));
    json_decref(result);
    return SUCCESS;
}

/* All stages of a body and itself; the result is that of job "s". */
static inline struct status run_all(const char *text)
{
    AUTO(json_release) json_t *body = body_of(text);
    AUTO(json_release) json_t *stages = select_stages(body, "s");

    for (size_t i = 0; i < json_array_size(stages); i++) {
        json_t *one = json_array_get(stages, i);

        TRY_PLAIN(run_stage(json_text_or(one, "name", ""),
                            json_text_or(one, "kind", ""),
                            json_object_get(one, "params")));
    }
    return run_stage("s", "select", body);
}

static inline char *artifact_of(const char *job)
{
    return xstrdup(
        json_text_or(json_object_get(fake->inputs, job), "artifact", ""));
}

/* A file of the selection; the caller frees. */
static inline char *file_of(const char *name)
{
    AUTO(free_pointer) char *artifact = artifact_of("s");
    AUTO(free_pointer)
    char *path = xasprintf("%s/artifacts/%s/%s", fake->root, artifact, name);
    char *text;
    size_t size;

    assert_ok(file_read(path, 1 << 24, &text, &size));
    return text;
}

static inline json_t *head_of(void)
{
    AUTO(free_pointer) char *text = file_of("selection.json");
    json_t *json;

    assert_ok(json_parse(text, strlen(text), "selection.json", &json));
    return json;
}

static inline int64_t number_of(const char *name)
{
    AUTO(json_release) json_t *head = head_of();

    return json_int_or(head, name, -1);
}

static inline size_t lines_of(const char *name)
{
    AUTO(free_pointer) char *text = file_of(name);
    size_t count = 0;

    for (const char *c = text; *c != '\0'; c++)
        count += *c == '\n';
    return count;
}

#endif
