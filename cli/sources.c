#include "cli/sources.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/digest.h"
#include "common/file.h"
#include "common/limits.h"
#include "common/map.h"
#include "common/memory.h"

static const char index_name[] = "model.safetensors.index.json";
static const char single_name[] = "model.safetensors";

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text);
    size_t tail = strlen(end);

    return size >= tail && strcmp(text + size - tail, end) == 0;
}

static bool is_local(const char *url)
{
    return strncmp(url, "file://", 7) == 0;
}

static int hex_value(char c)
{
    if (isdigit((unsigned char)c))
        return c - '0';
    return isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
                                      : -1;
}

/* The path of a file:// URL; the caller frees. */
static char *local_path(const char *url)
{
    char *path = xstrdup(url + strlen("file://"));
    char *to = path;

    for (const char *at = path; *at != '\0'; at++) {
        if (*at == '%' && hex_value(at[1]) >= 0 && hex_value(at[2]) >= 0) {
            *to++ = (char)(hex_value(at[1]) * 16 + hex_value(at[2]));
            at += 2;
        } else {
            *to++ = *at;
        }
    }
    *to = '\0';
    return path;
}

static bool is_local_directory(const char *url)
{
    AUTO(free_pointer) char *path = local_path(url);
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* A last part without a suffix is a directory: there is none to ask. */
static bool is_directory(const char *url)
{
    const char *last = strrchr(url, '/');

    if (is_local(url))
        return is_local_directory(url);
    return last == NULL || last[1] == '\0' || strchr(last, '.') == NULL;
}

bool source_is_model(const char *url)
{
    return ends_with(url, ".safetensors") || ends_with(url, index_name) ||
           is_directory(url);
}

static void add_file(struct source_files *files, const char *name,
                     const char *url, const struct http_info *info)
{
    struct source_file *f = NULL;

    files->items =
        xrealloc(files->items, (files->count + 1) * sizeof *files->items);
    f = &files->items[files->count++];
    f->name = xstrdup(name);
    f->url = xstrdup(url);
    f->size = info->size < 0 ? 0 : (uint64_t)info->size;
    (void)snprintf(f->version, sizeof f->version, "%s",
                   info->sha256[0] != '\0' ? info->sha256 : info->etag);
}

MUST_CHECK static struct status add_url(struct http *http, const char *url,
                                        struct source_files *files)
{
    const char *slash = strrchr(url, '/');
    struct http_info info;

    TRY_PLAIN(http_head(http, url, &info));
    add_file(files, slash == NULL ? url : slash + 1, url, &info);
    return SUCCESS;
}

/* `name` in the directory `url` names (with or without a last slash). */
static char *url_in(const char *url, const char *name)
{
    return xasprintf("%s%s%s", url, ends_with(url, "/") ? "" : "/", name);
}

/* Each shard of an index once, in the order of the index. */
MUST_CHECK static struct status add_shards(struct http *http,
                                           const char *directory,
                                           const json_t *index,
                                           struct source_files *files)
{
    AUTO(json_release) json_t *seen = json_object();
    json_t *weights = json_object_get(index, "weight_map");
    const char *tensor = NULL;
    json_t *shard = NULL;

    if (!json_is_object(weights))
        return FAIL(STATUS_CORRUPT, "%s: %s has no \"weight_map\"", directory,
                    index_name);
    json_object_foreach(weights, tensor, shard)
    {
        const char *name = json_string_value(shard);
        AUTO(free_pointer) char *url = NULL;

        if (name == NULL || strchr(name, '/') != NULL)
            return FAIL(STATUS_CORRUPT, "%s: %s names no file for %s",
                        directory, index_name, tensor);
        if (json_object_get(seen, name) != NULL)
            continue;
        if (json_object_size(seen) >= LIMIT_SHARDS)
            return FAIL(STATUS_TOO_BIG, "%s: more than %d shards", directory,
                        (int)LIMIT_SHARDS);
        (void)json_object_set_new(seen, name, json_true());
        url = url_in(directory, name);
        TRY_PLAIN(add_url(http, url, files));
    }
    return SUCCESS;
}

/* The only *.safetensors of a directory that follows no convention. */
MUST_CHECK static struct status add_only(struct http *http,
                                         const char *directory,
                                         struct source_files *files)
{
    AUTO(free_pointer) char *path = local_path(directory);
    AUTO(free_pointer) char *found = NULL;
    DIR *d = opendir(path);
    size_t count = 0;

    if (d == NULL)
        return FAIL(file_error(errno), "%s: %s", path, strerror(errno));
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        if (!ends_with(e->d_name, ".safetensors"))
            continue;
        count++;
        free(found);
        found = url_in(directory, e->d_name);
    }
    (void)closedir(d);
    if (count == 1)
        return add_url(http, found, files);
    return FAIL(STATUS_NOT_FOUND, "%s holds %s (wanted: %s or %s)", path,
                count == 0 ? "no *.safetensors" : "several *.safetensors",
                single_name, index_name);
}

