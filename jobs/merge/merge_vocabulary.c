#include "jobs/merge/merge_vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "common/memory.h"
#include "jobs/merge/merge_config.h"

enum { LABEL = 128 };

static struct status take_token(struct merge_vocabulary *v, const char *text,
                                json_int_t id, const char *file)
{
    void *old;

    if (text == NULL || id < 0 || id >= LIMIT_VOCAB)
        return FAIL(STATUS_CORRUPT, "%s: token \"%.40s\" has no id in 0 ... %d",
                    file, text == NULL ? "?" : text, LIMIT_VOCAB - 1);
    if ((size_t)id >= v->count) {
        size_t count = (size_t)id + 1;

        v->texts = xrealloc(v->texts, count * sizeof *v->texts);
        for (size_t i = v->count; i < count; i++)
            v->texts[i] = NULL;
        v->count = count;
    }
    old = map_put_text(v->ids, text, (void *)((uintptr_t)id + 1));
    if (old != NULL && (uintptr_t)old != (uintptr_t)id + 1)
        return FAIL(STATUS_CORRUPT, "%s: token \"%.40s\" has two ids", file,
                    text);
    if (v->texts[id] == NULL)
        v->texts[id] = xstrdup(text);
    return SUCCESS;
}

/* {"token": id} */
static struct status take_map(struct merge_vocabulary *v, const json_t *map,
                              const char *file)
{
    const char *text;
    json_t *id;

    json_object_foreach((json_t *)(uintptr_t)map, text, id)
    {
        if (!json_is_integer(id))
            return FAIL(STATUS_CORRUPT, "%s: \"%.40s\" has no id", file, text);
        TRY_PLAIN(take_token(v, text, json_integer_value(id), file));
    }
    return SUCCESS;
}

/* [["token", score]], the id is the place. */
static struct status take_scores(struct merge_vocabulary *v, const json_t *list,
                                 const char *file)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY_PLAIN(take_token(
            v, json_string_value(json_array_get(json_array_get(list, i), 0)),
            (json_int_t)i, file));
    return SUCCESS;
}

static struct status take_added(struct merge_vocabulary *v, const json_t *list,
                                const char *file)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);

        TRY_PLAIN(take_token(v, json_text_or(item, "content", NULL),
                             json_int_or(item, "id", -1), file));
    }
    return SUCCESS;
}

static struct status read_json(const struct merge_files *files,
                               const char *name, json_t **ret_json)
{
    const struct merge_file *file = merge_files_find(files, name);
    AUTO(free_pointer) char *text = NULL;
    size_t size;

    *ret_json = NULL;
    if (file == NULL)
        return SUCCESS;
    TRY_PLAIN(
        merge_files_read(files, (size_t)(file - files->items), &text, &size));
    return json_parse(text, size, name, ret_json);
}

static struct status read_tokenizer(struct merge_vocabulary *v,
                                    const struct merge_files *files)
{
    static const char file[] = "tokenizer.json";
    AUTO(json_release) json_t *json = NULL;
    const json_t *vocabulary;

    TRY_PLAIN(read_json(files, file, &json));
    if (json == NULL)
        return SUCCESS;
    vocabulary = json_object_get(json_object_get(json, "model"), "vocab");
    if (json_is_object(vocabulary))
        TRY_PLAIN(take_map(v, vocabulary, file));
    else
        TRY_PLAIN(take_scores(v, vocabulary, file));
    v->added = json_incref(json_object_get(json, "added_tokens"));
    return take_added(v, v->added, file);
}

/* The older form: two maps in two files. */
static struct status read_maps(struct merge_vocabulary *v,
                               const struct merge_files *files)
{
    static const char *const names[] = { "vocab.json", "added_tokens.json" };

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        AUTO(json_release) json_t *json = NULL;

        TRY_PLAIN(read_json(files, names[i], &json));
        TRY_PLAIN(take_map(v, json, names[i]));
    }
    return SUCCESS;
}

struct status merge_vocabulary_read(struct merge_vocabulary *v,
                                    const struct merge_files *files,
                                    const json_t *model)
{
    char label[LABEL];

    (void)merge_model_label(model, label, sizeof label);
    v->loaded = true;
    v->ids = map_new();
    TRY(read_tokenizer(v, files), "%s", label);
    if (v->count == 0)
        TRY(read_maps(v, files), "%s", label);
    if (v->count > 0)
        return SUCCESS;
    return FAIL(STATUS_INVALID,
                "%s has neither a tokenizer.json nor a vocab.json; leave out "
                "tokenizer_source, or give the directory of the model",
                label);
}

void merge_vocabulary_release(struct merge_vocabulary *v)
{
    for (size_t i = 0; i < v->count; i++)
        free(v->texts[i]);
    free(v->texts);
    map_free(v->ids);
    json_decref(v->added);
    *v = (struct merge_vocabulary){ .loaded = false };
}

int32_t merge_vocabulary_id(const struct merge_vocabulary *v, const char *text)
{
    return (int32_t)(uintptr_t)map_get_text(v->ids, text) - 1;
}
