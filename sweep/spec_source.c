#include <stdlib.h>
#include <string.h>

#include "common/digest.h"
#include "common/memory.h"
#include "sweep/spec_parts.h"

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* Forms of coming versions, and what to call them. */
static const struct {
    const char *start, *what;
} later[] = {
    { "sinter://", "the farm's own store" },
    { "trial://", "the result of another sweep" },
};

static const char forms[] =
    "known forms: org/name, hf://org/name@revision, https://..., http://..., "
    "s3://bucket/prefix, file:///path, ./path, /path";

static void bad_source(struct spec *s, struct yaml_place place,
                       const char *message, const char *text)
{
    struct spec_problem *p = problem_add(s->problems, PROBLEM_BAD_SOURCE, place,
                                         "\"%.80s\" %s", text, message);

    problem_note(p, "%s", forms);
}

/* "https://user:secret@host/": secrets never stand in a sweep file. */
static bool has_password(const char *url)
{
    const char *host = strstr(url, "://");
    size_t length;

    if (host == NULL || starts_with(url, "hf://"))
        return false;
    host += 3;
    length = strcspn(host, "/");
    return memchr(host, '@', length) != NULL;
}

static bool is_printable(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text <= ' ' || *text == 0x7F)
            return false;
    }
    return true;
}

/* "/a/b" + "./c/../d": parts of a path one by one, so that equal files have
 * equal URLs. */
static char *absolute_path(const char *directory, const char *path)
{
    AUTO(free_pointer)
    char *all =
        *path == '/' ? xstrdup(path) : xasprintf("%s/%s", directory, path);
    char *out = xcalloc(strlen(all) + 2, 1);
    size_t used = 0;

    for (const char *part = all; *part != '\0';) {
        size_t length;

        part += strspn(part, "/");
        length = strcspn(part, "/");
        if (length == 2 && strncmp(part, "..", 2) == 0) {
            while (used > 0 && out[--used] != '/')
                continue;
        } else if (length > 0 && (length != 1 || *part != '.')) {
            out[used++] = '/';
            memcpy(out + used, part, length);
            used += length;
        }
        part += length;
    }
    out[used] = '\0';
    if (used == 0)
        out[0] = '/';
    return out;
}

static char *path_url(struct spec *s, const char *path, struct yaml_place place)
{
    AUTO(free_pointer) char *absolute = NULL;

    if (*path != '/' && s->input->directory == NULL) {
        bad_source(s, place, "is relative, and the file has no directory",
                   path);
        return NULL;
    }
    absolute = absolute_path(s->input->directory, path);
    return xasprintf("file://%s", absolute);
}

/* "org/name" or "org/name@revision", not "data/train.jsonl". */
static bool reads_like_the_hubs(const char *text)
{
    static const char *const files[] = { ".safetensors", ".json", ".jsonl",
                                         ".txt",         ".bin",  ".npy",
                                         ".csv",         ".gz",   ".yaml" };
    const char *slash = strchr(text, '/');
    const char *dot = strrchr(text, '.');
    size_t used = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                               "abcdefghijklmnopqrstuvwxyz0123456789-_./@%+~");

    for (size_t i = 0; i < COUNT_OF(files) && dot != NULL; i++) {
        if (strcmp(dot, files[i]) == 0)
            return false;
    }
    return text[used] == '\0' && slash != NULL && slash > text &&
           slash[1] != '\0' && slash[1] != '@' &&
           strchr(slash + 1, '/') == NULL && *text != '.' && *text != '@';
}

