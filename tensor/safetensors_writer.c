#include "tensor/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/file.h"
#include "common/memory.h"
#include "tensor/safetensors_parts.h"

enum {
    HEADER_ROOM = LIMIT_HEADER + 8,
    REPLAY = 4 << 20 /* read at a time */
};

/* A line of SHA256SUMS. */
struct sum {
    char *name;
    struct digest digest;
};

struct st_writer {
    struct st_layout layout;
    struct st_partial partial;
    bool shared; /* can be continued; sums are kept */
    struct digest plan;
    struct digest chain; /* of the digests of all whole shards */
    struct st_mark mark; /* all whole tensors */
    const char *anew;
    size_t shard;  /* the running one */
    size_t tensor; /* the running one; `count` when all is written */
    uint64_t left; /* bytes of it that are missing */
    struct st_out out;
    struct sum *sums;
    size_t sum_count;
    bool failed; /* a write was cut short: nothing can follow it */
};

/* ---- sums -------------------------------------------------------------- */

static void add_sum(struct st_writer *w, const char *name,
                    const struct digest *digest)
{
    if (!w->shared)
        return;
    w->sums = xrealloc(w->sums, (w->sum_count + 1) * sizeof *w->sums);
    w->sums[w->sum_count++] =
        (struct sum){ .name = xstrdup(name), .digest = *digest };
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct sum *)a)->name, ((const struct sum *)b)->name);
}

MUST_CHECK static struct status write_whole(char *path, const void *data,
                                            size_t size)
{
    AUTO(st_out_release) struct st_out out = { 0 };

    TRY_PLAIN(st_out_open(&out, path, "wbe", false));
    TRY_PLAIN(st_out_write(&out, data, size));
    return st_out_close(&out);
}

/* A file beside the tensors, and its line. */
MUST_CHECK static struct status write_named(struct st_writer *w,
                                            const char *name, const void *data,
                                            size_t size)
{
    struct digest digest = digest_of(data, size);

    TRY_PLAIN(write_whole(st_partial_file(&w->partial, name), data, size));
    add_sum(w, name, &digest);
    return SUCCESS;
}

MUST_CHECK static struct status write_sums(struct st_writer *w)
{
    AUTO(buf_release) struct buf text;
    char hex[DIGEST_TEXT];

    buf_init(&text, LIMIT_MANIFEST);
    qsort(w->sums, w->sum_count, sizeof *w->sums, by_name);
    for (size_t i = 0; i < w->sum_count; i++) {
        digest_to_text(&w->sums[i].digest, hex);
        TRY(buf_print(&text, "%s  %s\n", hex, w->sums[i].name), "%s",
            st_sums_name);
    }
    return write_whole(st_partial_file(&w->partial, st_sums_name), text.data,
                       text.size);
}

/* ---- from shard to shard ----------------------------------------------- */

static char *shard_path(const struct st_writer *w, size_t shard)
{
    AUTO(free_pointer) char *name = st_layout_name(&w->layout, shard);

    return st_partial_file(&w->partial, name);
}

/* Of all that is whole: the chain, and the running file so far. */
static void set_mark(struct st_writer *w)
{
    struct digest both[2] = { w->chain, w->chain };

    if (!w->shared)
        return;
    if (w->out.hash != NULL)
        both[1] = digest_so_far(w->out.hash);
    w->mark.tensors = w->tensor;
    w->mark.data = digest_of(both, sizeof both);
}

static void end_hash(struct st_writer *w)
{
    AUTO(free_pointer) char *name = st_layout_name(&w->layout, w->shard);
    struct digest both[2] = { w->chain, w->chain };

    if (w->out.hash == NULL)
        return;
    both[1] = digest_end(w->out.hash);
    w->out.hash = NULL;
    add_sum(w, name, &both[1]);
    w->chain = digest_of(both, sizeof both);
}

MUST_CHECK static struct status open_shard(struct st_writer *w)
{
    AUTO(buf_release) struct buf header;
    uint64_t begin = w->layout.shards[w->shard].header;

    buf_init(&header, HEADER_ROOM);
    TRY_PLAIN(st_out_open(&w->out, shard_path(w, w->shard), "r+be", w->shared));
    if (fseeko(w->out.file, (off_t)begin, SEEK_SET) != 0)
        return FAIL_ERRNO("seek in", w->out.path);
    w->out.size = begin;
    if (!w->shared)
        return SUCCESS;
    TRY_PLAIN(st_layout_header(&w->layout, w->shard, &header));
    digest_add(w->out.hash, header.data, header.size);
    return SUCCESS;
}

