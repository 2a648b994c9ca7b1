#include "common/http_internal.h"

#include "common/clock.h"
#include "common/memory.h"

#include <assert.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    MOST_REDIRECTS = 10,
    BACKOFF_FIRST_MS = 200,
    BACKOFF_MOST_MS = 10 * 1000,
};

static const char protocols[] = "http,https";
static const char https[] = "https";

/* URLs. */

char *http_normal(const char *url)
{
    CURLU *parts = curl_url();
    char *text = NULL;
    char *copy = NULL;

    if (parts != NULL &&
        curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(parts, CURLUPART_URL, &text, CURLU_DEFAULT_PORT) ==
            CURLUE_OK)
        copy = xstrdup(text);
    curl_free(text);
    curl_url_cleanup(parts);
    return copy;
}

char *http_shown(const char *url)
{
    const char *host = strstr(url, "://");
    const char *end = url + strcspn(url, "?#");
    const char *at;

    if (host == NULL || host > end)
        return xstrndup(url, (size_t)(end - url));
    host += 3;
    at = host + strcspn(host, "@/?#");
    if (*at != '@')
        return xstrndup(url, (size_t)(end - url));
    return xasprintf("%.*s%.*s", (int)(host - url), url, (int)(end - at - 1),
                     at + 1);
}

/* "https://hub.example" must not cover "https://hub.example.evil.org". */
static bool wants_token(const struct http *h, const char *url)
{
    AUTO(free_pointer) char *normal = NULL;
    size_t size;

    if (h->authorization == NULL)
        return false;
    normal = http_normal(url);
    size = strlen(h->token_prefix);
    if (normal == NULL || strncmp(normal, h->token_prefix, size) != 0)
        return false;
    return h->token_prefix[size - 1] == '/' ||
           strchr("/?#", normal[size]) != NULL;
}

/* Headers of an answer. */

/* What a redirect says of its target stays true. */
static void reset_reply(struct http_reply *reply)
{
    const struct http_reply old = *reply;

    *reply = (struct http_reply){ .size = -1,
                                  .first = -1,
                                  .linked_size = old.linked_size };
    memcpy(reply->sha256, old.sha256, sizeof reply->sha256);
    memcpy(reply->commit, old.commit, sizeof reply->commit);
}

static void read_etag(struct http_reply *reply, const char *value)
{
    if (strlen(value) < sizeof reply->etag)
        (void)snprintf(reply->etag, sizeof reply->etag, "%s", value);
}

static void read_ranges(struct http_reply *reply, const char *value)
{
    reply->ranges = strcasecmp(value, "bytes") == 0;
}

static void read_length(struct http_reply *reply, const char *value)
{
    char *end;
    long long size = strtoll(value, &end, 10);

    /* A Content-Range says more, in whatever order they come. */
    if (end != value && *end == '\0' && size >= 0 && reply->size < 0 &&
        reply->first < 0)
        reply->size = size;
}

/* "bytes 0-499/1234", "bytes 0-499/" and a star, "bytes" star "/1234". */
static void read_content_range(struct http_reply *reply, const char *value)
{
    const char *slash = strchr(value, '/');
    char *end;

    reply->size = -1;
    reply->is_ranged = true;
    if (strncasecmp(value, "bytes ", 6) != 0 || slash == NULL)
        return;
    if (isdigit((unsigned char)value[6]))
        reply->first = strtoll(value + 6, NULL, 10);
    if (isdigit((unsigned char)slash[1])) {
        reply->size = strtoll(slash + 1, &end, 10);
        if (*end != '\0')
            reply->size = -1;
    }
}

static void read_retry_after(struct http_reply *reply, const char *value)
{
    long seconds = strtol(value, NULL, 10);

    if (seconds > 0 && seconds <= 3600)
        reply->wait_ms = seconds * 1000;
}

/* The hub names its large files by SHA-256. */
static void read_linked_etag(struct http_reply *reply, const char *value)
{
    struct digest digest;
    char text[DIGEST_TEXT + 2];

    (void)snprintf(text, sizeof text, "%s", value + (value[0] == '"'));
    text[strcspn(text, "\"")] = '\0';
    if (digest_from_text(text, &digest))
        digest_to_text(&digest, reply->sha256);
}

