#include "sources/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/memory.h"
#include "sources/served.h"

enum { WAIT_MS = 50 };

static const char *const shelves[] = { "sources", "artifacts", "places",
                                       "parts" };

struct cache {
    struct cache_settings settings;
    char *directory;
};

struct cache_entry {
    char *root; /* its directory */
    char *files;
    char *record; /* path of entry.json */
    int lock;
    int grow; /* locked between cache_begin() and cache_end(), else -1 */
    bool whole;
    json_t *rows;  /* of cache_add() */
    bool unproven; /* some large file has no digest but its own */
};

struct status cache_new(const struct cache_settings *settings,
                        struct cache **ret_cache)
{
    struct cache *c;

    for (size_t i = 0; i < COUNT_OF(shelves); i++) {
        AUTO(free_pointer)
        char *path = xasprintf("%s/%s", settings->directory, shelves[i]);

        TRY(file_make_directories(path), "cache");
    }
    c = xnew(struct cache);
    c->settings = *settings;
    c->directory = xstrdup(settings->directory);
    *ret_cache = c;
    return SUCCESS;
}

void cache_free(struct cache *c)
{
    if (c == NULL)
        return;
    free(c->directory);
    free(c);
}

void cache_close(struct cache_entry *e)
{
    if (e == NULL)
        return;
    file_close(&e->grow);
    file_close(&e->lock);
    json_decref(e->rows);
    free(e->root);
    free(e->files);
    free(e->record);
    free(e);
}

static void cache_close_p(struct cache_entry **e)
{
    cache_close(*e);
}

bool cache_is_whole(const struct cache_entry *e)
{
    return e->whole;
}

const char *cache_files(const struct cache_entry *e)
{
    return e->files;
}

/* The process that evicts takes no entry while another looks or finishes. */
MUST_CHECK static struct status lock_all(const struct cache *c, int *ret_fd)
{
    AUTO(free_pointer) char *path = xasprintf("%s/lock", c->directory);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

    if (fd < 0)
        return FAIL_ERRNO("open", path);
    while (flock(fd, LOCK_EX) != 0) {
        if (errno == EINTR)
            continue;
        (void)close(fd);
        return FAIL_ERRNO("lock", path);
    }
    *ret_fd = fd;
    return SUCCESS;
}

