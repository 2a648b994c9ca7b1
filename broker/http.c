#include "broker/http.h"

#include <stdlib.h>
#include <string.h>

#include "broker/asset.h"
#include "broker/http_internal.h"
#include "common/memory.h"

enum { THREADS = 4, CONNECTIONS_MOST = 1000, IDLE_S = 60 };

static const char *type_of(const char *path)
{
    static const char *const types[][2] = {
        { ".html", "text/html; charset=utf-8" },
        { ".js", "text/javascript; charset=utf-8" },
        { ".css", "text/css; charset=utf-8" },
        { ".svg", "image/svg+xml" },
    };
    const char *dot = strrchr(path, '.');

    for (size_t i = 0; i < COUNT_OF(types) && dot != NULL; i++)
        if (strcmp(dot, types[i][0]) == 0)
            return types[i][1];
    return "application/octet-stream";
}

static enum MHD_Result get_asset(const struct http_server *s,
                                 struct MHD_Connection *c, const char *url)
{
    const char *path = strcmp(url, "/") == 0 ? "/index.html" : url;

    (void)s;
    for (const struct asset *a = assets; a->path != NULL; a++)
        if (strcmp(a->path, path) == 0)
            return httpd_answer(c, MHD_HTTP_OK,
                                MHD_create_response_from_buffer(
                                    a->size, (void *)(uintptr_t)a->bytes,
                                    MHD_RESPMEM_PERSISTENT),
                                type_of(path));
    return httpd_not_found(c, url);
}

/* Where a GET goes: the first row whose path fits. */
static const struct route {
    const char *path;
    bool below; /* and everything that begins so */
    bool open;  /* to everybody: holds nothing of the farm */
    enum MHD_Result (*get)(const struct http_server *s,
                           struct MHD_Connection *c, const char *url);
    /* Of a broker that does not lead; NULL: the same. */
    enum MHD_Result (*standby)(struct MHD_Connection *c, const char *url,
                               const char *leader);
} routes[] = {
    { HTTP_DEPOT, true, false, http_blob_get, http_refer },
    { HTTP_API, true, false, http_api_get, http_api_forward },
    { "/metrics", false, false, http_metrics_get, http_metrics_standby },
    { "/livez", false, true, http_livez_get, NULL },
    { "/readyz", false, true, http_readyz_get, NULL },
    { "/", true, true, get_asset, NULL },
};

static const struct route *find_route(const char *url)
{
    for (size_t i = 0; i < COUNT_OF(routes); i++) {
        const struct route *r = &routes[i];

        if (r->below ? strncmp(url, r->path, strlen(r->path)) == 0
                     : strcmp(url, r->path) == 0)
            return r;
    }
    return NULL;
}

static enum MHD_Result route_get(const struct http_server *s,
                                 struct MHD_Connection *c, const char *url)
{
    const struct route *r = find_route(url);
    char leader[HATCH_ADDRESS];

    if (r == NULL)
        return httpd_not_found(c, url);
    if (r->standby != NULL && hatch_is_standby(s->hatch, leader))
        return r->standby(c, url, leader);
    return r->get(s, c, url);
}

static enum token_right right_of(struct http_server *s,
                                 struct MHD_Connection *c)
{
    const char *shown =
        MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
    enum token_right right = TOKEN_WRITE;

    (void)pthread_mutex_lock(&s->lock);
    if (s->tokens != NULL)
        right = token_judge(s->tokens, shown);
    (void)pthread_mutex_unlock(&s->lock);
    return right;
}

static enum MHD_Result refuse(struct MHD_Connection *c, enum token_right has)
{
    static const char words[] =
        "{\"error\":\"denied\",\"message\":\"this takes a token (of "
        "--http-token-file) that gives the right to it\"}";
    struct MHD_Response *r = MHD_create_response_from_buffer(
        sizeof words - 1, (void *)(uintptr_t)words, MHD_RESPMEM_PERSISTENT);

