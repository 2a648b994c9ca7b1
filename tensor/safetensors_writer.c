#include "tensor/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/file.h"
#include "common/memory.h"

enum {
    PREFIX = 8,           /* bytes of the header's length */
    ALIGN = 8,            /* data begins at a multiple of it */
    FILE_BUFFER = 1 << 20 /* small pieces are gathered up to this */
};

static const char index_name[] = "model.safetensors.index.json";

/* Tensors first ... end - 1 of the layout. */
struct piece {
    size_t first;
    size_t end;
    uint64_t bytes;  /* of their data */
    uint64_t header; /* bytes before the data */
};

/* A file that is written from its begin to its end. */
struct out {
    char *path;
    FILE *file;
    char *buffer;
};

struct st_writer {
    char *directory; /* the final name */
    char *beside;    /* where it grows; NULL once it is in place */
    json_t *metadata;
    struct tensor *items; /* the layout, with names of our own */
    size_t count;
    struct piece *pieces; /* one a shard */
    size_t piece_count;
    size_t shard;  /* the running one */
    size_t tensor; /* the running one; `count` when all is written */
    uint64_t left; /* bytes of it that are missing */
    struct out out;
    bool failed; /* a write was cut short: nothing can follow it */
};

#define FAIL_ERRNO(verb, path) \
    FAIL(file_error(errno), "%s %s: %s", (verb), (path), strerror(errno))

static void out_release(struct out *out)
{
    if (out->file != NULL)
        (void)fclose(out->file);
    free(out->buffer);
    free(out->path);
    *out = (struct out){ 0 };
}

/* The path is taken over. */
MUST_CHECK static struct status out_open(struct out *out, char *path,
                                         const char *mode)
{
    out_release(out);
    out->path = path;
    out->file = fopen(path, mode);
    if (out->file == NULL)
        return FAIL_ERRNO("create", path);
    out->buffer = xcalloc(FILE_BUFFER, 1);
    (void)setvbuf(out->file, out->buffer, _IOFBF, FILE_BUFFER);
    return SUCCESS;
}

MUST_CHECK static struct status out_write(const struct out *out,
                                          const void *data, size_t size)
{
    if (size > 0 && fwrite(data, 1, size, out->file) != size)
        return FAIL_ERRNO("write", out->path);
    return SUCCESS;
}

MUST_CHECK static struct status out_close(struct out *out)
{
    struct status st = SUCCESS;

    if (fflush(out->file) != 0)
        st = FAIL_ERRNO("write", out->path);
    else if (fsync(fileno(out->file)) != 0)
        st = FAIL_ERRNO("sync", out->path);
    out_release(out);
    return st;
}

MUST_CHECK static struct status write_whole(char *path, const void *data,
                                            size_t size)
{
    AUTO(out_release) struct out out = { 0 };

    TRY_PLAIN(out_open(&out, path, "wbxe"));
    TRY_PLAIN(out_write(&out, data, size));
    return out_close(&out);
}

