#include "sources/source.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/limits.h"
#include "common/memory.h"
#include "sources/source_internal.h"

/* A directory artifact is named by the digest of its list of files, which is
 * canonical JSON: {"files": [{"path", "sha256", "size"} ...], "format": 1},
 * sorted by path. Each file is a blob of its own. */
enum { MANIFEST_FORMAT = 1 };

/* There since open_store(). */
static struct http *depot_http(const struct source_store *s)
{
    return s->clients[CLIENT_DEPOT];
}

MUST_CHECK static struct status check_told(const char *depot)
{
    if (depot[0] == '\0')
        return FAIL(STATUS_UNAVAILABLE, "the broker has told no depot yet");
    return SUCCESS;
}

/* The cache, and a client if the depot is known. One that has moved gets a client of its own: the token is for one place
 * at a time. */
MUST_CHECK static struct status open_store(struct source_store *s,
                                           const char *depot)
{
    struct http **client = &s->clients[CLIENT_DEPOT];
    struct http *http;

    TRY_PLAIN(source_open_cache(s));
    if (depot[0] == '\0')
        return SUCCESS;
    if (*client != NULL && strcmp(s->depot, depot) != 0) {
        s->forgotten += http_received(*client);
        http_free(*client);
        *client = NULL;
    }
    if (*client == NULL) {
        free(s->depot);
        s->depot = xstrdup(depot);
    }
    return source_open_client(s, CLIENT_DEPOT, &http);
}

/* `depot` is not empty; the caller frees. */
static char *blob_url(const char *depot, const char *digest)
{
    size_t size = strlen(depot);

    if (depot[size - 1] == '/')
        size--;
    return xasprintf("%.*s/depot/%s", (int)size, depot, digest);
}

static int by_path(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

MUST_CHECK static struct status add_file(json_t *files, const FTSENT *item,
                                         size_t skip)
{
    const char *path = item->fts_path + skip;
    char text[DIGEST_TEXT];
    struct digest digest;

    if (!source_is_plain_path(path))
        return FAIL(STATUS_INVALID,
                    "%s cannot be the name of an artifact's "
                    "file",
                    item->fts_path);
    TRY_PLAIN(digest_of_file(item->fts_path, &digest));
    digest_to_text(&digest, text);
    (void)json_array_append_new(
        files, json_pack("{s:s, s:s, s:I}", "path", path, "sha256", text,
                         "size", (json_int_t)item->fts_statp->st_size));
    return SUCCESS;
}

MUST_CHECK static struct status walk(FTS *tree, size_t skip, json_t *files)
{
    const FTSENT *item;

    while ((item = fts_read(tree)) != NULL) {
        if (item->fts_info == FTS_D || item->fts_info == FTS_DP)
            continue;
        if (item->fts_errno != 0)
            return FAIL(STATUS_UNAVAILABLE, "read %s: %s", item->fts_path,
                        strerror(item->fts_errno));
        if (item->fts_info != FTS_F)
            return FAIL(STATUS_INVALID,
                        "%s is no plain file: artifacts have "
                        "only those",
                        item->fts_path);
        TRY_PLAIN(add_file(files, item, skip));
    }
    return SUCCESS;
}

static int by_path_member(const void *a, const void *b)
{
    return strcmp(json_text_or(*(json_t *const *)a, "path", ""),
                  json_text_or(*(json_t *const *)b, "path", ""));
}

/* A walk gives "a/b" before "a.txt"; the list is sorted as whole paths. */
static json_t *sorted(const json_t *files)
{
    size_t count = json_array_size(files);
    AUTO(free_pointer) json_t **items = xcalloc(count + 1, sizeof(json_t *));
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        items[i] = json_array_get(files, i);
    if (count > 0)
        qsort(items, count, sizeof(json_t *), by_path_member);
    for (size_t i = 0; i < count; i++)
        (void)json_array_append(list, items[i]);
    return list;
}

MUST_CHECK static struct status list_files(const char *directory,
                                           json_t **ret_files)
{
    AUTO(json_release) json_t *files = json_array();
    AUTO(free_pointer) char *root = xstrdup(directory);
    char *const roots[] = { root, NULL };
    size_t size = strlen(root);
    struct status st;
    FTS *tree;

    while (size > 1 && root[size - 1] == '/')
        root[--size] = '\0';
    tree = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, by_path);
    if (tree == NULL)
        return FAIL(STATUS_UNAVAILABLE, "read %s: %s", directory,
                    strerror(errno));
    st = walk(tree, size + 1, files);
    (void)fts_close(tree);
    TRY(st, "artifact %s", directory);
    if (json_array_size(files) == 0)
        return FAIL(STATUS_INVALID, "artifact %s has no files", directory);
    *ret_files = sorted(files);
    return SUCCESS;
}

