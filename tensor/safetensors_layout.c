#include "tensor/safetensors_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

enum {
    PREFIX = 8, /* bytes of the header's length */
    ALIGN = 8,  /* data begins at a multiple of it */
};

const char st_index_name[] = "model.safetensors.index.json";

MUST_CHECK static struct status take_metadata(struct st_layout *l,
                                              const json_t *metadata)
{
    const char *name;
    json_t *value;

    if (metadata == NULL)
        return SUCCESS;
    if (!json_is_object(metadata))
        return FAIL(STATUS_INVALID, "the metadata is not an object");
    json_object_foreach((json_t *)(uintptr_t)metadata, name, value)
    {
        if (!json_is_string(value))
            return FAIL(STATUS_INVALID, "metadata \"%s\" is not a text", name);
    }
    l->metadata = json_deep_copy(metadata);
    return SUCCESS;
}

MUST_CHECK static struct status check_tensor(const struct tensor *t,
                                             const struct tensor *before)
{
    json_t *name = json_string(t->name);
    uint64_t count = 1;

    if (name == NULL)
        return FAIL(STATUS_INVALID, "the name of a tensor is not UTF-8");
    json_decref(name);
    if (before != NULL && strcmp(before->name, t->name) >= 0)
        return FAIL(STATUS_INVALID,
                    "tensor \"%s\" follows \"%s\" in the layout; it is not "
                    "in order of name",
                    t->name, before->name);
    if (strcmp(t->name, "__metadata__") == 0 || t->rank > LIMIT_RANK)
        return FAIL(STATUS_INVALID,
                    "no tensor \"%s\" of rank %u can be "
                    "written",
                    t->name, t->rank);
    for (uint32_t i = 0; i < t->rank; i++)
        count *= t->shape[i];
    if (count != t->count)
        return FAIL(STATUS_INVALID,
                    "tensor \"%s\" does not have the elements "
                    "of its shape",
                    t->name);
    return SUCCESS;
}

MUST_CHECK static struct status take_tensors(struct st_layout *l,
                                             const struct tensor_set *set)
{
    if (set->count > LIMIT_TENSORS)
        return FAIL(STATUS_TOO_BIG, "%zu tensors, at most %d are written",
                    set->count, LIMIT_TENSORS);
    l->items = xcalloc(set->count + 1, sizeof *l->items);
    for (size_t i = 0; i < set->count; i++) {
        const struct tensor *t = set->items + i;

        TRY_PLAIN(check_tensor(t, i == 0 ? NULL : t - 1));
        l->items[i] = *t;
        l->items[i].name = xstrdup(t->name);
        l->count++;
    }
    return SUCCESS;
}

/* Shards break before the tensor that would pass `limit`. */
MUST_CHECK static struct status cut_shards(struct st_layout *l, uint64_t limit)
{
    struct st_shard *p;

    l->shards = xcalloc(l->count + 1, sizeof *l->shards);
    l->shard_count = 1;
    p = l->shards;
    for (size_t i = 0; i < l->count; i++) {
        uint64_t bytes = tensor_bytes(l->items + i);

        if (limit > 0 && bytes > 0 && p->bytes > 0 &&
            (bytes > limit || p->bytes > limit - bytes)) {
            p++;
            p->first = i;
            l->shard_count++;
        }
        p->end = i + 1;
        p->bytes += bytes;
    }
    if (l->shard_count > LIMIT_SHARDS)
        return FAIL(STATUS_INVALID,
                    "shards of %" PRIu64 " bytes would be %zu files, at most "
                    "%d are written",
                    limit, l->shard_count, LIMIT_SHARDS);
    return SUCCESS;
}

void st_layout_release(struct st_layout *l)
{
    for (size_t i = 0; i < l->count; i++)
        free_pointer(&l->items[i].name);
    free(l->items);
    free(l->shards);
    json_decref(l->metadata);
    *l = (struct st_layout){ .count = 0 };
}

char *st_layout_name(const struct st_layout *l, size_t shard)
{
    if (l->shard_count == 1)
        return xstrdup("model.safetensors");
    return xasprintf("model-%05zu-of-%05zu.safetensors", shard + 1,
                     l->shard_count);
}

MUST_CHECK static struct status add_name(struct buf *text, const char *name)
{
    json_t *json = json_string(name);
    AUTO(free_pointer) char *quoted = json_dumps(json, JSON_ENCODE_ANY);

    json_decref(json);
    return buf_add_text(text, quoted);
}