MUST_CHECK static struct status check_settings(
    const struct st_writer_settings *s)
{
    const char *name;
    json_t *value;
    struct stat info;

    if (lstat(s->directory, &info) == 0)
        return FAIL(STATUS_INVALID, "%s exists; name another directory",
                    s->directory);
    if (s->metadata == NULL)
        return SUCCESS;
    if (!json_is_object(s->metadata))
        return FAIL(STATUS_INVALID, "metadata of %s is not an object",
                    s->directory);
    json_object_foreach((json_t *)(uintptr_t)s->metadata, name, value)
    {
        if (!json_is_string(value))
            return FAIL(STATUS_INVALID, "metadata \"%s\" of %s is not a text",
                        name, s->directory);
    }
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

MUST_CHECK static struct status take_layout(struct st_writer *w,
                                            const struct tensor_set *layout)
{
    if (layout->count > LIMIT_TENSORS)
        return FAIL(STATUS_TOO_BIG, "%s: %zu tensors, at most %d are written",
                    w->directory, layout->count, LIMIT_TENSORS);
    w->items = xcalloc(layout->count + 1, sizeof *w->items);
    for (size_t i = 0; i < layout->count; i++) {
        const struct tensor *t = layout->items + i;

        TRY(check_tensor(t, i == 0 ? NULL : t - 1), "%s", w->directory);
        w->items[i] = *t;
        w->items[i].name = xstrdup(t->name);
        w->count++;
    }
    return SUCCESS;
}

/* Shards break before the tensor that would pass `limit`. */
MUST_CHECK static struct status cut_shards(struct st_writer *w, uint64_t limit)
{
    struct piece *p;

    w->pieces = xcalloc(w->count + 1, sizeof *w->pieces);
    w->piece_count = 1;
    p = w->pieces;
    for (size_t i = 0; i < w->count; i++) {
        uint64_t bytes = tensor_bytes(w->items + i);

        if (limit > 0 && bytes > 0 && p->bytes > 0 &&
            (bytes > limit || p->bytes > limit - bytes)) {
            p++;
            p->first = i;
            w->piece_count++;
        }
        p->end = i + 1;
        p->bytes += bytes;
    }
    if (w->piece_count > LIMIT_SHARDS)
        return FAIL(STATUS_INVALID,
                    "%s: shards of %" PRIu64 " bytes would be %zu files, at "
                    "most %d are written",
                    w->directory, limit, w->piece_count, LIMIT_SHARDS);
    return SUCCESS;
}

/* "model-00001-of-00003.safetensors"; the caller frees. */
static char *shard_name(const struct st_writer *w, size_t shard)
{
    if (w->piece_count == 1)
        return xstrdup("model.safetensors");
    return xasprintf("model-%05zu-of-%05zu.safetensors", shard + 1,
                     w->piece_count);
}

static char *shard_path(const struct st_writer *w, size_t shard)
{
    AUTO(free_pointer) char *name = shard_name(w, shard);

    return xasprintf("%s/%s", w->beside, name);
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
MUST_CHECK static struct status header_text(const struct st_writer *w,
                                            const struct piece *p,
                                            struct buf *text)
{
    uint64_t at = 0;

    TRY_PLAIN(buf_add_text(text, "{"));
    TRY_PLAIN(add_metadata(text, w->metadata));
    for (size_t i = p->first; i < p->end; i++) {
        if (text->size > 1)
            TRY_PLAIN(buf_add_text(text, ","));
        TRY_PLAIN(add_entry(text, w->items + i, at));
        at += tensor_bytes(w->items + i);
    }
    TRY_PLAIN(buf_add_text(text, "}"));
    while (text->size % ALIGN != 0)
        TRY_PLAIN(buf_add_text(text, " "));
    return SUCCESS;
}

/* A disk that cannot hold the shard says so now. File systems that cannot
 * promise room find out while writing. */
MUST_CHECK static struct status reserve(const struct out *out, uint64_t size)
{
    if (fallocate(fileno(out->file), 0, 0, (off_t)size) == 0 ||
        errno == EOPNOTSUPP || errno == ENOSYS)
        return SUCCESS;
    return FAIL(file_error(errno), "reserve %" PRIu64 " bytes for %s: %s", size,
                out->path, strerror(errno));
}

/* Each shard with its header, before any data. */
MUST_CHECK static struct status begin_shard(struct st_writer *w, size_t shard)
{
    AUTO(out_release) struct out out = { 0 };
    AUTO(buf_release) struct buf text;
    struct piece *p = w->pieces + shard;
    uint8_t prefix[PREFIX];

    buf_init(&text, LIMIT_HEADER);
    TRY(header_text(w, p, &text), "header of %s", w->directory);
    for (size_t i = 0; i < PREFIX; i++)
        prefix[i] = (uint8_t)((uint64_t)text.size >> (8 * i));
    p->header = PREFIX + text.size;
    TRY_PLAIN(out_open(&out, shard_path(w, shard), "wbxe"));
    TRY_PLAIN(reserve(&out, p->header + p->bytes));
    TRY_PLAIN(out_write(&out, prefix, PREFIX));
    TRY_PLAIN(out_write(&out, text.data, text.size));
    if (fflush(out.file) != 0)
        return FAIL_ERRNO("write", out.path);
    return SUCCESS;
}

MUST_CHECK static struct status make_beside(struct st_writer *w)
{
    char *path = xasprintf("%s.part-XXXXXX", w->directory);

    if (mkdtemp(path) == NULL) {
        struct status st = FAIL_ERRNO("create", path);

        free(path);
        return st;
    }
    w->beside = path;
    if (chmod(path, 0755) != 0)
        return FAIL_ERRNO("chmod", path);
    return SUCCESS;
}

MUST_CHECK static struct status open_shard(struct st_writer *w)
{
    TRY_PLAIN(out_open(&w->out, shard_path(w, w->shard), "r+be"));
    if (fseeko(w->out.file, (off_t)w->pieces[w->shard].header, SEEK_SET) != 0)
        return FAIL_ERRNO("seek in", w->out.path);
    return SUCCESS;
}

MUST_CHECK static struct status next_shard(struct st_writer *w)
{
    TRY_PLAIN(out_close(&w->out));
    w->shard++;
    return w->shard < w->piece_count ? open_shard(w) : SUCCESS;
}

/* On to the next tensor that lacks bytes. */
MUST_CHECK static struct status skip_whole(struct st_writer *w)
{
    while (w->tensor < w->count && w->left == 0) {
        w->tensor++;
        if (w->tensor == w->pieces[w->shard].end)
            TRY_PLAIN(next_shard(w));
        if (w->tensor < w->count)
            w->left = tensor_bytes(w->items + w->tensor);
    }
    return SUCCESS;
}

MUST_CHECK static struct status begin(struct st_writer *w,
                                      const struct st_writer_settings *s,
                                      const struct tensor_set *layout)
{
    TRY_PLAIN(check_settings(s));
    TRY_PLAIN(take_layout(w, layout));
    TRY_PLAIN(cut_shards(w, s->shard_bytes));
    TRY_PLAIN(make_beside(w));
    for (size_t i = 0; i < w->piece_count; i++)
        TRY_PLAIN(begin_shard(w, i));
    TRY_PLAIN(open_shard(w));
    if (w->count > 0)
        w->left = tensor_bytes(w->items);
    return skip_whole(w);
}

/* Without the slashes at its end, which would make "beside" a place inside. */
static char *plain_directory(const char *path)
{
    size_t size = strlen(path);

    while (size > 1 && path[size - 1] == '/')
        size--;
    return xstrndup(path, size);
}

struct status st_writer_new(const struct st_writer_settings *s,
                            const struct tensor_set *layout,
                            struct st_writer **ret_writer)
{
    struct st_writer *w = xnew(struct st_writer);
    struct status st;

    w->directory = plain_directory(s->directory);
    w->metadata = s->metadata == NULL ? NULL : json_deep_copy(s->metadata);
    st = begin(w, s, layout);
    if (status_failed(&st))
        st_writer_free(w);
    else
        *ret_writer = w;
    return st;
}

MUST_CHECK static struct status add(struct st_writer *w, const char *data,
                                    size_t size)
{
    while (size > 0) {
        size_t part = size < w->left ? size : (size_t)w->left;

        if (w->tensor == w->count)
            return FAIL(STATUS_INVALID,
                        "%s: %zu bytes more than the layout has room for",
                        w->directory, size);
        TRY_PLAIN(out_write(&w->out, data, part));
        data += part;
        size -= part;
        w->left -= part;
        TRY_PLAIN(skip_whole(w));
    }
    return SUCCESS;
}

MUST_CHECK static struct status check_usable(const struct st_writer *w)
{
    if (w->failed || w->beside == NULL)
        return FAIL(STATUS_INVALID, "%s: writing has %s", w->directory,
                    w->failed ? "failed before" : "ended");
    return SUCCESS;
}

struct status st_writer_add(struct st_writer *w, const void *data, size_t size)
{
    struct status st;

    TRY_PLAIN(check_usable(w));
    st = add(w, data, size);
    w->failed = status_failed(&st);
    return st;
}

/* A plain name that is no file of the model itself. */
static bool is_free_name(const struct st_writer *w, const char *name)
{
    if (name[0] == '\0' || strchr(name, '/') != NULL ||
        strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        strcmp(name, index_name) == 0)
        return false;
    for (size_t i = 0; i < w->piece_count; i++) {
        AUTO(free_pointer) char *shard = shard_name(w, i);

        if (strcmp(name, shard) == 0)
            return false;
    }
    return true;
}

struct status st_writer_add_file(struct st_writer *w, const char *name,
                                 const void *data, size_t size)
{
    struct status st;
    char *path;

    TRY_PLAIN(check_usable(w));
    if (!is_free_name(w, name))
        return FAIL(STATUS_INVALID, "%s: no file \"%s\" can be added",
                    w->directory, name);
    path = xasprintf("%s/%s", w->beside, name);
    if (file_exists(path)) {
        free(path);
        return FAIL(STATUS_INVALID, "%s: \"%s\" is added twice", w->directory,
                    name);
    }
    st = write_whole(path, data, size);
    w->failed = status_failed(&st);
    return st;
}

/* Index of the shards, in order of name. */
static json_t *index_of(const struct st_writer *w)
{
    json_t *weights = json_object();
    uint64_t bytes = 0;

    for (size_t i = 0; i < w->piece_count; i++) {
        const struct piece *p = w->pieces + i;
        AUTO(free_pointer) char *name = shard_name(w, i);

        for (size_t k = p->first; k < p->end; k++)
            (void)json_object_set_new(weights, w->items[k].name,
                                      json_string(name));
        bytes += p->bytes;
    }
    return json_pack("{s:{s:I}, s:o}", "metadata", "total_size",
                     (json_int_t)bytes, "weight_map", weights);
}

MUST_CHECK static struct status write_index(const struct st_writer *w)
{
    AUTO(json_release) json_t *index = index_of(w);
    AUTO(free_pointer) char *text = json_pretty(index);

    return write_whole(xasprintf("%s/%s", w->beside, index_name), text,
                       strlen(text));
}

MUST_CHECK static struct status sync_parent(const char *path)
{
    const char *slash = strrchr(path, '/');
    AUTO(free_pointer) char *parent = NULL;

    if (slash == NULL)
        return file_sync_directory(".");
    parent = xstrndup(path, slash == path ? 1 : (size_t)(slash - path));
    return file_sync_directory(parent);
}

MUST_CHECK static struct status put_in_place(struct st_writer *w)
{
    TRY_PLAIN(file_sync_directory(w->beside));
    if (rename(w->beside, w->directory) != 0)
        return FAIL_ERRNO("rename to", w->directory);
    free(w->beside);
    w->beside = NULL;
    return sync_parent(w->directory);
}

struct status st_writer_finish(struct st_writer *w)
{
    TRY_PLAIN(check_usable(w));
    if (w->tensor < w->count)
        return FAIL(STATUS_INVALID,
                    "%s: %" PRIu64 " bytes of tensor \"%s\" are missing",
                    w->directory, w->left, w->items[w->tensor].name);
    if (w->out.file != NULL) /* a layout without tensors */
        TRY_PLAIN(out_close(&w->out));
    if (w->piece_count > 1)
        TRY_PLAIN(write_index(w));
    return put_in_place(w);
}

static void remove_unfinished(const struct st_writer *w)
{
    struct status st = file_remove_tree(w->beside);

    (void)st; /* what cannot be removed is recognised by its ".part-" */
}

void st_writer_free(struct st_writer *w)
{
    if (w == NULL)
        return;
    out_release(&w->out);
    if (w->beside != NULL)
        remove_unfinished(w);
    for (size_t i = 0; i < w->count; i++)
        free((char *)(uintptr_t)w->items[i].name);
    json_decref(w->metadata);
    free(w->items);
    free(w->pieces);
    free(w->beside);
    free(w->directory);
    free(w);
}
