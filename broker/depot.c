#include "broker/depot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"

enum {
    FAN = 2,           /* hex digits that name the directory */
    LEFTOVER_S = 3600, /* an upload that nobody wrote to for so long */
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
