/* served.h -- what a worker's cache gives to other workers: files of whole
 * entries, by name. The name says which entry (a source as it was asked for,
 * version and digests included, or an artifact) and which file of it, by its
 * digest: whoever fetches it knows what has to come. */
#ifndef SINTER_SOURCES_SERVED_H
#define SINTER_SOURCES_SERVED_H

#include "common/digest.h"
#include "common/status.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    SERVED_LEAST = 64 << 10, /* smaller files are fetched where they are from */
    SERVED_PATH = 192,
};

struct served_name {
    bool is_artifact; /* else a source */
    struct digest entry, file;
};

/* "/cache/sources/<64 hex>/<64 hex>", "/cache/artifacts/..." and nothing else,
 * not even another spelling. */
bool served_parse(const char *path, struct served_name *ret_name);
void served_path(const struct served_name *name, char ret_path[SERVED_PATH]);

/* The file, if its entry is whole and it is as it was recorded. NOT_FOUND
 * otherwise. The caller closes it. */
MUST_CHECK struct status served_open(const char *cache,
                                     const struct served_name *name,
                                     int *ret_fd, uint64_t *ret_size);

/* What workers show each other: made of the first line of the farm's token
 * file, and good for nothing else. */
MUST_CHECK struct status served_token(const char *file,
                                      char ret_token[DIGEST_TEXT]);

#endif
