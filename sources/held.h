/* held.h -- which remote sources and artifacts lie in the cache, for the
 * broker. Of a source there is a mark for each URL that was fetched, beside the
 * entries; the mark of an entry that is no more is removed by whoever looks. */
#ifndef SINTER_SOURCES_HELD_H
#define SINTER_SOURCES_HELD_H

#include "common/digest.h"

#include <stdint.h>

/* The source of that URL is in the entry with these files. Best effort: a
 * mark that is missing costs a job its way to where the bytes are. */
void held_note(const char *cache, const char *url, const char *files);

/* Calls `visit` for each source that is there, then for each whole artifact:
 * the SHA-256 of its URL, or its own digest, and about how many bytes it
 * takes. */
void held_each(const char *cache,
               void (*visit)(void *self, const struct digest *source,
                             uint64_t bytes),
               void *self);

#endif
