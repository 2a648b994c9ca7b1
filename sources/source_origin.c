#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/limits.h"
#include "common/memory.h"
#include "sources/source_internal.h"

const char source_weights_file[] = "model.safetensors";
const char source_index_file[] = "model.safetensors.index.json";

/* How the last part of a URL ends that is a file, not a model directory. */
static const char *const file_endings[] = {
    ".safetensors", ".json", ".jsonl", ".txt", ".bin",   ".npy",
    ".npz",         ".csv",  ".tsv",   ".gz",  ".zst",   ".tar",
    ".zip",         ".yaml", ".yml",   ".pt",  "-ubyte", ".parquet",
};

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

static char *base_name(const char *url)
{
    size_t end = strcspn(url, "?#");
    size_t from = end;

    while (from > 0 && url[from - 1] != '/')
        from--;
    return xstrndup(url + from, end - from);
}

char *source_single_file(const char *url)
{
    if (strncasecmp(url, "hf://", 5) == 0)
        return source_hub_file(url);
    return looks_like_a_file(url) ? base_name(url) : NULL;
}

char *source_escape(const char *text)
{
    char *escaped = xcalloc(3 * strlen(text) + 1, 1);
    char *at = escaped;

    for (; *text != '\0'; text++) {
        if (isalnum((unsigned char)*text) || strchr("-._~/", *text) != NULL)
            *at++ = *text;
        else
            at += snprintf(at, 4, "%%%02X", (unsigned char)*text);
    }
    return escaped;
}

MUST_CHECK static struct status open_web(struct source_store *s,
                                         const json_t *source,
                                         struct source_origin *o)
{
    size_t size = strcspn(o->url, "?#");

    (void)source;
    TRY_PLAIN(source_open_client(s, CLIENT_WEB, &o->http));
    o->query = xstrdup(o->url + size);
    while (size > 0 && o->url[size - 1] == '/')
        size--;
    o->base = xstrndup(o->url, size);
    o->file_url = xstrdup(o->url);
    return SUCCESS;
}

static const struct scheme {
    const char *start;
    struct status (*open)(struct source_store *s, const json_t *source,
                          struct source_origin *o);
} schemes[] = {
    { "http://", open_web },
    { "https://", open_web },
    { "hf://", source_hub_open },
    { "s3://", source_s3_open },
};

struct status source_origin_open(struct source_store *s, const json_t *source,
                                 struct source_origin *ret_origin)
{
    const char *url = json_text_or(source, "url", "");
    struct source_origin o = { .url = NULL };
    struct status st;

    for (size_t i = 0; i < COUNT_OF(schemes); i++) {
        if (strncasecmp(url, schemes[i].start, strlen(schemes[i].start)) != 0)
            continue;
        o.store = s;
        o.url = xstrdup(url);
        o.file = source_single_file(url);
        st = schemes[i].open(s, source, &o);
        if (status_failed(&st))
            source_origin_release(&o);
        else
            *ret_origin = o;
        return st;
    }
    return FAIL(STATUS_INVALID,
                "%s: sources are http://, https://, hf://, s3:// or file://",
                url);
}

void source_origin_release(struct source_origin *o)
{
    free(o->url);
    free(o->base);
    free(o->query);
    free(o->file);
    free(o->file_url);
    json_decref(o->names);
    *o = (struct source_origin){ .url = NULL };
}

char *source_origin_url(const struct source_origin *o, const char *name)
{
    AUTO(free_pointer) char *escaped = source_escape(name);

    if (o->file != NULL)
        return xstrdup(o->file_url);
    return xasprintf("%s/%s%s", o->base, escaped,
                     o->query != NULL ? o->query : "");
}

bool source_origin_lacks(const struct source_origin *o, const char *name)
{
    return o->names != NULL && json_object_get(o->names, name) == NULL;
}

struct status source_index_names(const json_t *index, const char *url,
                                 json_t **ret_names)
{
    AUTO(json_release) json_t *names = json_object();
    json_t *map;
    const char *tensor;
    const json_t *name;

    TRY(json_member_object(index, "weight_map", &map), "index of %s", url);
    json_object_foreach(map, tensor, name)
    {
        if (!json_is_string(name) ||
            !source_is_plain_path(json_string_value(name)))
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

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text);
    size_t tail = strlen(end);

    return size >= tail && strcmp(text + size - tail, end) == 0;
}

struct status source_sole_weights(const struct source_origin *o,
                                  json_t **ret_names)
{
    const char *found = NULL;
    const char *name;
    const json_t *unused;
    size_t count = 0;

    if (!source_origin_lacks(o, source_weights_file)) {
        *ret_names = json_pack("{s:n}", source_weights_file);
        return SUCCESS;
    }
    json_object_foreach(o->names, name, unused)
    {
        if (!ends_with(name, ".safetensors") || strchr(name, '/') != NULL)
            continue;
        found = name;
        count++;
    }
    if (count != 1)
        return FAIL(STATUS_NOT_FOUND, "%s holds %s (wanted: %s or %s)", o->url,
                    count == 0 ? "no *.safetensors" : "several *.safetensors",
                    source_weights_file, source_index_file);
    *ret_names = json_pack("{s:n}", found);
    return SUCCESS;
}

bool source_is_absent(const struct status *st)
{
    /* object stores deny what is not there to those who may not list */
    return st->code == STATUS_NOT_FOUND || st->code == STATUS_DENIED;
}

void source_entry_name(const json_t *source, char name[DIGEST_TEXT])
{
    AUTO(free_pointer) char *text = json_canonical(source);
    const struct digest d = digest_of(text, strlen(text));

    digest_to_text(&d, name);
}

struct status source_expected(const json_t *source, const char *name,
                              struct digest *ret_digest, bool *ret_has)
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
