/* serve.h -- what lies whole in this worker's cache, for other workers: a small
 * HTTP server with a thread of its own, which reads the cache's directory and
 * nothing else, and knows no session and no slot.
 *
 *     GET|HEAD /cache/sources/<entry>/<digest>, /cache/artifacts/... (served.h)
 *
 * So many transfers at a time; who comes beyond that is told 503 and may ask
 * another worker. With a token file, whoever asks has to know what is made of
 * it. */
#ifndef SINTER_WORKER_SERVE_H
#define SINTER_WORKER_SERVE_H

#include "common/status.h"

struct serve; /* opaque */

struct serve_settings {
    const char *address;    /* --serve; NULL: nothing is served */
    const char *advertise;  /* where others reach it; NULL: as bound, or this
                               machine's name */
    const char *cache;      /* borrowed */
    const char *token_file; /* NULL: none is asked for */
};

/* `ret_serve` is NULL if nothing is to be served. After signals are blocked:
 * its thread shall get none. */
MUST_CHECK struct status serve_start(const struct serve_settings *settings,
                                     struct serve **ret_serve);
/* "http://HOST:PORT"; NULL for NULL. */
const char *serve_url(const struct serve *s);
void serve_stop(struct serve *s); /* NULL is fine */

#endif
