#include "jobs/delta.h"

#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/model_digest.h"
#include "tensor/safetensors.h"

/* {"$job": KEY} becomes {"$artifact": DIGEST}, wherever it stands. */
static struct status resolve(json_t *value, struct job_context *context)
{
    const char *job = json_text_or(value, "$job", NULL);
    const char *artifact, *name;
    const json_t *result;
    json_t *member;
    size_t i;

    if (job != NULL) {
        TRY(context->input(context->self, job, &result), "job %.8s", job);
        TRY(json_member_text(result, "artifact", &artifact), "job %.8s", job);
        (void)json_object_set_new(value, "$artifact", json_string(artifact));
        return json_object_del(value, "$job") == 0
                   ? SUCCESS
                   : FAIL(STATUS_INVALID, "job %.8s is no model", job);
    }
    json_object_foreach(value, name, member)
        TRY_PLAIN(resolve(member, context));
    json_array_foreach(value, i, member) TRY_PLAIN(resolve(member, context));
    return SUCCESS;
}

struct status delta_init(struct delta *d, const char *kind, const json_t *base,
                         struct job_context *context)
{
    json_t *resolved = json_deep_copy(base);

    *d = (struct delta){
        .head =
            json_pack("{si ss so s{} s{} s{}}", "sinter_delta", 1, "kind", kind,
                      "base", resolved, "adapters", "copies", "config"),
    };
    return resolve(resolved, context);
}

void delta_release(struct delta *d)
{
    for (size_t i = 0; i < d->count; i++) {
        free((void *)(uintptr_t)d->tensors[i].name);
        free((void *)(uintptr_t)d->tensors[i].data);
    }
    free(d->tensors);
    json_decref(d->head);
    *d = (struct delta){ .head = NULL };
}

static void add(struct delta *d, char *name, const struct tensor *like,
                const void *bytes)
{
    size_t size = (size_t)tensor_bytes(like);
    void *copy = xcalloc(size + 1, 1);
    struct tensor *t;

    d->tensors = xrealloc(d->tensors, (d->count + 1) * sizeof(*d->tensors));
    t = &d->tensors[d->count++];
    *t = *like;
    if (size > 0)
        memcpy(copy, bytes, size);
    t->name = name;
    t->data = copy;
    t->file = NULL;
}

void delta_add_tensor(struct delta *d, const struct tensor *like,
                      const void *bytes)
{
    add(d, xstrdup(like->name), like, bytes);
}

void delta_add_mask(struct delta *d, const char *name, const uint8_t *keep,
                    size_t count)
{
    size_t size = (count + 7) / 8;
    const struct tensor like = {
        .dtype = DTYPE_U8, .rank = 1, .shape = { size }, .count = size
    };
    AUTO(free_pointer) uint8_t *bits = xcalloc(size + 1, 1);

    for (size_t i = 0; i < count; i++)
        bits[i / 8] |= (uint8_t)((keep[i] != 0) << i % 8);
    add(d, xasprintf("%s.mask", name), &like, bits);
}

static void add_factor(struct delta *d, const char *name, char letter,
                       size_t rows, size_t columns, const float *data)
{
    const struct tensor like = { .dtype = DTYPE_F32,
                                 .rank = 2,
                                 .shape = { rows, columns },
                                 .count = rows * columns };

    add(d, xasprintf("%s.lora_%c", name, letter), &like, data);
}

void delta_add_adapter(struct delta *d, const char *name,
                       const struct adapter_made *adapter)
{
    add_factor(d, name, 'A', adapter->rank, adapter->columns, adapter->a);
    add_factor(d, name, 'B', adapter->rows, adapter->rank, adapter->b);
    (void)json_object_set_new(json_object_get(d->head, "adapters"), name,
                              json_pack("{ss sf}", "variant",
                                        adapter->row->name, "factor",
                                        (double)adapter->factor));
}

void delta_add_copy(struct delta *d, const char *name, const char *of)
{
    (void)json_object_set_new(json_object_get(d->head, "copies"), name,
                              json_string(of));
}

void delta_set_config(struct delta *d, const char *key, json_t *value)
{
    (void)json_object_set_new(json_object_get(d->head, "config"), key, value);
}

static void note_digest(struct delta *d, const struct tensor_set *set)
{
    struct model_digest *digest = model_digest_begin(set);
    struct digest found;
    char text[DIGEST_TEXT];

    for (size_t i = 0; i < set->count; i++)
        model_digest_add(digest, i, set->items[i].data,
                         (size_t)tensor_bytes(&set->items[i]));
    found = model_digest_end(digest);
    digest_to_text(&found, text);
    (void)json_object_set_new(d->head, "tensors", json_string(text));
}

static struct status write_files(struct delta *d, const char *directory)
{
    const struct st_writer_settings settings = { .directory = directory };
    const struct tensor_set set = { d->count, d->tensors };
    AUTO(st_writer_release) struct st_writer *w = NULL;
    AUTO(free_pointer) char *text = NULL;

    if (d->count > 0)
        qsort(d->tensors, d->count, sizeof(*d->tensors), tensor_by_name);
    note_digest(d, &set);
    text = json_canonical(d->head); /* whatever order it came in */
    TRY_PLAIN(st_writer_new(&settings, &set, &w));
    TRY_PLAIN(st_writer_add_all(w, &set));
    TRY_PLAIN(st_writer_add_file(w, "delta.json", text, strlen(text)));
    return st_writer_finish(w);
}

struct status delta_store(struct delta *d, struct job_context *context,
                          char ret_artifact[DIGEST_TEXT])
{
    AUTO(free_pointer)
    char *directory = xasprintf("%s/delta", context->scratch);

    TRY_PLAIN(write_files(d, directory));
    return context->put_artifact(context->self, directory, ret_artifact);
}
