#include "common/http.h"

#include "common/buf.h"
#include "common/clock.h"
#include "common/file.h"
#include "common/http_file.h"
#include "common/http_internal.h"
#include "common/memory.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LIMIT_TOKEN = 16 << 10 };

/* Clients and their settings. */

static void fill_defaults(struct http_settings *s)
{
    if (s->connect_ms <= 0)
        s->connect_ms = 5000;
    if (s->stall_ms <= 0)
        s->stall_ms = 15000;
    if (s->give_up_ms <= 0)
        s->give_up_ms = 60000;
    if (s->connections == 0)
        s->connections = 4;
}

MUST_CHECK static struct status load_token(struct http *h)
{
    const char *file = h->settings.token_file;
    AUTO(free_pointer) char *text = NULL;
    size_t size = 0;

    if (h->settings.token_prefix == NULL ||
        (file == NULL && h->settings.token == NULL))
        return SUCCESS;
    if (file != NULL)
        TRY(file_read(file, LIMIT_TOKEN, &text, &size), "token");
    else
        text = xstrdup(h->settings.token);
    size = strlen(text);
    text[strcspn(text, "\r\n")] = '\0';
    if (text[0] == '\0' || text[strcspn(text, " \t")] != '\0')
        return FAIL(STATUS_INVALID, "%s holds no token in its first line",
                    file != NULL ? file : "the token of the environment");
    h->token_prefix = http_normal(h->settings.token_prefix);
    if (h->token_prefix == NULL)
        return FAIL(STATUS_INVALID, "token prefix %s is no URL",
                    h->settings.token_prefix);
    h->authorization = xasprintf("Authorization: Bearer %s", text);
    explicit_bzero(text, size);
    return SUCCESS;
}

static void load_signing(struct http *h)
{
    const struct http_signing *s = h->settings.signing;

    if (s == NULL)
        return;
    h->region = xstrdup(s->region);
    h->key = xstrdup(s->key);
    h->secret = xstrdup(s->secret);
    if (s->session != NULL)
        h->session = xasprintf("X-Amz-Security-Token: %s", s->session);
}

/* NULL is fine. */
static void forget(char *secret)
{
    if (secret != NULL)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

struct status http_new(const struct http_settings *settings,
                       struct http **ret_http)
{
    struct http *h = xnew(struct http);
    struct status st;

    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(h);
        return FAIL(STATUS_UNAVAILABLE, "libcurl does not start");
    }
    if (settings != NULL)
        h->settings = *settings;
    fill_defaults(&h->settings);
    h->chance = (uint64_t)clock_now() ^ (uint64_t)getpid() << 40;
    h->multi = curl_multi_init();
    assert(h->multi != NULL);
    /* Parallel ranges are to be parallel connections. */
    (void)curl_multi_setopt(h->multi, CURLMOPT_PIPELINING,
                            (long)CURLPIPE_NOTHING);
    load_signing(h);
    st = load_token(h);
    h->settings.signing = NULL;
    h->settings.token = NULL;
    if (status_failed(&st)) {
        http_free(h);
        return st;
    }
    *ret_http = h;
    return SUCCESS;
}

void http_free(struct http *h)
{
    if (h == NULL)
        return;
    (void)curl_multi_cleanup(h->multi);
    forget(h->authorization);
    forget(h->secret);
    forget(h->session);
    free(h->key);
    free(h->region);
    free(h->token_prefix);
    free(h);
    curl_global_cleanup();
}

uint64_t http_received(const struct http *h)
{
    return h->received;
}

/* One request, repeated while that may help. */

struct request {
    bool head;
    const char *range; /* "0-499"; NULL: all */
    struct status (*sink)(void *self, const struct http_reply *reply,
                          const char *data, size_t size);
    /* The body of a PUT: so many bytes from `at` on; NULL: not a PUT. */
    struct status (*source)(void *self, uint64_t at, char *into, size_t size);
    uint64_t size;
    void (*restart)(void *self); /* before each try; may be NULL */
    void *self;
};

/* Of one try. */
struct upload {
    const struct request *request;
    struct http_transfer *transfer;
    uint64_t at;
};

static size_t on_source(char *into, size_t one, size_t most, void *self)
{
    struct upload *u = self;
    struct http_transfer *t = u->transfer;
    uint64_t left = u->request->size - u->at;
    size_t size = left < one * most ? (size_t)left : one * most;

    t->moved_at = clock_now();
    t->failure = u->request->source(u->request->self, u->at, into, size);
    t->has_failed = status_failed(&t->failure);
    if (t->has_failed)
        return CURL_READFUNC_ABORT;
    u->at += size;
    return size;
}

