#include "tensor/safetensors.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

enum { PREFIX = 8 }; /* bytes of the header's length */

static const char metadata_name[] = "__metadata__";

/* A tensor and where its bytes lie behind the header. */
struct placed {
    struct tensor tensor;
    uint64_t begin;
    uint64_t end;
};

struct st_header {
    json_t *root; /* owns the names and the metadata */
    char *file;
    struct tensor_set set;
    struct tensor *items;
    uint64_t *offsets;
};

struct status st_header_size(const uint8_t first[8], uint64_t file_size,
                             const char *file, uint64_t *ret_size)
{
    uint64_t size = 0;

    if (file_size < PREFIX)
        return FAIL(STATUS_CORRUPT,
                    "%s: %" PRIu64 " bytes are too few for a safetensors "
                    "file; it is truncated",
                    file, file_size);
    for (int i = PREFIX - 1; i >= 0; i--)
        size = size << 8 | first[i];
    if (file_size != UINT64_MAX && size > file_size - PREFIX)
        return FAIL(STATUS_CORRUPT,
                    "%s: a header of %" PRIu64 " bytes does not fit into a "
                    "file of %" PRIu64 "; it is truncated or no safetensors "
                    "file",
                    file, size, file_size);
    if (size > LIMIT_HEADER)
        return FAIL(STATUS_TOO_BIG,
                    "%s: the header has %" PRIu64 " bytes, at most %d are read",
                    file, size, LIMIT_HEADER);
    *ret_size = size;
    return SUCCESS;
}

/* `what` is wrong with the entry of a tensor. */
MUST_CHECK static struct status bad_entry(const struct placed *p,
                                          const char *what)
{
    return FAIL(STATUS_CORRUPT, "%s: tensor \"%s\" %s", p->tensor.file,
                p->tensor.name, what);
}

/* The names of configs ("float16") are none of this format. */
MUST_CHECK static struct status read_dtype(struct placed *p,
                                           const json_t *entry)
{
    const char *name = json_string_value(json_object_get(entry, "dtype"));

    if (name == NULL)
        return bad_entry(p, "has no \"dtype\"");
    if (!dtype_find(name, strlen(name), &p->tensor.dtype) ||
        strcmp(dtype_name(p->tensor.dtype), name) != 0)
        return FAIL(STATUS_CORRUPT,
                    "%s: tensor \"%s\" is of unknown dtype \"%s\"",
                    p->tensor.file, p->tensor.name, name);
    return SUCCESS;
}

static bool is_natural(const json_t *json)
{
    return json_is_integer(json) && json_integer_value(json) >= 0;
}

MUST_CHECK static struct status read_shape(struct placed *p,
                                           const json_t *entry)
{
    const json_t *shape = json_object_get(entry, "shape");

    if (!json_is_array(shape))
        return bad_entry(p, "has no \"shape\"");
    if (json_array_size(shape) > LIMIT_RANK)
        return FAIL(STATUS_CORRUPT,
                    "%s: tensor \"%s\" has %zu dimensions, at most %d are read",
                    p->tensor.file, p->tensor.name, json_array_size(shape),
                    LIMIT_RANK);
    p->tensor.rank = (uint32_t)json_array_size(shape);
    p->tensor.count = 1;
    for (uint32_t i = 0; i < p->tensor.rank; i++) {
        const json_t *size = json_array_get(shape, i);

        if (!is_natural(size))
            return bad_entry(p, "has a shape that is not of whole numbers");
        p->tensor.shape[i] = (uint64_t)json_integer_value(size);
        if (__builtin_mul_overflow(p->tensor.count, p->tensor.shape[i],
                                   &p->tensor.count))
            return bad_entry(p, "has a shape beyond all memory");
    }
    return SUCCESS;
}

MUST_CHECK static struct status read_offsets(struct placed *p,
                                             const json_t *entry)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0);
    const json_t *end = json_array_get(offsets, 1);
    uint64_t bytes;

    if (json_array_size(offsets) != 2 || !is_natural(begin) || !is_natural(end))
        return bad_entry(p, "has no \"data_offsets\" of two whole numbers");
    p->begin = (uint64_t)json_integer_value(begin);
    p->end = (uint64_t)json_integer_value(end);
    if (p->end < p->begin)
        return bad_entry(p, "ends before it begins");
    if (__builtin_mul_overflow(p->tensor.count, dtype_size(p->tensor.dtype),
                               &bytes))
        return bad_entry(p, "has a shape beyond all memory");
    if (bytes != p->end - p->begin) {
        char shape[128];

        return FAIL(STATUS_CORRUPT,
                    "%s: tensor \"%s\" of shape %s and dtype %s needs %" PRIu64
                    " bytes, its offsets hold %" PRIu64,
                    p->tensor.file, p->tensor.name,
                    tensor_shape_text(&p->tensor, shape, sizeof shape),
                    dtype_name(p->tensor.dtype), bytes, p->end - p->begin);
    }
    return SUCCESS;
}

MUST_CHECK static struct status check_metadata(const json_t *metadata,
                                               const char *file)
{
    const char *name;
    json_t *value;

    if (!json_is_object(metadata))
        return FAIL(STATUS_CORRUPT, "%s: \"%s\" is not an object", file,
                    metadata_name);
    json_object_foreach((json_t *)(uintptr_t)metadata, name, value)
    {
        if (!json_is_string(value))
            return FAIL(STATUS_CORRUPT, "%s: \"%s\" of \"%s\" is not a text",
                        file, name, metadata_name);
    }
    return SUCCESS;
}

