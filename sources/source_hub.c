/* {base}/{org}/{name}/resolve/{rev}/{file} are the files,
 * {base}/api/models/{org}/{name}/revision/{rev} says what a revision is and
 * has; for data sets "datasets" stands before and in the place of "models". */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/limits.h"
#include "common/memory.h"
#include "sources/source_internal.h"

static const char scheme[] = "hf://";
static const char data_sets[] = "datasets/";

struct hub_name {
    bool is_data;
    char *id;       /* "org/name" */
    char *revision; /* as it stands in a URL */
    char *file;     /* NULL: a model */
};

static void name_release(struct hub_name *n)
{
    free(n->id);
    free(n->revision);
    free(n->file);
}

static bool is_id(const char *id)
{
    const char *slash = strchr(id, '/');

    for (const char *at = id; *at != '\0'; at++) {
        if (!isalnum((unsigned char)*at) && strchr("-._/", *at) == NULL)
            return false;
    }
    return source_is_plain_path(id) &&
           (slash == NULL || strchr(slash + 1, '/') == NULL);
}

static bool is_revision(const char *text)
{
    for (const char *at = text; *at != '\0'; at++) {
        if (!isalnum((unsigned char)*at) && strchr("-._~%+", *at) == NULL)
            return false;
    }
    return text[0] != '\0' && text[0] != '.';
}

static bool is_commit(const char *text)
{
    return strlen(text) == 40 && strspn(text, "0123456789abcdef") == 40;
}

/* hf://[datasets/]org/name[@rev][/file]; names of old have no org. */
MUST_CHECK static struct status read_name(const char *url,
                                          struct hub_name *ret_name)
{
    struct hub_name n = { .id = NULL };
    const char *at = url + strlen(scheme);
    size_t size;
    bool is_good;

    n.is_data = strncmp(at, data_sets, strlen(data_sets)) == 0;
    at += n.is_data ? strlen(data_sets) : 0;
    size = strcspn(at, "/@");
    if (at[size] == '/')
        size += 1 + strcspn(at + size + 1, "/@");
    n.id = xstrndup(at, size);
    at += size;
    n.revision =
        *at == '@' ? xstrndup(at + 1, strcspn(at + 1, "/")) : xstrdup("main");
    at += *at == '@' ? strcspn(at, "/") : 0;
    while (*at == '/')
        at++;
    n.file = *at != '\0' ? xstrdup(at) : NULL;
    is_good = is_id(n.id) && is_revision(n.revision) &&
              (n.file == NULL || source_is_plain_path(n.file));
    *ret_name = n;
    return is_good ? SUCCESS
                   : FAIL(STATUS_INVALID,
                          "%s: write hf://org/name, hf://org/name@revision or "
                          "hf://org/name/file",
                          url);
}

char *source_hub_file(const char *url)
{
    AUTO(name_release) struct hub_name n = { .id = NULL };
    struct status st = read_name(url, &n);
    const char *slash = n.file != NULL ? strrchr(n.file, '/') : NULL;

    if (status_failed(&st) || n.file == NULL)
        return NULL;
    return xstrdup(slash != NULL ? slash + 1 : n.file);
}

char *source_hub_base(const struct source_store *s)
{
    const char *base = s->settings.hub;
    size_t size;

    if (base == NULL)
        base = getenv("HF_ENDPOINT");
    if (base == NULL || base[0] == '\0')
        base = "https://huggingface.co";
    size = strlen(base);
    while (size > 0 && base[size - 1] == '/')
        size--;
    return xstrndup(base, size);
}

static struct status explain(struct status st, const char *url)
{
    if (st.code == STATUS_NOT_FOUND)
        return status_wrap(st,
                           "%s: the hub has no such model or revision (a path "
                           "is written ./org/name)",
                           url);
    if (st.code == STATUS_DENIED)
        return status_wrap(st,
                           "%s: there is no such model, or it needs a token: "
                           "--token-file or HF_TOKEN",
                           url);
    return status_wrap(st, "%s", url);
}

