#include "common/file.h"

#include "common/limits.h"
#include "common/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum status_code file_error(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
        return STATUS_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return STATUS_DENIED;
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return STATUS_NO_SPACE;
    case ENOMEM:
        return STATUS_NO_MEMORY;
    default:
        return STATUS_UNAVAILABLE;
    }
}

void file_close(int *fd)
{
    if (*fd >= 0)
        (void)close(*fd);
    *fd = -1;
}

struct status file_read(const char *path, size_t limit, char **ret_text,
                        size_t *ret_size)
{
    AUTO(file_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    AUTO(free_pointer) char *text = NULL;
    struct stat info;
    size_t used = 0;
    ssize_t got;

    if (fd < 0)
        return FAIL_ERRNO("open", path);
    if (fstat(fd, &info) != 0)
        return FAIL_ERRNO("stat", path);
    if (!S_ISREG(info.st_mode))
        return FAIL(STATUS_INVALID, "%s is not a file", path);
    if ((size_t)info.st_size > limit)
        return FAIL(STATUS_TOO_BIG, "%s has %lld bytes, at most %zu are read",
                    path, (long long)info.st_size, limit);
    text = xcalloc((size_t)info.st_size + 1, 1);
    while (used < (size_t)info.st_size &&
           (got = read(fd, text + used, (size_t)info.st_size - used)) != 0) {
        if (got < 0)
            return FAIL_ERRNO("read", path);
        used += (size_t)got;
    }
    text[used] = '\0';
    *ret_size = used;
    *ret_text = text;
    text = NULL;
    return SUCCESS;
}

MUST_CHECK static struct status write_all(int fd, const char *path,
                                          const char *data, size_t size)
{
    while (size > 0) {
        ssize_t put = write(fd, data, size);

        if (put < 0)
            return FAIL_ERRNO("write", path);
        data += put;
        size -= (size_t)put;
    }
    if (fsync(fd) != 0)
        return FAIL_ERRNO("sync", path);
    return SUCCESS;
}

struct status file_write(const char *path, const void *data, size_t size)
{
    AUTO(free_pointer)
    char *beside = xasprintf("%s.%ld.part", path, (long)getpid());
    AUTO(file_close)
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    struct status st;

    if (fd < 0)
        return FAIL_ERRNO("create", beside);
    st = write_all(fd, beside, data, size);
    if (!status_failed(&st) && rename(beside, path) != 0)
        st = FAIL_ERRNO("rename to", path);
    if (status_failed(&st))
        (void)unlink(beside);
    return st;
}

struct status file_make_directories(const char *path)
{
    AUTO(free_pointer) char *part = xstrdup(path);

    for (char *at = part + 1;; at++) {
        char held = *at;

        if (held != '/' && held != '\0')
            continue;
        *at = '\0';
        if (mkdir(part, 0755) != 0 && errno != EEXIST)
            return FAIL_ERRNO("make directory", part);
        if (held == '\0')
            return SUCCESS;
        *at = held;
    }
}

static int remove_one(const char *path, const struct stat *info, int type,
                      struct FTW *place)
{
    (void)info;
    (void)type;
    (void)place;
    return remove(path);
}

struct status file_remove_tree(const char *path)
{
    enum { OPEN_DIRECTORIES = 32 };

    if (nftw(path, remove_one, OPEN_DIRECTORIES, FTW_DEPTH | FTW_PHYS) != 0 &&
        errno != ENOENT)
        return FAIL_ERRNO("remove", path);
    return SUCCESS;
}

void file_each(const char *directory,
               void (*visit)(void *self, const char *path), void *self)
{
    DIR *d = opendir(directory);
    const struct dirent *item;

    if (d == NULL)
        return;
    while ((item = readdir(d)) != NULL) {
        AUTO(free_pointer)
        char *path = xasprintf("%s/%s", directory, item->d_name);

        if (item->d_name[0] != '.')
            visit(self, path);
    }
    (void)closedir(d);
}

struct status file_sync_directory(const char *path)
{
    AUTO(file_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return FAIL_ERRNO("open directory", path);
    if (fsync(fd) != 0)
        return FAIL_ERRNO("sync directory", path);
    return SUCCESS;
}

bool file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

bool file_is_at(int fd, const char *path)
{
    struct stat held;
    struct stat named;

    return fstat(fd, &held) == 0 && lstat(path, &named) == 0 &&
           held.st_ino == named.st_ino && held.st_dev == named.st_dev;
}

static bool is_open_to_others(const struct stat *info)
{
    mode_t no = info->st_uid == geteuid() ? S_IRWXG | S_IRWXO
                                          : S_IWGRP | S_IXGRP | S_IRWXO;

    return (info->st_mode & no) != 0;
}

struct status file_check_secret(const char *path)
{
    struct stat info;

    if (stat(path, &info) != 0)
        return FAIL_ERRNO("stat", path);
    if (is_open_to_others(&info))
        return FAIL(STATUS_DENIED,
                    "%s can be read by others and is no secret so: chmod 600 "
                    "%s",
                    path, path);
    return SUCCESS;
}
