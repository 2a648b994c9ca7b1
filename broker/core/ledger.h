/* ledger.h -- the results, each once, in the order in which they came: packed
 * rows in segments of 256 KiB, or of one large row, that only grow at the end.
 * A full segment never changes and never moves, so it can be written away as it
 * is.
 *
 * A row is the key (32 bytes) and then varints and texts, see ledger.c; names
 * of kinds and workers stand once in each segment. */
#ifndef SINTER_BROKER_CORE_LEDGER_H
#define SINTER_BROKER_CORE_LEDGER_H

#include "common/digest.h"
#include "common/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ledger; /* opaque */

struct ledger_row {
    struct digest key;
    uint64_t epoch, attempt;
    uint64_t order;            /* number of its record */
    const char *kind, *worker; /* interned; NULL: not known */
    struct wire_bytes result;  /* JSON text */
    struct wire_bytes log;     /* UTF-8 */
    int64_t wall_ms, at_ms;
    int64_t peak_bytes, bytes_read, bytes_fetched;
    uint64_t model;
};

/* `intern` gives the one copy of a name, for as long as the ledger lives. */
struct ledger *ledger_new(const char *(*intern)(void *self, const char *text,
                                                size_t size),
                          void *self);
void ledger_free(struct ledger *l);

/* Rows are numbered from 0. */
uint32_t ledger_count(const struct ledger *l);
uint32_t ledger_add(struct ledger *l, const struct ledger_row *row);
/* Texts are borrowed: they stay where they are. */
struct ledger_row ledger_read(const struct ledger *l, uint32_t number);
const struct digest *ledger_key(const struct ledger *l, uint32_t number);
struct wire_bytes ledger_result(const struct ledger *l, uint32_t number);

/* A mark of the caller's on each row, 0 at first. */
uint32_t *ledger_mark(struct ledger *l, uint32_t number);
/* The first row behind `number` with another mark, or the count. */
uint32_t ledger_mark_end(const struct ledger *l, uint32_t number);

/* For snapshots. All segments but the last are full. */
size_t ledger_segments(const struct ledger *l);
struct wire_bytes ledger_segment(const struct ledger *l, size_t i);
/* A whole segment as it was written, behind all others. CORRUPT: it was not
 * written by this program. */
MUST_CHECK struct status ledger_load(struct ledger *l, const char *data,
                                     size_t size);

#endif
