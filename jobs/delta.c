#include "jobs/delta.h"

#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/model_digest.h"
#include "jobs/prune_bits.h"
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

static void drop_tensors(struct delta *d)
{
    for (size_t i = 0; i < d->count; i++) {
        free((void *)(uintptr_t)d->tensors[i].name);
        free((void *)(uintptr_t)d->tensors[i].data);
    }
    d->count = 0;
    d->held = 0;
}

void delta_release(struct delta *d)
{
    drop_tensors(d);
    delta_forget(d);
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

    d->held += size;
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

    prune_put_bits(bits, 0, keep, count);
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

/* ---- files ------------------------------------------------------------------- */

/* `text`: delta.json; NULL: none. */
static struct status write_files(const struct tensor_set *set,
                                 const char *directory, const char *text)
{
    const struct st_writer_settings settings = { .directory = directory };
    AUTO(st_writer_release) struct st_writer *w = NULL;

    TRY_PLAIN(st_writer_new(&settings, set, &w));
    TRY_PLAIN(st_writer_add_all(w, set));
    if (text != NULL)
        TRY_PLAIN(st_writer_add_file(w, "delta.json", text, strlen(text)));
    return st_writer_finish(w);
}

struct status delta_spill(struct delta *d, const char *directory)
{
    const struct tensor_set set = { d->count, d->tensors };

    if (d->count == 0)
        return SUCCESS;
    qsort(d->tensors, d->count, sizeof(*d->tensors), tensor_by_name);
    TRY_PLAIN(write_files(&set, directory, NULL));
    drop_tensors(d);
    return delta_recall(d, directory);
}

struct status delta_recall(struct delta *d, const char *directory)
{
    AUTO(st_model_release) struct st_model *part = NULL;

    TRY_PLAIN(st_model_open(directory, &part));
    d->parts = xrealloc(d->parts, (d->part_count + 1) * sizeof(*d->parts));
    d->parts[d->part_count++] = xstrdup(directory);
    return SUCCESS;
}

void delta_forget(struct delta *d)
{
    for (size_t i = 0; i < d->part_count; i++)
        free(d->parts[i]);
    free(d->parts);
    d->parts = NULL;
    d->part_count = 0;
}

/* Views of what is in memory and in parts, in order of name. */
struct gathered {
    struct tensor *items;
    size_t count;
    struct st_model **parts;
    size_t part_count;
};

static void gathered_release(struct gathered *g)
{
    for (size_t i = 0; i < g->part_count; i++)
        st_model_close(g->parts[i]);
    free(g->parts);
    free(g->items);
}

static void gather_some(struct gathered *g, const struct tensor *items,
                        size_t count)
{
    g->items = xrealloc(g->items, (g->count + count + 1) * sizeof(*items));
    if (count > 0)
        memcpy(g->items + g->count, items, count * sizeof(*items));
    g->count += count;
}

MUST_CHECK static struct status gather(const struct delta *d,
                                       struct gathered *g)
{
    g->parts = xcalloc(d->part_count + 1, sizeof(struct st_model *));
    gather_some(g, d->tensors, d->count);
    for (size_t i = 0; i < d->part_count; i++) {
        const struct tensor_set *set;

        TRY_PLAIN(st_model_open(d->parts[i], &g->parts[i]));
        g->part_count++;
        set = st_model_tensors(g->parts[i]);
        gather_some(g, set->items, set->count);
    }
    qsort(g->items, g->count, sizeof(*g->items), tensor_by_name);
    return SUCCESS;
}

struct status delta_store(struct delta *d, struct job_context *context,
                          char ret_artifact[DIGEST_TEXT])
{
    AUTO(free_pointer)
    char *directory = xasprintf("%s/delta", context->scratch);
    AUTO(gathered_release) struct gathered all = { .items = NULL };
    AUTO(free_pointer) char *text = NULL;
    struct tensor_set set;
    char found[DIGEST_TEXT];
    struct digest digest;

    TRY_PLAIN(gather(d, &all));
    set = (struct tensor_set){ all.count, all.items };
    digest = model_digest_of(&set);
    digest_to_text(&digest, found);
    (void)json_object_set_new(d->head, "tensors", json_string(found));
    text = json_canonical(d->head); /* whatever order it came in */
    TRY_PLAIN(write_files(&set, directory, text));
    return context->put_artifact(context->self, directory, ret_artifact);
}
