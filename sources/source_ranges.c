/* Parts of a model: whole headers, and the bytes of some tensors in files with
 * holes. `parts.json` of the entry says what is there; it never claims bytes
 * that are not on the disk. What a changed source or a damaged file leaves is
 * not repaired but left behind in its folder, for others may be reading it. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/limits.h"
#include "common/memory.h"
#include "sources/source_internal.h"
#include "sources/span.h"
#include "tensor/safetensors.h"

enum {
    FIRST = 8,             /* bytes before a header */
    GAP_MOST = 64 << 10,   /* bytes fetched in vain rather than asked around */
    BATCH_MOST = 64 << 20, /* bytes between two records */
    LIMIT_RECORD = 64 << 20,
    MOST_TRIES = 2,
};

/* Nine tenths of a model are fetched as all of it. */
static bool is_nearly_all(uint64_t bytes, uint64_t total)
{
    return bytes >= total - total / 10;
}

struct shard {
    char *name;
    struct http_info info;
    uint64_t body; /* where the bytes of tensors begin */
    struct spans have;
    struct spans wanted; /* and not there */
    int64_t modified;    /* ns, when last recorded */
};

struct parts {
    struct source_store *store;
    const json_t *source;
    struct cache_entry *entry;
    struct source_origin origin; /* open when something has to be fetched */
    int64_t number;              /* of the folder */
    char folder[24];             /* "0/" */
    struct shard *shards;
    size_t count;
    /* What ends it without a failure: */
    bool is_whole;   /* only all of it can be had, or should be */
    bool is_changed; /* begin anew */
    char *change;    /* "URL: its ETag was A, then B" */
};

static void drop_shards(struct parts *p)
{
    for (size_t i = 0; i < p->count; i++) {
        free(p->shards[i].name);
        spans_release(&p->shards[i].have);
        spans_release(&p->shards[i].wanted);
    }
    free(p->shards);
    p->shards = NULL;
    p->count = 0;
}

static void parts_release(struct parts *p)
{
    drop_shards(p);
    source_origin_release(&p->origin);
    free(p->change);
}

static char *record_path(const struct parts *p)
{
    return xasprintf("%s/../parts.json", cache_files(p->entry));
}

static char *shard_path(const struct parts *p, const struct shard *s)
{
    return xasprintf("%s/%s%s", cache_files(p->entry), p->folder, s->name);
}

static void use_folder(struct parts *p, int64_t number)
{
    p->number = number;
    (void)snprintf(p->folder, sizeof p->folder, "%" PRId64 "/", number);
}

/* The record. */

static int64_t modified_of(const struct stat *info)
{
    return (int64_t)info->st_mtim.tv_sec * NS_PER_S + info->st_mtim.tv_nsec;
}

static json_t *shard_json(const struct shard *s)
{
    return json_pack("{s:s, s:I, s:s, s:I, s:I, s:o}", "name", s->name, "size",
                     (json_int_t)s->info.size, "etag", s->info.etag, "body",
                     (json_int_t)s->body, "modified", (json_int_t)s->modified,
                     "have", spans_json(&s->have));
}

/* `growing`: more is about to be written, so times of files will not tell. */
MUST_CHECK static struct status save(struct parts *p, bool growing)
{
    AUTO(free_pointer) char *path = record_path(p);
    AUTO(free_pointer) char *text = NULL;
    AUTO(json_release) json_t *rows = json_array();
    AUTO(json_release) json_t *record = NULL;

    for (size_t i = 0; i < p->count; i++) {
        AUTO(free_pointer) char *file = shard_path(p, &p->shards[i]);
        struct stat info;

        if (stat(file, &info) != 0)
            return FAIL(file_error(errno), "%s: %s", file, strerror(errno));
        p->shards[i].modified = modified_of(&info);
        (void)json_array_append_new(rows, shard_json(&p->shards[i]));
    }
    record = json_pack("{s:I, s:b, s:O}", "folder", (json_int_t)p->number,
                       "growing", (int)growing, "shards", rows);
    text = json_canonical(record);
    TRY(file_write(path, text, strlen(text)), "cache");
    return SUCCESS;
}

static bool read_shard(const struct parts *p, const json_t *row, bool growing,
                       struct shard *s)
{
    AUTO(free_pointer) char *path = NULL;
    struct stat info;

