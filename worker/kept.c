#include "worker/kept.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/file.h"
#include "common/memory.h"

struct kept {
    char *path;
    int lock; /* of the directory itself */
};

static void remove_tree(const char *path)
{
    struct status st = file_remove_tree(path);

    (void)st; /* the next sweep comes by */
}

/* -1 in `lock`: it was removed since it was made. */
MUST_CHECK static struct status take(struct kept *k)
{
    TRY(file_make_directories(k->path), "what is kept of jobs");
    k->lock = open(k->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (k->lock < 0 && errno == ENOENT)
        return SUCCESS;
    if (k->lock < 0)
        return FAIL(file_error(errno), "open %s: %s", k->path, strerror(errno));
    if (flock(k->lock, LOCK_EX | LOCK_NB) != 0)
        return FAIL(STATUS_UNAVAILABLE, "%s is used by another process",
                    k->path);
    if (file_is_at(k->lock, k->path))
        return SUCCESS;
    (void)close(k->lock);
    k->lock = -1;
    return SUCCESS;
}

struct status kept_open(const char *cache, const struct digest *key,
                        struct kept **ret_kept)
{
    struct kept *k = xnew(struct kept);
    struct status st = SUCCESS;
    char name[DIGEST_TEXT];

    digest_to_text(key, name);
    k->path = xasprintf("%s/kept/%s", cache, name);
    k->lock = -1;
    while (k->lock < 0 && !status_failed(&st))
        st = take(k);
    if (status_failed(&st)) {
        kept_close(k, false);
        return st;
    }
    (void)futimens(k->lock, NULL); /* its age counts from here */
    *ret_kept = k;
    return SUCCESS;
}

const char *kept_path(const struct kept *k)
{
    return k->path;
}

void kept_close(struct kept *k, bool remove)
{
    if (k == NULL)
        return;
    if (remove)
        remove_tree(k->path);
    if (k->lock >= 0)
        (void)close(k->lock);
    free(k->path);
    free(k);
}

static void remove_if_left(void *self, const char *path)
{
    const int64_t *age = self;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat info;

    if (fd < 0)
        return;
    if (fstat(fd, &info) == 0 && time(NULL) - info.st_mtim.tv_sec >= *age &&
        flock(fd, LOCK_EX | LOCK_NB) == 0 && file_is_at(fd, path))
        remove_tree(path);
    (void)close(fd);
}

void kept_sweep(const char *cache, int64_t age)
{
    AUTO(free_pointer) char *directory = xasprintf("%s/kept", cache);

    file_each(directory, remove_if_left, &age);
}