static void read_linked_size(struct http_reply *reply, const char *value)
{
    char *end;
    long long size = strtoll(value, &end, 10);

    if (end != value && *end == '\0' && size >= 0)
        reply->linked_size = size;
}

static void read_commit(struct http_reply *reply, const char *value)
{
    if (strlen(value) < sizeof reply->commit)
        (void)snprintf(reply->commit, sizeof reply->commit, "%s", value);
}

static const struct {
    const char *name;
    void (*read)(struct http_reply *reply, const char *value);
} header_rows[] = {
    { "etag", read_etag },
    { "accept-ranges", read_ranges },
    { "content-length", read_length },
    { "content-range", read_content_range },
    { "retry-after", read_retry_after },
    { "x-linked-etag", read_linked_etag },
    { "x-linked-size", read_linked_size },
    { "x-repo-commit", read_commit },
};

static void read_header(struct http_reply *reply, char *line)
{
    char *value = strchr(line, ':');
    size_t size;

    if (value == NULL)
        return;
    *value++ = '\0';
    value += strspn(value, " \t");
    size = strlen(value);
    while (size > 0 && strchr(" \t\r\n", value[size - 1]) != NULL)
        value[--size] = '\0';
    for (size_t i = 0; i < COUNT_OF(header_rows); i++)
        if (strcasecmp(line, header_rows[i].name) == 0)
            header_rows[i].read(reply, value);
}

/* Where a Location line leads to from where we are; NULL: nowhere. The caller
 * frees. */
static char *destination(const struct http_transfer *t, const char *line,
                         size_t size)
{
    AUTO(free_pointer) char *place = xstrndup(line, size);
    char *value = strchr(place, ':') + 1;
    CURLU *parts = curl_url();
    const char *here = NULL;
    char *text = NULL;
    char *copy = NULL;

    value += strspn(value, " \t");
    value[strcspn(value, "\r\n")] = '\0';
    (void)curl_easy_getinfo(t->easy, CURLINFO_EFFECTIVE_URL, &here);
    if (parts != NULL && here != NULL &&
        curl_url_set(parts, CURLUPART_URL, here, 0) == CURLUE_OK &&
        curl_url_set(parts, CURLUPART_URL, value, CURLU_URLENCODE) ==
            CURLUE_OK &&
        curl_url_get(parts, CURLUPART_URL, &text, 0) == CURLUE_OK)
        copy = xstrdup(text);
    curl_free(text);
    curl_url_cleanup(parts);
    return copy;
}

/* False: the line is a Location that must not be followed. */
static bool may_follow(struct http_transfer *t, const char *line, size_t size)
{
    static const char name[] = "location:";
    const struct http_settings *set = &t->http->settings;
    AUTO(free_pointer) char *url = NULL;
    AUTO(free_pointer) char *shown = NULL;

    if (set->may_follow == NULL || t->reply.code / 100 != 3 ||
        size < strlen(name) || strncasecmp(line, name, strlen(name)) != 0)
        return true;
    url = destination(t, line, size);
    if (url != NULL && set->may_follow(set->rules, url))
        return true;
    shown = url != NULL ? http_shown(url) : xstrdup("nowhere");
    t->failure = FAIL(STATUS_INVALID,
                      "it redirects to %s, which no --allow-url of this worker "
                      "covers",
                      shown);
    t->has_failed = true;
    return false;
}

static size_t on_header(char *data, size_t one, size_t size, void *self)
{
    struct http_transfer *t = self;
    char line[1024];

    (void)one;
    t->moved_at = clock_now();
    if (!may_follow(t, data, size))
        return 0;
    if (size >= 5 && memcmp(data, "HTTP/", 5) == 0) {
        reset_reply(&t->reply);
    } else if (size < sizeof line) { /* a longer one is none of ours */
        memcpy(line, data, size);
        line[size] = '\0';
        read_header(&t->reply, line);
    }
    (void)curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->reply.code);
    return size;
}

/* Bodies. */

static void note_said(struct http_transfer *t, const char *data, size_t size)
{
    for (size_t i = 0; i < size && t->said_size + 1 < sizeof t->said; i++)
        t->said[t->said_size++] =
            isprint((unsigned char)data[i]) ? data[i] : ' ';
    t->said[t->said_size] = '\0';
}

