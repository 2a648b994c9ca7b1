/* held.h -- which remote sources and artifacts lie in the cache, for the
 * broker. Of a source there is a mark for each URL that was fetched, beside the
 * entries; the mark of an entry that is no more is removed by whoever looks. */
#ifndef SINTER_SOURCES_HELD_H
#define SINTER_SOURCES_HELD_H

#include "common/digest.h"

#include <stdbool.h>
#include <stdint.h>

/* The source of that URL is in the entry with these files. Best effort: a
 * mark that is missing costs a job its way to where the bytes are. */
void held_note(const char *cache, const char *url, const char *files);

struct held {
    struct digest name; /* the SHA-256 of its URL, of an artifact its own */
    uint64_t bytes;     /* that it takes, about */
    bool is_proven;     /* it is whole, and whoever fetches it can know that
                           it is what it should be */
};

/* Calls `visit` for each source that is there, then for each whole artifact. */
void held_each(const char *cache,
               void (*visit)(void *self, const struct held *held), void *self);

#endif
