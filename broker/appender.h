/* appender.h -- the thread that owns the store while the broker serves: it
 * makes groups of records durable, one after the other, while the loop goes on
 * taking messages. A group is an outbox: its messages may be sent when its
 * records, and those of all groups before it, are durable.
 *
 * Between appends it writes snapshots, piece by piece. */
#ifndef SINTER_BROKER_APPENDER_H
#define SINTER_BROKER_APPENDER_H

#include "broker/core/outbox.h"
#include "broker/core/snapshot.h"
#include "broker/store.h"
#include "broker/times.h"

struct appender; /* opaque */

/* `store` is borrowed and is the thread's until appender_free(). */
MUST_CHECK struct status appender_new(const struct store *store, uint64_t epoch,
                                      struct appender **ret_appender);
/* Waits until what was pushed is durable, unless the store is away. NULL is
 * fine. */
void appender_free(struct appender *a);

/* Readable when a group has become durable or the store has come or gone. */
int appender_descriptor(const struct appender *a);

/* Groups pushed and not popped; no more than APPENDER_MOST. */
enum { APPENDER_MOST = 3 };
size_t appender_pending(const struct appender *a);
/* Takes the contents of `out`, which is empty then. */
void appender_push(struct appender *a, struct outbox *out);
/* The oldest group that is durable, NULL: none; appender_pop() gives it
 * back. */
struct outbox *appender_first(struct appender *a);
void appender_pop(struct appender *a);
/* One that was pushed and not popped, from the oldest (0) on: its messages are
 * the loop's, its records are not. */
struct outbox *appender_group(struct appender *a, size_t at);
/* What they take; the loop's side asks. */
size_t appender_bytes(const struct appender *a);
size_t appender_records(const struct appender *a);
bool appender_holds_work(const struct appender *a);
/* Records pushed so far, in this epoch. */
uint64_t appender_sequence(const struct appender *a);

/* Ask the store, now, whether it is well and still ours. */
void appender_ask(struct appender *a);
/* ns: when the last append or question was begun that it answered well; 0:
 * none yet. At that time no other broker had taken over. */
int64_t appender_confirmed(struct appender *a);

/* How long appends took that succeeded. */
struct times appender_times(struct appender *a);

/* A failure that no waiting mends. `ret_away`: why the store is away, for the
 * caller to free; NULL: it is well. */
MUST_CHECK struct status appender_state(struct appender *a, char **ret_away);

/* Has the store forgotten what it had accepted? Then only this helps: the
 * snapshot, with all pieces to be put, becomes the whole store, and groups it
 * covers count as appended. */
bool appender_is_lost(struct appender *a);
void appender_rebuild(struct appender *a, struct snapshot *snapshot);

/* Write the snapshot when what it covers is durable. Takes it; only one at a
 * time. */
void appender_snapshot(struct appender *a, struct snapshot *snapshot);
enum appender_snapshot {
    SNAPSHOT_NONE, /* none was asked for, or its end was told */
    SNAPSHOT_RUNNING,
    SNAPSHOT_WRITTEN, /* told once */
    SNAPSHOT_FAILED,  /* told once: the next one must put all pieces */
};
enum appender_snapshot appender_snapshot_state(struct appender *a);

#endif
