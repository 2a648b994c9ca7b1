#include "jobs/merge/merge_files.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/companion.h"
#include "common/file.h"
#include "common/limits.h"
#include "common/memory.h"
#include "jobs/merge/merge_match.h"
#include "jobs/merge/merge_tokenizer.h"

static const char template_file[] = "chat_template.jinja";
static const char settings_file[] = "tokenizer_config.json";

/* ---- rows of files ----------------------------------------------------- */

const struct merge_file *merge_files_find(const struct merge_files *f,
                                          const char *name)
{
    for (size_t i = 0; f != NULL && f->items != NULL && i < f->count; i++) {
        if (strcmp(f->items[i].name, name) == 0)
            return &f->items[i];
    }
    return NULL;
}

static void file_release(struct merge_file *file)
{
    free(file->path);
    free(file->bytes);
}

void merge_files_release(struct merge_files *f)
{
    for (size_t i = 0; f->items != NULL && i < f->count; i++)
        file_release(&f->items[i]);
    free(f->items);
    json_decref(f->config);
    *f = (struct merge_files){ .count = 0 };
}

/* The file of a name, made if it is not there; `name` is a literal. */
static struct merge_file *file_of(struct merge_files *f, const char *name)
{
    struct merge_file *old =
        (struct merge_file *)(uintptr_t)merge_files_find(f, name);

    if (old != NULL) {
        file_release(old);
    } else {
        f->items = xrealloc(f->items, (f->count + 1) * sizeof *f->items);
        old = &f->items[f->count++];
    }
    *old = (struct merge_file){ .name = name };
    return old;
}

static void drop_file(struct merge_files *f, const char *name)
{
    const struct merge_file *file = merge_files_find(f, name);
    size_t at;

    if (file == NULL)
        return;
    assert(f->items != NULL);
    at = (size_t)(file - f->items);
    file_release(&f->items[at]);
    f->count--;
    for (; at < f->count; at++)
        f->items[at] = f->items[at + 1];
}

static void put_json(struct merge_files *f, const char *name,
                     const json_t *json)
{
    struct merge_file *file = file_of(f, name);

    file->bytes = json_pretty(json);
    file->size = strlen(file->bytes);
}

static void copy_files(const struct merge_files *from, struct merge_files *to)
{
    for (size_t i = 0; from != NULL && i < from->count; i++) {
        const struct merge_file *file = &from->items[i];
        struct merge_file *copy = file_of(to, file->name);

        if (file->path != NULL) {
            copy->path = xstrdup(file->path);
            continue;
        }
        copy->bytes = xcalloc(file->size + 1, 1);
        memcpy(copy->bytes, file->bytes, file->size);
        copy->size = file->size;
    }
}

struct merge_files merge_files_copy(const struct merge_files *f)
{
    struct merge_files copy = { .config = json_incref(f->config) };

    copy_files(f, &copy);
    return copy;
}

struct status merge_files_read(const struct merge_files *f, size_t i,
                               char **ret_bytes, size_t *ret_size)
{
    const struct merge_file *file = &f->items[i];

    assert(f->items != NULL && i < f->count);
    if (file->path != NULL)
        return file_read(file->path, LIMIT_COMPANION, ret_bytes, ret_size);
    *ret_bytes = xcalloc(file->size + 1, 1);
    memcpy(*ret_bytes, file->bytes, file->size);
    *ret_size = file->size;
    return SUCCESS;
}

struct status merge_files_load(struct merge_files *f)
{
    for (size_t i = 0; i < f->count; i++) {
        struct merge_file *file = &f->items[i];

        if (file->path == NULL)
            continue;
        TRY_PLAIN(
            file_read(file->path, LIMIT_COMPANION, &file->bytes, &file->size));
        free(file->path);
        file->path = NULL;
    }
    return SUCCESS;
}

/* An empty object if there is no such file. */
static struct status read_object(const struct merge_files *f, const char *name,
                                 json_t **ret_json)
{
    const struct merge_file *file = merge_files_find(f, name);
    AUTO(free_pointer) char *text = NULL;
    size_t size;

    if (file == NULL) {
        *ret_json = json_object();
        return SUCCESS;
    }
    TRY_PLAIN(merge_files_read(f, (size_t)(file - f->items), &text, &size));
    return json_parse(text, size, name, ret_json);
}

/* ---- of a directory ---------------------------------------------------- */

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

struct status merge_files_of_directory(const char *directory,
                                       struct merge_files *ret_files)
{
    struct merge_files files = { .count = 0 };
    AUTO(free_pointer) char *config = NULL;

    *ret_files = files;
    if (directory == NULL || !is_directory(directory))
        return SUCCESS;
    config = xasprintf("%s/config.json", directory);
    if (file_exists(config))
        TRY_PLAIN(json_parse_file(config, LIMIT_CONFIG, &files.config));
    for (size_t i = 0; companion_files[i] != NULL; i++) {
        char *path = xasprintf("%s/%s", directory, companion_files[i]);

        if (file_exists(path))
            file_of(&files, companion_files[i])->path = path;
        else
            free(path);
    }
    *ret_files = files;
    return SUCCESS;
}

