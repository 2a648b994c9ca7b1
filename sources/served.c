#include "sources/served.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/file.h"
#include "common/json.h"
#include "common/memory.h"
#include "sources/source_internal.h"

enum { RECORD_MOST = 8 << 20, TOKEN_MOST = 16 << 10 };

static const char *const shelves[] = { "sources", "artifacts" };

void served_path(const struct served_name *name, char ret_path[SERVED_PATH])
{
    char entry[DIGEST_TEXT];
    char file[DIGEST_TEXT];

    digest_to_text(&name->entry, entry);
    digest_to_text(&name->file, file);
    (void)snprintf(ret_path, SERVED_PATH, "/cache/%s/%s/%s",
                   shelves[name->is_artifact], entry, file);
}

/* 64 digits at `at`, of which so many bytes are left. */
static bool read_digest(const char *at, size_t left, struct digest *ret_digest)
{
    char text[DIGEST_TEXT];

    if (left < sizeof text - 1)
        return false;
    memcpy(text, at, sizeof text - 1);
    text[sizeof text - 1] = '\0';
    return digest_from_text(text, ret_digest);
}

bool served_parse(const char *path, struct served_name *ret_name)
{
    const size_t digits = DIGEST_TEXT - 1;
    size_t size = strnlen(path, SERVED_PATH);
    char again[SERVED_PATH];

    for (size_t i = 0; i < COUNT_OF(shelves); i++) {
        size_t head = strlen("/cache//") + strlen(shelves[i]);

        ret_name->is_artifact = i == 1;
        if (size != head + digits + 1 + digits ||
            !read_digest(path + head, size - head, &ret_name->entry) ||
            !read_digest(path + head + digits + 1, digits, &ret_name->file))
            continue;
        served_path(ret_name, again);
        if (strcmp(path, again) == 0)
            return true;
    }
    return false;
}

MUST_CHECK static struct status absent(const char *what)
{
    return FAIL(STATUS_NOT_FOUND, "this cache has no such %s", what);
}

/* The row of the entry's record that has that digest; NULL: none. */
static const json_t *find_row(const json_t *record, const struct digest *wanted)
{
    const json_t *row;
    struct digest digest;
    size_t i;

    json_array_foreach(json_object_get(record, "files"), i, row)
    {
        if (digest_from_text(json_text_or(row, "sha256", ""), &digest) &&
            digest_equal(&digest, wanted))
            return row;
    }
    return NULL;
}

static bool is_as_recorded(int fd, const json_t *row, uint64_t *ret_size)
{
    struct stat info;

    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return false;
    *ret_size = (uint64_t)info.st_size;
    return info.st_size == json_int_or(row, "size", -1) &&
           (int64_t)info.st_mtim.tv_sec * NS_PER_S + info.st_mtim.tv_nsec ==
               json_int_or(row, "modified", -1);
}

struct status served_open(const char *cache, const struct served_name *name,
                          int *ret_fd, uint64_t *ret_size)
{
    AUTO(json_release) json_t *record = NULL;
    AUTO(free_pointer) char *entry = NULL;
    AUTO(free_pointer) char *record_path = NULL;
    AUTO(free_pointer) char *path = NULL;
    char text[DIGEST_TEXT];
    const json_t *row;
    struct status st;
    int fd;

    digest_to_text(&name->entry, text);
    entry = xasprintf("%s/%s/%s", cache, shelves[name->is_artifact], text);
    record_path = xasprintf("%s/entry.json", entry);
    st = json_parse_file(record_path, RECORD_MOST, &record);
    if (status_failed(&st))
        return absent("entry");
    row = find_row(record, &name->file);
    if (row == NULL || !source_is_plain_path(json_text_or(row, "path", "")))
        return absent("file");
    path = xasprintf("%s/files/%s", entry, json_text_or(row, "path", ""));
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return absent("file any more");
    if (!is_as_recorded(fd, row, ret_size)) {
        (void)close(fd);
        return absent("file as it was");
    }
    *ret_fd = fd;
    return SUCCESS;
}

struct status served_token(const char *file, char ret_token[DIGEST_TEXT])
{
    static const char purpose[] = "sinter: from worker to worker";
    AUTO(free_pointer) char *text = NULL;
    struct digest_stream *stream;
    struct digest digest;
    size_t size = 0;

    TRY(file_read(file, TOKEN_MOST, &text, &size), "token");
    text[strcspn(text, "\r\n")] = '\0';
    if (text[0] == '\0') {
        explicit_bzero(text, size);
        return FAIL(STATUS_INVALID, "%s holds no token in its first line",
                    file);
    }
    stream = digest_begin();
    digest_add(stream, purpose, sizeof purpose);
    digest_add(stream, text, strlen(text));
    digest = digest_end(stream);
    digest_to_text(&digest, ret_token);
    explicit_bzero(text, size);
    return SUCCESS;
}