    s->name = xstrdup(json_text_or(row, "name", ""));
    s->info.size = json_int_or(row, "size", -1);
    (void)snprintf(s->info.etag, sizeof s->info.etag, "%s",
                   json_text_or(row, "etag", ""));
    s->body = (uint64_t)json_int_or(row, "body", 0);
    s->modified = json_int_or(row, "modified", -1);
    path = shard_path(p, s);
    return source_is_plain_path(s->name) &&
           spans_read(&s->have, json_object_get(row, "have")) &&
           stat(path, &info) == 0 && info.st_size == s->info.size &&
           s->body >= FIRST && s->body <= (uint64_t)info.st_size &&
           s->body <= FIRST + LIMIT_HEADER &&
           (growing || modified_of(&info) == s->modified);
}

/* What is there; nothing if the record or a file is not as it was left, and
 * then the next folder is begun. */
static void load(struct parts *p)
{
    AUTO(free_pointer) char *path = record_path(p);
    AUTO(json_release) json_t *record = NULL;
    struct status st = json_parse_file(path, LIMIT_RECORD, &record);
    const json_t *rows = json_object_get(record, "shards");
    bool good = !status_failed(&st) && json_array_size(rows) > 0 &&
                json_array_size(rows) <= LIMIT_SHARDS;
    const json_t *row;
    size_t i;

    use_folder(p, json_int_or(record, "folder", 0));
    if (good)
        p->shards = xcalloc(json_array_size(rows), sizeof *p->shards);
    json_array_foreach(rows, i, row)
    {
        if (good)
            good = read_shard(p, row, json_bool_or(record, "growing", false),
                              &p->shards[p->count++]);
    }
    if (good)
        return;
    drop_shards(p);
    use_folder(p, p->number + 1);
}

/* Fetching. */

MUST_CHECK static struct status need_origin(struct parts *p)
{
    if (p->origin.url != NULL)
        return SUCCESS;
    return source_origin_open(p->store, p->source, &p->origin);
}

/* What the tags are worth to people. */
static void note_change(struct parts *p, const char *url,
                        const struct http_info *was,
                        const struct http_info *now)
{
    free(p->change);
    p->change = xasprintf(
        "%s changes while it is read: it had %lld bytes and "
        "ETag %s, now %lld and %s",
        url, (long long)was->size, was->etag[0] != '\0' ? was->etag : "none",
        (long long)now->size, now->etag[0] != '\0' ? now->etag : "none");
    p->is_changed = true;
}

MUST_CHECK static struct status get(struct parts *p, const struct shard *s,
                                    const struct http_range *ranges,
                                    size_t count, int fd)
{
    AUTO(free_pointer) char *url = source_origin_url(&p->origin, s->name);
    enum http_ranges_end end;
    struct http_info now;

    TRY_PLAIN(http_get_ranges(p->origin.http, url, &s->info, ranges, count, fd,
                              &end, &now));
    if (end == HTTP_RANGES_REFUSED)
        p->is_whole = true;
    if (end == HTTP_RANGES_CHANGED)
        note_change(p, url, &s->info, &now);
    return SUCCESS;
}

static bool is_over(const struct parts *p)
{
    return p->is_whole || p->is_changed;
}

MUST_CHECK static struct status open_shard(const struct parts *p,
                                           const struct shard *s, int flags,
                                           int *ret_fd)
{
    AUTO(free_pointer) char *path = shard_path(p, s);

    *ret_fd = open(path, flags | O_CLOEXEC, 0644);
    if (*ret_fd < 0)
        return FAIL(file_error(errno), "open %s: %s", path, strerror(errno));
    return SUCCESS;
}

MUST_CHECK static struct status sync_shard(int fd, const struct shard *s)
{
    if (fdatasync(fd) != 0)
        return FAIL(file_error(errno), "sync %s: %s", s->name, strerror(errno));
    return SUCCESS;
}

MUST_CHECK static struct status read_at(int fd, const struct shard *s,
                                        void *into, size_t size, off_t at)
{
    if (pread(fd, into, size, at) != (ssize_t)size)
        return FAIL(STATUS_LOST, "read %s of the cache: %s", s->name,
                    errno != 0 ? strerror(errno) : "it became shorter");
    return SUCCESS;
}

MUST_CHECK static struct status parse_header(const struct parts *p,
                                             const struct shard *s, int fd,
                                             struct st_header **ret_header)
{
    const size_t size = (size_t)(s->body - FIRST);
    AUTO(free_pointer) char *text = xcalloc(1, size + 1);

    TRY_PLAIN(read_at(fd, s, text, size, FIRST));
    TRY(st_header_parse(text, size, (uint64_t)s->info.size, s->name,
                        ret_header),
        "%s", json_text_or(p->source, "url", ""));
    return SUCCESS;
}