MUST_CHECK static struct status put_blob(struct source_store *s,
                                         const char *depot,
                                         const char *directory,
                                         const json_t *row)
{
    AUTO(free_pointer) char *url = NULL;
    AUTO(free_pointer)
    char *path = xasprintf("%s/%s", directory, json_text_or(row, "path", ""));
    struct http_info info;
    struct status st;

    url = blob_url(depot, json_text_or(row, "sha256", ""));
    st = http_head(depot_http(s), url, &info);
    if (st.code == STATUS_NOT_FOUND)
        st = http_put_file(depot_http(s), url, path);
    return st;
}

MUST_CHECK static struct status sync_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int error = fd < 0 || fdatasync(fd) != 0 ? errno : 0;

    if (fd >= 0)
        (void)close(fd);
    return error == 0
               ? SUCCESS
               : FAIL(file_error(error), "sync %s: %s", path, strerror(error));
}

/* A second name for the file, in the entry. Whole, also after a power failure:
 * the entry says so. */
MUST_CHECK static struct status link_file(struct cache_entry *e,
                                          const char *directory,
                                          const json_t *row)
{
    const char *name = json_text_or(row, "path", "");
    AUTO(free_pointer) char *from = xasprintf("%s/%s", directory, name);
    AUTO(free_pointer) char *to = xasprintf("%s/%s", cache_files(e), name);
    char *slash = strrchr(to, '/');
    struct digest digest;

    TRY_PLAIN(sync_file(from));
    *slash = '\0';
    TRY(file_make_directories(to), "cache");
    *slash = '/';
    if (link(from, to) != 0)
        return FAIL(file_error(errno), "link %s: %s", to, strerror(errno));
    (void)digest_from_text(json_text_or(row, "sha256", ""), &digest);
    return cache_add(e, name, &digest, true);
}

MUST_CHECK static struct status keep(struct source_store *s,
                                     const char *directory, const char *name,
                                     const json_t *files)
{
    AUTO(source_close_entry) struct cache_entry *e = NULL;
    uint64_t bytes = 0;
    const json_t *row;
    size_t i;

    json_array_foreach(files, i, row) bytes +=
        (uint64_t)json_int_or(row, "size", 0);
    TRY_PLAIN(cache_open(s->cache, "artifacts", name, NULL, &e));
    if (cache_is_whole(e))
        return SUCCESS;
    TRY_PLAIN(cache_reserve(s->cache, e, bytes, 0));
    json_array_foreach(files, i, row) TRY_PLAIN(link_file(e, directory, row));
    return cache_finish(s->cache, e);
}

/* What was made here is read here soon, as likely as not: in the cache it
 * need not be fetched. Where that cannot be, it is. */
static void keep_if_possible(struct source_store *s, const char *directory,
                             const char *name, const json_t *files)
{
    struct status st = keep(s, directory, name, files);

    (void)st;
}

struct status source_put_artifact(struct source_store *s, const char *depot,
                                  const char *path, bool kept,
                                  char ret_digest[DIGEST_TEXT])
{
    AUTO(json_release) json_t *files = NULL;
    AUTO(json_release) json_t *manifest = NULL;
    AUTO(free_pointer) char *text = NULL;
    AUTO(free_pointer) char *url = NULL;
    char name[DIGEST_TEXT];
    struct digest digest;
    const json_t *row;
    size_t i;

    TRY_PLAIN(list_files(path, &files));
    manifest =
        json_pack("{s:O, s:i}", "files", files, "format", MANIFEST_FORMAT);
    text = json_canonical(manifest);
    if (strlen(text) > LIMIT_MANIFEST)
        return FAIL(STATUS_TOO_BIG, "artifact %s has too many files", path);
    digest = digest_of(text, strlen(text));
    digest_to_text(&digest, name);
    TRY_PLAIN(check_told(depot));
    TRY_PLAIN(open_store(s, depot));
    url = blob_url(depot, name);
    json_array_foreach(files, i, row)
        TRY(put_blob(s, depot, path, row), "store artifact");
    /* last: who finds the list finds all its files */
    TRY(http_put(depot_http(s), url, text, strlen(text)), "store artifact");
    if (kept)
        keep_if_possible(s, path, name, files);
    memcpy(ret_digest, name, sizeof name);
    return SUCCESS;
}