MUST_CHECK static struct status add_entry(struct buf *text,
                                          const struct tensor *t,
                                          uint64_t begin)
{
    TRY_PLAIN(add_name(text, t->name));
    TRY_PLAIN(buf_print(text, ":{\"dtype\":\"%s\",\"shape\":[",
                        dtype_name(t->dtype)));
    for (uint32_t i = 0; i < t->rank; i++)
        TRY_PLAIN(
            buf_print(text, "%s%" PRIu64, i == 0 ? "" : ",", t->shape[i]));
    return buf_print(text, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}",
                     begin, begin + tensor_bytes(t));
}

MUST_CHECK static struct status add_metadata(struct buf *text,
                                             const json_t *metadata)
{
    AUTO(free_pointer) char *canonical = NULL;

    if (json_object_size(metadata) == 0)
        return SUCCESS;
    canonical = json_canonical(metadata);
    TRY_PLAIN(buf_add_text(text, "\"__metadata__\":"));
    return buf_add_text(text, canonical);
}

/* Equal models give equal bytes: one order of names and keys, no blanks but
 * the padding. */
struct status st_layout_header(const struct st_layout *l, size_t shard,
                               struct buf *text)
{
    const struct st_shard *p = l->shards + shard;
    uint64_t length;
    uint64_t at = 0;

    TRY_PLAIN(buf_add(text, "\0\0\0\0\0\0\0", PREFIX));
    TRY_PLAIN(buf_add_text(text, "{"));
    TRY_PLAIN(add_metadata(text, l->metadata));
    for (size_t i = p->first; i < p->end; i++) {
        if (text->size > PREFIX + 1)
            TRY_PLAIN(buf_add_text(text, ","));
        TRY_PLAIN(add_entry(text, l->items + i, at));
        at += tensor_bytes(l->items + i);
    }
    TRY_PLAIN(buf_add_text(text, "}"));
    while (text->size % ALIGN != 0)
        TRY_PLAIN(buf_add_text(text, " "));
    length = text->size - PREFIX;
    for (size_t i = 0; i < PREFIX; i++)
        text->data[i] = (char)(uint8_t)(length >> (8 * i));
    return SUCCESS;
}

/* They say where data begins. */
MUST_CHECK static struct status measure_headers(struct st_layout *l)
{
    for (size_t i = 0; i < l->shard_count; i++) {
        AUTO(buf_release) struct buf header;

        buf_init(&header, LIMIT_HEADER + PREFIX);
        TRY_PLAIN(st_layout_header(l, i, &header));
        l->shards[i].header = header.size;
    }
    return SUCCESS;
}

struct status st_layout_init(struct st_layout *l,
                             const struct st_writer_settings *s,
                             const struct tensor_set *set)
{
    TRY(take_metadata(l, s->metadata), "%s", s->directory);
    TRY(take_tensors(l, set), "%s", s->directory);
    TRY(cut_shards(l, s->shard_bytes), "%s", s->directory);
    TRY(measure_headers(l), "header of %s", s->directory);
    return SUCCESS;
}

/* Of the shards, in order of name. */
static json_t *index_json(const struct st_layout *l)
{
    json_t *weights = json_object();
    uint64_t bytes = 0;

    for (size_t i = 0; i < l->shard_count; i++) {
        const struct st_shard *p = l->shards + i;
        AUTO(free_pointer) char *name = st_layout_name(l, i);

        for (size_t k = p->first; k < p->end; k++)
            (void)json_object_set_new(weights, l->items[k].name,
                                      json_string(name));
        bytes += p->bytes;
    }
    return json_pack("{s:{s:I}, s:o}", "metadata", "total_size",
                     (json_int_t)bytes, "weight_map", weights);
}

char *st_layout_index(const struct st_layout *l)
{
    AUTO(json_release) json_t *index = index_json(l);

    return json_pretty(index);
}

MUST_CHECK static struct status add_shard(const struct st_layout *l,
                                          size_t shard,
                                          struct digest_stream *stream)
{
    AUTO(free_pointer) char *name = st_layout_name(l, shard);
    AUTO(buf_release) struct buf header;

    buf_init(&header, LIMIT_HEADER + PREFIX);
    TRY_PLAIN(st_layout_header(l, shard, &header));
    digest_add(stream, name, strlen(name) + 1);
    digest_add(stream, header.data, header.size);
    return SUCCESS;
}

struct status st_layout_digest(const struct st_layout *l,
                               const struct digest *recipe,
                               struct digest *ret_digest)
{
    struct digest_stream *stream = digest_begin();
    struct status st = SUCCESS;

    digest_add(stream, recipe, sizeof *recipe);
    for (size_t i = 0; i < l->shard_count && !status_failed(&st); i++)
        st = add_shard(l, i, stream);
    *ret_digest = digest_end(stream);
    return st;
}