/* Fills `placed`, in order of the file's text. */
MUST_CHECK static struct status read_entries(const struct st_header *h,
                                             struct placed *placed,
                                             size_t *ret_count)
{
    const char *name;
    json_t *entry;
    size_t count = 0;

    json_object_foreach(h->root, name, entry)
    {
        struct placed *p = placed + count;

        if (strcmp(name, metadata_name) == 0) {
            TRY_PLAIN(check_metadata(entry, h->file));
            continue;
        }
        p->tensor.name = name;
        p->tensor.file = h->file;
        if (!json_is_object(entry))
            return bad_entry(p, "is not an object");
        TRY_PLAIN(read_dtype(p, entry));
        TRY_PLAIN(read_shape(p, entry));
        TRY_PLAIN(read_offsets(p, entry));
        count++;
    }
    *ret_count = count;
    return SUCCESS;
}

static int by_place(const void *a, const void *b)
{
    const struct placed *x = a;
    const struct placed *y = b;

    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return strcmp(x->tensor.name, y->tensor.name);
}

static int by_name(const void *a, const void *b)
{
    const struct placed *x = a;
    const struct placed *y = b;

    return strcmp(x->tensor.name, y->tensor.name);
}

/* Every byte of the data belongs to one tensor. `data_size` is UINT64_MAX if
 * nobody knows it. */
MUST_CHECK static struct status check_places(struct placed *placed,
                                             size_t count, uint64_t data_size,
                                             const char *file)
{
    uint64_t at = 0;

    qsort(placed, count, sizeof *placed, by_place);
    for (size_t i = 0; i < count; i++) {
        const struct placed *p = placed + i;

        if (p->begin < at)
            return FAIL(STATUS_CORRUPT,
                        "%s: tensor \"%s\" overlaps tensor \"%s\"", file,
                        p->tensor.name, placed[i - 1].tensor.name);
        if (p->begin > at)
            return FAIL(STATUS_CORRUPT,
                        "%s: a hole of %" PRIu64 " bytes before tensor \"%s\"",
                        file, p->begin - at, p->tensor.name);
        if (p->end > data_size)
            return FAIL(STATUS_CORRUPT,
                        "%s: tensor \"%s\" ends at byte %" PRIu64 " of %" PRIu64
                        "; the file is truncated",
                        file, p->tensor.name, p->end, data_size);
        at = p->end;
    }
    if (data_size != UINT64_MAX && at < data_size)
        return FAIL(STATUS_CORRUPT,
                    "%s: the last %" PRIu64 " bytes belong to no tensor", file,
                    data_size - at);
    return SUCCESS;
}

static void keep(struct st_header *h, struct placed *placed, size_t count)
{
    qsort(placed, count, sizeof *placed, by_name);
    h->items = xcalloc(count + 1, sizeof *h->items);
    h->offsets = xcalloc(count + 1, sizeof *h->offsets);
    for (size_t i = 0; i < count; i++) {
        h->items[i] = placed[i].tensor;
        h->offsets[i] = placed[i].begin;
    }
    h->set = (struct tensor_set){ .count = count, .items = h->items };
}

MUST_CHECK static struct status parse(struct st_header *h, const char *text,
                                      size_t size, uint64_t file_size)
{
    AUTO(free_pointer) struct placed *placed = NULL;
    uint64_t data_size = UINT64_MAX;
    size_t count = 0;

    if (size == 0 || text[0] != '{')
        return FAIL(STATUS_CORRUPT,
                    "%s: the header is not a JSON object; is it a safetensors "
                    "file?",
                    h->file);
    if (file_size != UINT64_MAX) {
        if (file_size < PREFIX || file_size - PREFIX < size)
            return FAIL(STATUS_CORRUPT,
                        "%s: the file ends in its header; it is truncated",
                        h->file);
        data_size = file_size - PREFIX - size;
    }
    TRY_PLAIN(json_parse(text, size, h->file, &h->root));
    if (json_object_size(h->root) > LIMIT_TENSORS)
        return FAIL(STATUS_TOO_BIG, "%s: %zu tensors, at most %d are read",
                    h->file, json_object_size(h->root), LIMIT_TENSORS);
    placed = xcalloc(json_object_size(h->root) + 1, sizeof *placed);
    TRY_PLAIN(read_entries(h, placed, &count));
    TRY_PLAIN(check_places(placed, count, data_size, h->file));
    keep(h, placed, count);
    return SUCCESS;
}

struct status st_header_parse(const char *text, size_t size, uint64_t file_size,
                              const char *file, struct st_header **ret_header)
{
    struct st_header *h = xnew(struct st_header);
    struct status st;

    h->file = xstrdup(file);
    st = parse(h, text, size, file_size);
    if (status_failed(&st))
        st_header_free(h);
    else
        *ret_header = h;
    return st;
}

void st_header_free(struct st_header *h)
{
    if (h == NULL)
        return;
    json_decref(h->root);
    free(h->file);
    free(h->items);
    free(h->offsets);
    free(h);
}

const struct tensor_set *st_header_tensors(const struct st_header *h)
{
    return &h->set;
}

uint64_t st_header_offset(const struct st_header *h, size_t i)
{
    return h->offsets[i];
}
