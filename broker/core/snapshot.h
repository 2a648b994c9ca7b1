/* snapshot.h -- all that the log says, in pieces: the rows of the ledger as
 * they lie in memory, and a stream of records that is as short as the state
 * allows. To load it is to replay it.
 *
 *     results-N         a full segment of the ledger: never changes
 *     open-SEQUENCE     the segment that still grows
 *     state-SEQUENCE-N  the stream, cut anywhere: a version, then for each
 *                       record its number, its size and its bytes; a size of
 *                       0 is the end
 *
 * What would be too long for a piece is continued: NAME.0, NAME.1 ... come
 * before NAME. */
#ifndef SINTER_BROKER_CORE_SNAPSHOT_H
#define SINTER_BROKER_CORE_SNAPSHOT_H

#include "broker/core/sched.h"

enum { SNAPSHOT_NAME = 64, SNAPSHOT_PIECE_MOST = 1 << 20 };

struct snapshot_piece {
    char name[SNAPSHOT_NAME];
    struct wire_bytes data; /* borrowed from the ledger, or from `owned` */
    char *owned;
    bool is_known; /* the last snapshot has it, and it never changes */
};

struct snapshot {
    struct snapshot_piece *pieces;
    size_t count, room;
    size_t lasting; /* first pieces that the next one need not put again */
    uint64_t epoch, sequence; /* it stands for the records up to this */
};

/* What the records up to that id have made. `known`: so many of its first
 * pieces are in the last snapshot; after a restart, snapshot_known(). Data
 * borrowed from the ledger stays as long as the scheduler. */
struct snapshot *snapshot_take(struct sched *s, uint64_t epoch,
                               uint64_t sequence, size_t known);
void snapshot_free(struct snapshot *snapshot); /* NULL is fine */

/* Before any record of the log: the pieces, in their order. */
MUST_CHECK struct status snapshot_load(struct sched *s, const char *name,
                                       struct wire_bytes data);
/* Lasting pieces that were loaded. */
size_t snapshot_known(const struct sched *s);

#endif
