#include "sources/source_files.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/http_file.h"
#include "common/limits.h"
#include "common/memory.h"
#include "sources/source_internal.h"

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text);
    size_t tail = strlen(end);

    return size >= tail && strcmp(text + size - tail, end) == 0;
}

bool source_is_here(const char *url)
{
    return http_file_is(url) || url[0] == '/';
}

/* The path of a local URL; NULL if it has none. The caller frees. */
static char *local_path(const char *url)
{
    char *path = NULL;
    struct status st;

    if (url[0] == '/')
        return xstrdup(url);
    st = http_file_path(url, &path);
    return status_failed(&st) ? NULL : path;
}

static bool is_directory(const char *path)
{
    struct stat st;

    return path != NULL && stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

bool source_is_model(const char *url)
{
    AUTO(free_pointer) char *file = NULL;

    if (source_is_here(url)) {
        AUTO(free_pointer) char *path = local_path(url);

        return ends_with(url, ".safetensors") ||
               ends_with(url, source_index_file) || is_directory(path);
    }
    file = source_single_file(url);
    return file == NULL || ends_with(file, ".safetensors") ||
           ends_with(file, source_index_file);
}

/* A directory's files, so that it can be read as the hub's list of a model. */
MUST_CHECK static struct status list_local(const char *path, json_t **ret_names)
{
    DIR *d = opendir(path);
    const struct dirent *item;

    if (d == NULL)
        return FAIL(file_error(errno), "%s: %s", path, strerror(errno));
    *ret_names = json_object();
    while ((item = readdir(d)) != NULL)
        (void)json_object_set_new(*ret_names, item->d_name, json_null());
    (void)closedir(d);
    return SUCCESS;
}

MUST_CHECK static struct status open_local(struct source_store *s,
                                           const char *url,
                                           struct source_origin *o)
{
    AUTO(free_pointer) char *path = local_path(url);
    size_t size = strlen(url);

    TRY_PLAIN(source_open_client(s, CLIENT_WEB, &o->http));
    while (size > 1 && url[size - 1] == '/')
        size--;
    o->url = xstrdup(url);
    o->base =
        xasprintf("%s%.*s", url[0] == '/' ? "file://" : "", (int)size, url);
    if (is_directory(path))
        return list_local(path, &o->names);
    o->file = xstrdup(strrchr(o->base, '/') + 1);
    o->file_url = xstrdup(o->base);
    return SUCCESS;
}

MUST_CHECK static struct status open_origin(struct source_store *s,
                                            const char *url,
                                            struct source_origin *o)
{
    AUTO(json_release) json_t *source = NULL;

    if (source_is_here(url))
        return open_local(s, url, o);
    source = json_pack("{s:s}", "url", url);
    return source_origin_open(s, source, o);
}

MUST_CHECK static struct status add_file(const struct source_origin *o,
                                         const char *name, json_t *names,
                                         struct source_files *files)
{
    AUTO(free_pointer) char *url = source_origin_url(o, name);
    struct http_info info;
    struct source_file *f;

    TRY_PLAIN(source_look_at(o, url, &info));
    files->items =
        xrealloc(files->items, (files->count + 1) * sizeof *files->items);
    f = &files->items[files->count++];
    f->http = o->http;
    f->name = xstrdup(name);
    f->url = xstrdup(url);
    f->size = info.size < 0 ? 0 : (uint64_t)info.size;
    (void)json_object_set_new(names, name, source_served(&info));
    (void)snprintf(f->version, sizeof f->version, "%s",
                   json_text_or(json_object_get(names, name), "version", ""));
    return SUCCESS;
}

/* The files of the weights, as keys. */
MUST_CHECK static struct status list_weights(const struct source_origin *o,
                                             json_t **ret_names)
{
    AUTO(free_pointer) char *url = source_origin_url(o, source_index_file);
    AUTO(free_pointer) char *text = NULL;
    AUTO(json_release) json_t *index = NULL;
    struct status st = SUCCESS;
    size_t size;

    if (source_origin_lacks(o, source_index_file))
        return source_sole_weights(o, ret_names);
    st = http_get(o->http, url, LIMIT_INDEX, &text, &size);
    if (source_is_absent(&st) && o->names == NULL)
        return source_sole_weights(o, ret_names);
    TRY_PLAIN(st);
    TRY_PLAIN(json_parse(text, size, url, &index));
    return source_index_names(index, o->url, ret_names);
}

MUST_CHECK static struct status list(struct source_store *s, const char *url,
                                     struct source_files *files)
{
    AUTO(source_origin_release) struct source_origin o = { .url = NULL };
    AUTO(json_release) json_t *names = NULL;
    const char *name;
    const json_t *unused;

    TRY_PLAIN(open_origin(s, url, &o));
    if (o.file != NULL)
        names = json_pack("{s:n}", o.file);
    else
        TRY_PLAIN(list_weights(&o, &names));
    json_object_foreach(names, name, unused)
        TRY_PLAIN(add_file(&o, name, names, files));
    source_version(names, files->version);
    if (o.commit[0] != '\0')
        (void)snprintf(files->version, sizeof files->version, "%s", o.commit);
    return SUCCESS;
}

struct status source_check_here(struct source_store *s, const json_t *source)
{
    AUTO(source_files_release) struct source_files files = { .items = NULL };
    const char *wanted = json_text_or(source, "version", NULL);

    if (wanted == NULL)
        return SUCCESS;
    TRY_PLAIN(source_list(s, json_text_or(source, "url", ""), &files));
    return source_match_version(source, files.version);
}

struct status source_list(struct source_store *s, const char *url,
                          struct source_files *ret_files)
{
    struct source_files files = { .items = NULL };
    struct status st = list(s, url, &files);

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

struct status source_header(const struct source_file *file,
                            struct st_header **ret_header)
{
    uint64_t whole = file->size == 0 ? UINT64_MAX : file->size;
    AUTO(free_pointer) char *text = NULL;
    uint8_t first[8];
    uint64_t size = 0;

    TRY_PLAIN(http_get_range(file->http, file->url, 0, sizeof first, first));
    TRY_PLAIN(st_header_size(first, whole, file->url, &size));
    text = xcalloc(1, (size_t)size + 1);
    TRY_PLAIN(http_get_range(file->http, file->url, sizeof first, (size_t)size,
                             text));
    return st_header_parse(text, (size_t)size, whole, file->url, ret_header);
}
