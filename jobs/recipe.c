#include "jobs/recipe.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/delta.h"
#include "jobs/model_digest.h"
#include "jobs/recipe_cache.h"
#include "jobs/recipe_mask.h"
#include "jobs/recipe_merge.h"
#include "jobs/recipe_prune.h"
#include "tensor/safetensors.h"

struct recipe_model {
    struct recipe_cache *cache; /* NULL: the entry dies with the model */
    struct recipe_entry *entry; /* realised, or ... */
    struct st_model *mapped;    /* ... files */
    const struct tensor_set *set;
    json_t *config;
    char *directory;
};

/* Lazy kinds and how they become tensors. */
static const struct lazy {
    const char *kind;
    struct status (*realise)(const json_t *params, const struct digest *key,
                             struct job_context *context,
                             struct recipe_entry **ret_entry);
    /* The model whose tokenizer and other files go along. */
    const char *base, *models; /* `models` NULL: there is always a base */
    const char *instead;       /* a model that stands for it if it is there */
} lazies[] = {
    { "merge", recipe_merge_realise, "base_model", "models", NULL },
    { "prune", recipe_prune_realise, "model", NULL, "fitted" },
};

static struct status find_lazy(const json_t *recipe,
                               const struct lazy **ret_lazy,
                               json_t **ret_params)
{
    const char *kind;

    TRY(json_member_text(recipe, "kind", &kind), "recipe");
    TRY(json_member_object(recipe, "params", ret_params), "recipe");
    for (size_t i = 0; i < COUNT_OF(lazies); i++) {
        if (strcmp(lazies[i].kind, kind) == 0) {
            *ret_lazy = &lazies[i];
            return SUCCESS;
        }
    }
    return FAIL(STATUS_INVALID,
                "this worker cannot realise a %s; it is older "
                "than the sweep",
                kind);
}

/* What jobs before this one made of a recipe, or the model itself. */
static const json_t *stand_in(const json_t *model)
{
    const json_t *recipe = json_object_get(model, "$recipe");
    const char *kind = json_text_or(recipe, "kind", "");

    for (size_t i = 0; i < COUNT_OF(lazies); i++) {
        const json_t *instead =
            lazies[i].instead == NULL || strcmp(lazies[i].kind, kind) != 0
                ? NULL
                : json_object_get(json_object_get(recipe, "params"),
                                  lazies[i].instead);

        if (instead != NULL)
            return instead;
    }
    return model;
}

/* Which tensors of a model are needed; `wanted` of NULL: all. */
struct choice {
    bool (*wanted)(void *chooser, const char *name);
    void *chooser;
};

static bool want_none(void *chooser, const char *name)
{
    (void)chooser;
    (void)name;
    return false;
}

static struct status source_path(const json_t *model,
                                 struct job_context *context,
                                 const struct choice *choice,
                                 const char **ret_path)
{
    const json_t *source = json_object_get(model, "$source");
    const char *job = json_text_or(model, "$job", NULL);
    const char *artifact = json_text_or(model, "$artifact", NULL);
    const json_t *result;

    if (source != NULL && choice->wanted != NULL &&
        context->fetch_tensors != NULL)
        return context->fetch_tensors(context->self, source, choice->wanted,
                                      choice->chooser, ret_path);
    if (source != NULL)
        return context->fetch(context->self, source, ret_path);
    if (artifact != NULL)
        return context->open_artifact(context->self, artifact, ret_path);
    if (job == NULL)
        return FAIL(STATUS_INVALID, "a model is one of $source, $job, $recipe");
    TRY(context->input(context->self, job, &result), "job %.8s", job);
    TRY(json_member_text(result, "artifact", &artifact), "job %.8s", job);
    return context->open_artifact(context->self, artifact, ret_path);
}

struct status recipe_path(const json_t *model, struct job_context *context,
                          const char **ret_path)
{
    static const struct choice all = { NULL, NULL };

    return source_path(model, context, &all, ret_path);
}