/* {"sha", "siblings": [{"rfilename"} ...]} of a revision. */
MUST_CHECK static struct status ask(struct source_store *s, const char *url,
                                    const struct hub_name *n,
                                    json_t **ret_answer)
{
    AUTO(free_pointer) char *base = source_hub_base(s);
    AUTO(free_pointer)
    char *api =
        xasprintf("%s/api/%s/%s/revision/%s", base,
                  n->is_data ? "datasets" : "models", n->id, n->revision);
    AUTO(free_pointer) char *text = NULL;
    AUTO(json_release) json_t *answer = NULL;
    struct http *http;
    struct status st;
    size_t size;

    TRY_PLAIN(source_open_client(s, CLIENT_HUB, &http));
    st = http_get(http, api, LIMIT_INDEX, &text, &size);
    if (status_failed(&st))
        return explain(st, url);
    TRY_PLAIN(json_parse(text, size, api, &answer));
    if (!is_commit(json_text_or(answer, "sha", "")) ||
        !json_is_array(json_object_get(answer, "siblings")))
        return FAIL(STATUS_CORRUPT, "%s tells no commit and no files", api);
    *ret_answer = json_incref(answer);
    return SUCCESS;
}

static json_t *names_of(const json_t *answer)
{
    json_t *names = json_object();
    const json_t *row;
    size_t i;

    json_array_foreach(json_object_get(answer, "siblings"), i, row)
    {
        const char *name = json_text_or(row, "rfilename", NULL);

        if (name != NULL && source_is_plain_path(name))
            (void)json_object_set_new(names, name, json_null());
    }
    return names;
}

/* The commit that was found when the sweep was sent, if it was. */
static void use_version(const json_t *source, struct hub_name *n)
{
    const char *version = json_text_or(source, "version", "");

    if (!is_commit(version))
        return;
    free(n->revision);
    n->revision = xstrdup(version);
}

MUST_CHECK static struct status open_hub(struct source_store *s,
                                         struct hub_name *n,
                                         struct source_origin *o)
{
    AUTO(free_pointer) char *base = source_hub_base(s);
    AUTO(free_pointer) char *escaped = NULL;
    AUTO(json_release) json_t *answer = NULL;

    if (n->file == NULL && n->is_data)
        return FAIL(STATUS_INVALID,
                    "%s names a data set; name a file of it: %s/FILE", o->url,
                    o->url);
    TRY_PLAIN(source_open_client(s, CLIENT_HUB, &o->http));
    TRY_PLAIN(ask(s, o->url, n, &answer));
    (void)snprintf(o->commit, sizeof o->commit, "%s",
                   json_text_or(answer, "sha", ""));
    o->names = names_of(answer);
    o->base = xasprintf("%s/%s%s/resolve/%s", base, n->is_data ? data_sets : "",
                        n->id, o->commit);
    if (n->file == NULL)
        return SUCCESS;
    if (source_origin_lacks(o, n->file))
        return FAIL(STATUS_NOT_FOUND, "%s: there is no such file at %.12s",
                    o->url, o->commit);
    escaped = source_escape(n->file);
    o->file_url = xasprintf("%s/%s", o->base, escaped);
    return SUCCESS;
}

struct status source_hub_open(struct source_store *s, const json_t *source,
                              struct source_origin *o)
{
    AUTO(name_release) struct hub_name n = { .id = NULL };

    TRY_PLAIN(read_name(o->url, &n));
    use_version(source, &n);
    return open_hub(s, &n, o);
}

/* One spelling whatever the revision was called. */
static char *url_without_revision(const struct hub_name *n)
{
    return xasprintf("%s%s%s%s%s", scheme, n->is_data ? data_sets : "", n->id,
                     n->file != NULL ? "/" : "",
                     n->file != NULL ? n->file : "");
}

struct status source_hub_settle(struct source_store *s, const json_t *source,
                                json_t **ret_source)
{
    AUTO(name_release) struct hub_name n = { .id = NULL };
    AUTO(json_release) json_t *answer = NULL;
    AUTO(free_pointer) char *plain = NULL;
    const char *url = json_text_or(source, "url", "");

    *ret_source = json_copy((json_t *)(uintptr_t)source);
    if (strncasecmp(url, scheme, strlen(scheme)) != 0)
        return SUCCESS;
    TRY_PLAIN(read_name(url, &n));
    use_version(source, &n);
    if (!is_commit(n.revision))
        TRY_PLAIN(ask(s, url, &n, &answer));
    plain = url_without_revision(&n);
    (void)json_object_set_new(*ret_source, "url", json_string(plain));
    (void)json_object_set_new(
        *ret_source, "version",
        json_string(json_text_or(answer, "sha", n.revision)));
    return SUCCESS;
}
