#include "broker/http.h"

#include <inttypes.h>
#include <netdb.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "broker/asset.h"
#include "broker/http_range.h"
#include "common/json.h"
#include "common/limits.h"
#include "common/memory.h"

enum {
    THREADS = 4,
    CONNECTIONS_MOST = 1000,
    IDLE_S = 60,
    LOOP_DEAD_MS = 10 * 1000,
    ADDRESS_SIZE = 300,
};

static const char depot_path[] = "/depot/";
static const char api_path[] = "/api/v1/";

struct http_server {
    struct MHD_Daemon *daemon;
    const struct depot *depot;
    struct hatch *hatch;
    pthread_mutex_t lock;      /* of `tokens` */
    struct token_list *tokens; /* NULL: none are asked for */
    char address[ADDRESS_SIZE];
};

/* One request on its way; made at its first byte. */
struct request {
    struct depot_upload *upload; /* PUT */
    struct status trouble;       /* first failure of it */
};

static enum MHD_Result answer(struct MHD_Connection *c, unsigned code,
                              struct MHD_Response *r, const char *type)
{
    enum MHD_Result result;

    if (r == NULL)
        return MHD_NO;
    if (type != NULL)
        (void)MHD_add_response_header(r, "Content-Type", type);
    (void)MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
    (void)MHD_add_response_header(r, "Content-Security-Policy",
                                  "default-src 'self'; frame-ancestors 'none'");
    result = MHD_queue_response(c, code, r);
    MHD_destroy_response(r);
    return result;
}

/* Takes `text`. */
static enum MHD_Result answer_text(struct MHD_Connection *c, unsigned code,
                                   char *text, const char *type)
{
    return answer(c, code,
                  MHD_create_response_from_buffer(strlen(text), text,
                                                  MHD_RESPMEM_MUST_FREE),
                  type);
}

static const struct {
    enum status_code code;
    unsigned http;
} codes[] = {
    { STATUS_SUCCESS, MHD_HTTP_OK },
    { STATUS_INVALID, MHD_HTTP_BAD_REQUEST },
    { STATUS_CORRUPT, MHD_HTTP_BAD_REQUEST },
    { STATUS_NOT_FOUND, MHD_HTTP_NOT_FOUND },
    { STATUS_DENIED, MHD_HTTP_FORBIDDEN },
    { STATUS_NO_SPACE, MHD_HTTP_INSUFFICIENT_STORAGE },
    { STATUS_TOO_BIG, MHD_HTTP_CONTENT_TOO_LARGE },
    { STATUS_UNAVAILABLE, MHD_HTTP_SERVICE_UNAVAILABLE },
    { STATUS_TIMED_OUT, MHD_HTTP_SERVICE_UNAVAILABLE },
};

static unsigned http_code(enum status_code code)
{
    for (size_t i = 0; i < COUNT_OF(codes); i++)
        if (codes[i].code == code)
            return codes[i].http;
    return MHD_HTTP_INTERNAL_SERVER_ERROR;
}

static enum MHD_Result answer_failure(struct MHD_Connection *c,
                                      const struct status *st)
{
    json_t *body = json_pack("{s:s, s:s}", "error", status_name(st->code),
                             "message", st->message);
    char *text = body == NULL ? xstrdup("{}") : json_dumps(body, JSON_COMPACT);

    json_decref(body);
    return answer_text(c, http_code(st->code), text, "application/json");
}

MUST_CHECK static struct status blob_name(const char *url,
                                          struct digest *ret_name)
{
    if (!digest_from_text(url + strlen(depot_path), ret_name))
        return FAIL(STATUS_INVALID, "a blob is named by 64 hex digits");
    return SUCCESS;
}

static enum MHD_Result answer_beyond(struct MHD_Connection *c, int fd,
                                     uint64_t size)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    char range[64];

    (void)close(fd);
    (void)snprintf(range, sizeof range, "bytes */%" PRIu64, size);
    if (r != NULL)
        (void)MHD_add_response_header(r, "Content-Range", range);
    return answer(c, MHD_HTTP_RANGE_NOT_SATISFIABLE, r, NULL);
}

/* GET and HEAD; the descriptor is closed by the response. */
static enum MHD_Result answer_blob(struct MHD_Connection *c, const char *url,
                                   int fd, uint64_t size)
{
    const char *wanted =
        MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Range");
    struct http_range range = http_range_parse(wanted, size);
    struct MHD_Response *r;
    char text[96];

    if (range.sort == RANGE_BEYOND)
        return answer_beyond(c, fd, size);
    r = MHD_create_response_from_fd_at_offset64(range.size, fd, range.first);
    if (r == NULL) {
        (void)close(fd);
        return MHD_NO;
    }
    (void)MHD_add_response_header(r, "Accept-Ranges", "bytes");
    (void)MHD_add_response_header(r, "Cache-Control",
                                  "public, max-age=31536000, immutable");
    (void)snprintf(text, sizeof text, "\"%s\"", url + strlen(depot_path));
    (void)MHD_add_response_header(r, "ETag", text);
    if (range.sort == RANGE_WHOLE)
        return answer(c, MHD_HTTP_OK, r, "application/octet-stream");
    (void)snprintf(text, sizeof text, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64,
                   range.first, range.first + range.size - 1, size);
    (void)MHD_add_response_header(r, "Content-Range", text);
    return answer(c, MHD_HTTP_PARTIAL_CONTENT, r, "application/octet-stream");
}

