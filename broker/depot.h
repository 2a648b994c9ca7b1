/* depot.h -- blobs by digest in a directory: DIR/ab/cdef... A blob appears
 * whole and right, or not at all. Safe for several threads and processes. */
#ifndef SINTER_BROKER_DEPOT_H
#define SINTER_BROKER_DEPOT_H

#include "common/digest.h"
#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

struct depot;        /* opaque */
struct depot_upload; /* opaque: one blob on its way in */

MUST_CHECK struct status depot_open(const char *directory,
                                    struct depot **ret_depot);
void depot_free(struct depot *d); /* NULL is fine */

/* A descriptor to read from; the caller closes it. NOT_FOUND. Who asks may
 * mean to rely on the blob: it counts as touched now. */
MUST_CHECK struct status depot_find(const struct depot *d,
                                    const struct digest *name, int *ret_fd,
                                    uint64_t *ret_size);

/* `name` is what the bytes must hash to. */
MUST_CHECK struct status depot_begin(const struct depot *d,
                                     const struct digest *name,
                                     struct depot_upload **ret_upload);
/* NO_SPACE when the disk is full. */
MUST_CHECK struct status depot_add(struct depot_upload *u, const void *data,
                                   size_t size);
/* Durable when it returns; success too if the blob was there. CORRUPT names
 * both digests. Frees `u` in every case. */
MUST_CHECK struct status depot_commit(struct depot_upload *u);
/* Frees `u` and what it wrote. NULL is fine. */
void depot_abandon(struct depot_upload *u);

struct depot_blob {
    struct digest name;
    uint64_t size;
    int64_t touched_ms; /* 1970: stored, or asked for, last */
};

enum { DEPOT_FANS = 256 }; /* parts that are listed one by one */
/* Every blob of a part. What is on its way in is not there. */
MUST_CHECK struct status depot_list(
    const struct depot *d, unsigned fan,
    void (*visit)(void *self, const struct depot_blob *blob), void *self);
/* The whole of a small one; the caller frees. NOT_FOUND, TOO_BIG. */
MUST_CHECK struct status depot_read(const struct depot *d,
                                    const struct digest *name, size_t most,
                                    char **ret_text, size_t *ret_size);
/* Delete it, unless it was touched from `before_ms` on, be it this moment:
 * then it stays (false). */
MUST_CHECK struct status depot_remove(const struct depot *d,
                                      const struct digest *name,
                                      int64_t before_ms, bool *ret_removed);

#endif