static char *url_of(struct spec *s, const char *text, struct yaml_place place)
{
    for (size_t i = 0; i < COUNT_OF(later); i++) {
        if (starts_with(text, later[i].start)) {
            struct spec_problem *p =
                problem_add(s->problems, PROBLEM_LATER, place,
                            "`%s` (%s) is not in this version", later[i].start,
                            later[i].what);

            problem_note(p, "%s", forms);
            return NULL;
        }
    }
    if (strlen(text) >= LIMIT_URL || !is_printable(text))
        bad_source(s, place, "is no URL: too long, or with blanks (write %20)",
                   text);
    else if (has_password(text))
        bad_source(s, place, "holds a user name or password", text);
    else if (starts_with(text, "http://") || starts_with(text, "https://") ||
             starts_with(text, "hf://") || starts_with(text, "s3://"))
        return xstrdup(text);
    else if (starts_with(text, "file:///"))
        return path_url(s, text + strlen("file://"), place);
    else if (*text == '/' || starts_with(text, "./") ||
             starts_with(text, "../"))
        return path_url(s, text, place);
    else if (reads_like_the_hubs(text))
        return xasprintf("hf://%s", text);
    return NULL;
}

static const char *base_name(const char *url)
{
    const char *slash = strrchr(url, '/');

    return slash == NULL ? url : slash + 1;
}

static bool is_digest(const char *text)
{
    struct digest unused;

    return text != NULL && digest_from_text(text, &unused);
}

/* `sha256: HEX` of the one file, or a map of file names. */
static json_t *digests_json(struct spec *s, const char *url,
                            const struct yaml_node *node)
{
    json_t *map = json_object();
    bool good = node->type == YAML_MAP || is_digest(node->text);

    for (size_t i = 0; i < node->count && node->type == YAML_MAP; i++) {
        const struct yaml_pair *pair = &node->pairs[i];

        good = good && is_digest(pair->value->text);
        if (good)
            (void)json_object_set_new(map, pair->key->text,
                                      json_string(pair->value->text));
    }
    if (!good) {
        problem_suggest(problem_add(s->problems, PROBLEM_WRONG_TYPE,
                                    node->place,
                                    "`sha256` takes 64 lower-case hex digits"),
                        "or a map of file names to digests");
        json_decref(map);
        return NULL;
    }
    if (node->type != YAML_MAP)
        (void)json_object_set_new(map, base_name(url), json_string(node->text));
    return map;
}

static const struct source *find_source(const struct spec *s, const char *name)
{
    for (size_t i = 0; i < s->source_count; i++) {
        if (strcmp(s->sources[i].name, name) == 0)
            return &s->sources[i];
    }
    return NULL;
}

static json_t *new_source(char *url, json_t *digests, const char *secret)
{
    json_t *json = json_pack("{s:s}", "url", url);

    free(url);
    if (digests != NULL)
        (void)json_object_set_new(json, "sha256", digests);
    if (secret != NULL)
        (void)json_object_set_new(json, "secret", json_string(secret));
    return json;
}

static size_t problems_of(const struct spec *s)
{
    return s->problems->count + s->problems->more;
}

/* A source as a map: url, sha256, secret. */
static json_t *read_map(struct spec *s, const struct yaml_pair *pair)
{
    size_t before = problems_of(s);
    const struct yaml_node *digests = yaml_get(pair->value, "sha256");
    const struct yaml_node *place = yaml_get(pair->value, "url");
    AUTO(json_release)
    json_t *map = spec_section(s, "sources.NAME",
                               spec_section_keys("sources.NAME"), pair);
    const char *text = json_text_or(map, "url", NULL);
    char *url = text == NULL ? NULL : url_of(s, text, place->place);
    json_t *hashes = NULL;

    if (url == NULL) {
        if (text != NULL && problems_of(s) == before)
            bad_source(s, place->place, "is no URL", text);
        return NULL;
    }
    if (digests != NULL) {
        hashes = digests_json(s, url, digests);
        if (hashes == NULL) {
            free(url);
            return NULL;
        }
    }
    return new_source(url, hashes, json_text_or(map, "secret", NULL));
}

static json_t *read_text(struct spec *s, const struct yaml_node *node)
{
    size_t before = problems_of(s);
    char *url =
        node->type == YAML_TEXT ? url_of(s, node->text, node->place) : NULL;

    if (url != NULL)
        return new_source(url, NULL, NULL);
    if (node->type == YAML_TEXT && problems_of(s) == before)
        bad_source(s, node->place, "is no URL", node->text);
    else if (node->type != YAML_TEXT)
        problem_suggest(problem_add(s->problems, PROBLEM_WRONG_TYPE,
                                    node->place,
                                    "a source is a URL or a map with `url`"),
                        "this is %s", yaml_type_name(node));
    return NULL;
}

