/* delta_read.c -- a delta made a model again. */
#include "jobs/delta.h"

#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/limits.h"
#include "common/memory.h"
#include "jobs/prune_bits.h"
#include "jobs/recipe_fusion.h"
#include "jobs/recipe_mask.h"
#include "tensor/safetensors.h"

static char *head_path(const char *directory)
{
    return xasprintf("%s/delta.json", directory);
}

bool delta_is(const char *directory)
{
    AUTO(free_pointer) char *path = head_path(directory);

    return file_exists(path);
}

struct status delta_head(const char *directory, json_t **ret_head)
{
    AUTO(free_pointer) char *path = head_path(directory);
    AUTO(json_release) json_t *head = NULL;
    json_t *base;

    TRY_PLAIN(json_parse_file(path, LIMIT_CONFIG, &head));
    if (json_int_or(head, "sinter_delta", 0) != 1)
        return FAIL(STATUS_INVALID,
                    "%s is of a version that this worker does not know", path);
    TRY(json_member_object(head, "base", &base), "%s", path);
    *ret_head = json_incref(head);
    return SUCCESS;
}

struct digest delta_key(const json_t *head)
{
    AUTO(free_pointer) char *text = json_canonical(head);
    AUTO(free_pointer) char *key = xasprintf("delta %s", text);

    return digest_of(key, strlen(key));
}

/* A delta on its way to a model. */
struct reading {
    const json_t *head;
    struct recipe_model *base;
    const struct tensor_set *from; /* of the base */
    struct st_model *file;
    const struct tensor_set *set; /* of the delta */
    struct tensor *layout;        /* of the result */
    size_t count;
    struct recipe_entry *entry;
};

static void release(struct reading *r)
{
    recipe_close(r->base);
    st_model_close(r->file);
    free(r->layout);
}

/* Of the delta, "NAME" or "NAME.SUFFIX"; NULL: none. */
static const struct tensor *part(const struct reading *r, const char *name,
                                 const char *suffix)
{
    AUTO(free_pointer) char *whole = xasprintf("%s%s", name, suffix);

    return tensor_find(r->set, whole);
}

/* What a tensor begins as: the base's, or the one it is a copy of. */
static const struct tensor *begin_of(const struct reading *r, const char *name)
{
    const char *other =
        json_text_or(json_object_get(r->head, "copies"), name, name);

    return tensor_find(r->from, other);
}

static struct status lay_out(struct reading *r)
{
    const json_t *copies = json_object_get(r->head, "copies");
    size_t more = json_object_size(copies);
    const char *name;
    json_t *other;

    r->layout = xcalloc(r->from->count + more + 1, sizeof(*r->layout));
    for (size_t i = 0; i < r->from->count; i++)
        r->layout[r->count++] = r->from->items[i];
    json_object_foreach((json_t *)(uintptr_t)copies, name, other)
    {
        const struct tensor *of = begin_of(r, name);

        if (of == NULL || tensor_find(r->from, name) != NULL)
            return FAIL(STATUS_CORRUPT,
                        "delta.json: tensor \"%s\" cannot be a copy", name);
        r->layout[r->count] = *of;
        r->layout[r->count++].name = name;
    }
    qsort(r->layout, r->count, sizeof(*r->layout), tensor_by_name);
    return SUCCESS;
}

/* Bits of what is not pruned, of the delta or the base; NULL: dense. */
static struct status mask_of(const struct reading *r, const struct tensor *t,
                             const uint8_t **ret_bits)
{
    const struct tensor *own = part(r, t->name, ".mask");

    *ret_bits = own != NULL ? own->data : recipe_mask(r->base, t->name);
    if (own != NULL &&
        (own->dtype != DTYPE_U8 || own->count != (t->count + 7) / 8))
        return FAIL(STATUS_CORRUPT, "\"%s\" of the delta is no mask of \"%s\"",
                    own->name, t->name);
    return SUCCESS;
}

static struct status take_room(struct reading *r, struct job_context *context)
{
    const struct tensor_set layout = { r->count, r->layout };
    uint64_t extra = 0;
    const uint8_t *bits;

    for (size_t i = 0; i < r->count; i++) {
        TRY_PLAIN(mask_of(r, &r->layout[i], &bits));
        extra += bits == NULL ? 0 : recipe_mask_bytes(&r->layout[i]);
    }
    TRY_PLAIN(recipe_fusion_check(&layout, extra, context));
    return recipe_entry_new(context->cache, &layout, extra, &r->entry);
}

static struct status lay_masks(struct reading *r)
{
    uint8_t *at = r->entry->extra;

    for (size_t i = 0; i < r->count; i++) {
        const struct tensor *t = &r->layout[i];
        const uint8_t *bits;

        TRY_PLAIN(mask_of(r, t, &bits));
        if (bits == NULL)
            continue;
        r->entry->masks[i] = at;
        memcpy(at, bits, (size_t)(t->count + 7) / 8);
        at += recipe_mask_bytes(t);
    }
    return SUCCESS;
}

/* One byte for each element; without bits what is 0 is pruned. */
static void fill_keep(const uint8_t *bits, const float *w, uint8_t *keep,
                      size_t count)
{
    for (size_t i = 0; i < count; i++)
        keep[i] = bits != NULL ? bits[i / 8] >> i % 8 & 1 : w[i] != 0.0F;
}

