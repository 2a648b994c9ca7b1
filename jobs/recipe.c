#include "jobs/recipe.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/merge/merge_run.h"
#include "tensor/safetensors.h"

enum { ALIGN = 64 };

/* A realised model. */
struct entry {
    struct entry *next; /* in the cache */
    struct digest key;  /* of the recipe's canonical text */
    struct tensor_set set;
    struct tensor *tensors; /* set.items; names are ours */
    void *memory;           /* all tensors, each at a multiple of ALIGN */
    size_t size;
    json_t *config; /* NULL: none */
    uint64_t users;
    uint64_t last_use;
};

/* Memory is handed on from model to model instead of being returned: a page
 * that comes fresh from the system costs as much as writing 25 KB. */
struct recipe_cache {
    uint64_t limit;
    uint64_t uses;
    struct entry *entries;
    void *spare; /* of the last model dropped */
    size_t spare_size;
};

struct recipe_model {
    struct recipe_cache *cache; /* NULL: the entry dies with the model */
    struct entry *entry;        /* realised, or ... */
    struct st_model *mapped;    /* ... files */
    const struct tensor_set *set;
    json_t *config;
    char *directory;
};

struct recipe_cache *recipe_cache_new(uint64_t limit)
{
    struct recipe_cache *c = xnew(struct recipe_cache);

    c->limit = limit;
    return c;
}

static void entry_free(struct entry *e)
{
    if (e == NULL)
        return;
    for (size_t i = 0; i < e->set.count; i++)
        free_pointer(&e->tensors[i].name);
    free(e->tensors);
    free(e->memory);
    json_decref(e->config);
    free(e);
}

void recipe_cache_free(struct recipe_cache *c)
{
    if (c == NULL)
        return;
    while (c->entries != NULL) {
        struct entry *e = c->entries;

        c->entries = e->next;
        entry_free(e);
    }
    free(c->spare);
    free(c);
}

static void drop_spare(struct recipe_cache *c)
{
    free(c->spare);
    c->spare = NULL;
    c->spare_size = 0;
}

static uint64_t idle_bytes(const struct recipe_cache *c)
{
    uint64_t bytes = 0;

    for (const struct entry *e = c->entries; e != NULL; e = e->next)
        bytes += e->users == 0 ? e->size : 0;
    return bytes;
}

/* The longest unused, taken out; there is one. */
static struct entry *take_oldest(struct recipe_cache *c)
{
    struct entry **found = NULL;
    struct entry *e;

    for (struct entry **at = &c->entries; *at != NULL; at = &(*at)->next) {
        if ((*at)->users == 0 &&
            (found == NULL || (*at)->last_use < (*found)->last_use))
            found = at;
    }
    assert(found != NULL);
    e = *found;
    *found = e->next;
    return e;
}

static void shrink(struct recipe_cache *c)
{
    while (idle_bytes(c) > c->limit) {
        struct entry *e = take_oldest(c);

        drop_spare(c);
        c->spare = e->memory;
        c->spare_size = e->size;
        e->memory = NULL;
        entry_free(e);
    }
}

static struct entry *cached(const struct recipe_cache *c,
                            const struct digest *key)
{
    struct entry *e = c == NULL ? NULL : c->entries;

    while (e != NULL && !digest_equal(&e->key, key))
        e = e->next;
    return e;
}

static struct status take_memory(struct recipe_cache *c, size_t size,
                                 void **ret_memory)
{
    if (c != NULL && c->spare != NULL && c->spare_size == size) {
        *ret_memory = c->spare;
        c->spare = NULL;
        c->spare_size = 0;
        return SUCCESS;
    }
    if (c != NULL)
        drop_spare(c);
    *ret_memory = aligned_alloc(ALIGN, size);
    if (*ret_memory == NULL)
        return FAIL(STATUS_NO_MEMORY, "no %zu bytes for a merged model", size);
    return SUCCESS;
}