    if (r != NULL && has == TOKEN_NONE)
        (void)MHD_add_response_header(r, "WWW-Authenticate", "Bearer");
    return httpd_answer(
        c, has == TOKEN_NONE ? MHD_HTTP_UNAUTHORIZED : MHD_HTTP_FORBIDDEN, r,
        "application/json");
}

static enum MHD_Result refuse_method(struct MHD_Connection *c)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);

    if (r != NULL)
        (void)MHD_add_response_header(r, "Allow", "GET, HEAD, PUT");
    return httpd_answer(c, MHD_HTTP_METHOD_NOT_ALLOWED, r, NULL);
}

static enum MHD_Result on_request(void *self, struct MHD_Connection *c,
                                  const char *url, const char *method,
                                  const char *version, const char *data,
                                  size_t *size, void **state)
{
    struct http_server *s = self;
    bool put = strcmp(method, MHD_HTTP_METHOD_PUT) == 0 &&
               strncmp(url, HTTP_DEPOT, strlen(HTTP_DEPOT)) == 0;
    struct http_request *q = *state;

    (void)version;
    if (q == NULL) {
        const struct route *r = find_route(url);
        enum token_right right = right_of(s, c);
        char leader[HATCH_ADDRESS];

        if ((put || r == NULL || !r->open) &&
            right < (put ? TOKEN_WRITE : TOKEN_READ))
            return refuse(c, right);
        if (put && hatch_is_standby(s->hatch, leader))
            return http_refer(c, url, leader);
        q = xnew(struct http_request);
        *state = q;
        if (put)
            http_blob_begin(s, url, q);
        return MHD_YES;
    }
    if (put)
        return http_blob_put(c, q, data, size);
    if (*size > 0) {
        *size = 0; /* a body where none belongs */
        return MHD_YES;
    }
    if (strcmp(method, MHD_HTTP_METHOD_GET) == 0 ||
        strcmp(method, MHD_HTTP_METHOD_HEAD) == 0)
        return route_get(s, c, url);
    return refuse_method(c);
}

static void on_completed(void *self, struct MHD_Connection *c, void **state,
                         enum MHD_RequestTerminationCode why)
{
    struct http_request *q = *state;

    (void)self;
    (void)c;
    (void)why;
    if (q == NULL)
        return;
    depot_abandon(q->upload);
    free(q);
    *state = NULL;
}

struct status http_server_new(const char *address, const struct depot *depot,
                              struct hatch *hatch, struct token_list *tokens,
                              struct http_server **ret_server)
{
    struct http_server *s = xnew(struct http_server);
    const struct httpd_settings settings = { .option = "--http",
                                             .address = address,
                                             .threads = THREADS,
                                             .connections = CONNECTIONS_MOST,
                                             .idle_s = IDLE_S,
                                             .request = on_request,
                                             .completed = on_completed,
                                             .self = s };
    struct status st;

    s->depot = depot;
    s->hatch = hatch;
    s->tokens = tokens;
    (void)pthread_mutex_init(&s->lock, NULL);
    st = httpd_listen(&settings, &s->daemon, s->address);
    if (status_failed(&st)) {
        http_server_free(s);
        return st;
    }
    *ret_server = s;
    return SUCCESS;
}

const char *http_server_address(const struct http_server *server)
{
    return server->address;
}

void http_server_free(struct http_server *server)
{
    if (server == NULL)
        return;
    if (server->daemon != NULL)
        MHD_stop_daemon(server->daemon);
    token_list_free(server->tokens);
    (void)pthread_mutex_destroy(&server->lock);
    free(server);
}

void http_server_set_tokens(struct http_server *server,
                            struct token_list *tokens)
{
    struct token_list *old;

    (void)pthread_mutex_lock(&server->lock);
    old = server->tokens;
    server->tokens = tokens;
    (void)pthread_mutex_unlock(&server->lock);
    token_list_free(old);
}