static size_t on_body(char *data, size_t one, size_t size, void *self)
{
    struct http_transfer *t = self;

    (void)one;
    t->moved_at = clock_now();
    if (t->reply.code / 100 != 2) {
        note_said(t, data, size);
        return size;
    }
    t->http->received += size;
    if (t->sink == NULL)
        return size;
    t->failure = t->sink(t->self, &t->reply, data, size);
    t->has_failed = status_failed(&t->failure);
    return t->has_failed ? 0 : size;
}

/* One exchange. */

/* A proxy cannot reach what listens on this machine only. The option hides
 * no_proxy of the environment, so that is repeated; "*" must stand alone. */
static void keep_from_proxy(CURL *easy)
{
    static const char loopback[] = "localhost,127.0.0.1,127.0.0.0/8,::1";
    const char *more = getenv("no_proxy");
    AUTO(free_pointer) char *list = NULL;

    if (more == NULL)
        more = getenv("NO_PROXY");
    if (more == NULL)
        more = "";
    list = strcmp(more, "*") == 0 ? xstrdup(more)
                                  : xasprintf("%s,%s", loopback, more);
    (void)curl_easy_setopt(easy, CURLOPT_NOPROXY, list);
}

/* libcurl signs what it sends itself and the lines given here; S3 wants that
 * of the body among them, and ours have none. */
static void sign(const struct http *h, struct http_transfer *t)
{
    static const char of_nothing[] =
        "X-Amz-Content-Sha256: "
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    AUTO(free_pointer) char *what = xasprintf("aws:amz:%s:s3", h->region);

    (void)curl_easy_setopt(t->easy, CURLOPT_AWS_SIGV4, what);
    (void)curl_easy_setopt(t->easy, CURLOPT_USERNAME, h->key);
    (void)curl_easy_setopt(t->easy, CURLOPT_PASSWORD, h->secret);
    (void)curl_easy_setopt(t->easy, CURLOPT_FOLLOWLOCATION, 0L);
    t->headers = curl_slist_append(t->headers, of_nothing);
    if (h->session != NULL)
        t->headers = curl_slist_append(t->headers, h->session);
    assert(t->headers != NULL);
}

/* A certificate of one's own house, as other programs are told of it. */
static void trust(CURL *easy)
{
    const char *file = getenv("SSL_CERT_FILE");

    if (file != NULL && file[0] != '\0')
        (void)curl_easy_setopt(easy, CURLOPT_CAINFO, file);
}

void http_open(struct http *h, struct http_transfer *t, const char *url)
{
    const bool is_safe = strncasecmp(url, "https:", 6) == 0;

    memset(t, 0, sizeof *t);
    t->reply.linked_size = -1;
    t->http = h;
    t->url = url;
    reset_reply(&t->reply);
    t->easy = curl_easy_init();
    assert(t->easy != NULL);
    (void)curl_easy_setopt(t->easy, CURLOPT_URL, url);
    (void)curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
    (void)curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->error);
    (void)curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, protocols);
    (void)curl_easy_setopt(t->easy, CURLOPT_REDIR_PROTOCOLS_STR,
                           is_safe ? https : protocols);
    (void)curl_easy_setopt(t->easy, CURLOPT_FOLLOWLOCATION, 1L);
    (void)curl_easy_setopt(t->easy, CURLOPT_MAXREDIRS, (long)MOST_REDIRECTS);
    (void)curl_easy_setopt(t->easy, CURLOPT_BUFFERSIZE, (long)HTTP_PIECE);
    (void)curl_easy_setopt(t->easy, CURLOPT_TCP_KEEPALIVE, 1L);
    (void)curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS,
                           (long)h->settings.connect_ms);
    (void)curl_easy_setopt(t->easy, CURLOPT_USERAGENT,
                           "sinter/" SINTER_VERSION);
    (void)curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
    (void)curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
    if (h->settings.is_direct)
        (void)curl_easy_setopt(t->easy, CURLOPT_PROXY, "");
    else
        keep_from_proxy(t->easy);
    trust(t->easy);
    if (h->region != NULL)
        sign(h, t);
}

/* libcurl itself keeps an Authorization line from other hosts, ports and
 * schemes that a redirect leads to, and CURLHEADER_SEPARATE from proxies. */