static uint64_t padded(uint64_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static struct status measure(const struct tensor_set *layout,
                             const struct job_context *context,
                             size_t *ret_size)
{
    uint64_t size = ALIGN;

    for (size_t i = 0; i < layout->count; i++)
        size += padded(tensor_bytes(&layout->items[i]));
    if (context->memory_bytes > 0 && size > (uint64_t)context->memory_bytes)
        return FAIL(STATUS_NO_MEMORY,
                    "the merged model takes %" PRIu64 " bytes, the slot has "
                    "%" PRId64 "; give the worker more --memory or fewer slots",
                    size, context->memory_bytes);
    *ret_size = (size_t)size;
    return SUCCESS;
}

/* Room for every tensor of the layout. */
static struct status entry_new(const struct tensor_set *layout,
                               const struct job_context *context,
                               struct entry **ret_entry)
{
    struct entry *e;
    void *memory = NULL;
    size_t size = 0;
    char *at;

    TRY_PLAIN(measure(layout, context, &size));
    TRY_PLAIN(take_memory(context->cache, size, &memory));
    e = xnew(struct entry);
    e->memory = memory;
    e->size = size;
    e->tensors = xcalloc(layout->count + 1, sizeof *e->tensors);
    e->set = (struct tensor_set){ layout->count, e->tensors };
    at = memory;
    for (size_t i = 0; i < layout->count; i++) {
        e->tensors[i] = layout->items[i];
        e->tensors[i].name = xstrdup(layout->items[i].name);
        e->tensors[i].file = "a merged model";
        e->tensors[i].data = at;
        at += padded(tensor_bytes(&layout->items[i]));
    }
    *ret_entry = e;
    return SUCCESS;
}

/* The models a merge reads. */
struct parts {
    struct recipe_model *base;
    struct recipe_model *tasks[LIMIT_MODELS];
};

static void parts_release(struct parts *p)
{
    recipe_close(p->base);
    for (size_t i = 0; i < LIMIT_MODELS; i++)
        recipe_close(p->tasks[i]);
}

static struct status open_part(const json_t *model, struct job_context *context,
                               struct recipe_model **ret_model)
{
    char label[128];

    TRY(recipe_open(model, context, ret_model), "%s",
        merge_model_label(model, label, sizeof label));
    return SUCCESS;
}

static struct status open_parts(const struct merge_config *config,
                                struct job_context *context,
                                struct parts *parts)
{
    if (config->base != NULL)
        TRY_PLAIN(open_part(config->base, context, &parts->base));
    for (size_t i = 0; i < config->count; i++)
        TRY_PLAIN(open_part(config->models[i], context, &parts->tasks[i]));
    return SUCCESS;
}

/* Of the base, with the dtype the tensors now have. */
static json_t *merged_config(const struct merge_config *config,
                             const struct parts *parts)
{
    const struct recipe_model *from =
        parts->base != NULL ? parts->base : parts->tasks[0];
    static const char *const names[DTYPE_COUNT] = {
        [DTYPE_F64] = "float64",
        [DTYPE_F32] = "float32",
        [DTYPE_F16] = "float16",
        [DTYPE_BF16] = "bfloat16",
    };
    json_t *copy = json_deep_copy(recipe_config(from));

    if (copy != NULL && config->has_dtype)
        (void)json_object_set_new(copy, "torch_dtype",
                                  json_string(names[config->dtype]));
    return copy;
}

static struct status write_tensors(struct merge *m, const struct entry *e,
                                   struct job_context *context)
{
    const struct merge_runtime runtime = { .threads = context->threads,
                                           .self = context->self,
                                           .cancelled = context->cancelled,
                                           .progress = context->progress };
    void **targets = xcalloc(e->set.count + 1, sizeof *targets);
    char *at = e->memory;
    struct status s;

    for (size_t i = 0; i < e->set.count; i++) {
        targets[i] = at;
        at += padded(tensor_bytes(&e->set.items[i]));
    }
    s = merge_run(m, &runtime, targets);
    free(targets);
    return s;
}

static void merge_release(struct merge **m)
{
    merge_free(*m);
}

static struct status realise_merge(const json_t *params,
                                   struct job_context *context,
                                   struct entry **ret_entry)
{
    AUTO(parts_release) struct parts parts = { .base = NULL };
    AUTO(merge_release) struct merge *m = NULL;
    struct merge_config config;
    struct merge_inputs inputs = { .base = NULL };
    struct entry *e;
    struct status s;

    TRY_PLAIN(merge_config_read(params, &config));
    TRY_PLAIN(open_parts(&config, context, &parts));
    if (parts.base != NULL)
        inputs.base = recipe_tensors(parts.base);
    for (size_t i = 0; i < config.count; i++)
        inputs.tasks[i] = recipe_tensors(parts.tasks[i]);
    TRY_PLAIN(merge_new(&config, &inputs, &m));
    TRY_PLAIN(entry_new(merge_layout(m), context, &e));
    s = write_tensors(m, e, context);
    if (status_failed(&s)) {
        entry_free(e);
        return s;
    }
    e->config = merged_config(&config, &parts);
    *ret_entry = e;
    return SUCCESS;
}

/* Lazy kinds and how they become tensors. */
static const struct lazy {
    const char *kind;
    struct status (*realise)(const json_t *params, struct job_context *context,
                             struct entry **ret_entry);
    /* The model whose tokenizer and other files go along. */
    const char *base, *models;
} lazies[] = {
    { "merge", realise_merge, "base_model", "models" },
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

static struct status source_path(const json_t *model,
                                 struct job_context *context,
                                 const char **ret_path)
{
    const json_t *source = json_object_get(model, "$source");
    const char *job = json_text_or(model, "$job", NULL);
    const char *artifact;
    const json_t *result;

    if (source != NULL)
        return context->fetch(context->self, source, ret_path);
    if (job == NULL)
        return FAIL(STATUS_INVALID, "a model is one of $source, $job, $recipe");
    TRY(context->input(context->self, job, &result), "job %.8s", job);
    TRY(json_member_text(result, "artifact", &artifact), "job %.8s", job);
    return context->open_artifact(context->self, artifact, ret_path);
}

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* Where the files beside the tensors lie; NULL if the model is one file. */
static struct status directory_of(const json_t *model,
                                  struct job_context *context,
                                  char **ret_directory)
{
    const json_t *recipe;
    const struct lazy *lazy;
    json_t *params;
    const char *path;

    while ((recipe = json_object_get(model, "$recipe")) != NULL) {
        TRY_PLAIN(find_lazy(recipe, &lazy, &params));
        model = json_object_get(params, lazy->base);
        if (model == NULL)
            model = json_object_get(
                json_array_get(json_object_get(params, lazy->models), 0),
                "model");
    }
    TRY_PLAIN(source_path(model, context, &path));
    *ret_directory = is_directory(path) ? xstrdup(path) : NULL;
    return SUCCESS;
}

static struct status open_files(const json_t *model,
                                struct job_context *context,
                                struct recipe_model *m)
{
    const char *path;
    char *config;
    struct status s = SUCCESS;

    TRY_PLAIN(source_path(model, context, &path));
    TRY_PLAIN(st_model_open(path, &m->mapped));
    m->set = st_model_tensors(m->mapped);
    TRY_PLAIN(directory_of(model, context, &m->directory));
    if (m->directory == NULL)
        return SUCCESS;
    config = xasprintf("%s/config.json", m->directory);
    if (file_exists(config))
        s = json_parse_file(config, LIMIT_CONFIG, &m->config);
    free(config);
    return s;
}

static struct digest digest_of_json(const json_t *json)
{
    AUTO(free_pointer) char *text = json_canonical(json);

    return digest_of(text, strlen(text));
}

static struct status open_recipe(const json_t *recipe,
                                 struct job_context *context,
                                 struct recipe_model *m)
{
    struct digest key = digest_of_json(recipe);
    struct recipe_cache *cache = context->cache;
    const struct lazy *lazy;
    json_t *params;

    m->entry = cached(cache, &key);
    if (m->entry == NULL) {
        TRY_PLAIN(find_lazy(recipe, &lazy, &params));
        TRY_PLAIN(lazy->realise(params, context, &m->entry));
        m->entry->key = key;
        if (cache != NULL) {
            m->entry->next = cache->entries;
            cache->entries = m->entry;
        }
    }
    m->cache = cache;
    m->entry->users++;
    if (cache != NULL) {
        m->entry->last_use = ++cache->uses;
        if (idle_bytes(cache) + cache->spare_size > cache->limit)
            drop_spare(cache);
    }
    m->set = &m->entry->set;
    m->config = json_incref(m->entry->config);
    return SUCCESS;
}

struct status recipe_open(const json_t *model, struct job_context *context,
                          struct recipe_model **ret_model)
{
    const json_t *recipe = json_object_get(model, "$recipe");
    struct recipe_model *m = xnew(struct recipe_model);
    struct status s;

    if (recipe == NULL) {
        s = open_files(model, context, m);
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

void recipe_close(struct recipe_model *m)
{
    if (m == NULL)
        return;
    if (m->entry != NULL) {
        assert(m->entry->users > 0);
        m->entry->users--;
        if (m->cache == NULL)
            entry_free(m->entry);
        else
            shrink(m->cache);
    }
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

const json_t *recipe_config(const struct recipe_model *m)
{
    assert(m != NULL);
    return m->config;
}

const char *recipe_directory(const struct recipe_model *m)
{
    return m->directory;
}

struct digest recipe_digest(const struct recipe_model *m)
{
    struct digest_stream *stream = digest_begin();

    for (size_t i = 0; i < m->set->count; i++) {
        const struct tensor *t = &m->set->items[i];
        const char *dtype = dtype_name(t->dtype);
        char shape[32 * LIMIT_RANK];

        (void)tensor_shape_text(t, shape, sizeof shape);
        digest_add(stream, t->name, strlen(t->name) + 1);
        digest_add(stream, dtype, strlen(dtype) + 1);
        digest_add(stream, shape, strlen(shape) + 1);
        digest_add(stream, t->data, (size_t)tensor_bytes(t));
    }
    return digest_end(stream);
}
