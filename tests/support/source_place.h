/* source_place.h -- a store of sources beside a web server, both in a
 * directory of their own. */
#ifndef SINTER_TESTS_SUPPORT_SOURCE_PLACE_H
#define SINTER_TESTS_SUPPORT_SOURCE_PLACE_H

#include "sources/source.h"
#include "support/nginx.h"

struct place {
    char directory[128]; /* "www" below it is what the server has */
    char cache[160];
    char *locations, *servers; /* of the server (nginx.h); freed with it */
    struct nginx nginx;
    struct source_settings settings;
    struct source_store *store;
};

/* The directory, and settings with the cache in it. Server and store are the
 * test's to start. */
struct place *place_new(int64_t give_up_ms);
/* The store anew, with the settings as they are now. */
void place_open(struct place *p);
/* As cmocka's teardown. */
int place_tear_down(void **state);

/* A file below the directory, with the folders above it. */
void place_put(const struct place *p, const char *name, const void *data,
               size_t size);

#endif
