#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/companion.h"
#include "common/file.h"
#include "common/limits.h"
#include "common/memory.h"
#include "sources/source_internal.h"

struct status source_have_file(struct source_store *s, struct http *http,
                               struct cache_entry *e,
                               const struct source_want *w)
{
    AUTO(free_pointer) char *path = xasprintf("%s/%s", cache_files(e), w->name);
    const bool is_known = w->expected != NULL;
    char *slash = strrchr(path, '/');
    struct digest found;
    struct http_info info;

    if (file_exists(path)) {
        TRY(digest_of_file(path, &found), "%s", w->url);
        if (!is_known || digest_equal(&found, w->expected))
            return cache_add(e, w->name, &found, is_known);
        (void)unlink(path);
    }
    *slash = '\0';
    TRY(file_make_directories(path), "cache");
    *slash = '/';
    if (source_pull(s, path, w))
        return cache_add(e, w->name, w->expected, true);
    source_forget_pull(path);
    TRY_PLAIN(http_download(http, w->url, path, w->expected, &found, &info));
    return cache_add(e, w->name, &found, is_known);
}

struct status source_look_at(const struct source_origin *o, const char *url,
                             struct http_info *ret_info)
{
    TRY_PLAIN(http_head(o->http, url, ret_info));
    if (o->commit[0] == '\0' || ret_info->commit[0] == '\0' ||
        strcmp(o->commit, ret_info->commit) == 0)
        return SUCCESS;
    return FAIL(STATUS_CORRUPT, "%s is of commit %.40s, asked for was %.40s",
                url, ret_info->commit, o->commit);
}

/* One file of a source, checked if a digest is known: from the sweep or from
 * the server. `served`: what that said of it; NULL: it was not asked. */
MUST_CHECK static struct status have_part(
    struct cache_entry *e, const char *folder, const struct source_origin *o,
    const json_t *source, const char *name, const json_t *served)
{
    AUTO(free_pointer) char *url = source_origin_url(o, name);
    AUTO(free_pointer) char *path = xasprintf("%s%s", folder, name);
    int64_t size = json_int_or(served, "size", 0);
    struct source_want want = { .name = path, .url = url };
    struct digest expected;
    bool known;

    TRY_PLAIN(source_expected(source, name, &expected, &known));
    if (!known)
        known = digest_from_text(json_text_or(served, "sha256", ""), &expected);
    want.expected = known ? &expected : NULL;
    want.size = size > 0 ? (uint64_t)size : 0;
    return source_have_file(o->store, o->http, e, &want);
}

MUST_CHECK static struct status have_optional(struct cache_entry *e,
                                              const char *folder,
                                              const struct source_origin *o,
                                              const json_t *source,
                                              const char *name)
{
    struct status st;

    if (source_origin_lacks(o, name))
        return SUCCESS;
    st = have_part(e, folder, o, source, name, NULL);
    /* what a list names has to be there */
    return status_failed(&st) && (o->names != NULL || !source_is_absent(&st))
               ? st
               : SUCCESS;
}

struct status source_have_index(struct cache_entry *e, const char *folder,
                                const struct source_origin *o,
                                const json_t *source, json_t **ret_names)
{
    AUTO(free_pointer)
    char *path =
        xasprintf("%s/%s%s", cache_files(e), folder, source_index_file);
    AUTO(json_release) json_t *index = NULL;

    TRY_PLAIN(have_optional(e, folder, o, source, source_index_file));
    if (!file_exists(path))
        return source_sole_weights(o, ret_names);
    TRY(json_parse_file(path, LIMIT_INDEX, &index), "index of %s", o->url);
    return source_index_names(index, o->url, ret_names);
}

struct status source_have_extras(struct cache_entry *e, const char *folder,
                                 const struct source_origin *o,
                                 const json_t *source)
{
    TRY_PLAIN(have_optional(e, folder, o, source, "config.json"));
    for (size_t i = 0; companion_files[i] != NULL; i++)
        TRY_PLAIN(have_optional(e, folder, o, source, companion_files[i]));
    return SUCCESS;
}

/* Look at each file before the first byte is written: a missing one or a full
 * disk is known early. `names` gets the digests and sizes the server tells. */
