#include "cli/artifact.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/digest.h"
#include "common/file.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/memory.h"

bool artifact_name_is_safe(const char *path)
{
    const char *at = path;

    if (*path == '\0' || strlen(path) >= LIMIT_PATH)
        return false;
    for (;;) {
        size_t size = strcspn(at, "/");

        if (size == 0 || (size == 1 && at[0] == '.') ||
            (size == 2 && at[0] == '.' && at[1] == '.'))
            return false;
        if (at[size] == '\0')
            return true;
        at += size + 1;
    }
}

MUST_CHECK static struct status load_manifest(struct http *http,
                                              const char *depot,
                                              const char *digest,
                                              json_t **ret_files)
{
    AUTO(free_pointer) char *url = xasprintf("%s/depot/%s", depot, digest);
    AUTO(free_pointer) char *text = NULL;
    AUTO(json_release) json_t *manifest = NULL;
    struct digest wanted;
    struct digest got;
    json_t *files = NULL;
    size_t size = 0;

    TRY_PLAIN(http_get(http, url, LIMIT_MANIFEST, &text, &size));
    got = digest_of(text, size);
    if (!digest_from_text(digest, &wanted) || !digest_equal(&got, &wanted))
        return FAIL(STATUS_CORRUPT, "%s is not what its digest says", url);
    TRY_PLAIN(json_parse(text, size, url, &manifest));
    TRY(json_member_array(manifest, "files", &files), "manifest %s", digest);
    *ret_files = json_incref(files);
    return SUCCESS;
}

/* One entry of a manifest; borrowed from it. */
struct entry {
    const char *path, *sha256;
    int64_t size;
    struct digest digest;
};

MUST_CHECK static struct status read_entry(const json_t *file, struct entry *e)
{
    TRY_PLAIN(json_member_text(file, "path", &e->path));
    TRY_PLAIN(json_member_text(file, "sha256", &e->sha256));
    TRY_PLAIN(json_member_int(file, "size", &e->size));
    if (!artifact_name_is_safe(e->path) ||
        !digest_from_text(e->sha256, &e->digest))
        return FAIL(STATUS_CORRUPT,
                    "the manifest names \"%s\", which cannot "
                    "be",
                    e->path);
    return SUCCESS;
}

static bool is_same_file(const struct entry *e, const char *directory)
{
    AUTO(free_pointer) char *path = xasprintf("%s/%s", directory, e->path);
    struct digest got;
    struct stat st;
    struct status hashed;

    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size != e->size)
        return false;
    hashed = digest_of_file(path, &got);
    return !status_failed(&hashed) && digest_equal(&got, &e->digest);
}

MUST_CHECK static struct status compare(const json_t *files,
                                        const char *directory, bool *ret_same)
{
    struct entry e;

    *ret_same = true;
    for (size_t i = 0; i < json_array_size(files) && *ret_same; i++) {
        TRY_PLAIN(read_entry(json_array_get(files, i), &e));
        *ret_same = is_same_file(&e, directory);
    }
    return SUCCESS;
}

MUST_CHECK static struct status fetch_file(struct http *http, const char *depot,
                                           const json_t *file,
                                           const char *directory)
{
    AUTO(free_pointer) char *path = NULL;
    AUTO(free_pointer) char *url = NULL;
    AUTO(free_pointer) char *parent = NULL;
    struct http_info info;
    struct digest got;
    struct entry e;

    TRY_PLAIN(read_entry(file, &e));
    path = xasprintf("%s/%s", directory, e.path);
    url = xasprintf("%s/depot/%s", depot, e.sha256);
    parent = xstrndup(path, (size_t)(strrchr(path, '/') - path));
    TRY_PLAIN(file_make_directories(parent));
    TRY(http_download(http, url, path, &e.digest, &got, &info), "%s", e.path);
    return SUCCESS;
}

/* rename() that never replaces what came meanwhile. */
MUST_CHECK static struct status put_in_place(const char *part,
                                             const char *directory)
{
    AUTO(free_pointer) char *copy = xstrdup(directory);
    char *slash = NULL;

    if (renameat2(AT_FDCWD, part, AT_FDCWD, directory, RENAME_NOREPLACE) != 0)
        return FAIL(file_error(errno), "%s: %s", directory, strerror(errno));
    slash = strrchr(copy, '/');
    if (slash == copy)
        slash++;
    if (slash != NULL)
        *slash = '\0';
    return file_sync_directory(slash == NULL ? "." : copy);
}

MUST_CHECK static struct status fetch_all(struct http *http, const char *depot,
                                          const json_t *files,
                                          const char *directory)
{
    AUTO(free_pointer) char *part = xasprintf("%s.part", directory);

    TRY(file_make_directories(part), "cannot write %s", directory);
    for (size_t i = 0; i < json_array_size(files); i++)
        TRY_PLAIN(fetch_file(http, depot, json_array_get(files, i), part));
    return put_in_place(part, directory);
}

/* A last slash would make "DIR/.part". */
static char *without_slash(const char *directory)
{
    size_t size = strlen(directory);

    while (size > 1 && directory[size - 1] == '/')
        size--;
    return xstrndup(directory, size);
}

struct status artifact_download(struct http *http, const char *depot,
                                const char *digest, const char *directory,
                                bool *ret_present)
{
    AUTO(free_pointer) char *target = without_slash(directory);
    AUTO(json_release) json_t *files = NULL;
    bool same = false;

    *ret_present = false;
    TRY_PLAIN(load_manifest(http, depot, digest, &files));
    if (!file_exists(target))
        return fetch_all(http, depot, files, target);
    TRY_PLAIN(compare(files, target, &same));
    if (!same)
        return FAIL(STATUS_FAILED,
                    "%s exists and holds something else; move "
                    "it away or choose another directory",
                    target);
    *ret_present = true;
    return SUCCESS;
}
