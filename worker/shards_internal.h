/* shards_internal.h -- what shards.c (sources) and shards_depot.c (artifacts)
 * share; nobody else includes it. */
#ifndef SINTER_WORKER_SHARDS_INTERNAL_H
#define SINTER_WORKER_SHARDS_INTERNAL_H

#include "common/http.h"
#include "worker/cache.h"
#include "worker/shards.h"

struct shards {
    struct shards_settings settings;
    struct cache *cache; /* NULL until needed */
    struct http *http;   /* of sources; NULL until needed, as `depot` */
    struct http *depot;  /* gives up sooner: it may be at another place */
};

struct shards_pin {
    char *path;
    struct cache_entry *entry; /* NULL: used in place */
};

/* Have all three. */
MUST_CHECK struct status shards_open(struct shards *s);
/* Takes the entry over. */
struct shards_pin *shards_pin_new(const char *path, struct cache_entry *entry);
void shards_close_entry(struct cache_entry **entry); /* for AUTO() */

/* A relative path that stays below where it is put. */
bool shards_is_plain_path(const char *path);
/* Have `name` below the entry's files from `url` and note it there. A file
 * left whole by an earlier try is taken if its digest is right; `expected`
 * may be NULL. */
MUST_CHECK struct status shards_have_file(struct http *http,
                                          struct cache_entry *e,
                                          const char *url, const char *name,
                                          const struct digest *expected);

#endif