void http_start(struct http_transfer *t)
{
    if (wants_token(t->http, t->url)) {
        t->headers = curl_slist_append(t->headers, t->http->authorization);
        assert(t->headers != NULL);
    }
    (void)curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
    (void)curl_easy_setopt(t->easy, CURLOPT_HEADEROPT,
                           (long)CURLHEADER_SEPARATE);
    t->moved_at = clock_now();
    t->is_started = true;
    if (curl_multi_add_handle(t->http->multi, t->easy) != CURLM_OK)
        abort();
}

void http_close(struct http_transfer *t)
{
    if (t->easy == NULL)
        return;
    if (t->is_started)
        (void)curl_multi_remove_handle(t->http->multi, t->easy);
    curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->headers);
    t->easy = NULL;
}

static bool is_cancelled(const struct http *h)
{
    return h->settings.cancelled != NULL &&
           h->settings.cancelled(h->settings.self);
}

struct status http_turn(struct http *h, int64_t wait_ms)
{
    int running = 0;
    int left = 0;
    CURLMsg *m;

    if (is_cancelled(h))
        return FAIL(STATUS_CANCELLED, "transfer cancelled");
    if (curl_multi_perform(h->multi, &running) != CURLM_OK)
        return FAIL(STATUS_UNAVAILABLE, "libcurl cannot go on");
    while ((m = curl_multi_info_read(h->multi, &left)) != NULL) {
        struct http_transfer *t = NULL;

        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
        t->code = m->data.result;
        t->is_finished = true;
        wait_ms = 0;
    }
    if (wait_ms > 0 &&
        curl_multi_poll(h->multi, NULL, 0,
                        wait_ms < HTTP_TURN_MS ? (int)wait_ms : HTTP_TURN_MS,
                        NULL) != CURLM_OK)
        return FAIL(STATUS_UNAVAILABLE, "libcurl cannot wait");
    return SUCCESS;
}

void http_check_stall(struct http_transfer *t)
{
    int64_t stall_ms = t->http->settings.stall_ms;

    if (t->is_finished || clock_now() - t->moved_at < stall_ms * NS_PER_MS)
        return;
    t->is_finished = true;
    t->code = CURLE_OPERATION_TIMEDOUT;
}

/* Verdicts. */

struct verdict {
    enum status_code code;
    bool again; /* the same may work later */
    const char *hint;
};

static const struct {
    CURLcode curl;
    struct verdict verdict;
} curl_rows[] = {
    { CURLE_COULDNT_RESOLVE_HOST, { STATUS_UNAVAILABLE, true, "" } },
    { CURLE_COULDNT_RESOLVE_PROXY, { STATUS_UNAVAILABLE, true, "" } },
    { CURLE_COULDNT_CONNECT, { STATUS_UNAVAILABLE, true, "" } },
    { CURLE_PARTIAL_FILE, { STATUS_UNAVAILABLE, true, "" } },
    { CURLE_GOT_NOTHING, { STATUS_UNAVAILABLE, true, "" } },
    { CURLE_SEND_ERROR, { STATUS_UNAVAILABLE, true, "" } },
    { CURLE_RECV_ERROR, { STATUS_UNAVAILABLE, true, "" } },
    { CURLE_HTTP2, { STATUS_UNAVAILABLE, true, "" } },
    { CURLE_HTTP2_STREAM, { STATUS_UNAVAILABLE, true, "" } },
    { CURLE_SSL_CONNECT_ERROR, { STATUS_UNAVAILABLE, true, "" } },
    { CURLE_OPERATION_TIMEDOUT, { STATUS_TIMED_OUT, true, "" } },
    { CURLE_PEER_FAILED_VERIFICATION,
      { STATUS_DENIED, false, "; its certificate is not trusted here" } },
    { CURLE_URL_MALFORMAT, { STATUS_INVALID, false, "" } },
    { CURLE_UNSUPPORTED_PROTOCOL,
      { STATUS_INVALID, false, "; http, https and file are known" } },
    { CURLE_TOO_MANY_REDIRECTS, { STATUS_INVALID, false, "" } },
    { CURLE_OUT_OF_MEMORY, { STATUS_NO_MEMORY, true, "" } },
};

