#include "broker/depot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/memory.h"

enum {
    FAN = 2,           /* hex digits that name the directory */
    LEFTOVER_S = 3600, /* an upload that nobody wrote to for so long */
    TOUCH_S = 60,      /* not again within so long */
};

struct depot {
    char *directory;
    char *incoming; /* directory of uploads, on the same file system */
};

struct depot_upload {
    const struct depot *depot;
    struct digest name;
    struct digest_stream *hash; /* NULL: ended */
    char *path;
    int fd;
};

static void close_directory(DIR **d)
{
    if (*d != NULL)
        (void)closedir(*d);
}

/* What a killed broker left behind. */
static void sweep_incoming(const struct depot *d)
{
    AUTO(close_directory) DIR *dir = opendir(d->incoming);
    const struct dirent *e;

    while (dir != NULL && (e = readdir(dir)) != NULL) {
        AUTO(free_pointer)
        char *path = xasprintf("%s/%s", d->incoming, e->d_name);
        struct stat info;

        if (stat(path, &info) == 0 && S_ISREG(info.st_mode) &&
            time(NULL) - info.st_mtime > LEFTOVER_S)
            (void)unlink(path);
    }
}

struct status depot_open(const char *directory, struct depot **ret_depot)
{
    AUTO(free_pointer) char *incoming = xasprintf("%s/incoming", directory);
    struct depot *d;

    TRY(file_make_directories(incoming), "depot");
    d = xnew(struct depot);
    d->directory = xstrdup(directory);
    d->incoming = xstrdup(incoming);
    sweep_incoming(d);
    *ret_depot = d;
    return SUCCESS;
}

void depot_free(struct depot *d)
{
    if (d == NULL)
        return;
    free(d->directory);
    free(d->incoming);
    free(d);
}

static char *path_of(const struct depot *d, const struct digest *name)
{
    char text[DIGEST_TEXT];

    digest_to_text(name, text);
    return xasprintf("%s/%.*s/%s", d->directory, FAN, text, text + FAN);
}

