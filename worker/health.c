#include "worker/health.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/digest.h"
#include "common/file.h"
#include "common/memory.h"

enum {
    OLD_S = 60,            /* it should be seconds */
    GONE_S = 24 * 60 * 60, /* marks of workers that were killed */
    MS_PER_S = 1000,
    WORDS_MOST = STATUS_MESSAGE_SIZE,
};

/* A name may hold anything; the caller frees. */
static char *mark_of(const char *cache, const char *name)
{
    struct digest digest = digest_of(name, strlen(name));
    char text[DIGEST_TEXT];

    digest_to_text(&digest, text);
    return xasprintf("%s/alive/%.16s", cache, text);
}

/* Seconds since the mark was made; -1: it is not there. */
static int64_t age_of(const char *path)
{
    struct stat info;
    int64_t age_s;

    if (stat(path, &info) != 0)
        return -1;
    age_s = clock_wall_ms() / MS_PER_S - (int64_t)info.st_mtim.tv_sec;
    return age_s < 0 ? 0 : age_s;
}

static void remove_old(void *self, const char *path)
{
    (void)self;
    if (age_of(path) > GONE_S)
        (void)unlink(path);
}

static int open_mark(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
}

/* The first one also tidies up. */
static int make_first(const char *cache, const char *path)
{
    AUTO(free_pointer) char *folder = xasprintf("%s/alive", cache);
    struct status st = file_make_directories(folder);

    if (status_failed(&st))
        return -1;
    file_each(folder, remove_old, NULL);
    return open_mark(path);
}

/* On a full disk the size can be set, and says at least that there is
 * something. */
void health_mark(const char *cache, const char *name, const char *obstacle)
{
    AUTO(free_pointer) char *path = mark_of(cache, name);
    size_t size = strnlen(obstacle, WORDS_MOST - 1);
    int fd = open_mark(path);
    ssize_t put = 0;
    int cut = 0;

    if (fd < 0 && errno == ENOENT)
        fd = make_first(cache, path);
    if (fd < 0)
        return;
    cut = ftruncate(fd, (off_t)size);
    put = pwrite(fd, obstacle, size, 0);
    (void)cut;
    (void)put;
    (void)futimens(fd, NULL);
    (void)close(fd);
}

void health_end(const char *cache, const char *name)
{
    AUTO(free_pointer) char *path = mark_of(cache, name);

    (void)unlink(path);
}

bool health_has(const char *cache, const char *name)
{
    AUTO(free_pointer) char *path = mark_of(cache, name);

    return age_of(path) >= 0;
}

struct mark {
    int64_t age_s;             /* -1: there is none */
    char obstacle[WORDS_MOST]; /* "": it can do jobs */
};

static struct mark look_at(const char *path)
{
    struct mark m = { .age_s = age_of(path) };
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? 0 : read(fd, m.obstacle, sizeof m.obstacle - 1);

    if (got > 0 && m.obstacle[0] == '\0') /* the disk had no room for it */
        (void)snprintf(m.obstacle, sizeof m.obstacle, "its log says why");
    if (fd >= 0)
        (void)close(fd);
    return m;
}

static void take_youngest(void *self, const char *path)
{
    struct mark *youngest = self;
    struct mark m = look_at(path);

    if (m.age_s >= 0 && (youngest->age_s < 0 || m.age_s < youngest->age_s))
        *youngest = m;
}

static struct mark find(const char *cache, const char *name)
{
    AUTO(free_pointer)
    char *path =
        name == NULL ? xasprintf("%s/alive", cache) : mark_of(cache, name);
    struct mark m = { .age_s = -1 };

    if (name != NULL)
        return look_at(path);
    file_each(path, take_youngest, &m);
    return m;
}

struct status health_check(const char *cache, const char *name, bool ready)
{
    const struct mark m = find(cache, name);
    const char *blank = name == NULL ? "" : " ";
    const char *who = name == NULL ? "" : name;

    if (m.age_s < 0)
        return FAIL(STATUS_UNAVAILABLE, "no worker%s%s runs with --cache %s",
                    blank, who, cache);
    if (m.age_s > OLD_S)
        return FAIL(STATUS_UNAVAILABLE,
                    "the worker%s%s with --cache %s gave no sign for %lld s",
                    blank, who, cache, (long long)m.age_s);
    if (ready && m.obstacle[0] != '\0')
        return FAIL(STATUS_UNAVAILABLE,
                    "the worker%s%s with --cache %s can do no jobs: %s", blank,
                    who, cache, m.obstacle);
    return SUCCESS;
}
