#include "common/http_file.h"

#include "common/file.h"
#include "common/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static const char scheme[] = "file://";

bool http_file_is(const char *url)
{
    return strncasecmp(url, scheme, sizeof scheme - 1) == 0;
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    const char *found = c != '\0' ? strchr(digits, c) : NULL;

    return found != NULL ? (int)(found - digits) % 16 : -1;
}

/* Percent signs that begin no pair of digits stay as they are. */
static void decode(char *text)
{
    char *into = text;

    while (*text != '\0') {
        int high = *text == '%' ? hex_digit(text[1]) : -1;
        int low = high >= 0 ? hex_digit(text[2]) : -1;

        *into++ = (char)(low >= 0 ? high << 4 | low : *text);
        text += low >= 0 ? 3 : 1;
    }
    *into = '\0';
}

struct status http_file_path(const char *url, char **ret_path)
{
    static const char here[] = "localhost/";
    const char *path = url + sizeof scheme - 1;

    if (strncmp(path, here, sizeof here - 1) == 0)
        path += sizeof here - 2;
    if (*path != '/')
        return FAIL(STATUS_INVALID, "%s: write file:/// and an absolute path",
                    url);
    *ret_path = xstrdup(path);
    decode(*ret_path);
    return SUCCESS;
}

struct status http_file_open(const char *url, int *ret_fd)
{
    AUTO(free_pointer) char *path = NULL;

    TRY_PLAIN(http_file_path(url, &path));
    *ret_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*ret_fd < 0)
        return FAIL(file_error(errno), "open %s: %s", path, strerror(errno));
    return SUCCESS;
}

struct status http_file_head(const char *url, struct http_info *ret_info)
{
    AUTO(free_pointer) char *path = NULL;
    struct stat info;

    TRY_PLAIN(http_file_path(url, &path));
    if (stat(path, &info) != 0 ||
        faccessat(AT_FDCWD, path, R_OK, AT_EACCESS) != 0)
        return FAIL(file_error(errno), "open %s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return FAIL(STATUS_INVALID, "%s is not a file", path);
    memset(ret_info, 0, sizeof *ret_info);
    ret_info->size = info.st_size;
    ret_info->ranges = true;
    (void)snprintf(ret_info->etag, sizeof ret_info->etag, "%lld%09ld-%lld",
                   (long long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec,
                   (long long)info.st_size);
    return SUCCESS;
}

MUST_CHECK static struct status read_at(int fd, const char *url, uint64_t first,
                                        size_t size, char *into)
{
    size_t used = 0;

    while (used < size) {
        ssize_t got =
            pread(fd, into + used, size - used, (off_t)(first + used));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return FAIL(file_error(errno), "read %s: %s", url, strerror(errno));
        if (got == 0)
            return FAIL(STATUS_INVALID, "%s ends before byte %llu", url,
                        (unsigned long long)(first + size));
        used += (size_t)got;
    }
    return SUCCESS;
}

struct status http_file_get_range(const char *url, uint64_t first, size_t size,
                                  void *ret_data)
{
    struct status st;
    int fd;

    TRY_PLAIN(http_file_open(url, &fd));
    st = read_at(fd, url, first, size, ret_data);
    (void)close(fd);
    return st;
}
