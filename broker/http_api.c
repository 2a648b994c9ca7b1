#include "broker/http_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/http.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/memory.h"

#define METRICS_TYPE "text/plain; version=0.0.4"

enum {
    LOOP_DEAD_MS = 10 * 1000,
    LEADER_MS = 2500, /* for the leader to answer */
    TRIALS = 1000,    /* unless somebody says how many */
};

static int64_t number_argument(struct MHD_Connection *c, const char *name,
                               int64_t otherwise)
{
    const char *text =
        MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, name);

    return text == NULL ? otherwise : strtoll(text, NULL, 10);
}

static enum MHD_Result ask(const struct http_server *s,
                           struct MHD_Connection *c, const char *verb,
                           json_t *arguments)
{
    char *text =
        arguments == NULL ? xstrdup("{}") : json_dumps(arguments, JSON_COMPACT);
    char *body = NULL;
    struct status st;

    json_decref(arguments);
    if (text == NULL)
        st = FAIL(STATUS_INVALID, "the path is no UTF-8");
    else
        st = hatch_ask(s->hatch, verb, text, &body);
    free(text);
    if (status_failed(&st))
        return httpd_answer_failure(c, &st);
    return httpd_answer_text(c, MHD_HTTP_OK, body,
                             strcmp(verb, "metrics") == 0 ? METRICS_TYPE
                                                          : "application/json");
}

/* "sweeps", "sweeps/ID", "sweeps/ID/trials", "sweeps/ID/spec", "workers",
 * "scaling" */
enum MHD_Result http_api_get(const struct http_server *s,
                             struct MHD_Connection *c, const char *url)
{
    const char *rest = url + strlen(HTTP_API);
    const char *id = rest + strlen("sweeps/");
    const char *slash;
    json_t *a;

    if (strcmp(rest, "sweeps") == 0 || strcmp(rest, "workers") == 0 ||
        strcmp(rest, "scaling") == 0)
        return ask(s, c, rest, NULL);
    if (strncmp(rest, "sweeps/", strlen("sweeps/")) != 0)
        return httpd_not_found(c, url);
    slash = strchr(id, '/');
    a = json_pack("{s:s%}", "sweep", id,
                  slash == NULL ? strlen(id) : (size_t)(slash - id));
    if (slash == NULL)
        return ask(s, c, "status", a);
    if (strcmp(slash, "/spec") == 0)
        return ask(s, c, "spec", a);
    if (strcmp(slash, "/trials") == 0 && a != NULL) {
        (void)json_object_set_new(a, "from",
                                  json_integer(number_argument(c, "from", 0)));
        (void)json_object_set_new(
            a, "limit", json_integer(number_argument(c, "limit", TRIALS)));
        return ask(s, c, "trials", a);
    }
    json_decref(a);
    return httpd_not_found(c, url);
}

enum MHD_Result http_metrics_get(const struct http_server *s,
                                 struct MHD_Connection *c, const char *url)
{
    (void)url;
    return ask(s, c, "metrics", NULL);
}

enum MHD_Result http_metrics_standby(struct MHD_Connection *c, const char *url,
                                     const char *leader)
{
    (void)url;
    (void)leader;
    return httpd_answer_text(
        c, MHD_HTTP_OK,
        xstrdup("# HELP sinter_leader 1: this broker leads\n"
                "# TYPE sinter_leader gauge\n"
                "sinter_leader 0\n"),
        METRICS_TYPE);
}

/* `path` as it stands in a URL. */
static char *escaped(const char *path)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRST"
                                "UVWXYZ0123456789-._~/@";
    char *text = xcalloc(1, 3 * strlen(path) + 1);
    char *to = text;

    for (; *path != '\0'; path++)
        if (strchr(plain, *path) != NULL)
            *to++ = *path;
        else
            to += snprintf(to, 4, "%%%02X", (unsigned)(unsigned char)*path);
    return text;
}

/* With the token of who asks us: the leader judges it as we did. */
MUST_CHECK static struct status ask_broker(struct MHD_Connection *c,
                                           const char *url, char **ret_body)
{
    static const char bearer[] = "Bearer ";
    const char *shown =
        MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
    bool has =
        shown != NULL && strncasecmp(shown, bearer, sizeof bearer - 1) == 0;
    const struct http_settings settings = {
        .token = has ? shown + sizeof bearer - 1 : NULL,
        .token_prefix = has ? url : NULL,
        .connect_ms = LEADER_MS,
        .give_up_ms = LEADER_MS,
    };
    struct http *http = NULL;
    struct status st;
    size_t size = 0;

    TRY_PLAIN(http_new(&settings, &http));
    st = http_get(http, url, LIMIT_MESSAGE, ret_body, &size);
    http_free(http);
    return st;
}

/* Asked once: while the lead changes hands two may each think that the other
 * has it. */
enum MHD_Result http_api_forward(struct MHD_Connection *c, const char *url,
                                 const char *leader)
{
    static const char once[] = "forwarded";
    AUTO(free_pointer) char *path = escaped(url);
    AUTO(free_pointer)
    char *full = xasprintf("http://%s%s?%s=1&from=%" PRId64 "&limit=%" PRId64,
                           leader, path, once, number_argument(c, "from", 0),
                           number_argument(c, "limit", TRIALS));
    char *body = NULL;
    struct status st;

    if (leader[0] == '\0' ||
        MHD_lookup_connection_value(c, MHD_GET_ARGUMENT_KIND, once) != NULL)
        return http_refer(c, url, leader);
    st = ask_broker(c, full, &body);
    if (status_failed(&st))
        return httpd_answer_failure(c, &st);
    return httpd_answer_text(c, MHD_HTTP_OK, body, "application/json");
}

/* Does not look at the store: were it away, a restart would not help. */
enum MHD_Result http_livez_get(const struct http_server *s,
                               struct MHD_Connection *c, const char *url)
{
    int64_t silence = hatch_silence_ms(s->hatch);

    (void)url;
    if (silence <= LOOP_DEAD_MS)
        return httpd_answer_text(c, MHD_HTTP_OK, xstrdup("ok\n"), "text/plain");
    return httpd_answer_text(
        c, MHD_HTTP_SERVICE_UNAVAILABLE,
        xasprintf("the loop has not moved for %" PRId64 " ms\n", silence),
        "text/plain");
}

/* A standby is ready as well: it answers, if only to say who leads. */
enum MHD_Result http_readyz_get(const struct http_server *s,
                                struct MHD_Connection *c, const char *url)
{
    char leader[HATCH_ADDRESS];

    (void)url;
    if (hatch_is_standby(s->hatch, leader))
        return httpd_answer_text(c, MHD_HTTP_OK,
                                 xasprintf("ok standby leader=%s\n", leader),
                                 "text/plain");
    if (hatch_is_ready(s->hatch))
        return httpd_answer_text(c, MHD_HTTP_OK, xstrdup("ok leader\n"),
                                 "text/plain");
    return httpd_answer_text(c, MHD_HTTP_SERVICE_UNAVAILABLE,
                             xstrdup("reading the log\n"), "text/plain");
}