/* Wait for the entry's lock; progress of whoever holds it is ours. */
MUST_CHECK static struct status lock_file(const struct cache *c,
                                          const struct cache_entry *e, int fd,
                                          int how)
{
    while (flock(fd, how | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return FAIL_ERRNO("lock", e->root);
        if (c->settings.waiting != NULL &&
            !c->settings.waiting(c->settings.self))
            return FAIL(STATUS_CANCELLED, "the wait for %s was cancelled",
                        e->root);
        clock_sleep_ms(WAIT_MS);
    }
    return SUCCESS;
}

MUST_CHECK static struct status lock_entry(const struct cache *c,
                                           const struct cache_entry *e, int how)
{
    return lock_file(c, e, e->lock, how);
}

/* Was the entry removed between open() and flock()? */
static bool is_removed(const struct cache_entry *e)
{
    AUTO(free_pointer) char *path = xasprintf("%s/lock", e->root);

    return !file_is_at(e->lock, path);
}

MUST_CHECK static struct status open_lock(struct cache_entry *e)
{
    AUTO(free_pointer) char *path = xasprintf("%s/lock", e->root);

    TRY(file_make_directories(e->root), "cache");
    e->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    /* ENOENT: evicted since the directory was made; the caller comes again */
    if (e->lock < 0 && errno != ENOENT)
        return FAIL_ERRNO("open", path);
    return SUCCESS;
}

static int64_t modified(const struct stat *info)
{
    return (int64_t)info->st_mtim.tv_sec * NS_PER_S + info->st_mtim.tv_nsec;
}

/* Is the file as it was recorded? One whose time has changed is read again;
 * one that fails is removed, if it is ours, to be fetched again. */
static bool is_as_recorded(const struct cache_entry *e, const json_t *row,
                           bool ours)
{
    AUTO(free_pointer)
    char *path = xasprintf("%s/%s", e->files, json_text_or(row, "path", ""));
    struct digest wanted;
    struct digest found;
    struct stat info;
    struct status st;

    if (stat(path, &info) != 0)
        return false;
    if (info.st_size == json_int_or(row, "size", -1)) {
        if (modified(&info) == json_int_or(row, "modified", -1))
            return true;
        st = digest_of_file(path, &found);
        if (!status_failed(&st) &&
            digest_from_text(json_text_or(row, "sha256", ""), &wanted) &&
            digest_equal(&found, &wanted))
            return true;
    }
    if (ours)
        (void)unlink(path);
    return false;
}

static bool check_whole(const struct cache_entry *e, bool ours)
{
    AUTO(json_release) json_t *record = NULL;
    struct status st = json_parse_file(e->record, LIMIT_INDEX, &record);
    const json_t *row;
    bool whole = true;
    size_t i;

    if (status_failed(&st))
        return false;
    json_array_foreach(json_object_get(record, "files"), i, row) whole =
        is_as_recorded(e, row, ours) && whole;
    if (!whole && ours)
        (void)unlink(e->record);
    return whole;
}

static struct cache_entry *entry_new(const struct cache *c, const char *shelf,
                                     const char *name, const char *place)
{
    struct cache_entry *e = xnew(struct cache_entry);

    e->lock = -1;
    e->grow = -1;
    e->root = xasprintf("%s/%s/%s", c->directory, shelf, name);
    e->files = place != NULL ? xstrdup(place) : xasprintf("%s/files", e->root);
    e->record = xasprintf("%s/entry.json", e->root);
    e->rows = json_array();
    return e;
}

/* Shared if the entry is whole, else exclusive; `lock` is -1 again if the
 * entry was removed meanwhile. */
MUST_CHECK static struct status take(const struct cache *c,
                                     struct cache_entry *e, bool ours)
{
    TRY_PLAIN(open_lock(e));
    if (e->lock < 0)
        return SUCCESS;
    TRY_PLAIN(lock_entry(c, e, LOCK_SH));
    if (!is_removed(e) && !(e->whole = check_whole(e, false))) {
        (void)flock(e->lock, LOCK_UN);
        TRY_PLAIN(lock_entry(c, e, LOCK_EX));
        if (!is_removed(e) && (e->whole = check_whole(e, ours)))
            TRY_PLAIN(lock_entry(c, e, LOCK_SH));
    }
    if (is_removed(e))
        file_close(&e->lock);
    return SUCCESS;
}

struct status cache_open(struct cache *c, const char *shelf, const char *name,
                         const char *place, struct cache_entry **ret_entry)
{
    AUTO(cache_close_p)
    struct cache_entry *e = entry_new(c, shelf, name, place);

    while (e->lock < 0)
        TRY_PLAIN(take(c, e, place == NULL));
    (void)futimens(e->lock, NULL);
    if (place == NULL)
        TRY(file_make_directories(e->files), "cache");
    *ret_entry = e;
    e = NULL;
    return SUCCESS;
}

bool cache_has(const struct cache *c, const char *shelf, const char *name)
{
    AUTO(free_pointer)
    char *path = xasprintf("%s/%s/%s/entry.json", c->directory, shelf, name);

    return file_exists(path);
}

struct status cache_open_growing(struct cache *c, const char *shelf,
                                 const char *name,
                                 struct cache_entry **ret_entry)
{
    AUTO(cache_close_p)
    struct cache_entry *e = entry_new(c, shelf, name, NULL);

    while (e->lock < 0) {
        TRY_PLAIN(open_lock(e));
        if (e->lock < 0)
            continue;
        TRY_PLAIN(lock_entry(c, e, LOCK_SH));
        if (is_removed(e))
            file_close(&e->lock);
    }
    (void)futimens(e->lock, NULL);
    TRY(file_make_directories(e->files), "cache");
    *ret_entry = e;
    e = NULL;
    return SUCCESS;
}

struct status cache_begin(struct cache *c, struct cache_entry *e)
{
    AUTO(free_pointer) char *path = xasprintf("%s/grow", e->root);

    e->grow = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (e->grow < 0)
        return FAIL_ERRNO("open", path);
    return lock_file(c, e, e->grow, LOCK_EX);
}

void cache_end(struct cache_entry *e)
{
    file_close(&e->grow);
}

struct status cache_add(struct cache_entry *e, const char *path,
                        const struct digest *digest, bool proven)
{
    AUTO(free_pointer) char *full = xasprintf("%s/%s", e->files, path);
    char text[DIGEST_TEXT];
    struct stat info;

    if (stat(full, &info) != 0)
        return FAIL_ERRNO("stat", full);
    digest_to_text(digest, text);
    e->unproven = e->unproven || (!proven && info.st_size >= SERVED_LEAST);
    (void)json_array_append_new(
        e->rows, json_pack("{s:s, s:I, s:I, s:s}", "path", path, "size",
                           (json_int_t)info.st_size, "modified",
                           (json_int_t)modified(&info), "sha256", text));
    return SUCCESS;
}

static uint64_t total_size(const json_t *rows)
{
    uint64_t total = 0;
    const json_t *row;
    size_t i;

    json_array_foreach(rows, i, row) total +=
        (uint64_t)json_int_or(row, "size", 0);
    return total;
}

/* The contents of `lock`: what the entry counts for. */
MUST_CHECK static struct status write_size(const struct cache_entry *e,
                                           uint64_t bytes)
{
    char text[32];
    int size = snprintf(text, sizeof text, "%020" PRIu64 "\n", bytes);

    if (pwrite(e->lock, text, (size_t)size, 0) != size)
        return FAIL_ERRNO("write to", e->root);
    return SUCCESS;
}

MUST_CHECK static struct status mark_proven(const struct cache_entry *e)
{
    AUTO(free_pointer) char *path = xasprintf("%s/proven", e->root);

    (void)unlink(path);
    if (!e->unproven)
        TRY(file_write(path, "", 0), "cache");
    return SUCCESS;
}

struct status cache_finish(struct cache *c, struct cache_entry *e)
{
    AUTO(json_release) json_t *record = json_pack("{s:O}", "files", e->rows);
    AUTO(free_pointer) char *text = json_pretty(record);
    AUTO(file_close) int all = -1;

    TRY_PLAIN(mark_proven(e));
    TRY(file_write(e->record, text, strlen(text)), "cache");
    TRY_PLAIN(lock_all(c, &all));
    TRY_PLAIN(write_size(e, total_size(e->rows)));
    /* The change of the lock is not atomic; nobody evicts while we hold
     * `all`. */
    TRY_PLAIN(lock_entry(c, e, LOCK_SH));
    e->whole = true;
    return SUCCESS;
}

/* One entry as the evictor sees it. */
struct seen {
    char *root;
    uint64_t size;
    int64_t used; /* ns since 1970 */
};

struct seen_list {
    struct seen *items;
    size_t count, room;
    uint64_t total;
};

static void seen_release(struct seen_list *l)
{
    for (size_t i = 0; i < l->count; i++)
        free(l->items[i].root);
    free(l->items);
}

static void look_at(struct seen_list *l, const char *root)
{
    AUTO(free_pointer) char *path = xasprintf("%s/lock", root);
    AUTO(file_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    char text[32] = "";
    struct stat info;
    struct seen *e;

    if (fd < 0 || fstat(fd, &info) != 0 ||
        pread(fd, text, sizeof text - 1, 0) < 0)
        return;
    if (l->count == l->room) {
        l->room = l->room == 0 ? 16 : 2 * l->room;
        l->items = xrealloc(l->items, l->room * sizeof *l->items);
    }
    e = &l->items[l->count++];
    *e = (struct seen){ xstrdup(root), strtoull(text, NULL, 10),
                        modified(&info) };
    l->total += e->size;
}

static void look_at_shelf(struct seen_list *l, const char *shelf)
{
    DIR *d = opendir(shelf);
    const struct dirent *item;

    if (d == NULL)
        return;
    while ((item = readdir(d)) != NULL) {
        AUTO(free_pointer) char *root = NULL;

        if (item->d_name[0] == '.')
            continue;
        root = xasprintf("%s/%s", shelf, item->d_name);
        look_at(l, root);
    }
    (void)closedir(d);
}

static int longest_unused_first(const void *a, const void *b)
{
    int64_t x = ((const struct seen *)a)->used;
    int64_t y = ((const struct seen *)b)->used;

    return (x > y) - (x < y);
}

/* Gone from sight by one rename; a process killed here leaves rubbish that
 * the next one sweeps. */
static bool evict(const struct cache *c, const struct seen *victim)
{
    AUTO(free_pointer) char *path = xasprintf("%s/lock", victim->root);
    AUTO(free_pointer) char *trash = xasprintf("%s/trash", c->directory);
    AUTO(file_close) int fd = open(path, O_RDWR | O_CLOEXEC);
    struct status st;

    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0)
        return false;
    if (rename(victim->root, trash) != 0)
        return false;
    st = file_remove_tree(trash);
    return !status_failed(&st);
}

/* Until `bytes` more fit beside what is left. */
static uint64_t make_room(const struct cache *c, const char *but,
                          uint64_t bytes)
{
    AUTO(seen_release) struct seen_list l = { 0 };
    AUTO(free_pointer) char *trash = xasprintf("%s/trash", c->directory);
    struct status st = file_remove_tree(trash);
    uint64_t total;

    if (status_failed(&st))
        return 0; /* said by the write that fails for want of room */
    for (size_t i = 0; i < COUNT_OF(shelves); i++) {
        AUTO(free_pointer)
        char *path = xasprintf("%s/%s", c->directory, shelves[i]);

        look_at_shelf(&l, path);
    }
    if (l.count > 1)
        qsort(l.items, l.count, sizeof *l.items, longest_unused_first);
    total = l.total;
    for (size_t i = 0; i < l.count; i++) {
        if (strcmp(l.items[i].root, but) == 0)
            total -= l.items[i].size;
    }
    for (size_t i = 0; i < l.count; i++) {
        const struct seen *e = &l.items[i];

        if (total + bytes > c->settings.size_limit &&
            strcmp(e->root, but) != 0 && evict(c, e))
            total -= e->size;
    }
    return total;
}

MUST_CHECK static struct status check_disk(const struct cache *c,
                                           uint64_t missing)
{
    struct statvfs disk;
    uint64_t space;

    if (statvfs(c->directory, &disk) != 0)
        return FAIL_ERRNO("look at the disk of", c->directory);
    space = (uint64_t)disk.f_bavail * disk.f_frsize;
    if (missing > space)
        return FAIL(STATUS_NO_SPACE,
                    "%" PRIu64 " bytes are to be fetched, the disk of %s has "
                    "%" PRIu64 " left",
                    missing, c->directory, space);
    return SUCCESS;
}

struct status cache_reserve(struct cache *c, struct cache_entry *e,
                            uint64_t bytes, uint64_t missing)
{
    AUTO(file_close) int all = -1;
    uint64_t limit = c->settings.size_limit;
    uint64_t others;

    TRY_PLAIN(lock_all(c, &all));
    if (limit != 0) {
        others = make_room(c, e->root, bytes);
        if (others + bytes > limit)
            return FAIL(STATUS_NO_SPACE,
                        "%" PRIu64 " bytes do not fit in the cache %s of "
                        "%" PRIu64 " with %" PRIu64
                        " in use: raise --cache-size",
                        bytes, c->directory, limit, others);
    }
    TRY_PLAIN(check_disk(c, missing));
    return write_size(e, bytes);
}
