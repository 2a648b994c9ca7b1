#include "worker/scratch.h"

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

struct scratch {
    char *root; /* locked */
    char *path; /* root/job */
    int lock;
};

/* Locked means alive. */
static void remove_if_dead(void *self, const char *root)
{
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    (void)self;
    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        struct status st = file_remove_tree(root);

        (void)st; /* of another user: none of our business */
    }
    (void)close(fd);
}

/* False: another process took it for a dead one's before it was locked. */
MUST_CHECK static struct status try_make(struct scratch *s,
                                         const char *directory, bool *ret_made)
{
    free(s->root);
    s->root = xasprintf("%s/%ld-XXXXXX", directory, (long)getpid());
    if (mkdtemp(s->root) == NULL)
        return FAIL(file_error(errno), "make directory %s: %s", s->root,
                    strerror(errno));
    s->lock = open(s->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *ret_made = s->lock >= 0 && flock(s->lock, LOCK_EX | LOCK_NB) == 0 &&
                file_is_at(s->lock, s->root);
    if (!*ret_made && s->lock >= 0)
        (void)close(s->lock);
    return SUCCESS;
}

struct status scratch_new(const char *cache, struct scratch **ret_scratch)
{
    AUTO(free_pointer) char *directory = xasprintf("%s/scratch", cache);
    struct scratch *s;
    struct status st = SUCCESS;
    bool made = false;

    TRY(file_make_directories(directory), "scratch of the worker");
    file_each(directory, remove_if_dead, NULL);
    s = xnew(struct scratch);
    s->lock = -1;
    while (!made && !status_failed(&st))
        st = try_make(s, directory, &made);
    if (status_failed(&st)) {
        free(s->root);
        free(s);
        return st;
    }
    s->path = xasprintf("%s/job", s->root);
    *ret_scratch = s;
    return scratch_clear(s);
}

void scratch_free(struct scratch *s)
{
    struct status st;

    if (s == NULL)
        return;
    st = file_remove_tree(s->root);
    (void)st; /* the next slot to start sweeps */
    (void)close(s->lock);
    free(s->root);
    free(s->path);
    free(s);
}

const char *scratch_path(const struct scratch *s)
{
    return s->path;
}

/* Making a directory anew costs the disk's journal; most jobs write nothing. */
static bool is_empty(const char *path)
{
    DIR *d = opendir(path);
    const struct dirent *item;
    bool empty = d != NULL;

    while (empty && (item = readdir(d)) != NULL)
        empty =
            strcmp(item->d_name, ".") == 0 || strcmp(item->d_name, "..") == 0;
    if (d != NULL)
        (void)closedir(d);
    return empty;
}

struct status scratch_clear(const struct scratch *s)
{
    if (is_empty(s->path))
        return SUCCESS;
    TRY(file_remove_tree(s->path), "scratch of the worker");
    return file_make_directories(s->path);
}