MUST_CHECK static struct status check_manifest(const json_t *manifest,
                                               const char *name,
                                               uint64_t *ret_bytes)
{
    const json_t *row;
    json_t *files;
    uint64_t bytes = 0;
    size_t i;

    TRY(json_member_array(manifest, "files", &files), "artifact %s", name);
    if (json_int_or(manifest, "format", 0) != MANIFEST_FORMAT)
        return FAIL(STATUS_INVALID,
                    "artifact %s is of a format this worker "
                    "does not know",
                    name);
    json_array_foreach(files, i, row)
    {
        struct digest digest;

        if (!source_is_plain_path(json_text_or(row, "path", "")) ||
            !digest_from_text(json_text_or(row, "sha256", ""), &digest) ||
            json_int_or(row, "size", -1) < 0)
            return FAIL(STATUS_CORRUPT,
                        "artifact %s: file %zu of its list "
                        "makes no sense",
                        name, i);
        bytes += (uint64_t)json_int_or(row, "size", 0);
    }
    *ret_bytes = bytes;
    return SUCCESS;
}

MUST_CHECK static struct status get_manifest(struct source_store *s,
                                             const char *depot,
                                             const char *name,
                                             json_t **ret_manifest)
{
    AUTO(free_pointer) char *url = NULL;
    AUTO(free_pointer) char *text = NULL;
    char found_name[DIGEST_TEXT];
    struct digest wanted;
    struct digest found;
    size_t size;

    if (!digest_from_text(name, &wanted))
        return FAIL(STATUS_INVALID, "\"%s\" names no artifact", name);
    url = blob_url(depot, name);
    TRY(http_get(depot_http(s), url, LIMIT_MANIFEST, &text, &size), "artifact");
    found = digest_of(text, size);
    digest_to_text(&found, found_name);
    if (!digest_equal(&found, &wanted))
        return FAIL(STATUS_CORRUPT, "%s has sha256 %s", url, found_name);
    return json_parse(text, size, url, ret_manifest);
}

MUST_CHECK static struct status fill(struct source_store *s,
                                     struct cache_entry *e, const char *depot,
                                     const char *name)
{
    AUTO(json_release) json_t *manifest = NULL;
    const json_t *row;
    uint64_t bytes = 0;
    size_t i;

    TRY_PLAIN(check_told(depot));
    TRY_PLAIN(get_manifest(s, depot, name, &manifest));
    TRY_PLAIN(check_manifest(manifest, name, &bytes));
    TRY_PLAIN(cache_reserve(s->cache, e, bytes, bytes));
    json_array_foreach(json_object_get(manifest, "files"), i, row)
    {
        AUTO(free_pointer)
        char *url = blob_url(depot, json_text_or(row, "sha256", ""));
        struct digest digest;
        const struct source_want want = {
            .name = json_text_or(row, "path", ""),
            .url = url,
            .expected = &digest,
            .size = (uint64_t)json_int_or(row, "size", 0),
        };

        (void)digest_from_text(json_text_or(row, "sha256", ""), &digest);
        TRY(source_have_file(s, depot_http(s), e, &want), "artifact");
    }
    return cache_finish(s->cache, e);
}

struct status source_open_artifact(struct source_store *s, const char *depot,
                                   const char *digest,
                                   struct source_pin **ret_pin)
{
    AUTO(source_close_entry) struct cache_entry *e = NULL;
    struct digest check;

    if (!digest_from_text(digest, &check))
        return FAIL(STATUS_INVALID, "\"%s\" names no artifact", digest);
    s->asked = check;
    s->entry = (struct served_name){ .is_artifact = true, .entry = check };
    TRY_PLAIN(open_store(s, depot));
    TRY_PLAIN(cache_open(s->cache, "artifacts", digest, NULL, &e));
    if (!cache_is_whole(e))
        TRY_PLAIN(fill(s, e, depot, digest));
    *ret_pin = source_pin_new(cache_files(e), e);
    e = NULL;
    return SUCCESS;
}