MUST_CHECK static struct status list_directory(struct http *http,
                                               const char *url,
                                               struct source_files *files)
{
    AUTO(free_pointer) char *index_url = url_in(url, index_name);
    AUTO(free_pointer) char *single_url = url_in(url, single_name);
    AUTO(free_pointer) char *text = NULL;
    AUTO(json_release) json_t *index = NULL;
    size_t size = 0;
    struct status st = http_get(http, index_url, LIMIT_INDEX, &text, &size);

    if (!status_failed(&st)) {
        TRY_PLAIN(json_parse(text, size, index_url, &index));
        return add_shards(http, url, index, files);
    }
    if (st.code != STATUS_NOT_FOUND)
        return st;
    st = add_url(http, single_url, files);
    if (st.code == STATUS_NOT_FOUND && is_local(url))
        return add_only(http, url, files);
    return st;
}

struct status source_list(struct http *http, const char *url,
                          struct source_files *ret_files)
{
    struct source_files files = { NULL, 0 };
    struct status st;

    st = is_directory(url) ? list_directory(http, url, &files)
                           : add_url(http, url, &files);
    if (status_failed(&st)) {
        source_files_release(&files);
        return st;
    }
    *ret_files = files;
    return SUCCESS;
}

void source_files_release(struct source_files *files)
{
    for (size_t i = 0; i < files->count; i++) {
        free(files->items[i].name);
        free(files->items[i].url);
    }
    free(files->items);
    files->items = NULL;
    files->count = 0;
}

/* Nodes still to be looked at, last first. */
struct pending {
    json_t **items;
    size_t count, room;
};

static void push(struct pending *p, json_t *node)
{
    if (!json_is_object(node) && !json_is_array(node))
        return;
    if (p->count == p->room) {
        p->room = p->room == 0 ? 64 : p->room * 2;
        p->items = xrealloc(p->items, p->room * sizeof(void *));
    }
    p->items[p->count++] = node;
}

static void push_children(struct pending *p, json_t *node)
{
    const char *name = NULL;
    json_t *child = NULL;
    size_t first = p->count;

    if (json_is_object(node)) {
        json_object_foreach(node, name, child)
        {
            push(p, child);
        }
    }
    for (size_t i = 0; i < json_array_size(node); i++)
        push(p, json_array_get(node, i));
    for (size_t i = first, j = p->count; i + 1 < j; i++, j--) {
        json_t *swap = p->items[i];

        p->items[i] = p->items[j - 1];
        p->items[j - 1] = swap;
    }
}

void sources_visit(json_t *json, void (*visit)(void *self, json_t *source),
                   void *self)
{
    struct pending p = { NULL, 0, 0 };

    push(&p, json);
    while (p.count > 0) {
        json_t *node = p.items[--p.count];
        json_t *source = json_object_get(node, "$source");

        if (json_is_object(source))
            visit(self, source);
        else
            push_children(&p, node);
    }
    free(p.items);
}

struct completion {
    struct http *http;
    json_t *versions; /* by URL; null: could not be reached */
    void (*warn)(void *self, const char *url, const struct status *st);
    void *self;
};

static json_t *version_of(struct completion *c, const char *url)
{
    struct source_files files;
    struct status st = source_list(c->http, url, &files);
    struct digest_stream *hash = NULL;
    struct digest digest;
    char text[DIGEST_TEXT];

    if (status_failed(&st)) {
        c->warn(c->self, url, &st);
        return json_null();
    }
    hash = digest_begin();
    for (size_t i = 0; i < files.count; i++) {
        digest_add(hash, files.items[i].name, strlen(files.items[i].name) + 1);
        digest_add(hash, files.items[i].version,
                   strlen(files.items[i].version) + 1);
        digest_add(hash, &files.items[i].size, sizeof files.items[i].size);
    }
    source_files_release(&files);
    digest = digest_end(hash);
    digest_to_text(&digest, text);
    return json_stringn(text, 16);
}

static void complete(void *self, json_t *source)
{
    struct completion *c = self;
    const char *url = json_text_or(source, "url", NULL);
    json_t *version = NULL;

    if (url == NULL || json_object_get(source, "sha256") != NULL ||
        json_object_get(source, "version") != NULL)
        return;
    version = json_object_get(c->versions, url);
    if (version == NULL) {
        version = version_of(c, url);
        (void)json_object_set_new(c->versions, url, version);
    }
    if (!json_is_null(version))
        (void)json_object_set(source, "version", version);
}

void sources_complete(struct http *http, json_t *document,
                      void (*warn)(void *self, const char *url,
                                   const struct status *st),
                      void *self)
{
    struct completion c = { .http = http, .warn = warn, .self = self };

    c.versions = json_object();
    sources_visit(document, complete, &c);
    json_decref(c.versions);
}
