/* cache.h -- the directory of fetched models and artifacts, shared by the
 * slots of one worker and by all workers of one machine.
 *
 * An entry is a directory: `lock` (its flock says who fetches or uses it, its
 * contents how many bytes it may take, its mtime when it was used last),
 * `files/`, and `entry.json` with the digest of each file, written last. So a
 * process may die at any instruction: without entry.json the entry is taken
 * up again where it was left. Nothing here knows what the files are. */
#ifndef SINTER_SOURCES_CACHE_H
#define SINTER_SOURCES_CACHE_H

#include "common/digest.h"
#include "common/status.h"

#include <stdbool.h>
#include <stdint.h>

struct cache;       /* opaque */
struct cache_entry; /* opaque; holds the flock */

struct cache_settings {
    const char *directory;
    uint64_t size_limit; /* bytes of all entries; 0: no limit */
    /* Called every 50 ms while another process fetches the same entry; false
     * ends the wait with CANCELLED. May be NULL. */
    bool (*waiting)(void *self);
    void *self;
};

/* Makes the directories. DENIED names a place that cannot be written. */
MUST_CHECK struct status cache_new(const struct cache_settings *settings,
                                   struct cache **ret_cache);
void cache_free(struct cache *c); /* NULL is fine */

/* Is there a whole one now? */
bool cache_has(const struct cache *c, const char *shelf, const char *name);
/* Hold the entry `name` (of letters and digits) on `shelf` ("sources",
 * "artifacts"). Whole: its files are there, as they were recorded, and no
 * process removes them before cache_close(). Not whole: nobody else has it,
 * the caller fills it and calls cache_finish(). With `place`, the files are
 * not in the cache but in that directory, and only their record is. */
MUST_CHECK struct status cache_open(struct cache *c, const char *shelf,
                                    const char *name, const char *place,
                                    struct cache_entry **ret_entry);
/* An entry that grows while others use what it has: never whole, shared by
 * all who hold it; what is in it and how much of that is sound is the
 * callers' affair. One at a time may add to it: between cache_begin() and
 * cache_end(). */
MUST_CHECK struct status cache_open_growing(struct cache *c, const char *shelf,
                                            const char *name,
                                            struct cache_entry **ret_entry);
MUST_CHECK struct status cache_begin(struct cache *c, struct cache_entry *e);
void cache_end(struct cache_entry *e);
bool cache_is_whole(const struct cache_entry *e);
/* Where its files are or go. */
const char *cache_files(const struct cache_entry *e);
void cache_close(struct cache_entry *e); /* NULL is fine */

/* Before filling: make room for `bytes` in all by removing the entries not
 * used for the longest time, never one in use. `missing` of them are still to
 * be written: NO_SPACE if the disk has fewer, or the limit is too small. */
MUST_CHECK struct status cache_reserve(struct cache *c, struct cache_entry *e,
                                       uint64_t bytes, uint64_t missing);

/* A file (a path below cache_files()) is there and has this digest; `proven`:
 * as it had to have. */
MUST_CHECK struct status cache_add(struct cache_entry *e, const char *path,
                                   const struct digest *digest, bool proven);
/* All are there: the entry is whole from now on, and others may use it. If all
 * but small ones (served.h) are proven, a mark beside its record says so. */
MUST_CHECK struct status cache_finish(struct cache *c, struct cache_entry *e);

#endif
