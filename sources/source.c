#include "sources/source.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "common/file.h"
#include "common/http_file.h"
#include "common/memory.h"
#include "sources/held.h"
#include "sources/source_internal.h"

enum { DEPOT_GIVE_UP_MS = 5 * 1000 };

struct source_store *source_store_new(const struct source_settings *settings)
{
    struct source_store *s = xnew(struct source_store);

    s->settings = *settings;
    return s;
}

void source_store_free(struct source_store *s)
{
    if (s == NULL)
        return;
    source_set_peers(s, NULL, 0);
    free(s->lenders);
    cache_free(s->cache);
    for (size_t i = 0; i < CLIENT_COUNT; i++)
        http_free(s->clients[i]);
    free(s->depot);
    free(s);
}

uint64_t source_bytes(const struct source_store *s)
{
    uint64_t bytes = s->forgotten + source_pull_received(s);

    for (size_t i = 0; i < CLIENT_COUNT; i++)
        bytes += s->clients[i] != NULL ? http_received(s->clients[i]) : 0;
    return bytes;
}

/* Another process fetches what we want: it works for us. */
static bool waiting(void *self)
{
    const struct source_store *s = self;

    if (s->settings.progress != NULL)
        s->settings.progress(s->settings.self, 0, 0);
    return s->settings.cancelled == NULL ||
           !s->settings.cancelled(s->settings.self);
}

struct status source_open_cache(struct source_store *s)
{
    const struct cache_settings settings = { .directory = s->settings.directory,
                                             .size_limit =
                                                 s->settings.size_limit,
                                             .waiting = waiting,
                                             .self = s };

    return s->cache == NULL ? cache_new(&settings, &s->cache) : SUCCESS;
}

/* Who gets which token: that of a file is for `token_prefix`, or for the hub;
 * that of the environment only ever for the hub. */
static void set_token(const struct source_store *s, enum source_client which,
                      const char *hub, struct http_settings *to)
{
    const struct source_settings *from = &s->settings;
    const char *environment = getenv("HF_TOKEN");

    if (environment != NULL && environment[0] == '\0')
        environment = NULL;
    if (from->token_file != NULL &&
        (which == CLIENT_WEB || from->token_prefix == NULL ||
         environment == NULL)) {
        to->token_file = from->token_file;
        to->token_prefix =
            from->token_prefix != NULL ? from->token_prefix : hub;
    } else {
        to->token = environment;
        to->token_prefix = hub;
    }
}

static bool climbs(const char *url)
{
    return strstr(url, "/..") != NULL || strcasestr(url, "%2e") != NULL;
}

/* Of the URL as it is written, and of each that it leads to but from the Hub,
 * which is a setting, and from the depot. */
static bool is_allowed(const struct source_store *s, const char *url)
{
    for (size_t i = 0; i < s->settings.prefix_count; i++) {
        const char *prefix = s->settings.prefixes[i];
        size_t size = strlen(prefix);
        const char *ends = strncmp(url, "hf://", 5) == 0 ? "/?#@" : "/?#";

        /* "https://a.org" is not to cover "https://a.org.evil.net" */
        if (size > 0 && strncmp(url, prefix, size) == 0 && !climbs(url) &&
            (prefix[size - 1] == '/' || strchr(ends, url[size]) != NULL))
            return true;
    }
    return s->settings.prefix_count == 0;
}

static bool may_follow(void *rules, const char *url)
{
    return is_allowed(rules, url);
}

struct status source_open_client(struct source_store *s,
                                 enum source_client which,
                                 struct http **ret_http)
{
    const struct source_settings *from = &s->settings;
    AUTO(free_pointer) char *hub = source_hub_base(s);
    struct http_signing signing;
    struct http_settings settings = { .connect_ms = from->connect_ms,
                                      .stall_ms = from->stall_ms,
                                      .give_up_ms = from->give_up_ms,
                                      .cancelled = from->cancelled,
                                      .progress = from->progress,
                                      .self = from->self };

    if (which == CLIENT_DEPOT) {
        settings.give_up_ms = DEPOT_GIVE_UP_MS;
        settings.token_file = from->depot_token_file;
        settings.token_prefix = s->depot;
    }
    if (which == CLIENT_WEB && from->prefix_count > 0) {
        settings.may_follow = may_follow;
        settings.rules = s;
    }
    if (which == CLIENT_WEB || which == CLIENT_HUB)
        set_token(s, which, hub, &settings);
    if (which == CLIENT_S3)
        settings.signing = source_s3_signing(&signing);
    if (s->clients[which] == NULL)
        TRY_PLAIN(http_new(&settings, &s->clients[which]));
    *ret_http = s->clients[which];
    return SUCCESS;
}

struct source_pin *source_pin_new(const char *path, struct cache_entry *entry)
{
    struct source_pin *pin = xnew(struct source_pin);

    pin->path = xstrdup(path);
    pin->entry = entry;
    return pin;
}

const char *source_path(const struct source_pin *pin)
{
    return pin->path;
}

void source_unpin(struct source_pin *pin)
{
    if (pin == NULL)
        return;
    cache_close(pin->entry);
    free(pin->path);
    free(pin);
}