/* ---- config.json of a result ------------------------------------------- */

static const struct merge_files *of_base(const struct merge_plan *p)
{
    return p->configs->base != NULL ? p->inputs->base_files
                                    : p->inputs->files[0];
}

/* Of the model whose tokenizer the result has. */
static const struct merge_files *of_tokenizer(const struct merge_plan *p)
{
    const struct merge_config *c = p->configs;

    for (size_t i = 0; i < c->count && c->tokenizer != NULL; i++) {
        if (json_equal(c->tokenizer, c->models[i]))
            return p->inputs->files[i];
    }
    return of_base(p);
}

/* Entries of a list with one item a layer follow their layers. */
static void set_layer_list(const struct merge_config *c, json_t *list)
{
    json_t *old = json_copy(list);

    (void)json_array_clear(list);
    for (size_t s = 0; s < merge_config_slices(c); s++) {
        struct merge_slice slice;
        const struct merge_source *from;

        merge_config_slice(c, s, &slice);
        from = c->deltas ? &slice.base : &slice.sources[0];
        for (uint64_t i = from->from; i < from->end; i++)
            (void)json_array_append(list, json_array_get(old, (size_t)i));
    }
    json_decref(old);
}

static void set_layers(const struct merge_plan *p, json_t *config)
{
    static const char *const keys[] = { "num_hidden_layers", "n_layer",
                                        "num_layers", "n_layers" };
    json_int_t layers = (json_int_t)depth_layers(&p->layout);
    json_int_t old = -1;

    if (p->configs->slices == NULL)
        return;
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        if (!json_is_integer(json_object_get(config, keys[i])))
            continue;
        old = json_integer_value(json_object_get(config, keys[i]));
        (void)json_object_set_new(config, keys[i], json_integer(layers));
    }
    if ((json_int_t)json_array_size(json_object_get(config, "layer_types")) ==
        old)
        set_layer_list(p->configs, json_object_get(config, "layer_types"));
}

/* The rows of the embedding, if they are not those of its model any more. */
static void set_vocabulary(const struct merge_plan *p, json_t *config)
{
    const json_t *old = json_object_get(config, "vocab_size");

    for (size_t i = 0; i < p->layout.count && json_is_integer(old); i++) {
        const struct tensor *t = &p->layout.items[i];
        const struct tensor *was = p->entries[i].base.tensor;

        if (!merge_tokens_has_rows(t->name) || t->rank == 0 ||
            t->shape[0] == was->shape[0])
            continue;
        (void)json_object_set_new(config, "vocab_size",
                                  json_integer((json_int_t)t->shape[0]));
        return;
    }
}

static void set_dtype(const struct merge_config *c, json_t *config)
{
    static const char *const names[DTYPE_COUNT] = {
        [DTYPE_F64] = "float64",
        [DTYPE_F32] = "float32",
        [DTYPE_F16] = "float16",
        [DTYPE_BF16] = "bfloat16",
    };
    bool newer = json_object_get(config, "dtype") != NULL;

    if (c->has_dtype)
        (void)json_object_set_new(config, newer ? "dtype" : "torch_dtype",
                                  json_string(names[c->dtype]));
}

/* Numbers of tokens are those of the tokenizer that goes along. */
static void set_tokens(const struct merge_plan *p, json_t *config)
{
    static const char *const keys[] = { "bos_token_id", "eos_token_id",
                                        "pad_token_id" };
    const struct merge_files *from = of_tokenizer(p);

    if (from == of_base(p) || from == NULL || from->config == NULL)
        return;
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        json_t *value = json_object_get(from->config, keys[i]);

        if (value != NULL)
            (void)json_object_set(config, keys[i], value);
    }
}

static json_t *config_of(const struct merge_plan *p)
{
    const struct merge_files *from = of_base(p);
    json_t *config = from == NULL ? NULL : json_deep_copy(from->config);

    if (config == NULL)
        return NULL;
    set_layers(p, config);
    set_vocabulary(p, config);
    set_dtype(p->configs, config);
    set_tokens(p, config);
    return config;
}

/* ---- tokenizer of a result --------------------------------------------- */

/* {"content": id} in the older form. */
static struct status add_to_map(struct merge_files *f, const json_t *added)
{
    static const char name[] = "added_tokens.json";
    AUTO(json_release) json_t *map = NULL;

    TRY_PLAIN(read_object(f, name, &map));
    for (size_t i = 0; i < json_array_size(added); i++) {
        const json_t *token = json_array_get(added, i);

        (void)json_object_set(map, json_text_or(token, "content", ""),
                              json_object_get(token, "id"));
    }
    put_json(f, name, map);
    return SUCCESS;
}