static struct status adapter_of(const struct reading *r, const struct tensor *t,
                                struct adapter_made *ret_made)
{
    const json_t *how =
        json_object_get(json_object_get(r->head, "adapters"), t->name);
    const struct tensor *a = part(r, t->name, ".lora_A");
    const struct tensor *b = part(r, t->name, ".lora_B");

    *ret_made = (struct adapter_made){
        .row = adapter_find(json_text_or(how, "variant", "")),
        .factor = (float)json_real_or(how, "factor", 1.0),
    };
    if (ret_made->row == NULL || a == NULL || b == NULL ||
        a->dtype != DTYPE_F32 || b->dtype != DTYPE_F32 || a->rank != 2 ||
        b->rank != 2 || a->shape[0] != b->shape[1] ||
        a->shape[1] * b->shape[0] != t->count)
        return FAIL(STATUS_CORRUPT, "the delta's adapter of \"%s\" is no such",
                    t->name);
    ret_made->rows = b->shape[0];
    ret_made->columns = a->shape[1];
    ret_made->rank = a->shape[0];
    return SUCCESS;
}

/* A and B may lie anywhere in a file. */
static struct status make_with(const struct reading *r, size_t i,
                               struct adapter_made *made, const float *w,
                               const uint8_t *keep, float *ret_w)
{
    const char *name = r->layout[i].name;
    const struct tensor *a = part(r, name, ".lora_A");
    const struct tensor *b = part(r, name, ".lora_B");
    AUTO(free_pointer)
    float *floats = xcalloc(a->count + b->count, sizeof(*floats));

    memcpy(floats, a->data, (size_t)tensor_bytes(a));
    memcpy(floats + a->count, b->data, (size_t)tensor_bytes(b));
    made->a = floats;
    made->b = floats + a->count;
    return adapter_make(made, w, keep, ret_w);
}

static struct status merge(const struct reading *r, size_t i, void *to)
{
    const struct tensor *t = &r->layout[i];
    const struct tensor *begin = begin_of(r, t->name);
    size_t count = (size_t)t->count;
    struct adapter_made made;
    AUTO(free_pointer) float *w = xcalloc_large(2 * count, sizeof(*w));
    AUTO(free_pointer) uint8_t *keep = xcalloc_large(count, 1);

    TRY_PLAIN(adapter_of(r, t, &made));
    if (w == NULL || keep == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory to merge \"%s\"", t->name);
    dtype_to_f32(begin->dtype, begin->data, w, count);
    fill_keep(r->entry->masks[i], w, keep, count);
    TRY(make_with(r, i, &made, w, keep, w + count), "tensor \"%s\"", t->name);
    dtype_from_f32(t->dtype, w + count, to, count);
    return SUCCESS;
}

static struct status fill(const struct reading *r, size_t i)
{
    const struct tensor *t = &r->layout[i];
    const struct tensor *own = part(r, t->name, "");
    const json_t *merged = json_object_get(r->head, "adapters");
    void *to = (void *)(uintptr_t)r->entry->set.items[i].data;

    if (own != NULL && (own->dtype != t->dtype || !tensor_same_shape(own, t)))
        return FAIL(STATUS_CORRUPT,
                    "tensor \"%s\" of the delta is not like that of the base",
                    t->name);
    if (json_object_get(merged, t->name) != NULL)
        return merge(r, i, to);
    if (own != NULL || part(r, t->name, ".mask") == NULL) {
        own = own == NULL ? begin_of(r, t->name) : own;
        if (t->count > 0)
            memcpy(to, own->data, (size_t)tensor_bytes(t));
        return SUCCESS;
    }
    prune_copy_bits(begin_of(r, t->name), r->entry->masks[i], 0, t->count, to);
    return SUCCESS;
}

static struct status take_files(const struct reading *r)
{
    struct merge_files *files = &r->entry->files;
    json_t *config;

    TRY_PLAIN(recipe_files(r->base, files));
    TRY_PLAIN(merge_files_load(files)); /* the cache may drop the base */
    config = json_deep_copy(files->config);
    json_decref(files->config);
    files->config = config;
    if (config != NULL)
        (void)json_object_update(config, json_object_get(r->head, "config"));
    return SUCCESS;
}

static struct status make(struct reading *r, struct job_context *context)
{
    TRY_PLAIN(lay_masks(r));
    for (size_t i = 0; i < r->count; i++) {
        if (context->cancelled(context->self))
            return FAIL(STATUS_CANCELLED, "cancelled while applying a delta");
        TRY_PLAIN(fill(r, i));
    }
    return take_files(r);
}

struct status delta_realise(const char *directory, const json_t *head,
                            struct job_context *context,
                            struct recipe_entry **ret_entry)
{
    AUTO(release) struct reading r = { .head = head };
    struct status s;

    TRY(st_model_open(directory, &r.file), "delta");
    r.set = st_model_tensors(r.file);
    TRY(recipe_open(json_object_get(head, "base"), context, &r.base),
        "base of the delta");
    r.from = recipe_tensors(r.base);
    TRY_PLAIN(lay_out(&r));
    TRY_PLAIN(take_room(&r, context));
    s = make(&r, context);
    if (status_failed(&s)) {
        recipe_entry_free(r.entry);
        return s;
    }
    *ret_entry = r.entry;
    return SUCCESS;
}