const char *source_pins_add(struct source_pins *pins, struct source_pin *pin)
{
    pin->next = pins->first;
    pins->first = pin;
    return source_path(pin);
}

void source_pins_release(struct source_pins *pins)
{
    while (pins->first != NULL) {
        struct source_pin *pin = pins->first;

        pins->first = pin->next;
        source_unpin(pin);
    }
}

void source_close_entry(struct cache_entry **entry)
{
    cache_close(*entry);
}

bool source_is_plain_path(const char *path)
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

MUST_CHECK static struct status check_allowed(const struct source_store *s,
                                              const char *url)
{
    if (!is_allowed(s, url))
        return FAIL(STATUS_DENIED,
                    "%s: no --allow-url of this worker "
                    "covers it",
                    url);
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

    TRY_PLAIN(source_expected(source, name, &expected, &known));
    if (!known)
        return SUCCESS;
    if (!source_is_plain_path(name) || !file_exists(path))
        return FAIL(STATUS_INVALID,
                    "%s: sha256 is given for %s, which it does not have",
                    json_text_or(source, "url", ""), name);
    TRY(digest_of_file(path, &found), "%s", json_text_or(source, "url", ""));
    digest_to_text(&found, texts[0]);
    digest_to_text(&expected, texts[1]);
    if (!digest_equal(&found, &expected))
        return FAIL(STATUS_CORRUPT, "%s has sha256 %s, the sweep says %s", path,
                    texts[0], texts[1]);
    return cache_add(e, name, &found, true);
}

/* Files in place are hashed once, and again only when they have changed. */
MUST_CHECK static struct status check_place(struct source_store *s,
                                            const json_t *source,
                                            const char *path, bool is_directory)
{
    AUTO(source_close_entry) struct cache_entry *e = NULL;
    const char *slash = strrchr(path, '/');
    AUTO(free_pointer)
    char *place =
        is_directory ? xstrdup(path) : xstrndup(path, (size_t)(slash - path));
    json_t *map = json_object_get(source, "sha256");
    const char *file;
    const json_t *hex;
    char name[DIGEST_TEXT];

    source_entry_name(source, name);
    TRY_PLAIN(source_open_cache(s));
    TRY_PLAIN(cache_open(s->cache, "places", name, place, &e));
    if (cache_is_whole(e))
        return SUCCESS;
    if (!json_is_object(map))
        TRY_PLAIN(check_in_place(e, source, slash + 1));
    json_object_foreach(map, file, hex)
        TRY_PLAIN(check_in_place(e, source, file));
    return cache_finish(s->cache, e);
}

MUST_CHECK static struct status fetch_local(struct source_store *s,
                                            const json_t *source,
                                            struct source_pin **ret_pin)
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
    TRY_PLAIN(source_check_here(s, source));
    *ret_pin = source_pin_new(path, NULL);
    return SUCCESS;
}

/* `choice` may be NULL: all of it. */
MUST_CHECK static struct status fetch(struct source_store *s,
                                      const json_t *source,
                                      const struct source_choice *choice,
                                      struct source_pin **ret_pin)
{
    AUTO(json_release) json_t *settled = NULL;
    const char *url;

    TRY(json_member_text(source, "url", &url), "source");
    TRY_PLAIN(check_allowed(s, url));
    if (http_file_is(url) || url[0] == '/')
        return fetch_local(s, source, ret_pin);
    TRY_PLAIN(source_hub_settle(s, source, &settled));
    s->asked = digest_of(url, strlen(url));
    TRY_PLAIN(choice == NULL
                  ? source_fetch_whole(s, settled, ret_pin)
                  : source_fetch_chosen(s, settled, choice, ret_pin));
    if ((*ret_pin)->entry != NULL)
        held_note(s->settings.directory, url, cache_files((*ret_pin)->entry));
    return SUCCESS;
}

struct status source_fetch(struct source_store *s, const json_t *source,
                           struct source_pin **ret_pin)
{
    return fetch(s, source, NULL, ret_pin);
}

struct status source_fetch_tensors(struct source_store *s, const json_t *source,
                                   const struct source_choice *choice,
                                   struct source_pin **ret_pin)
{
    return fetch(s, source, choice, ret_pin);
}

static bool reads_like_the_hubs(const char *text)
{
    const char *slash = strchr(text, '/');

    return slash != NULL && slash > text && slash[1] != '\0' &&
           slash[1] != '@' && strchr(slash + 1, '/') == NULL &&
           isalnum((unsigned char)text[0]) &&
           text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                             "abcdefghijklmnopqrstuvwxyz"
                             "0123456789-._/@%")] == '\0';
}

char *source_url(const char *text)
{
    char full[PATH_MAX];

    if (strstr(text, "://") != NULL)
        return xstrdup(text);
    if (realpath(text, full) != NULL)
        return xasprintf("file://%s", full);
    if (reads_like_the_hubs(text))
        return xasprintf("hf://%s", text);
    return text[0] == '/' ? xasprintf("file://%s", text) : xstrdup(text);
}