MUST_CHECK static struct status next_shard(struct st_writer *w)
{
    end_hash(w);
    TRY_PLAIN(st_out_close(&w->out));
    w->shard++;
    return w->shard < w->layout.shard_count ? open_shard(w) : SUCCESS;
}

/* On to the next tensor that lacks bytes. */
MUST_CHECK static struct status skip_whole(struct st_writer *w)
{
    const struct st_layout *l = &w->layout;

    if (w->left > 0)
        return SUCCESS;
    while (w->tensor < l->count && w->left == 0) {
        w->tensor++;
        if (w->tensor == l->shards[w->shard].end)
            TRY_PLAIN(next_shard(w));
        if (w->tensor < l->count)
            w->left = tensor_bytes(l->items + w->tensor);
    }
    set_mark(w);
    return SUCCESS;
}

/* ---- begin ------------------------------------------------------------- */

/* Bytes that the file system still has to find for a shard. */
static uint64_t missing_bytes(const struct st_writer *w, size_t shard)
{
    AUTO(free_pointer) char *path = shard_path(w, shard);
    const struct st_shard *p = w->layout.shards + shard;
    struct stat info;
    uint64_t held = 0;

    if (stat(path, &info) == 0)
        held = (uint64_t)info.st_blocks * 512;
    return held < p->header + p->bytes ? p->header + p->bytes - held : 0;
}

/* All shards at once, so that a disk that cannot hold the model is not
 * filled with half of it first. */
MUST_CHECK static struct status check_room(const struct st_writer *w)
{
    uint64_t needed = 0;
    uint64_t room;
    struct statvfs disk;

    for (size_t i = 0; i < w->layout.shard_count; i++)
        needed += missing_bytes(w, i);
    if (statvfs(w->partial.path, &disk) != 0)
        return SUCCESS;
    room = (uint64_t)disk.f_bfree * disk.f_frsize;
    if (needed <= room)
        return SUCCESS;
    return FAIL(STATUS_NO_SPACE,
                "%s takes %" PRIu64 " more bytes, the disk has %" PRIu64
                "; make room, or name a directory on another disk",
                w->partial.directory, needed, room);
}

/* File systems that cannot promise room find out while writing. What a torn
 * write left behind the end goes. */
MUST_CHECK static struct status reserve(const struct st_out *out, uint64_t size)
{
    int fd = fileno(out->file);
    int failed;

    do /* a signal may come while a slow disk looks for room */
        failed = fallocate(fd, 0, 0, (off_t)size);
    while (failed != 0 && errno == EINTR);
    if (failed != 0 && errno != EOPNOTSUPP && errno != ENOSYS)
        return FAIL(file_error(errno), "reserve %" PRIu64 " bytes for %s: %s",
                    size, out->path, strerror(errno));
    if (ftruncate(fd, (off_t)size) != 0)
        return FAIL_ERRNO("set the size of", out->path);
    return SUCCESS;
}

/* A shard that holds nothing whole yet: header, and room for the data. */
MUST_CHECK static struct status begin_shard(struct st_writer *w, size_t shard)
{
    AUTO(st_out_release) struct st_out out = { 0 };
    AUTO(free_pointer) char *path = shard_path(w, shard);
    AUTO(buf_release) struct buf header;
    const struct st_shard *p = w->layout.shards + shard;

    buf_init(&header, HEADER_ROOM);
    TRY_PLAIN(st_layout_header(&w->layout, shard, &header));
    TRY_PLAIN(st_out_open(&out, xstrdup(path),
                          file_exists(path) ? "r+be" : "wbxe", false));
    TRY_PLAIN(reserve(&out, p->header + p->bytes));
    TRY_PLAIN(st_out_write(&out, header.data, header.size));
    if (fflush(out.file) != 0)
        return FAIL_ERRNO("write", out.path);
    return SUCCESS;
}

MUST_CHECK static struct status begin_files(struct st_writer *w)
{
    TRY_PLAIN(check_room(w));
    for (size_t i = w->shard; i < w->layout.shard_count; i++)
        TRY_PLAIN(begin_shard(w, i));
    return file_sync_directory(w->partial.path);
}

static bool is_shard(const void *self, const char *name)
{
    const struct st_layout *l = self;

    for (size_t i = 0; i < l->shard_count; i++) {
        AUTO(free_pointer) char *shard = st_layout_name(l, i);

        if (strcmp(name, shard) == 0)
            return true;
    }
    return false;
}

static bool stays(const void *self, const char *name)
{
    return strcmp(name, st_journal_name) == 0 || is_shard(self, name);
}

static bool nothing_stays(const void *self, const char *name)
{
    (void)self;
    (void)name;
    return false;
}

/* ---- resume ------------------------------------------------------------ */

