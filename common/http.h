/* http.h -- HTTP out, and file://, through libcurl.
 *
 * Retries are here (backoff with full jitter, only where a repeat is safe);
 * policy of what to fetch is the caller's. All calls block; give each thread
 * its own client. */
#ifndef SINTER_COMMON_HTTP_H
#define SINTER_COMMON_HTTP_H

#include "common/digest.h"
#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

struct http; /* opaque: connections are reused */

/* Of AWS SigV4, service s3. Never printed. */
struct http_signing {
    const char *region;
    const char *key, *secret;
    const char *session; /* NULL: none */
};

/* Texts are borrowed until http_new() returns. */
struct http_settings {
    const char *token_file;   /* bearer token; NULL: `token`. Never printed. */
    const char *token;        /* the token itself; NULL: none */
    const char *token_prefix; /* URLs that get the token; NULL: none */
    /* May a redirect lead there? NULL: anywhere. */
    bool (*may_follow)(void *rules, const char *url);
    void *rules;
    /* Every request is signed, and no redirect followed. NULL: none. */
    const struct http_signing *signing;
    int64_t connect_ms; /* 0: 5,000 */
    int64_t stall_ms;   /* no byte for so long is a failure; 0: 15,000 */
    int64_t give_up_ms; /* stop retrying after; 0: 60,000 */
    size_t connections; /* parallel ranges of one download; 0: 4 */
    bool is_direct;     /* whatever proxy the environment names */
    /* Polled between pieces; true ends the call with CANCELLED. May be NULL. */
    bool (*cancelled)(void *self);
    void (*progress)(void *self, uint64_t done, uint64_t total);
    void *self;
};

MUST_CHECK struct status http_new(const struct http_settings *settings,
                                  struct http **ret_http);
void http_free(struct http *h);
/* Bytes of bodies that have come in since, of all calls. */
uint64_t http_received(const struct http *h);

struct http_info {
    int64_t size;             /* bytes of the whole thing; -1: unknown */
    bool ranges;              /* the server honours Range */
    char etag[128];           /* "" if none; for file:// "mtime-size" */
    char sha256[DIGEST_TEXT]; /* of the hub's LFS headers; "" if none */
    char commit[48];          /* the revision the hub says it is of; "" */
};

/* HEAD, or a one-byte Range where HEAD is refused.
 *
 * Certificates are those of the system, or of the file SSL_CERT_FILE names.
 * Redirects are followed by all calls, up to ten, from https to https only and
 * from http to both; a token stays with the host it was meant for. */
MUST_CHECK struct status http_head(struct http *h, const char *url,
                                   struct http_info *ret_info);

/* The whole body, at most `limit` bytes; the caller frees. */
MUST_CHECK struct status http_get(struct http *h, const char *url, size_t limit,
                                  char **ret_data, size_t *ret_size);
/* Exactly bytes [first, first+size). */
MUST_CHECK struct status http_get_range(struct http *h, const char *url,
                                        uint64_t first, size_t size,
                                        void *ret_data);

struct http_range {
    uint64_t first, size;
};

enum http_ranges_end {
    HTTP_RANGES_HAD,
    HTTP_RANGES_REFUSED, /* the server sends all, whatever is asked for */
    HTTP_RANGES_CHANGED, /* it is another thing by now */
};

/* Write the bytes of `ranges` (in order, apart from each other) of the thing
 * that `info` describes to `fd`, each at its own place, over several
 * connections. Unless all were had, what was written means nothing; `ret_now`
 * is what a changed thing says of itself. */
MUST_CHECK struct status http_get_ranges(struct http *h, const char *url,
                                         const struct http_info *info,
                                         const struct http_range *ranges,
                                         size_t count, int fd,
                                         enum http_ranges_end *ret_end,
                                         struct http_info *ret_now);

/* Download to `path`, which appears whole or not at all. `path`.part and
 * `path`.part.state hold what has arrived, so a killed download resumes (if
 * ETag or size still agree). Several ranged connections when the server
 * allows and the file is large. `expected` (may be NULL) is checked: CORRUPT
 * names both digests and the part is removed. */
MUST_CHECK struct status http_download(struct http *h, const char *url,
                                       const char *path,
                                       const struct digest *expected,
                                       struct digest *ret_digest,
                                       struct http_info *ret_info);

/* The same for a file of which digest and size are known: CORRUPT before a
 * byte is taken if the server says that it has another size. */
MUST_CHECK struct status http_download_exactly(struct http *h, const char *url,
                                               const char *path,
                                               const struct digest *expected,
                                               uint64_t size);

/* PUT a file or bytes. */
MUST_CHECK struct status http_put_file(struct http *h, const char *url,
                                       const char *path);
MUST_CHECK struct status http_put(struct http *h, const char *url,
                                  const void *data, size_t size);

#endif