void spec_read_sources(struct spec *s)
{
    const struct yaml_pair *section = yaml_find(s->root, "sources");
    const struct yaml_node *map = section == NULL ? NULL : section->value;

    if (section == NULL)
        return;
    if (map->type != YAML_MAP) {
        problem_add(s->problems, PROBLEM_WRONG_TYPE, map->place,
                    "`sources` takes a map of names to URLs");
        return;
    }
    s->sources = xcalloc(map->count + 1, sizeof *s->sources);
    for (size_t i = 0; i < map->count; i++) {
        const struct yaml_pair *pair = &map->pairs[i];

        if (!spec_check_name(s, pair->key, "a source", false))
            continue;
        s->sources[s->source_count++] = (struct source){
            .name = pair->key->text,
            .place = pair->key->place,
            .json = pair->value->type == YAML_MAP ? read_map(s, pair)
                                                  : read_text(s, pair->value),
        };
    }
}

static const char **source_names(const struct spec *s)
{
    const char **names = xcalloc(s->source_count + 1, sizeof *names);

    for (size_t i = 0; i < s->source_count; i++)
        names[i] = s->sources[i].name;
    return names;
}

static void unknown_source(struct spec *s, const char *text,
                           struct yaml_place place)
{
    AUTO(free_pointer) const char **names = source_names(s);
    struct spec_problem *p;

    p = problem_add(s->problems, PROBLEM_BAD_SOURCE, place,
                    "\"%.80s\" is neither a name of `sources` nor a URL", text);
    problem_nearest(p, text, names);
    problem_note(p, "%s", forms);
}

/* By the rules of whoever compiles; any form may be known there. */
static json_t *located(struct spec *s, const char *text,
                       struct yaml_place place)
{
    char *url = s->input->locate(s->input->self, text);

    if (strstr(url, "://") == NULL)
        bad_source(s, place, "is no path that exists and no URL", text);
    else if (has_password(url))
        bad_source(s, place, "holds a user name or password", text);
    else if (strlen(url) >= LIMIT_URL || !is_printable(url))
        bad_source(s, place, "is too long for a source, or has blanks", text);
    else
        return json_pack("{s:o}", "$source", new_source(url, NULL, NULL));
    free(url);
    return NULL;
}

/* mergekit's "model+adapter"; a plus alone may be part of a path or URL. */
static bool is_with_adapter(const char *text)
{
    bool is_path = *text == '/' || *text == '.' || strstr(text, "://") != NULL;
    const char *plus = strrchr(text, '+');

    return plus != NULL && plus[1] != '\0' &&
           (!is_path || plus[1] == '/' || starts_with(plus + 1, "./") ||
            starts_with(plus + 1, "../"));
}

json_t *spec_source_value(struct spec *s, const char *text,
                          struct yaml_place place)
{
    size_t before = problems_of(s);
    struct source *found = (struct source *)(uintptr_t)find_source(s, text);
    char *url;

    if (is_with_adapter(text)) {
        bad_source(s, place,
                   "is a model and an adapter; merge the adapter into the "
                   "model first",
                   text);
        return NULL;
    }
    if (s->input->locate != NULL)
        return located(s, text, place);
    if (found != NULL) {
        found->used = true;
        return found->json == NULL ? NULL
                                   : json_pack("{s:O}", "$source", found->json);
    }
    url = url_of(s, text, place);
    if (url != NULL)
        return json_pack("{s:o}", "$source", new_source(url, NULL, NULL));
    if (problems_of(s) == before)
        unknown_source(s, text, place);
    return NULL;
}

void spec_warn_sources(struct spec *s)
{
    for (size_t i = 0; i < s->source_count; i++) {
        if (!s->sources[i].used)
            problem_suggest(problem_add(s->problems, PROBLEM_UNUSED_SOURCE,
                                        s->sources[i].place,
                                        "nothing uses the source `%.60s`",
                                        s->sources[i].name),
                            "remove it, or name it in a body");
    }
}
