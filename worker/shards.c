#include "worker/shards.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file.h"
#include "common/http_file.h"
#include "common/limits.h"
#include "common/memory.h"
#include "worker/shards_internal.h"

enum { DEPOT_GIVE_UP_MS = 5 * 1000 };

static const char weights_file[] = "model.safetensors";
static const char index_file[] = "model.safetensors.index.json";
/* Beside the weights; a model may lack any of them. */
static const char *const extra_files[] = {
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
};
/* How the last part of a URL ends that is a file, not a model directory. */
static const char *const file_endings[] = {
    ".safetensors", ".json", ".jsonl", ".txt", ".bin",   ".npy",
    ".npz",         ".csv",  ".tsv",   ".gz",  ".zst",   ".tar",
    ".zip",         ".yaml", ".yml",   ".pt",  "-ubyte", ".parquet",
};

struct shards *shards_new(const struct shards_settings *settings)
{
    struct shards *s = xnew(struct shards);

    s->settings = *settings;
    return s;
}

void shards_free(struct shards *s)
{
    if (s == NULL)
        return;
    cache_free(s->cache);
    http_free(s->http);
    http_free(s->depot);
    free(s);
}

/* Another process fetches what we want: it works for us. */
static bool waiting(void *self)
{
    const struct shards *s = self;

    if (s->settings.progress != NULL)
        s->settings.progress(s->settings.self, 0, 0);
    return s->settings.cancelled == NULL ||
           !s->settings.cancelled(s->settings.self);
}

struct status shards_open(struct shards *s)
{
    const struct shards_settings *from = &s->settings;
    const struct cache_settings cache = { .directory = from->directory,
                                          .size_limit = from->size_limit,
                                          .waiting = waiting,
                                          .self = s };
    const struct http_settings http = { .token_file = from->token_file,
                                        .token_prefix = from->token_prefix,
                                        .cancelled = from->cancelled,
                                        .progress = from->progress,
                                        .self = from->self };
    const struct http_settings depot = { .give_up_ms = DEPOT_GIVE_UP_MS,
                                         .cancelled = from->cancelled,
                                         .progress = from->progress,
                                         .self = from->self };

    if (s->cache == NULL)
        TRY_PLAIN(cache_new(&cache, &s->cache));
    if (s->http == NULL)
        TRY_PLAIN(http_new(&http, &s->http));
    if (s->depot == NULL)
        TRY_PLAIN(http_new(&depot, &s->depot));
    return SUCCESS;
}

struct shards_pin *shards_pin_new(const char *path, struct cache_entry *entry)
{
    struct shards_pin *pin = xnew(struct shards_pin);

    pin->path = xstrdup(path);
    pin->entry = entry;
    return pin;
}

const char *shards_path(const struct shards_pin *pin)
{
    return pin->path;
}

void shards_unpin(struct shards_pin *pin)
{
    if (pin == NULL)
        return;
    cache_close(pin->entry);
    free(pin->path);
    free(pin);
}

void shards_close_entry(struct cache_entry **entry)
{
    cache_close(*entry);
}

