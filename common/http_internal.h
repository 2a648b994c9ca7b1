/* http_internal.h -- one HTTP exchange (http_transfer.c), for http.c,
 * http_download.c and http_ranges.c only.
 *
 * A transfer is opened, set up with the caller's own curl options, started,
 * turned until finished, judged and closed. Several may be under way. */
#ifndef SINTER_COMMON_HTTP_INTERNAL_H
#define SINTER_COMMON_HTTP_INTERNAL_H

#include "common/http.h"

#include <stddef.h>
#include <stdint.h>

#include <curl/curl.h>

enum {
    HTTP_TURN_MS = 100, /* how often cancelled() is asked */
    HTTP_PIECE = 512 << 10,
    HTTP_SAID = 160,
};

struct http {
    struct http_settings settings; /* defaults filled in */
    CURLM *multi;
    char *authorization; /* the whole header line; NULL: no token */
    char *token_prefix;  /* normal form */
    char *region;        /* NULL: requests are not signed, as the next */
    char *key, *secret;
    char *session;     /* the whole header line; NULL: none */
    uint64_t received; /* bytes of bodies */
    uint64_t chance;   /* state of the generator that backoff draws from */
};

/* What the headers of an answer say. */
struct http_reply {
    long code;       /* 0: none came */
    int64_t size;    /* of the whole thing; -1: not said */
    int64_t first;   /* of a 206: where it begins; -1: not said */
    int64_t wait_ms; /* Retry-After; 0: not said */
    bool ranges;     /* Accept-Ranges: bytes */
    bool is_ranged;  /* a Content-Range came, so `size` is of the thing */
    char etag[128];
    /* From a redirect's headers, too: */
    char sha256[DIGEST_TEXT];
    char commit[48];
    int64_t linked_size; /* -1: not said */
};

struct http_transfer {
    struct http *http;
    CURL *easy;
    const char *url;
    struct curl_slist *headers;

    /* Gets the body of an answer of 2xx, when all headers are known; a failure
     * ends the transfer. NULL: the body is dropped. */
    struct status (*sink)(void *self, const struct http_reply *reply,
                          const char *data, size_t size);
    void *self;

    bool is_started;
    bool is_finished;
    CURLcode code;         /* valid when finished */
    struct status failure; /* from sink or source */
    bool has_failed;
    int64_t moved_at; /* when a byte last went in or out, ns */
    struct http_reply reply;
    size_t said_size; /* what the server said of its refusal */
    char said[HTTP_SAID];
    char error[CURL_ERROR_SIZE];
};

void http_open(struct http *h, struct http_transfer *t, const char *url);
void http_start(struct http_transfer *t);
void http_close(struct http_transfer *t); /* fine if never opened */

/* Let all started transfers move; waits up to `wait_ms` for one to be able to.
 * CANCELLED if the caller's callback says so. */
MUST_CHECK struct status http_turn(struct http *h, int64_t wait_ms);
/* A transfer on which nothing moves any more counts as finished. */
void http_check_stall(struct http_transfer *t);

/* How a finished transfer ended. `ret_again`: the same may work later. */
MUST_CHECK struct status http_verdict(const struct http_transfer *t,
                                      bool *ret_again);

/* Full jitter: anything up to 0.2 s doubled with each attempt, at most 10 s,
 * or what the server asked for. */
int64_t http_backoff_ms(struct http *h, const struct http_reply *reply,
                        unsigned attempt);

/* `st`, if no byte has come since `moved_at` for as long as the settings have
 * patience. */
MUST_CHECK struct status http_keep_trying(const struct http *h,
                                          int64_t moved_at, struct status st);

/* One spelling for equal URLs: lower-case scheme and host, no "..". NULL for
 * what is no URL. The caller frees. */
char *http_normal(const char *url);

/* `url` as it may be shown: no password, no query. The caller frees. */
char *http_shown(const char *url);

void http_reply_info(const struct http_reply *reply, struct http_info *info);

#endif