/* The rest of the running tensor, from the file to both hashes. */
MUST_CHECK static struct status replay_tensor(
    struct st_writer *w, const struct st_writer_settings *s, void *buffer)
{
    while (w->left > 0) {
        size_t part = w->left < REPLAY ? (size_t)w->left : REPLAY;

        if (fread(buffer, 1, part, w->out.file) != part)
            return FAIL(STATUS_CORRUPT, "%s is too short", w->out.path);
        digest_add(w->out.hash, buffer, part);
        w->out.size += part;
        w->out.told = w->out.size;
        w->left -= part;
        if (s->replay != NULL)
            TRY_PLAIN(s->replay(s->self, w->tensor, buffer, part));
    }
    return SUCCESS;
}

MUST_CHECK static struct status replay(struct st_writer *w,
                                       const struct st_writer_settings *s,
                                       const struct st_mark *mark)
{
    AUTO(free_pointer) void *buffer = xcalloc(REPLAY, 1);
    off_t end;

    while (w->tensor < mark->tensors) {
        TRY_PLAIN(replay_tensor(w, s, buffer));
        TRY_PLAIN(skip_whole(w));
    }
    if (w->out.file == NULL)
        return SUCCESS;
    /* A stream turns from reading to writing where it is told its place. */
    end = (off_t)w->out.size;
    if (fseeko(w->out.file, end, SEEK_SET) != 0)
        return FAIL_ERRNO("seek in", w->out.path);
    return SUCCESS;
}

/* To the state in which nothing is written. */
static void rewind_writer(struct st_writer *w)
{
    st_out_release(&w->out);
    for (size_t i = 0; i < w->sum_count; i++)
        free(w->sums[i].name);
    w->sum_count = 0;
    w->shard = 0;
    w->tensor = 0;
    w->left = w->layout.count > 0 ? tensor_bytes(w->layout.items) : 0;
    w->chain = (struct digest){ .bytes = { 0 } };
}

MUST_CHECK static struct status start(struct st_writer *w)
{
    rewind_writer(w);
    TRY_PLAIN(open_shard(w));
    return skip_whole(w);
}

/* What the journal promises, read and compared. */
MUST_CHECK static struct status go_on(struct st_writer *w,
                                      const struct st_writer_settings *s,
                                      const struct st_mark *mark,
                                      bool *ret_good)
{
    struct status st;

    TRY_PLAIN(st_partial_clear(&w->partial, stays, &w->layout));
    st = mark->tensors > w->layout.count
             ? FAIL(STATUS_CORRUPT, "beyond the layout")
             : start(w);
    if (!status_failed(&st))
        st = replay(w, s, mark);
    *ret_good = !status_failed(&st) && w->mark.tensors == mark->tensors &&
                digest_equal(&w->mark.data, &mark->data);
    if (st.code == STATUS_CORRUPT || st.code == STATUS_NOT_FOUND)
        return SUCCESS; /* files that are gone or cut are begun anew */
    TRY_PLAIN(st);
    return *ret_good ? begin_files(w) : SUCCESS;
}

MUST_CHECK static struct status begin_anew(struct st_writer *w)
{
    rewind_writer(w);
    TRY_PLAIN(st_partial_clear(&w->partial, nothing_stays, NULL));
    w->partial.keep = false;
    TRY_PLAIN(begin_files(w));
    return start(w);
}

MUST_CHECK static struct status resume(struct st_writer *w,
                                       const struct st_writer_settings *s)
{
    struct st_mark mark;
    enum st_found found;
    bool good = false;

    TRY_PLAIN(st_layout_digest(&w->layout, s->recipe, &w->plan));
    found = st_partial_read_mark(&w->partial, &w->plan, &mark);
    if (found == ST_FOUND_MARK)
        TRY_PLAIN(go_on(w, s, &mark, &good));
    if (good)
        return SUCCESS;
    if (found == ST_FOUND_OTHER)
        w->anew = "what was begun there is of another recipe or layout";
    else if (found == ST_FOUND_MARK)
        w->anew = "the files begun there are not what their journal says";
    return begin_anew(w);
}

MUST_CHECK static struct status begin(struct st_writer *w,
                                      const struct st_writer_settings *s,
                                      const struct tensor_set *layout)
{
    TRY_PLAIN(st_layout_init(&w->layout, s, layout));
    w->shared = s->recipe != NULL;
    TRY_PLAIN(st_partial_open(&w->partial, s->directory, w->shared));
    if (w->shared)
        return resume(w, s);
    TRY_PLAIN(begin_files(w));
    return start(w);
}