bool shards_is_plain_path(const char *path)
{
    const char *part = path;

    if (strlen(path) >= 512)
        return false;
    for (;;) {
        size_t size = strcspn(part, "/");

        if (size == 0 || (size == 1 && part[0] == '.') ||
            (size == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        for (size_t i = 0; i < size; i++) {
            if (iscntrl((unsigned char)part[i]))
                return false;
        }
        if (part[size] == '\0')
            return true;
        part += size + 1;
    }
}

static bool climbs(const char *url)
{
    return strstr(url, "/..") != NULL || strcasestr(url, "%2e") != NULL;
}

MUST_CHECK static struct status check_allowed(const struct shards *s,
                                              const char *url)
{
    bool allowed = s->settings.prefix_count == 0;

    for (size_t i = 0; i < s->settings.prefix_count; i++) {
        const char *prefix = s->settings.prefixes[i];
        size_t size = strlen(prefix);

        /* "https://a.org" is not to cover "https://a.org.evil.net" */
        if (size > 0 && strncmp(url, prefix, size) == 0 && !climbs(url) &&
            (prefix[size - 1] == '/' || strchr("/?#", url[size]) != NULL))
            allowed = true;
    }
    if (!allowed)
        return FAIL(STATUS_DENIED,
                    "%s: no --allow-url of this worker "
                    "covers it",
                    url);
    return SUCCESS;
}

/* Of the sweep's "sha256": {file: hex}, or one hex for a single file. */
MUST_CHECK static struct status expected_of(const json_t *source,
                                            const char *name,
                                            struct digest *ret_digest,
                                            bool *ret_has)
{
    const json_t *map = json_object_get(source, "sha256");
    const char *hex = json_is_string(map) ? json_string_value(map)
                                          : json_text_or(map, name, NULL);

    *ret_has = hex != NULL;
    if (hex != NULL && !digest_from_text(hex, ret_digest))
        return FAIL(STATUS_INVALID, "%s: sha256 of %s is not 64 hex digits",
                    json_text_or(source, "url", ""), name);
    return SUCCESS;
}

static bool looks_like_a_file(const char *url)
{
    size_t size = strcspn(url, "?#");

    for (size_t i = 0; i < COUNT_OF(file_endings); i++) {
        size_t end = strlen(file_endings[i]);

        if (size > end &&
            strncasecmp(url + size - end, file_endings[i], end) == 0)
            return true;
    }
    return false;
}

/* "http://host/model?key=1" and a file of it; names from an index are escaped
 * as a path. */
static char *url_of(const char *base, const char *name)
{
    size_t size = strcspn(base, "?#");
    const char *query = base + size;
    AUTO(free_pointer) char *escaped = xcalloc(3 * strlen(name) + 1, 1);
    char *at = escaped;

    while (size > 0 && base[size - 1] == '/')
        size--;
    for (; *name != '\0'; name++) {
        if (isalnum((unsigned char)*name) || strchr("-._~/", *name) != NULL)
            *at++ = *name;
        else
            at += snprintf(at, 4, "%%%02X", (unsigned char)*name);
    }
    return xasprintf("%.*s/%s%s", (int)size, base, escaped, query);
}

struct status shards_have_file(struct http *http, struct cache_entry *e,
                               const char *url, const char *name,
                               const struct digest *expected)
{
    AUTO(free_pointer) char *path = xasprintf("%s/%s", cache_files(e), name);
    char *slash = strrchr(path, '/');
    struct digest found;
    struct http_info info;

    if (file_exists(path)) {
        TRY(digest_of_file(path, &found), "%s", url);
        if (expected == NULL || digest_equal(&found, expected))
            return cache_add(e, name, &found);
        (void)unlink(path);
    }
    *slash = '\0';
    TRY(file_make_directories(path), "cache of the worker");
    *slash = '/';
    TRY_PLAIN(http_download(http, url, path, expected, &found, &info));
    return cache_add(e, name, &found);
}

/* One file of a source, checked if a digest is known: from the sweep or from
 * the server. */
MUST_CHECK static struct status have_part(struct shards *s,
                                          struct cache_entry *e,
                                          const json_t *source, const char *url,
                                          const char *name,
                                          const char *served_digest)
{
    struct digest expected;
    bool known;

    TRY_PLAIN(expected_of(source, name, &expected, &known));
    if (!known)
        known = digest_from_text(served_digest, &expected);
    return shards_have_file(s->http, e, url, name, known ? &expected : NULL);
}

static bool is_absent(const struct status *st)
{
    /* object stores deny what is not there to those who may not list */
    return st->code == STATUS_NOT_FOUND || st->code == STATUS_DENIED;
}

MUST_CHECK static struct status have_optional(struct shards *s,
                                              struct cache_entry *e,
                                              const json_t *source,
                                              const char *name)
{
    AUTO(free_pointer)
    char *url = url_of(json_text_or(source, "url", ""), name);
    struct status st = have_part(s, e, source, url, name, "");

    return status_failed(&st) && !is_absent(&st) ? st : SUCCESS;
}

/* The distinct file names of an index, as the keys of a new object. */
MUST_CHECK static struct status read_index(const char *path, const char *url,
                                           json_t **ret_names)
{
    AUTO(json_release) json_t *index = NULL;
    AUTO(json_release) json_t *names = json_object();
    json_t *map;
    const char *tensor;
    const json_t *name;

    TRY(json_parse_file(path, LIMIT_INDEX, &index), "index of %s", url);
    TRY(json_member_object(index, "weight_map", &map), "index of %s", url);
    json_object_foreach(map, tensor, name)
    {
        if (!json_is_string(name) ||
            !shards_is_plain_path(json_string_value(name)))
            return FAIL(STATUS_CORRUPT,
                        "index of %s: tensor %s is in no proper file", url,
                        tensor);
        (void)json_object_set_new(names, json_string_value(name), json_null());
    }
    if (json_object_size(names) == 0 || json_object_size(names) > LIMIT_SHARDS)
        return FAIL(STATUS_CORRUPT, "index of %s names %zu files", url,
                    json_object_size(names));
    *ret_names = names;
    names = NULL;
    return SUCCESS;
}

/* Which files hold the weights. */
MUST_CHECK static struct status list_weights(struct shards *s,
                                             struct cache_entry *e,
                                             const json_t *source,
                                             json_t **ret_names)
{
    AUTO(free_pointer)
    char *path = xasprintf("%s/%s", cache_files(e), index_file);

    TRY_PLAIN(have_optional(s, e, source, index_file));
    if (file_exists(path))
        return read_index(path, json_text_or(source, "url", ""), ret_names);
    *ret_names = json_pack("{s:n}", weights_file);
    return SUCCESS;
}

/* Look at each file before the first byte is written: a missing one or a full
 * disk is known early. `names` gets the digests the server tells. */
MUST_CHECK static struct status reserve(struct shards *s, struct cache_entry *e,
                                        const char *base, json_t *names)
{
    uint64_t bytes = 0;
    uint64_t missing = 0;
    const char *name;
    json_t *value;

    json_object_foreach(names, name, value)
    {
        AUTO(free_pointer) char *url = base == NULL ? NULL : url_of(base, name);
        AUTO(free_pointer)
        char *path = xasprintf("%s/%s", cache_files(e), name);
        struct http_info info;

        if (json_is_string(value)) /* the URL itself */
            url = xstrdup(json_string_value(value));
        TRY_PLAIN(http_head(s->http, url, &info));
        if (info.size > 0)
            bytes += (uint64_t)info.size;
        if (info.size > 0 && !file_exists(path))
            missing += (uint64_t)info.size;
        (void)json_object_set_new(names, name, json_string(info.sha256));
    }
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

        if (!shards_is_plain_path(name) || !file_exists(path))
            return FAIL(STATUS_INVALID,
                        "%s: sha256 is given for %s, which it does not have",
                        json_text_or(source, "url", ""), name);
    }
    return SUCCESS;
}

MUST_CHECK static struct status fetch_model(struct shards *s,
                                            struct cache_entry *e,
                                            const json_t *source)
{
    const char *base = json_text_or(source, "url", "");
    AUTO(json_release) json_t *names = NULL;
    const char *name;
    const json_t *served;
    struct status st;

    TRY_PLAIN(list_weights(s, e, source, &names));
    st = reserve(s, e, base, names);
    if (st.code == STATUS_NOT_FOUND && json_object_size(names) == 1)
        return status_wrap(st, "no model at %s (no %s either)", base,
                           index_file);
    TRY_PLAIN(st);
    for (size_t i = 0; i < COUNT_OF(extra_files); i++)
        TRY_PLAIN(have_optional(s, e, source, extra_files[i]));
    json_object_foreach(names, name, served)
    {
        AUTO(free_pointer) char *url = url_of(base, name);

        TRY_PLAIN(
            have_part(s, e, source, url, name, json_string_value(served)));
    }
    return check_all_used(e, source);
}

/* The last part of a URL's path; the caller frees. */
static char *base_name(const char *url)
{
    size_t end = strcspn(url, "?#");
    size_t from = end;

    while (from > 0 && url[from - 1] != '/')
        from--;
    return xstrndup(url + from, end - from);
}

MUST_CHECK static struct status fetch_single(struct shards *s,
                                             struct cache_entry *e,
                                             const json_t *source,
                                             const char *name)
{
    const char *url = json_text_or(source, "url", "");
    AUTO(json_release) json_t *names = json_pack("{s:s}", name, url);

    TRY_PLAIN(reserve(s, e, NULL, names));
    TRY_PLAIN(
        have_part(s, e, source, url, name, json_text_or(names, name, "")));
    return json_is_object(json_object_get(source, "sha256"))
               ? check_all_used(e, source)
               : SUCCESS;
}

/* The entry's name: what was asked for, not where it is kept. */
static void name_of(const json_t *source, char name[DIGEST_TEXT])
{
    AUTO(free_pointer) char *text = json_canonical(source);
    const struct digest d = digest_of(text, strlen(text));

    digest_to_text(&d, name);
}

MUST_CHECK static struct status fetch_remote(struct shards *s,
                                             const json_t *source,
                                             struct shards_pin **ret_pin)
{
    const char *url = json_text_or(source, "url", "");
    AUTO(shards_close_entry) struct cache_entry *e = NULL;
    AUTO(free_pointer) char *file = NULL;
    AUTO(free_pointer) char *path = NULL;
    char name[DIGEST_TEXT];

    if (looks_like_a_file(url))
        file = base_name(url);
    name_of(source, name);
    TRY_PLAIN(shards_open(s));
    TRY_PLAIN(cache_open(s->cache, "sources", name, NULL, &e));
    if (!cache_is_whole(e)) {
        if (file != NULL)
            TRY_PLAIN(fetch_single(s, e, source, file));
        else
            TRY_PLAIN(fetch_model(s, e, source));
        TRY_PLAIN(cache_finish(s->cache, e));
    }
    path = file == NULL ? xstrdup(cache_files(e))
                        : xasprintf("%s/%s", cache_files(e), file);
    *ret_pin = shards_pin_new(path, e);
    e = NULL;
    return SUCCESS;
}

MUST_CHECK static struct status check_in_place(struct cache_entry *e,
                                               const json_t *source,
                                               const char *name)
{
    AUTO(free_pointer) char *path = xasprintf("%s/%s", cache_files(e), name);
    char texts[2][DIGEST_TEXT];
    struct digest expected;
    struct digest found;
    bool known;

    TRY_PLAIN(expected_of(source, name, &expected, &known));
    if (!known)
        return SUCCESS;
    TRY(digest_of_file(path, &found), "%s", json_text_or(source, "url", ""));
    digest_to_text(&found, texts[0]);
    digest_to_text(&expected, texts[1]);
    if (!digest_equal(&found, &expected))
        return FAIL(STATUS_CORRUPT, "%s has sha256 %s, the sweep says %s", path,
                    texts[0], texts[1]);
    return cache_add(e, name, &found);
}

/* Files in place are hashed once, and again only when they have changed. */
MUST_CHECK static struct status check_place(struct shards *s,
                                            const json_t *source,
                                            const char *path, bool is_directory)
{
    AUTO(shards_close_entry) struct cache_entry *e = NULL;
    const char *slash = strrchr(path, '/');
    AUTO(free_pointer)
    char *place =
        is_directory ? xstrdup(path) : xstrndup(path, (size_t)(slash - path));
    json_t *map = json_object_get(source, "sha256");
    const char *file;
    const json_t *hex;
    char name[DIGEST_TEXT];

    name_of(source, name);
    TRY_PLAIN(shards_open(s));
    TRY_PLAIN(cache_open(s->cache, "places", name, place, &e));
    if (cache_is_whole(e))
        return SUCCESS;
    if (!json_is_object(map))
        TRY_PLAIN(check_in_place(e, source, slash + 1));
    json_object_foreach(map, file, hex)
        TRY_PLAIN(check_in_place(e, source, file));
    TRY_PLAIN(check_all_used(e, source));
    return cache_finish(s->cache, e);
}

MUST_CHECK static struct status fetch_local(struct shards *s,
                                            const json_t *source,
                                            struct shards_pin **ret_pin)
{
    const char *url = json_text_or(source, "url", "");
    AUTO(free_pointer) char *path = NULL;
    struct stat info;

    if (http_file_is(url))
        TRY_PLAIN(http_file_path(url, &path));
    else
        path = xstrdup(url);
    if (stat(path, &info) != 0)
        return FAIL(file_error(errno), "%s: %s", url, strerror(errno));
    if (json_object_get(source, "sha256") != NULL)
        TRY_PLAIN(check_place(s, source, path, S_ISDIR(info.st_mode)));
    *ret_pin = shards_pin_new(path, NULL);
    return SUCCESS;
}

struct status shards_fetch(struct shards *s, const json_t *source,
                           struct shards_pin **ret_pin)
{
    const char *url;

    TRY(json_member_text(source, "url", &url), "source");
    TRY_PLAIN(check_allowed(s, url));
    if (http_file_is(url) || url[0] == '/')
        return fetch_local(s, source, ret_pin);
    if (strncasecmp(url, "http://", 7) == 0 ||
        strncasecmp(url, "https://", 8) == 0)
        return fetch_remote(s, source, ret_pin);
    return FAIL(STATUS_INVALID, "%s: sources are http://, https:// or file://",
                url);
}