struct status depot_find(const struct depot *d, const struct digest *name,
                         int *ret_fd, uint64_t *ret_size)
{
    AUTO(free_pointer) char *path = path_of(d, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat info;

    if (fd < 0)
        return FAIL(file_error(errno), "the depot has no such blob (%s): %s",
                    path, strerror(errno));
    if (fstat(fd, &info) != 0) {
        (void)close(fd);
        return FAIL(STATUS_FAILED, "%s: %s", path, strerror(errno));
    }
    if (time(NULL) - info.st_mtime > TOUCH_S)
        (void)futimens(fd, NULL);
    *ret_fd = fd;
    *ret_size = (uint64_t)info.st_size;
    return SUCCESS;
}

struct status depot_begin(const struct depot *d, const struct digest *name,
                          struct depot_upload **ret_upload)
{
    AUTO(free_pointer) char *path = xasprintf("%s/XXXXXX", d->incoming);
    struct depot_upload *u;
    int fd = mkostemp(path, O_CLOEXEC);

    if (fd < 0)
        return FAIL(file_error(errno), "depot: make a file in %s: %s",
                    d->incoming, strerror(errno));
    u = xnew(struct depot_upload);
    *u = (struct depot_upload){ .depot = d,
                                .name = *name,
                                .hash = digest_begin(),
                                .path = xstrdup(path),
                                .fd = fd };
    *ret_upload = u;
    return SUCCESS;
}

struct status depot_add(struct depot_upload *u, const void *data, size_t size)
{
    const char *at = data;
    size_t left = size;

    while (left > 0) {
        ssize_t wrote = write(u->fd, at, left);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return FAIL(file_error(errno), "depot: write %s: %s", u->path,
                        strerror(errno));
        at += wrote;
        left -= (size_t)wrote;
    }
    digest_add(u->hash, data, size);
    return SUCCESS;
}

MUST_CHECK static struct status check_digest(struct depot_upload *u)
{
    struct digest is = digest_end(u->hash);
    char wanted[DIGEST_TEXT];
    char found[DIGEST_TEXT];

    u->hash = NULL;
    if (digest_equal(&is, &u->name))
        return SUCCESS;
    digest_to_text(&u->name, wanted);
    digest_to_text(&is, found);
    return FAIL(STATUS_CORRUPT, "the bytes have SHA-256 %s, not %s", found,
                wanted);
}

/* Synced before it gets its name; then the directory, so that the name
 * survives a power loss. */
MUST_CHECK static struct status publish(const struct depot_upload *u)
{
    AUTO(free_pointer) char *path = path_of(u->depot, &u->name);
    AUTO(free_pointer) char *directory = xstrdup(path);

    *strrchr(directory, '/') = '\0';
    if (fchmod(u->fd, S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH) != 0 ||
        fsync(u->fd) != 0)
        return FAIL(file_error(errno), "depot: sync %s: %s", u->path,
                    strerror(errno));
    TRY_PLAIN(file_make_directories(directory));
    if (rename(u->path, path) != 0)
        return FAIL(file_error(errno), "depot: rename to %s: %s", path,
                    strerror(errno));
    return file_sync_directory(directory);
}

struct status depot_commit(struct depot_upload *u)
{
    struct status st = check_digest(u);

    if (!status_failed(&st))
        st = publish(u);
    depot_abandon(u); /* after a rename there is nothing left to unlink */
    return st;
}

void depot_abandon(struct depot_upload *u)
{
    if (u == NULL)
        return;
    if (u->hash != NULL)
        (void)digest_end(u->hash);
    (void)close(u->fd);
    (void)unlink(u->path);
    free(u->path);
    free(u);
}

static int64_t touched_ms(const struct stat *info)
{
    enum { MS_PER_S = 1000 };

    return (int64_t)info->st_mtim.tv_sec * MS_PER_S +
           info->st_mtim.tv_nsec / NS_PER_MS;
}

/* False: no blob of ours. */
static bool look_at(const char *directory, const char *prefix,
                    const char *entry, struct depot_blob *ret_blob)
{
    AUTO(free_pointer) char *path = xasprintf("%s/%s", directory, entry);
    AUTO(free_pointer) char *name = xasprintf("%s%s", prefix, entry);
    struct stat info;

    if (!digest_from_text(name, &ret_blob->name) || stat(path, &info) != 0 ||
        !S_ISREG(info.st_mode))
        return false;
    ret_blob->size = (uint64_t)info.st_size;
    ret_blob->touched_ms = touched_ms(&info);
    return true;
}

struct status depot_list(const struct depot *d, unsigned fan,
                         void (*visit)(void *self,
                                       const struct depot_blob *blob),
                         void *self)
{
    AUTO(free_pointer)
    char *directory = xasprintf("%s/%02x", d->directory, fan);
    AUTO(close_directory) DIR *dir = opendir(directory);
    const struct dirent *e;
    struct depot_blob blob;

    if (dir == NULL && errno == ENOENT)
        return SUCCESS;
    if (dir == NULL)
        return FAIL(file_error(errno), "depot: list %s: %s", directory,
                    strerror(errno));
    while ((e = readdir(dir)) != NULL)
        if (look_at(directory, strrchr(directory, '/') + 1, e->d_name, &blob))
            visit(self, &blob);
    return SUCCESS;
}

struct status depot_read(const struct depot *d, const struct digest *name,
                         size_t most, char **ret_text, size_t *ret_size)
{
    AUTO(free_pointer) char *path = path_of(d, name);

    return file_read(path, most, ret_text, ret_size);
}

/* Out of sight first: who touches it after that finds nothing and stores it
 * again; who did before is seen. */
struct status depot_remove(const struct depot *d, const struct digest *name,
                           int64_t before_ms, bool *ret_removed)
{
    AUTO(free_pointer) char *path = path_of(d, name);
    AUTO(free_pointer)
    char *aside =
        xasprintf("%s/doomed-%s", d->incoming, strrchr(path, '/') + 1);
    struct stat info;

    *ret_removed = false;
    if (rename(path, aside) != 0)
        return errno == ENOENT ? SUCCESS
                               : FAIL(file_error(errno), "depot: delete %s: %s",
                                      path, strerror(errno));
    if (stat(aside, &info) == 0 && touched_ms(&info) >= before_ms) {
        if (rename(aside, path) != 0)
            return FAIL(file_error(errno), "depot: keep %s: %s", path,
                        strerror(errno));
        return SUCCESS;
    }
    *ret_removed = unlink(aside) == 0;
    return SUCCESS;
}
