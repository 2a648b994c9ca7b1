#include "tensor/safetensors_parts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"

enum { JOURNAL_VERSION = 1, JOURNAL_LIMIT = 4096 };

const char st_sums_name[] = "SHA256SUMS";
const char st_journal_name[] = "partial.json";

char *st_partial_file(const struct st_partial *p, const char *name)
{
    return xasprintf("%s/%s", p->path, name);
}

/* Without the slashes at its end, which would make "beside" a place inside. */
static char *plain_directory(const char *path)
{
    size_t size = strlen(path);

    while (size > 1 && path[size - 1] == '/')
        size--;
    return xstrndup(path, size);
}

MUST_CHECK static struct status check_free(const char *directory)
{
    struct stat info;

    if (lstat(directory, &info) == 0)
        return FAIL(STATUS_INVALID, "%s exists; name another directory",
                    directory);
    return SUCCESS;
}

MUST_CHECK static struct status make_own(struct st_partial *p)
{
    char *path = xasprintf("%s.part-XXXXXX", p->directory);

    if (mkdtemp(path) == NULL) {
        struct status st = FAIL_ERRNO("create", path);

        free(path);
        return st;
    }
    p->path = path;
    if (chmod(path, 0755) != 0)
        return FAIL_ERRNO("chmod", path);
    return SUCCESS;
}

MUST_CHECK static struct status lock(struct st_partial *p, const char *path)
{
    if (flock(p->lock, LOCK_EX | LOCK_NB) == 0)
        return SUCCESS;
    if (errno == EWOULDBLOCK)
        return FAIL(STATUS_UNAVAILABLE,
                    "%s is being written by another process; wait for it, or "
                    "name another directory",
                    p->directory);
    return FAIL_ERRNO("lock", path);
}

static bool has_journal(const struct st_partial *p)
{
    AUTO(free_pointer) char *path = st_partial_file(p, st_journal_name);

    return file_exists(path);
}

/* Between making and locking, its former owner may have finished and renamed
 * it: then it is the model that exists, and the path is free again. */
MUST_CHECK static struct status make_shared(struct st_partial *p)
{
    AUTO(free_pointer) char *path = xasprintf("%s.partial", p->directory);

    for (;;) {
        TRY_PLAIN(check_free(p->directory));
        if (mkdir(path, 0755) != 0 && errno != EEXIST)
            return FAIL_ERRNO("create", path);
        p->lock = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (p->lock < 0 && errno != ENOENT)
            return FAIL_ERRNO("open", path);
        if (p->lock < 0)
            continue;
        TRY_PLAIN(lock(p, path));
        if (file_is_at(p->lock, path))
            break;
        (void)close(p->lock);
        p->lock = -1;
    }
    p->path = path;
    path = NULL;
    p->keep = has_journal(p); /* until it is known to be of no use */
    return check_free(p->directory);
}

struct status st_partial_open(struct st_partial *p, const char *directory,
                              bool shared)
{
    *p = (struct st_partial){ .directory = plain_directory(directory),
                              .lock = -1 };
    if (shared)
        return make_shared(p);
    TRY_PLAIN(check_free(p->directory));
    return make_own(p);
}

static void remove_unfinished(const struct st_partial *p)
{
    struct status st = file_remove_tree(p->path);

    (void)st; /* what cannot be removed is recognised by its name */
}

void st_partial_close(struct st_partial *p)
{
    if (p->path != NULL && !p->keep)
        remove_unfinished(p);
    if (p->lock >= 0)
        (void)close(p->lock);
    free(p->path);
    free(p->directory);
    *p = (struct st_partial){ .lock = -1 };
}

/* False unless `journal` is of this plan and whole. */
static bool take_mark(const json_t *journal, const struct digest *plan,
                      struct st_mark *ret_mark)
{
    int64_t tensors = json_int_or(journal, "tensors", -1);
    struct digest of;

    if (json_int_or(journal, "sinter_partial", 0) != JOURNAL_VERSION ||
        tensors < 0 || tensors > LIMIT_TENSORS ||
        !digest_from_text(json_text_or(journal, "plan", ""), &of) ||
        !digest_equal(&of, plan) ||
        !digest_from_text(json_text_or(journal, "data", ""), &ret_mark->data))
        return false;
    ret_mark->tensors = (size_t)tensors;
    return true;
}

enum st_found st_partial_read_mark(const struct st_partial *p,
                                   const struct digest *plan,
                                   struct st_mark *ret_mark)
{
    AUTO(free_pointer) char *path = st_partial_file(p, st_journal_name);
    AUTO(json_release) json_t *journal = NULL;
    struct status st;

    if (!has_journal(p))
        return ST_FOUND_NOTHING;
    st = json_parse_file(path, JOURNAL_LIMIT, &journal);
    if (status_failed(&st) || !take_mark(journal, plan, ret_mark))
        return ST_FOUND_OTHER;
    return ST_FOUND_MARK;
}

struct status st_partial_write_mark(struct st_partial *p,
                                    const struct digest *plan,
                                    const struct st_mark *mark)
{
    AUTO(free_pointer) char *path = st_partial_file(p, st_journal_name);
    AUTO(free_pointer) char *text = NULL;
    AUTO(json_release) json_t *journal = NULL;
    char of[DIGEST_TEXT];
    char data[DIGEST_TEXT];

    digest_to_text(plan, of);
    digest_to_text(&mark->data, data);
    journal = json_pack("{s:i, s:s, s:I, s:s}", "sinter_partial",
                        JOURNAL_VERSION, "plan", of, "tensors",
                        (json_int_t)mark->tensors, "data", data);
    text = json_pretty(journal);
    TRY_PLAIN(file_write(path, text, strlen(text)));
    p->keep = true;
    return SUCCESS;
}

struct status st_partial_clear(struct st_partial *p,
                               bool (*stays)(const void *self,
                                             const char *name),
                               const void *self)
{
    DIR *d = opendir(p->path);
    const struct dirent *item;
    struct status st = SUCCESS;

    if (d == NULL)
        return FAIL_ERRNO("open", p->path);
    while (!status_failed(&st) && (item = readdir(d)) != NULL) {
        AUTO(free_pointer) char *path = st_partial_file(p, item->d_name);

        if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0 &&
            !stays(self, item->d_name))
            st = file_remove_tree(path);
    }
    (void)closedir(d);
    return st;
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

struct status st_partial_place(struct st_partial *p)
{
    AUTO(free_pointer) char *journal = st_partial_file(p, st_journal_name);

    TRY_PLAIN(file_sync_directory(p->path));
    if (unlink(journal) != 0 && errno != ENOENT)
        return FAIL_ERRNO("remove", journal);
    TRY_PLAIN(file_sync_directory(p->path));
    if (rename(p->path, p->directory) != 0)
        return FAIL_ERRNO("rename to", p->directory);
    free(p->path);
    p->path = NULL;
    return sync_parent(p->directory);
}