struct status st_writer_new(const struct st_writer_settings *s,
                            const struct tensor_set *layout,
                            struct st_writer **ret_writer)
{
    struct st_writer *w = xnew(struct st_writer);
    struct status st;

    w->partial.lock = -1;
    st = begin(w, s, layout);
    if (status_failed(&st))
        st_writer_free(w);
    else
        *ret_writer = w;
    return st;
}

size_t st_writer_done(const struct st_writer *w)
{
    return w->tensor;
}

const char *st_writer_anew(const struct st_writer *w)
{
    return w->anew;
}

/* ---- write ------------------------------------------------------------- */

MUST_CHECK static struct status add(struct st_writer *w, const char *data,
                                    size_t size)
{
    while (size > 0) {
        size_t part = size < w->left ? size : (size_t)w->left;

        if (w->tensor == w->layout.count)
            return FAIL(STATUS_INVALID,
                        "%s: %zu bytes more than the layout has room for",
                        w->partial.directory, size);
        TRY_PLAIN(st_out_write(&w->out, data, part));
        data += part;
        size -= part;
        w->left -= part;
        TRY_PLAIN(skip_whole(w));
    }
    return SUCCESS;
}

MUST_CHECK static struct status check_usable(const struct st_writer *w)
{
    if (w->failed || w->partial.path == NULL)
        return FAIL(STATUS_INVALID, "%s: writing has %s", w->partial.directory,
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

struct status st_writer_add_all(struct st_writer *w,
                                const struct tensor_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        TRY_PLAIN(st_writer_add(w, set->items[i].data,
                                (size_t)tensor_bytes(&set->items[i])));
    return SUCCESS;
}

struct status st_writer_checkpoint(struct st_writer *w)
{
    struct status st = SUCCESS;

    TRY_PLAIN(check_usable(w));
    if (!w->shared || w->mark.tensors == 0)
        return SUCCESS;
    if (w->out.file != NULL) /* else the last shard is closed, and synced */
        st = st_out_sync(&w->out);
    w->failed = status_failed(&st);
    TRY_PLAIN(st);
    return st_partial_write_mark(&w->partial, &w->plan, &w->mark);
}

/* A plain name that is no file of the model itself. */
static bool is_free_name(const struct st_writer *w, const char *name)
{
    static const char *const ours[] = { "",           ".",
                                        "..",         st_index_name,
                                        st_sums_name, st_journal_name };

    for (size_t i = 0; i < COUNT_OF(ours); i++) {
        if (strcmp(name, ours[i]) == 0)
            return false;
    }
    return strpbrk(name, "/\\\n") == NULL && !is_shard(&w->layout, name);
}

struct status st_writer_add_file(struct st_writer *w, const char *name,
                                 const void *data, size_t size)
{
    AUTO(free_pointer) char *path = NULL;
    struct status st;

    TRY_PLAIN(check_usable(w));
    if (!is_free_name(w, name))
        return FAIL(STATUS_INVALID, "%s: no file \"%s\" can be added",
                    w->partial.directory, name);
    path = st_partial_file(&w->partial, name);
    if (file_exists(path))
        return FAIL(STATUS_INVALID, "%s: \"%s\" is added twice",
                    w->partial.directory, name);
    st = write_named(w, name, data, size);
    w->failed = status_failed(&st);
    return st;
}

/* ---- end --------------------------------------------------------------- */

MUST_CHECK static struct status finish(struct st_writer *w)
{
    AUTO(free_pointer) char *index = NULL;

    if (w->out.file != NULL) { /* a layout without tensors */
        end_hash(w);
        TRY_PLAIN(st_out_close(&w->out));
    }
    if (w->layout.shard_count > 1) {
        index = st_layout_index(&w->layout);
        TRY_PLAIN(write_named(w, st_index_name, index, strlen(index)));
    }
    if (w->shared)
        TRY_PLAIN(write_sums(w));
    return st_partial_place(&w->partial);
}

struct status st_writer_finish(struct st_writer *w)
{
    TRY_PLAIN(check_usable(w));
    if (w->tensor < w->layout.count)
        return FAIL(STATUS_INVALID,
                    "%s: %" PRIu64 " bytes of tensor \"%s\" are missing",
                    w->partial.directory, w->left,
                    w->layout.items[w->tensor].name);
    return finish(w);
}

void st_writer_free(struct st_writer *w)
{
    if (w == NULL)
        return;
    st_out_release(&w->out);
    st_partial_close(&w->partial);
    st_layout_release(&w->layout);
    for (size_t i = 0; i < w->sum_count; i++)
        free(w->sums[i].name);
    free(w->sums);
    free(w);
}

void st_writer_release(struct st_writer **w)
{
    st_writer_free(*w);
}