/* In two requests: how long the header is, and itself. */
MUST_CHECK static struct status get_header(struct parts *p, struct shard *s,
                                           int fd)
{
    struct http_range range = { 0, FIRST };
    struct st_header *header = NULL;
    uint8_t first[FIRST];
    uint64_t size;

    TRY_PLAIN(get(p, s, &range, 1, fd));
    if (is_over(p))
        return SUCCESS;
    TRY_PLAIN(read_at(fd, s, first, sizeof first, 0));
    TRY(st_header_size(first, (uint64_t)s->info.size, s->name, &size), "%s",
        p->origin.url);
    range = (struct http_range){ FIRST, size };
    TRY_PLAIN(get(p, s, &range, 1, fd));
    if (is_over(p))
        return SUCCESS;
    s->body = FIRST + size;
    spans_add(&s->have, 0, s->body);
    TRY_PLAIN(parse_header(p, s, fd, &header)); /* before it is recorded */
    st_header_free(header);
    return sync_shard(fd, s);
}

MUST_CHECK static struct status begin_shard(struct parts *p, struct shard *s)
{
    AUTO(free_pointer) char *url = source_origin_url(&p->origin, s->name);
    AUTO(free_pointer) char *path = shard_path(p, s);
    AUTO(file_close) int fd = -1;

    TRY_PLAIN(source_look_at(&p->origin, url, &s->info));
    if (s->info.size < FIRST) {
        p->is_whole = true; /* which then says what is wrong with it */
        return SUCCESS;
    }
    *strrchr(path, '/') = '\0';
    TRY(file_make_directories(path), "cache");
    TRY_PLAIN(open_shard(p, s, O_RDWR | O_CREAT | O_TRUNC, &fd));
    if (ftruncate(fd, (off_t)s->info.size) != 0)
        return FAIL(file_error(errno), "%s: %s", s->name, strerror(errno));
    return get_header(p, s, fd);
}

/* Index, config, tokenizer, and the headers of all shards. */
MUST_CHECK static struct status begin(struct parts *p)
{
    AUTO(free_pointer)
    char *folder = xasprintf("%s/%s", cache_files(p->entry), p->folder);
    AUTO(json_release) json_t *names = NULL;
    const char *name;
    json_t *served;

    TRY(file_remove_tree(folder), "cache"); /* of a try that came to nothing */
    TRY_PLAIN(need_origin(p));
    if (p->origin.file != NULL)
        names = json_pack("{s:n}", p->origin.file);
    else
        TRY_PLAIN(source_have_index(p->entry, p->folder, &p->origin, p->source,
                                    &names));
    p->shards = xcalloc(json_object_size(names), sizeof *p->shards);
    json_object_foreach(names, name, served)
    {
        struct shard *s = &p->shards[p->count++];

        s->name = xstrdup(name);
        TRY_PLAIN(begin_shard(p, s));
        if (is_over(p))
            return SUCCESS;
        (void)json_object_set_new(names, name, source_served(&s->info));
    }
    TRY_PLAIN(source_check_version(p->source, names));
    if (p->origin.file == NULL)
        TRY_PLAIN(
            source_have_extras(p->entry, p->folder, &p->origin, p->source));
    return save(p, false);
}

MUST_CHECK static struct status choose(struct parts *p, struct shard *s,
                                       const struct source_choice *choice)
{
    AUTO(file_close) int fd = -1;
    struct st_header *header = NULL;
    struct spans chosen = { 0 };
    const struct tensor_set *set;

    TRY_PLAIN(open_shard(p, s, O_RDONLY, &fd));
    TRY_PLAIN(parse_header(p, s, fd, &header));
    set = st_header_tensors(header);
    for (size_t i = 0; i < set->count; i++) {
        if (choice->wanted(choice->self, set->items[i].name))
            spans_add(&chosen, s->body + st_header_offset(header, i),
                      tensor_bytes(&set->items[i]));
    }
    st_header_free(header);
    spans_release(&s->wanted);
    spans_close(&chosen, GAP_MOST);
    s->wanted = spans_without(&chosen, &s->have);
    spans_release(&chosen);
    return SUCCESS;
}

/* Room for what is there and what is to come; or would all be hardly more? */
MUST_CHECK static struct status measure(struct parts *p, uint64_t *ret_missing)
{
    uint64_t missing = 0;
    uint64_t have = 0;
    uint64_t total = 0;

    for (size_t i = 0; i < p->count; i++) {
        missing += spans_bytes(&p->shards[i].wanted);
        have += spans_bytes(&p->shards[i].have);
        total += (uint64_t)p->shards[i].info.size;
    }
    *ret_missing = missing;
    p->is_whole = missing > 0 && is_nearly_all(missing + have, total);
    if (p->is_whole || missing == 0)
        return SUCCESS;
    return cache_reserve(p->store->cache, p->entry, have + missing, missing);
}