static enum MHD_Result get_blob(const struct http_server *s,
                                struct MHD_Connection *c, const char *url)
{
    struct digest name;
    uint64_t size = 0;
    int fd = -1;
    struct status st = blob_name(url, &name);

    if (!status_failed(&st))
        st = depot_find(s->depot, &name, &fd, &size);
    if (status_failed(&st))
        return answer_failure(c, &st);
    return answer_blob(c, url, fd, size);
}

static void begin_upload(const struct http_server *s, const char *url,
                         struct request *q)
{
    struct digest name;

    q->trouble = blob_name(url, &name);
    if (!status_failed(&q->trouble))
        q->trouble = depot_begin(s->depot, &name, &q->upload);
}

/* Called again and again while bytes come in, and once when all are there.
 * After a failure the rest is read and dropped, so that the client gets to
 * see the answer. */
static enum MHD_Result put_blob(struct MHD_Connection *c, struct request *q,
                                const char *data, size_t *size)
{
    if (*size > 0) {
        if (!status_failed(&q->trouble))
            q->trouble = depot_add(q->upload, data, *size);
        *size = 0;
        return MHD_YES;
    }
    if (!status_failed(&q->trouble)) {
        q->trouble = depot_commit(q->upload);
        q->upload = NULL;
    }
    if (status_failed(&q->trouble))
        return answer_failure(c, &q->trouble);
    return answer_text(c, MHD_HTTP_CREATED, xstrdup(""), NULL);
}

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
        return answer_failure(c, &st);
    return answer_text(c, MHD_HTTP_OK, body,
                       strcmp(verb, "metrics") == 0
                           ? "text/plain; version=0.0.4"
                           : "application/json");
}

static enum MHD_Result not_found(struct MHD_Connection *c, const char *url)
{
    struct status st =
        FAIL(STATUS_NOT_FOUND, "there is nothing at %.200s", url);

    return answer_failure(c, &st);
}

/* "sweeps", "sweeps/ID", "sweeps/ID/trials", "sweeps/ID/spec", "workers",
 * "scaling" */
static enum MHD_Result get_api(const struct http_server *s,
                               struct MHD_Connection *c, const char *url)
{
    const char *rest = url + strlen(api_path);
    const char *id = rest + strlen("sweeps/");
    const char *slash;
    json_t *a;

    if (strcmp(rest, "sweeps") == 0 || strcmp(rest, "workers") == 0 ||
        strcmp(rest, "scaling") == 0)
        return ask(s, c, rest, NULL);
    if (strncmp(rest, "sweeps/", strlen("sweeps/")) != 0)
        return not_found(c, url);
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
            a, "limit", json_integer(number_argument(c, "limit", 1000)));
        return ask(s, c, "trials", a);
    }
    json_decref(a);
    return not_found(c, url);
}

static enum MHD_Result get_metrics(const struct http_server *s,
                                   struct MHD_Connection *c, const char *url)
{
    (void)url;
    return ask(s, c, "metrics", NULL);
}

/* Does not look at the store: were it away, a restart would not help. */
static enum MHD_Result get_livez(const struct http_server *s,
                                 struct MHD_Connection *c, const char *url)
{
    int64_t silence = hatch_silence_ms(s->hatch);

    (void)url;
    if (silence <= LOOP_DEAD_MS)
        return answer_text(c, MHD_HTTP_OK, xstrdup("ok\n"), "text/plain");
    return answer_text(
        c, MHD_HTTP_SERVICE_UNAVAILABLE,
        xasprintf("the loop has not moved for %" PRId64 " ms\n", silence),
        "text/plain");
}

/* A standby is ready as well: it answers, if only to say who leads. */
static enum MHD_Result get_readyz(const struct http_server *s,
                                  struct MHD_Connection *c, const char *url)
{
    char leader[HATCH_ADDRESS];

    (void)url;
    if (hatch_is_standby(s->hatch, leader))
        return answer_text(c, MHD_HTTP_OK,
                           xasprintf("ok standby leader=%s\n", leader),
                           "text/plain");
    if (hatch_is_ready(s->hatch))
        return answer_text(c, MHD_HTTP_OK, xstrdup("ok leader\n"),
                           "text/plain");
    return answer_text(c, MHD_HTTP_SERVICE_UNAVAILABLE,
                       xstrdup("reading the log\n"), "text/plain");
}

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
            return answer(c, MHD_HTTP_OK,
                          MHD_create_response_from_buffer(
                              a->size, (void *)(uintptr_t)a->bytes,
                              MHD_RESPMEM_PERSISTENT),
                          type_of(path));
    return not_found(c, url);
}