static struct status add_to_tokenizer(struct merge_files *f,
                                      const json_t *added)
{
    static const char name[] = "tokenizer.json";
    AUTO(json_release) json_t *json = NULL;
    json_t *list;

    if (merge_files_find(f, name) == NULL)
        return add_to_map(f, added);
    TRY_PLAIN(read_object(f, name, &json));
    list = json_object_get(json, "added_tokens");
    if (!json_is_array(list)) {
        list = json_array();
        (void)json_object_set_new(json, "added_tokens", list);
    }
    (void)json_array_extend(list, (json_t *)(uintptr_t)added);
    put_json(f, name, json);
    return SUCCESS;
}

/* {"id": {token}} of tokenizer_config.json, where there is one. */
static struct status add_to_settings(struct merge_files *f, const json_t *added)
{
    AUTO(json_release) json_t *settings = NULL;
    json_t *decoder;
    char id[32];

    TRY_PLAIN(read_object(f, settings_file, &settings));
    decoder = json_object_get(settings, "added_tokens_decoder");
    if (!json_is_object(decoder))
        return SUCCESS;
    for (size_t i = 0; i < json_array_size(added); i++) {
        json_t *token = json_copy(json_array_get(added, i));

        (void)snprintf(id, sizeof id, "%lld",
                       (long long)json_int_or(token, "id", 0));
        (void)json_object_del(token, "id");
        (void)json_object_set_new(decoder, id, token);
    }
    put_json(f, settings_file, settings);
    return SUCCESS;
}

static bool has_template(const struct merge_files *f)
{
    AUTO(json_release) json_t *settings = NULL;
    struct status s;

    if (f == NULL)
        return false;
    if (merge_files_find(f, template_file) != NULL)
        return true;
    s = read_object(f, settings_file, &settings);
    return !status_failed(&s) &&
           json_object_get(settings, "chat_template") != NULL;
}

/* NULL `value`: none. */
static struct status set_template(struct merge_files *f, json_t *value)
{
    AUTO(json_release) json_t *settings = NULL;

    drop_file(f, template_file);
    if (value == NULL && merge_files_find(f, settings_file) == NULL)
        return SUCCESS;
    TRY_PLAIN(read_object(f, settings_file, &settings));
    if (value != NULL)
        (void)json_object_set(settings, "chat_template", value);
    else
        (void)json_object_del(settings, "chat_template");
    put_json(f, settings_file, settings);
    return SUCCESS;
}

static struct status take_template(struct merge_files *f,
                                   const struct merge_files *from)
{
    AUTO(json_release) json_t *settings = NULL;
    AUTO(json_release) json_t *text = NULL;
    const struct merge_file *file = merge_files_find(from, template_file);
    AUTO(free_pointer) char *bytes = NULL;
    size_t size;

    if (file == NULL) {
        TRY_PLAIN(read_object(from, settings_file, &settings));
        return set_template(f, json_object_get(settings, "chat_template"));
    }
    TRY_PLAIN(
        merge_files_read(from, (size_t)(file - from->items), &bytes, &size));
    text = json_stringn(bytes, size);
    if (text == NULL)
        return FAIL(STATUS_CORRUPT, "%s is not UTF-8", file->path);
    return set_template(f, text);
}

/* auto: the tokenizer's own, else the first model's that has one. */
static struct status choose_template(const struct merge_plan *p,
                                     struct merge_files *f)
{
    const char *wish = p->configs->template;
    AUTO(json_release) json_t *text = NULL;

    if (wish == NULL)
        return SUCCESS;
    if (strcmp(wish, "none") == 0)
        return set_template(f, NULL);
    if (strcmp(wish, "auto") != 0) {
        text = json_string(wish);
        return set_template(f, text);
    }
    for (size_t i = 0; i < p->configs->count && !has_template(f); i++) {
        if (has_template(p->inputs->files[i]))
            TRY_PLAIN(take_template(f, p->inputs->files[i]));
    }
    return SUCCESS;
}

/* Only the base's files are sure to lie where they did when a model that was
 * realised is used again; others are kept. */
static struct status hold_bytes(struct merge_files *f)
{
    for (size_t i = 0; i < f->count; i++) {
        struct merge_file *file = &f->items[i];

        if (file->path == NULL)
            continue;
        TRY_PLAIN(merge_files_read(f, i, &file->bytes, &file->size));
        free(file->path);
        file->path = NULL;
    }
    return SUCCESS;
}

static struct status fill(const struct merge_plan *p, struct merge_files *f)
{
    const struct merge_tokens *tokens = merge_plan_tokens(p);
    const json_t *added = tokens == NULL ? NULL : merge_tokens_added(tokens);

    copy_files(of_tokenizer(p), f);
    if (of_tokenizer(p) != of_base(p))
        TRY_PLAIN(hold_bytes(f));
    f->config = config_of(p);
    if (json_array_size(added) > 0) {
        TRY_PLAIN(add_to_tokenizer(f, added));
        TRY_PLAIN(add_to_settings(f, added));
    }
    return choose_template(p, f);
}

struct status merge_files_of(const struct merge *m,
                             struct merge_files *ret_files)
{
    struct merge_files files = { .count = 0 };
    struct status s = fill(merge_plan_of(m), &files);

    if (status_failed(&s))
        merge_files_release(&files);
    *ret_files = files;
    return s;
}