/* The end of ranges of about BATCH_MOST bytes from the `next`-th on. */
static size_t batch(const struct spans *wanted, size_t next)
{
    uint64_t bytes = 0;
    size_t end = next;

    while (end < wanted->count && bytes < BATCH_MOST)
        bytes += wanted->items[end++].size;
    return end;
}

MUST_CHECK static struct status fill_shard(struct parts *p, struct shard *s)
{
    AUTO(file_close) int fd = -1;

    TRY_PLAIN(open_shard(p, s, O_RDWR, &fd));
    for (size_t at = 0; at < s->wanted.count;) {
        size_t end = batch(&s->wanted, at);

        TRY_PLAIN(get(p, s, s->wanted.items + at, end - at, fd));
        if (is_over(p))
            return SUCCESS;
        TRY_PLAIN(sync_shard(fd, s));
        for (; at < end; at++)
            spans_add(&s->have, s->wanted.items[at].first,
                      s->wanted.items[at].size);
        TRY_PLAIN(save(p, true));
    }
    return SUCCESS;
}

MUST_CHECK static struct status grow(struct parts *p,
                                     const struct source_choice *choice)
{
    uint64_t missing = 0;

    if (p->count == 0)
        TRY_PLAIN(begin(p));
    for (size_t i = 0; i < p->count && !is_over(p); i++)
        TRY_PLAIN(choose(p, &p->shards[i], choice));
    if (!is_over(p))
        TRY_PLAIN(measure(p, &missing));
    if (is_over(p) || missing == 0)
        return SUCCESS;
    TRY_PLAIN(need_origin(p));
    TRY_PLAIN(save(p, true));
    for (size_t i = 0; i < p->count && !is_over(p); i++)
        TRY_PLAIN(fill_shard(p, &p->shards[i]));
    return is_over(p) ? SUCCESS : save(p, false);
}

/* Once more from the beginning if the source has changed meanwhile. */
MUST_CHECK static struct status grow_or_begin_anew(
    struct parts *p, const struct source_choice *choice)
{
    load(p);
    for (int tries = 1;; tries++) {
        p->is_changed = false;
        TRY_PLAIN(grow(p, choice));
        if (!p->is_changed)
            return SUCCESS;
        if (tries == MOST_TRIES)
            return FAIL(STATUS_UNAVAILABLE, "%s; try again later", p->change);
        drop_shards(p);
        use_folder(p, p->number + 1);
    }
}

/* All of it is there, or its digests are to be checked, or it is no model. */
static bool wants_whole(struct source_store *s, const json_t *source,
                        const char *name)
{
    AUTO(free_pointer)
    char *file = source_single_file(json_text_or(source, "url", ""));
    const char *end = file != NULL ? strrchr(file, '.') : NULL;

    return json_object_get(source, "sha256") != NULL ||
           (file != NULL &&
            (end == NULL || strcmp(end, ".safetensors") != 0)) ||
           cache_has(s->cache, "sources", name);
}

struct status source_fetch_chosen(struct source_store *s, const json_t *source,
                                  const struct source_choice *choice,
                                  struct source_pin **ret_pin)
{
    AUTO(source_close_entry) struct cache_entry *e = NULL;
    AUTO(parts_release)
    struct parts p = { .store = s, .source = source };
    AUTO(free_pointer)
    char *file = source_single_file(json_text_or(source, "url", ""));
    AUTO(free_pointer) char *path = NULL;
    char name[DIGEST_TEXT];

    source_entry_name(source, name);
    TRY_PLAIN(source_open_cache(s));
    if (wants_whole(s, source, name))
        return source_fetch_whole(s, source, ret_pin);
    TRY_PLAIN(cache_open_growing(s->cache, "parts", name, &e));
    p.entry = e;
    TRY_PLAIN(cache_begin(s->cache, e));
    TRY_PLAIN(grow_or_begin_anew(&p, choice));
    cache_end(e);
    if (p.is_whole) {
        cache_close(e);
        e = NULL;
        return source_fetch_whole(s, source, ret_pin);
    }
    path = xasprintf("%s/%s%s", cache_files(e), p.folder,
                     file != NULL ? file : "");
    *ret_pin = source_pin_new(path, e);
    e = NULL;
    return SUCCESS;
}