MUST_CHECK static struct status reserve(struct source_store *s,
                                        struct cache_entry *e,
                                        const struct source_origin *o,
                                        const json_t *source, json_t *names)
{
    uint64_t bytes = 0;
    uint64_t missing = 0;
    const char *name;
    json_t *value;

    json_object_foreach(names, name, value)
    {
        AUTO(free_pointer) char *url = source_origin_url(o, name);
        AUTO(free_pointer)
        char *path = xasprintf("%s/%s", cache_files(e), name);
        struct http_info info;

        TRY_PLAIN(source_look_at(o, url, &info));
        if (info.size > 0)
            bytes += (uint64_t)info.size;
        if (info.size > 0 && !file_exists(path))
            missing += (uint64_t)info.size;
        (void)json_object_set_new(names, name, source_served(&info));
    }
    TRY_PLAIN(source_check_version(source, names));
    return cache_reserve(s->cache, e, bytes, missing);
}

/* Each name of the sweep's "sha256" must be a file of the model. */
MUST_CHECK static struct status check_all_used(const struct cache_entry *e,
                                               const json_t *source)
{
    json_t *map = json_object_get(source, "sha256");
    const char *name;
    const json_t *hex;

    json_object_foreach(map, name, hex)
    {
        AUTO(free_pointer)
        char *path = xasprintf("%s/%s", cache_files(e), name);

        if (!source_is_plain_path(name) || !file_exists(path))
            return FAIL(STATUS_INVALID,
                        "%s: sha256 is given for %s, which it does not have",
                        json_text_or(source, "url", ""), name);
    }
    return SUCCESS;
}

MUST_CHECK static struct status fill_model(struct source_store *s,
                                           struct cache_entry *e,
                                           const struct source_origin *o,
                                           const json_t *source)
{
    AUTO(json_release) json_t *names = NULL;
    const char *name;
    const json_t *served;
    struct status st;

    TRY_PLAIN(source_have_index(e, "", o, source, &names));
    st = reserve(s, e, o, source, names);
    if (st.code == STATUS_NOT_FOUND && json_object_size(names) == 1)
        return status_wrap(st, "no model at %s (no %s either)", o->url,
                           source_index_file);
    TRY_PLAIN(st);
    TRY_PLAIN(source_have_extras(e, "", o, source));
    json_object_foreach(names, name, served)
        TRY_PLAIN(have_part(e, "", o, source, name, served));
    return SUCCESS;
}

MUST_CHECK static struct status fill_single(struct source_store *s,
                                            struct cache_entry *e,
                                            const struct source_origin *o,
                                            const json_t *source)
{
    AUTO(json_release) json_t *names = json_pack("{s:n}", o->file);

    TRY_PLAIN(reserve(s, e, o, source, names));
    return have_part(e, "", o, source, o->file,
                     json_object_get(names, o->file));
}

MUST_CHECK static struct status fill(struct source_store *s,
                                     struct cache_entry *e,
                                     const json_t *source)
{
    AUTO(source_origin_release) struct source_origin o = { .url = NULL };

    TRY_PLAIN(source_origin_open(s, source, &o));
    TRY_PLAIN(o.file != NULL ? fill_single(s, e, &o, source)
                             : fill_model(s, e, &o, source));
    TRY_PLAIN(check_all_used(e, source));
    return cache_finish(s->cache, e);
}

struct status source_fetch_whole(struct source_store *s, const json_t *source,
                                 struct source_pin **ret_pin)
{
    AUTO(source_close_entry) struct cache_entry *e = NULL;
    AUTO(free_pointer)
    char *file = source_single_file(json_text_or(source, "url", ""));
    AUTO(free_pointer) char *path = NULL;
    char name[DIGEST_TEXT];

    source_entry_name(source, name);
    s->entry.is_artifact = false;
    (void)digest_from_text(name, &s->entry.entry);
    TRY_PLAIN(source_open_cache(s));
    TRY_PLAIN(cache_open(s->cache, "sources", name, NULL, &e));
    if (!cache_is_whole(e))
        TRY_PLAIN(fill(s, e, source));
    path = file == NULL ? xstrdup(cache_files(e))
                        : xasprintf("%s/%s", cache_files(e), file);
    *ret_pin = source_pin_new(path, e);
    e = NULL;
    return SUCCESS;
}
