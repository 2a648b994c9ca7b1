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

struct http_settings {
    const char *token_file;   /* bearer token; NULL: none. Never printed. */
    const char *token_prefix; /* URLs that get the token; NULL: none */
    int64_t connect_ms;       /* 0: 5,000 */
    int64_t stall_ms;         /* no byte for so long is a failure; 0: 15,000 */
    int64_t give_up_ms;       /* stop retrying after; 0: 60,000 */
    size_t connections;       /* parallel ranges of one download; 0: 4 */
    /* Polled between pieces; true ends the call with CANCELLED. May be NULL. */
    bool (*cancelled)(void *self);
    void (*progress)(void *self, uint64_t done, uint64_t total);
    void *self;
};

MUST_CHECK struct status http_new(const struct http_settings *settings,
                                  struct http **ret_http);
void http_free(struct http *h);

struct http_info {
    int64_t size;             /* bytes of the whole thing; -1: unknown */
    bool ranges;              /* the server honours Range */
    char etag[128];           /* "" if none; for file:// "mtime-size" */
    char sha256[DIGEST_TEXT]; /* of the hub's LFS headers; "" if none */
};

/* HEAD, or a one-byte Range where HEAD is refused. Follows redirects. */
MUST_CHECK struct status http_head(struct http *h, const char *url,
                                   struct http_info *ret_info);

/* The whole body, at most `limit` bytes; the caller frees. */
MUST_CHECK struct status http_get(struct http *h, const char *url, size_t limit,
                                  char **ret_data, size_t *ret_size);
/* Exactly bytes [first, first+size). */
MUST_CHECK struct status http_get_range(struct http *h, const char *url,
                                        uint64_t first, size_t size,
                                        void *ret_data);

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

/* PUT a file or bytes. */
MUST_CHECK struct status http_put_file(struct http *h, const char *url,
                                       const char *path);
MUST_CHECK struct status http_put(struct http *h, const char *url,
                                  const void *data, size_t size);

#endif