/* A redirect or a dropped connection makes libcurl send the body again. */
static int on_seek(void *self, curl_off_t offset, int origin)
{
    struct upload *u = self;

    if (origin != SEEK_SET || offset < 0)
        return CURL_SEEKFUNC_CANTSEEK;
    u->at = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static void set_up(const struct request *r, struct http_transfer *t,
                   struct upload *u)
{
    t->sink = r->sink;
    t->self = r->self;
    if (r->head)
        (void)curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
    if (r->range != NULL)
        (void)curl_easy_setopt(t->easy, CURLOPT_RANGE, r->range);
    if (r->source == NULL)
        return;
    *u = (struct upload){ r, t, 0 };
    (void)curl_easy_setopt(t->easy, CURLOPT_UPLOAD, 1L);
    (void)curl_easy_setopt(t->easy, CURLOPT_UPLOAD_BUFFERSIZE,
                           (long)HTTP_PIECE);
    (void)curl_easy_setopt(t->easy, CURLOPT_INFILESIZE_LARGE,
                           (curl_off_t)r->size);
    (void)curl_easy_setopt(t->easy, CURLOPT_READFUNCTION, on_source);
    (void)curl_easy_setopt(t->easy, CURLOPT_READDATA, u);
    (void)curl_easy_setopt(t->easy, CURLOPT_SEEKFUNCTION, on_seek);
    (void)curl_easy_setopt(t->easy, CURLOPT_SEEKDATA, u);
}

MUST_CHECK static struct status try_once(struct http *h, const char *url,
                                         const struct request *r,
                                         struct http_reply *ret_reply,
                                         bool *ret_again)
{
    struct http_transfer t;
    struct upload u;
    struct status st = SUCCESS;

    *ret_again = false;
    if (r->restart != NULL)
        r->restart(r->self);
    http_open(h, &t, url);
    set_up(r, &t, &u);
    http_start(&t);
    while (!t.is_finished && !status_failed(&st)) {
        st = http_turn(h, HTTP_TURN_MS);
        http_check_stall(&t);
    }
    if (!status_failed(&st))
        st = http_verdict(&t, ret_again);
    *ret_reply = t.reply;
    http_close(&t);
    return st;
}

/* In small steps, to hear of a cancellation. */
MUST_CHECK static struct status pause_ms(struct http *h, int64_t ms)
{
    const int64_t end = clock_now() + ms * NS_PER_MS;
    int64_t left;

    while ((left = (end - clock_now()) / NS_PER_MS) > 0) {
        TRY_PLAIN(http_turn(h, 0));
        clock_sleep_ms(left < HTTP_TURN_MS ? left : HTTP_TURN_MS);
    }
    return SUCCESS;
}

MUST_CHECK static struct status request(struct http *h, const char *url,
                                        const struct request *r,
                                        struct http_reply *ret_reply)
{
    const int64_t end = clock_now() + h->settings.give_up_ms * NS_PER_MS;

    for (unsigned attempt = 1;; attempt++) {
        bool again;
        struct status st = try_once(h, url, r, ret_reply, &again);
        int64_t wait_ms;

        if (!status_failed(&st) || !again)
            return st;
        wait_ms = http_backoff_ms(h, ret_reply, attempt);
        if (clock_now() + wait_ms * NS_PER_MS > end)
            return status_wrap(st, "given up after %u tries", attempt);
        TRY_PLAIN(pause_ms(h, wait_ms));
    }
}

/* HEAD. */

/* The first byte tells that the answer has begun, which is all that is
 * wanted; a server without ranges would go on to send everything. */
static struct status stop(void *self, const struct http_reply *reply,
                          const char *data, size_t size)
{
    struct http_reply *ret = self;

    (void)data;
    (void)size;
    *ret = *reply;
    return FAIL(STATUS_CANCELLED, "enough");
}

static bool is_head_refused(const struct http_reply *reply)
{
    return reply->code == 400 || reply->code == 403 || reply->code == 405 ||
           reply->code == 501;
}

/* The hub says how large a file is that its store serves. */
MUST_CHECK static struct status check_link(const char *url,
                                           const struct http_reply *reply)
{
    AUTO(free_pointer) char *shown = http_shown(url);

    if (reply->linked_size < 0 || reply->size < 0 ||
        reply->linked_size == reply->size)
        return SUCCESS;
    return FAIL(STATUS_CORRUPT,
                "%s is announced with %lld bytes and served with %lld", shown,
                (long long)reply->linked_size, (long long)reply->size);
}

struct status http_head(struct http *h, const char *url,
                        struct http_info *ret_info)
{
    const struct request head = { .head = true };
    struct http_reply got = { .code = 0 };
    const struct request byte = { .range = "0-0", .sink = stop, .self = &got };
    struct http_reply reply;
    struct status st;

    if (http_file_is(url))
        return http_file_head(url, ret_info);
    st = request(h, url, &head, &reply);
    if (status_failed(&st) && is_head_refused(&reply)) {
        st = request(h, url, &byte, &reply);
        if (got.code != 0) {
            reply = got;
            st = SUCCESS;
        }
    }
    TRY_PLAIN(st);
    TRY_PLAIN(check_link(url, &reply));
    http_reply_info(&reply, ret_info);
    return SUCCESS;
}

/* GET. */

static struct status collect(void *self, const struct http_reply *reply,
                             const char *data, size_t size)
{
    (void)reply;
    return buf_add(self, data, size);
}

static void restart_collect(void *self)
{
    buf_clear(self);
}

struct status http_get(struct http *h, const char *url, size_t limit,
                       char **ret_data, size_t *ret_size)
{
    AUTO(free_pointer) char *shown = http_shown(url);
    struct buf body;
    const struct request get = { .sink = collect,
                                 .restart = restart_collect,
                                 .self = &body };
    struct http_reply reply;
    struct status st;

    if (http_file_is(url)) {
        AUTO(free_pointer) char *path = NULL;

        TRY_PLAIN(http_file_path(url, &path));
        return file_read(path, limit, ret_data, ret_size);
    }
    buf_init(&body, limit);
    st = request(h, url, &get, &reply);
    if (status_failed(&st)) {
        buf_release(&body);
        return st.code == STATUS_TOO_BIG ? status_wrap(st, "%s", shown) : st;
    }
    *ret_size = body.size;
    *ret_data = buf_take(&body);
    return SUCCESS;
}

struct range {
    const char *url;
    uint64_t first;
    size_t size;
    size_t used;
    char *into;
};

static struct status take_range(void *self, const struct http_reply *reply,
                                const char *data, size_t size)
{
    struct range *r = self;

    if (reply->code != 206 || (uint64_t)reply->first != r->first)
        return FAIL(STATUS_INVALID,
                    "the server of %s does not answer ranges; such files can "
                    "only be downloaded whole",
                    r->url);
    if (size > r->size - r->used)
        return FAIL(STATUS_CORRUPT, "%s sends more than was asked for", r->url);
    memcpy(r->into + r->used, data, size);
    r->used += size;
    return SUCCESS;
}

static void restart_range(void *self)
{
    struct range *r = self;

    r->used = 0;
}

struct status http_get_range(struct http *h, const char *url, uint64_t first,
                             size_t size, void *ret_data)
{
    AUTO(free_pointer) char *shown = http_shown(url);
    struct range r = { shown, first, size, 0, ret_data };
    char text[64];
    const struct request get = {
        .range = text, .sink = take_range, .restart = restart_range, .self = &r
    };
    struct http_reply reply;

    if (size == 0)
        return SUCCESS;
    if (http_file_is(url))
        return http_file_get_range(url, first, size, ret_data);
    (void)snprintf(text, sizeof text, "%llu-%llu", (unsigned long long)first,
                   (unsigned long long)(first + size - 1));
    TRY_PLAIN(request(h, url, &get, &reply));
    if (r.used != size)
        return FAIL(STATUS_INVALID, "%s ends after %zu of %zu bytes at %llu",
                    shown, r.used, size, (unsigned long long)first);
    return SUCCESS;
}

/* PUT. */

static struct status from_memory(void *self, uint64_t at, char *into,
                                 size_t size)
{
    if (size > 0)
        memcpy(into, (const char *)self + at, size);
    return SUCCESS;
}

MUST_CHECK static struct status put(struct http *h, const char *url,
                                    const struct request *r)
{
    struct http_reply reply;

    if (http_file_is(url))
        return FAIL(STATUS_INVALID, "%s: PUT needs http or https", url);
    return request(h, url, r, &reply);
}

struct status http_put(struct http *h, const char *url, const void *data,
                       size_t size)
{
    /* Only read from; `self` serves writers as well. */
    const struct request r = { .source = from_memory,
                               .size = size,
                               .self = (void *)(uintptr_t)data };

    return put(h, url, &r);
}

struct source_file {
    const char *path;
    int fd;
};

static struct status from_file(void *self, uint64_t at, char *into, size_t size)
{
    const struct source_file *f = self;

    while (size > 0) {
        ssize_t got = pread(f->fd, into, size, (off_t)at);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return FAIL(file_error(errno), "read %s: %s", f->path,
                        strerror(errno));
        if (got == 0)
            return FAIL(STATUS_INVALID, "%s shrinks while it is sent", f->path);
        at += (uint64_t)got;
        into += got;
        size -= (size_t)got;
    }
    return SUCCESS;
}

struct status http_put_file(struct http *h, const char *url, const char *path)
{
    struct source_file f = { path, open(path, O_RDONLY | O_CLOEXEC) };
    struct request r = { .source = from_file, .self = &f };
    struct stat info;
    struct status st;

    if (f.fd < 0)
        return FAIL(file_error(errno), "open %s: %s", path, strerror(errno));
    if (fstat(f.fd, &info) == 0) {
        r.size = (uint64_t)info.st_size;
        st = put(h, url, &r);
    } else {
        st = FAIL(file_error(errno), "stat %s: %s", path, strerror(errno));
    }
    (void)close(f.fd);
    return st;
}
