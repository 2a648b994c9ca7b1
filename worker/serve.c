#include "worker/serve.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/digest.h"
#include "common/endpoint.h"
#include "common/memory.h"
#include "httpd/httpd.h"
#include "sources/served.h"

enum {
    THREADS = 1,
    CONNECTIONS_MOST = 64,
    IDLE_S = 20,
    TRANSFERS_MOST = 32, /* the broker sends two workers, each with its slots */
};

struct serve {
    struct MHD_Daemon *daemon;
    const char *cache;
    bool open;           /* no token is asked for */
    struct digest shown; /* of the header's value that is */
    pthread_mutex_t lock;
    unsigned transfers; /* under way */
    char *url;
};

/* Of one request; made at its first call. */
struct request {
    bool transfers;
};

static bool begin_transfer(struct serve *s)
{
    bool may;

    (void)pthread_mutex_lock(&s->lock);
    may = s->transfers < TRANSFERS_MOST;
    s->transfers += may;
    (void)pthread_mutex_unlock(&s->lock);
    return may;
}

static void end_transfer(struct serve *s)
{
    (void)pthread_mutex_lock(&s->lock);
    s->transfers--;
    (void)pthread_mutex_unlock(&s->lock);
}

static enum MHD_Result answer(struct MHD_Connection *c, unsigned code,
                              const char *header, const char *value)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);

    if (r != NULL)
        (void)MHD_add_response_header(r, header, value);
    return httpd_answer(c, code, r, NULL);
}

/* As long for a near miss as for any other. */
static bool may_ask(const struct serve *s, struct MHD_Connection *c)
{
    const char *value =
        MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Authorization");
    struct digest shown;

    if (s->open)
        return true;
    if (value == NULL)
        return false;
    shown = digest_of(value, strlen(value));
    return digest_equal_secretly(&shown, &s->shown);
}

static enum MHD_Result give(struct serve *s, struct MHD_Connection *c,
                            const char *path, struct request *q, bool body)
{
    struct served_name name;
    uint64_t size = 0;
    int fd = -1;
    struct status st;

    if (!served_parse(path, &name))
        return httpd_not_found(c, path);
    if (body && !q->transfers && !begin_transfer(s))
        return answer(c, MHD_HTTP_SERVICE_UNAVAILABLE, "Retry-After", "1");
    q->transfers = body;
    st = served_open(s->cache, &name, &fd, &size);
    if (status_failed(&st))
        return httpd_answer_failure(c, &st);
    return httpd_answer_file(c, &name.file, fd, size);
}

static enum MHD_Result on_request(void *self, struct MHD_Connection *c,
                                  const char *url, const char *method,
                                  const char *version, const char *data,
                                  size_t *size, void **state)
{
    bool body = strcmp(method, MHD_HTTP_METHOD_GET) == 0;

    (void)version;
    (void)data;
    if (*state == NULL) {
        *state = xnew(struct request);
        if (!may_ask(self, c))
            return answer(c, MHD_HTTP_UNAUTHORIZED, "WWW-Authenticate",
                          "Bearer");
        if (!body && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
            return answer(c, MHD_HTTP_METHOD_NOT_ALLOWED, "Allow", "GET, HEAD");
        return MHD_YES;
    }
    if (*size > 0) {
        *size = 0; /* a body where none belongs */
        return MHD_YES;
    }
    return give(self, c, url, *state, body);
}

static void on_completed(void *self, struct MHD_Connection *c, void **state,
                         enum MHD_RequestTerminationCode why)
{
    struct request *q = *state;

    (void)c;
    (void)why;
    if (q != NULL && q->transfers)
        end_transfer(self);
    free(q);
    *state = NULL;
}

MUST_CHECK static struct status load_token(struct serve *s, const char *file)
{
    char token[DIGEST_TEXT];
    char value[DIGEST_TEXT + 16];

    s->open = file == NULL;
    if (s->open)
        return SUCCESS;
    TRY(served_token(file, token), "--http-token-file");
    (void)snprintf(value, sizeof value, "Bearer %s", token);
    s->shown = digest_of(value, strlen(value));
    explicit_bzero(token, sizeof token);
    explicit_bzero(value, sizeof value);
    return SUCCESS;
}

MUST_CHECK static struct status start(struct serve *s,
                                      const struct serve_settings *settings)
{
    const struct httpd_settings port = { .option = "--serve",
                                         .address = settings->address,
                                         .threads = THREADS,
                                         .connections = CONNECTIONS_MOST,
                                         .idle_s = IDLE_S,
                                         .request = on_request,
                                         .completed = on_completed,
                                         .self = s };
    AUTO(free_pointer) char *reached = NULL;
    char bound[HTTPD_ADDRESS];

    TRY_PLAIN(load_token(s, settings->token_file));
    TRY_PLAIN(httpd_listen(&port, &s->daemon, bound));
    reached = endpoint_advertised(bound, settings->advertise);
    s->url = xasprintf("http://%s", reached);
    if (!endpoint_is_http(s->url, strlen(s->url)))
        return FAIL(STATUS_INVALID,
                    "--advertise %s: a host's name or address is wanted",
                    settings->advertise != NULL ? settings->advertise
                                                : reached);
    return SUCCESS;
}

struct status serve_start(const struct serve_settings *settings,
                          struct serve **ret_serve)
{
    struct serve *s;
    struct status st;

    *ret_serve = NULL;
    if (settings->address == NULL)
        return SUCCESS;
    s = xnew(struct serve);
    s->cache = settings->cache;
    (void)pthread_mutex_init(&s->lock, NULL);
    st = start(s, settings);
    if (status_failed(&st)) {
        serve_stop(s);
        return st;
    }
    *ret_serve = s;
    return SUCCESS;
}

const char *serve_url(const struct serve *s)
{
    return s == NULL ? NULL : s->url;
}

void serve_stop(struct serve *s)
{
    if (s == NULL)
        return;
    if (s->daemon != NULL)
        MHD_stop_daemon(s->daemon);
    (void)pthread_mutex_destroy(&s->lock);
    free(s->url);
    free(s);
}