static const struct {
    long least, most;
    struct verdict verdict;
} answer_rows[] = {
    { 401, 401, { STATUS_DENIED, false, "; is the token right?" } },
    { 403, 403, { STATUS_DENIED, false, "; is the token right?" } },
    { 404, 404, { STATUS_NOT_FOUND, false, "" } },
    { 408, 408, { STATUS_TIMED_OUT, true, "" } },
    { 410, 410, { STATUS_NOT_FOUND, false, "" } },
    { 413, 413, { STATUS_TOO_BIG, false, "" } },
    { 425, 425, { STATUS_UNAVAILABLE, true, "" } },
    { 429, 429, { STATUS_UNAVAILABLE, true, "" } },
    { 507, 507, { STATUS_NO_SPACE, false, "" } },
    { 416, 416, { STATUS_INVALID, false, "; it has no such range" } },
    { 300, 399, { STATUS_INVALID, false, "; it leads nowhere" } },
    { 400, 499, { STATUS_INVALID, false, "" } },
    { 501, 501, { STATUS_INVALID, false, "" } },
    { 500, 599, { STATUS_UNAVAILABLE, true, "" } },
};

static const struct verdict unknown_verdict = { STATUS_UNAVAILABLE, false, "" };
static const struct verdict redirect_verdict = {
    STATUS_INVALID, false,
    "; a redirect may lead to https, and from http to http"
};
static const struct verdict key_verdict = {
    STATUS_DENIED, false, "; are the AWS keys and the region right?"
};

static const struct verdict *verdict_of_curl(const struct http_transfer *t)
{
    const CURLcode code = t->code;

    if (code == CURLE_UNSUPPORTED_PROTOCOL && t->reply.code / 100 == 3)
        return &redirect_verdict;
    for (size_t i = 0; i < COUNT_OF(curl_rows); i++)
        if (curl_rows[i].curl == code)
            return &curl_rows[i].verdict;
    return &unknown_verdict;
}

static const struct verdict *verdict_of_answer(const struct http_transfer *t)
{
    const long code = t->reply.code;

    if (t->http->region != NULL &&
        (code == 401 || code == 403 || code / 100 == 3))
        return &key_verdict;
    for (size_t i = 0; i < COUNT_OF(answer_rows); i++)
        if (code >= answer_rows[i].least && code <= answer_rows[i].most)
            return &answer_rows[i].verdict;
    return &unknown_verdict;
}

struct status http_verdict(const struct http_transfer *t, bool *ret_again)
{
    AUTO(free_pointer) char *shown = http_shown(t->url);
    const struct verdict *v;

    *ret_again = false;
    if (t->has_failed)
        return t->failure;
    if (t->code != CURLE_OK) {
        v = verdict_of_curl(t);
        *ret_again = v->again;
        return FAIL(v->code, "%s: %s%s", shown,
                    t->error[0] != '\0' ? t->error
                                        : curl_easy_strerror(t->code),
                    v->hint);
    }
    if (t->reply.code / 100 == 2)
        return SUCCESS;
    v = verdict_of_answer(t);
    *ret_again = v->again;
    return FAIL(v->code, "%s: the server answers %ld%s%s%s", shown,
                t->reply.code, v->hint, t->said_size > 0 ? ": " : "", t->said);
}

/* SplitMix64, see wire.c; any even spread will do. */
static uint64_t draw(struct http *h)
{
    uint64_t x = h->chance += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

int64_t http_backoff_ms(struct http *h, const struct http_reply *reply,
                        unsigned attempt)
{
    int64_t most = BACKOFF_FIRST_MS;

    while (attempt-- > 1 && most < BACKOFF_MOST_MS)
        most *= 2;
    if (most > BACKOFF_MOST_MS)
        most = BACKOFF_MOST_MS;
    return reply->wait_ms + (int64_t)(draw(h) % (uint64_t)most) + 1;
}

struct status http_keep_trying(const struct http *h, int64_t moved_at,
                               struct status st)
{
    int64_t silent = clock_now() - moved_at;

    if (silent <= h->settings.give_up_ms * NS_PER_MS)
        return SUCCESS;
    return status_wrap(st, "given up after %lld s without a byte",
                       (long long)(silent / NS_PER_S));
}

void http_reply_info(const struct http_reply *reply, struct http_info *info)
{
    memset(info, 0, sizeof *info);
    info->size = reply->size >= 0 ? reply->size : reply->linked_size;
    info->ranges = reply->ranges || reply->code == 206;
    memcpy(info->etag, reply->etag, sizeof info->etag);
    memcpy(info->sha256, reply->sha256, sizeof info->sha256);
    memcpy(info->commit, reply->commit, sizeof info->commit);
}