/* Where a GET goes: the first row whose path fits. */
static const struct route {
    const char *path;
    bool below; /* and everything that begins so */
    bool open;  /* to everybody: holds nothing of the farm */
    enum MHD_Result (*get)(const struct http_server *s,
                           struct MHD_Connection *c, const char *url);
} routes[] = {
    { depot_path, true, false, get_blob },
    { api_path, true, false, get_api },
    { "/metrics", false, false, get_metrics },
    { "/livez", false, true, get_livez },
    { "/readyz", false, true, get_readyz },
    { "/", true, true, get_asset },
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

    return r == NULL ? not_found(c, url) : r->get(s, c, url);
}

/* Whatever is asked of a broker that does not lead, but for its health. */
static enum MHD_Result refer(struct MHD_Connection *c, const char *leader)
{
    json_t *body = json_pack(
        "{s:s, s:s, s:s}", "error", status_name(STATUS_UNAVAILABLE), "message",
        leader[0] == '\0' ? "this broker waits for the lead, and nobody has it"
                          : "another broker leads",
        "leader", leader);
    char *text = body == NULL ? xstrdup("{}") : json_dumps(body, JSON_COMPACT);

    json_decref(body);
    return answer_text(c, MHD_HTTP_SERVICE_UNAVAILABLE, text,
                       "application/json");
}

static bool is_health(const struct route *r)
{
    return r != NULL && (r->get == get_livez || r->get == get_readyz);
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
    return answer(
        c, has == TOKEN_NONE ? MHD_HTTP_UNAUTHORIZED : MHD_HTTP_FORBIDDEN, r,
        "application/json");
}

static enum MHD_Result refuse_method(struct MHD_Connection *c)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);

    if (r != NULL)
        (void)MHD_add_response_header(r, "Allow", "GET, HEAD, PUT");
    return answer(c, MHD_HTTP_METHOD_NOT_ALLOWED, r, NULL);
}

static enum MHD_Result on_request(void *self, struct MHD_Connection *c,
                                  const char *url, const char *method,
                                  const char *version, const char *data,
                                  size_t *size, void **state)
{
    struct http_server *s = self;
    bool put = strcmp(method, MHD_HTTP_METHOD_PUT) == 0 &&
               strncmp(url, depot_path, strlen(depot_path)) == 0;
    struct request *q = *state;

    (void)version;
    if (q == NULL) {
        const struct route *r = find_route(url);
        enum token_right right = right_of(s, c);
        char leader[HATCH_ADDRESS];

        if ((put || r == NULL || !r->open) &&
            right < (put ? TOKEN_WRITE : TOKEN_READ))
            return refuse(c, right);
        if (!is_health(r) && hatch_is_standby(s->hatch, leader))
            return refer(c, leader);
        q = xnew(struct request);
        *state = q;
        if (put)
            begin_upload(s, url, q);
        return MHD_YES;
    }
    if (put)
        return put_blob(c, q, data, size);
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
    struct request *q = *state;

    (void)self;
    (void)c;
    (void)why;
    if (q == NULL)
        return;
    depot_abandon(q->upload);
    free(q);
    *state = NULL;
}

/* "host:port" or "[v6]:port". */
MUST_CHECK static struct status resolve(const char *address,
                                        char host[ADDRESS_SIZE],
                                        struct addrinfo **ret_info)
{
    const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
                                    .ai_flags = AI_PASSIVE };
    const char *colon = strrchr(address, ':');
    const char *begin = address[0] == '[' ? address + 1 : address;
    const char *end = colon;
    int result;

    if (colon == NULL || strlen(address) >= ADDRESS_SIZE)
        return FAIL(STATUS_INVALID, "--http is HOST:PORT, not \"%s\"", address);
    if (begin != address && end > begin && end[-1] == ']')
        end--;
    (void)snprintf(host, ADDRESS_SIZE, "%.*s", (int)(end - begin), begin);
    result = getaddrinfo(host, colon + 1, &hints, ret_info);
    if (result != 0)
        return FAIL(STATUS_INVALID, "--http %s: %s", address,
                    gai_strerror(result));
    return SUCCESS;
}

static struct MHD_Daemon *start(struct http_server *s,
                                const struct addrinfo *info)
{
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD;

    if (info->ai_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR,
        info->ai_addr, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MOST,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_END);
}

struct status http_server_new(const char *address, const struct depot *depot,
                              struct hatch *hatch, struct token_list *tokens,
                              struct http_server **ret_server)
{
    struct addrinfo *info = NULL;
    char host[ADDRESS_SIZE];
    struct http_server *s;
    struct status st = resolve(address, host, &info);

    if (status_failed(&st)) {
        token_list_free(tokens);
        return st;
    }
    s = xnew(struct http_server);
    s->depot = depot;
    s->hatch = hatch;
    s->tokens = tokens;
    (void)pthread_mutex_init(&s->lock, NULL);
    s->daemon = start(s, info);
    freeaddrinfo(info);
    if (s->daemon == NULL) {
        http_server_free(s);
        return FAIL(STATUS_UNAVAILABLE,
                    "cannot listen for HTTP at %s: is "
                    "the port in use?",
                    address);
    }
    (void)snprintf(
        s->address, sizeof s->address,
        strchr(host, ':') == NULL ? "%s:%u" : "[%s]:%u", host,
        MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
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