static bool is_directory(const char *path)
{
    struct stat st;

    assert(path != NULL);
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Where the files beside the tensors lie; NULL if the model is one file. */
static struct status directory_of(const json_t *model,
                                  struct job_context *context,
                                  char **ret_directory)
{
    static const struct choice none = { want_none, NULL };
    const json_t *recipe;
    const struct lazy *lazy;
    json_t *params;
    const char *path;

    while ((recipe = json_object_get(model, "$recipe")) != NULL) {
        TRY_PLAIN(find_lazy(recipe, &lazy, &params));
        model = json_object_get(params, lazy->base);
        if (model == NULL && lazy->models != NULL)
            model = json_object_get(
                json_array_get(json_object_get(params, lazy->models), 0),
                "model");
    }
    TRY_PLAIN(source_path(model, context, &none, &path));
    if (is_directory(path) && delta_is(path)) {
        AUTO(json_release) json_t *head = NULL;

        TRY_PLAIN(delta_head(path, &head));
        return directory_of(json_object_get(head, "base"), context,
                            ret_directory);
    }
    *ret_directory = is_directory(path) ? xstrdup(path) : NULL;
    return SUCCESS;
}

struct status recipe_delta(const json_t *model, struct job_context *context,
                           json_t **ret_head)
{
    static const struct choice none = { want_none, NULL };
    const char *path;

    *ret_head = NULL;
    if (json_object_get(model, "$recipe") != NULL)
        return SUCCESS;
    TRY_PLAIN(source_path(model, context, &none, &path));
    return is_directory(path) && delta_is(path) ? delta_head(path, ret_head)
                                                : SUCCESS;
}

/* The outermost model of the job counts: it is opened first. */
static void note_origin(struct job_context *context,
                        const struct recipe_entry *e)
{
    enum job_model *model = &context->facts.model;

    if (*model != JOB_MODEL_NONE)
        return;
    if (e == NULL)
        *model = JOB_MODEL_REALISED;
    else
        *model = e->fresh ? JOB_MODEL_SHARED : JOB_MODEL_CACHED;
}

static void keep_entry(struct job_context *context, struct recipe_entry *e,
                       const struct digest *key)
{
    e->key = *key;
    if (context->cache != NULL)
        recipe_cache_add(context->cache, e);
}

static void use_entry(struct job_context *context, struct recipe_entry *e,
                      struct recipe_model *m)
{
    recipe_cache_hold(context->cache, e);
    m->cache = context->cache;
    m->entry = e;
    m->set = &e->set;
    m->config = json_incref(e->files.config);
}

MUST_CHECK static struct status open_delta(const char *path,
                                           struct job_context *context,
                                           struct recipe_model *m)
{
    AUTO(free_pointer) char *directory = xstrdup(path);
    AUTO(json_release) json_t *head = NULL;
    struct recipe_entry *e;
    struct digest key;

    TRY_PLAIN(delta_head(directory, &head));
    key = delta_key(head);
    e = recipe_cache_find(context->cache, &key);
    note_origin(context, e);
    if (e == NULL) {
        TRY_PLAIN(delta_realise(directory, head, context, &e));
        keep_entry(context, e, &key);
    }
    use_entry(context, e, m);
    return directory_of(json_object_get(head, "base"), context, &m->directory);
}

/* Files, or a delta, whose base lies elsewhere. */
static struct status open_files(const json_t *model,
                                struct job_context *context,
                                const struct choice *choice,
                                struct recipe_model *m)
{
    const char *path = NULL;
    char *config;
    struct status s = SUCCESS;

    TRY_PLAIN(source_path(model, context, choice, &path));
    if (is_directory(path) && delta_is(path))
        return open_delta(path, context, m);
    TRY_PLAIN(st_model_open(path, &m->mapped));
    m->set = st_model_tensors(m->mapped);
    if (!is_directory(path))
        return SUCCESS;
    m->directory = xstrdup(path);
    config = xasprintf("%s/config.json", m->directory);
    if (file_exists(config))
        s = json_parse_file(config, LIMIT_CONFIG, &m->config);
    free(config);
    return s;
}

struct digest recipe_key(const json_t *recipe)
{
    AUTO(free_pointer) char *text = json_canonical(recipe);

    return digest_of(text, strlen(text));
}

MUST_CHECK static struct status realise(const json_t *recipe,
                                        const struct digest *key,
                                        struct job_context *context,
                                        struct recipe_entry **ret_entry)
{
    const struct lazy *lazy = NULL;
    json_t *params;

    TRY_PLAIN(find_lazy(recipe, &lazy, &params));
    assert(lazy != NULL);
    TRY_PLAIN(lazy->realise(params, key, context, ret_entry));
    keep_entry(context, *ret_entry, key);
    return SUCCESS;
}

static struct status open_recipe(const json_t *recipe,
                                 struct job_context *context,
                                 struct recipe_model *m)
{
    struct digest key = recipe_key(recipe);
    struct recipe_entry *e = recipe_cache_find(context->cache, &key);

    note_origin(context, e);
    if (e == NULL)
        TRY_PLAIN(realise(recipe, &key, context, &e));
    use_entry(context, e, m);
    return SUCCESS;
}

struct status recipe_open_some(const json_t *model, struct job_context *context,
                               bool (*wanted)(void *chooser, const char *name),
                               void *chooser, struct recipe_model **ret_model)
{
    const struct choice choice = { wanted, chooser };
    const json_t *recipe;
    struct recipe_model *m = xnew(struct recipe_model);
    struct status s;

    model = stand_in(model);
    recipe = json_object_get(model, "$recipe");
    if (recipe == NULL) {
        s = open_files(model, context, &choice, m);
    } else {
        s = open_recipe(recipe, context, m);
        if (!status_failed(&s))
            s = directory_of(model, context, &m->directory);
    }
    if (status_failed(&s)) {
        recipe_close(m);
        return s;
    }
    *ret_model = m;
    return SUCCESS;
}

struct status recipe_open(const json_t *model, struct job_context *context,
                          struct recipe_model **ret_model)
{
    return recipe_open_some(model, context, NULL, NULL, ret_model);
}

void recipe_close(struct recipe_model *m)
{
    if (m == NULL)
        return;
    if (m->entry != NULL)
        recipe_cache_let_go(m->cache, m->entry);
    st_model_close(m->mapped);
    json_decref(m->config);
    free(m->directory);
    free(m);
}

const struct tensor_set *recipe_tensors(const struct recipe_model *m)
{
    assert(m != NULL);
    return m->set;
}

const uint8_t *recipe_mask(const struct recipe_model *m, const char *tensor)
{
    const struct tensor *t = tensor_find(m->set, tensor);

    return m->entry == NULL || t == NULL ? NULL
                                         : m->entry->masks[t - m->set->items];
}

bool recipe_is_mapped(const struct recipe_model *m)
{
    return m->mapped != NULL;
}

const json_t *recipe_config(const struct recipe_model *m)
{
    assert(m != NULL);
    return m->config;
}

const char *recipe_directory(const struct recipe_model *m)
{
    return m->directory;
}

struct status recipe_files(const struct recipe_model *m,
                           struct merge_files *ret_files)
{
    if (m->entry != NULL) {
        *ret_files = merge_files_copy(&m->entry->files);
        return SUCCESS;
    }
    TRY_PLAIN(merge_files_of_directory(m->directory, ret_files));
    json_decref(ret_files->config);
    ret_files->config = json_incref(m->config);
    return SUCCESS;
}

struct digest recipe_digest(const struct recipe_model *m)
{
    return model_digest_of(m->set);
}
