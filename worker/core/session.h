/* session.h -- the worker's side of the conversation with the broker, and
 * what its slots are doing. Pure: no socket, clock, process or log.
 *
 * Tell it what happened (session_on_...), then take actions with
 * session_next() until there are none, then sleep until something happens or
 * session_deadline(). Times are nanoseconds, monotonic, never decreasing.
 *
 * What it keeps to:
 * - Heartbeats do not depend on jobs. A broker silent for four of them is
 *   left: REOPEN, HELLO with every token still held here; so is one that does
 *   not lead, and one that is lost if there are others. A new connection
 *   begins with HELLO.
 * - An outcome is kept and re-sent until COMMITTED or STALE names its token.
 * - A slot that must end is first stopped (cancel) or at once killed (no
 *   progress, ran too long); its outcome is made here.
 * - Jobs of one batch run in one slot, in their order, and the slot is told
 *   with each of them what the others are.
 * - What the broker asks back is given back if no slot has begun it, and
 *   forgotten here before the broker is told.
 * - A job takes as many slots as its cpus are worth, and its memory; one that
 *   does not fit holds back those behind it.
 * - Drain: unstarted jobs are handed back at once, running ones may finish
 *   until the drain time is over, then BYE names what is left. */
#ifndef SINTER_WORKER_CORE_SESSION_H
#define SINTER_WORKER_CORE_SESSION_H

#include "common/wire.h"

#include <stdbool.h>
#include <stdint.h>

/* Texts are borrowed and outlive the session. */
struct session_config {
    const char *worker;   /* its name */
    uint64_t incarnation; /* random, new at each start of the process */
    size_t brokers;       /* addresses there are to try; 0 is 1 */
    uint64_t slots;       /* 1 ... LIMIT_SLOTS */
    uint64_t cpus;
    int64_t memory_bytes; /* for all slots together; 0: unknown */
    const char *labels;
    const char *kinds; /* with blanks between */
    const char *version;
    int64_t drain_ms;
    bool replaces;       /* earlier processes of that name are dead */
    const char *address; /* where it serves its cache; NULL: it does not */
};

struct session_action {
    enum session_action_type {
        SESSION_NOTHING,
        SESSION_SEND,   /* `message` to the broker; if it cannot be queued,
                           session_on_unsent() */
        SESSION_REOPEN, /* drop the connection, make the next one */
        SESSION_START,  /* `message` (WIRE_SLOT_RUN) in `slot`; if that fails,
                           session_on_slot_died() */
        SESSION_TELL,   /* `message` to the slot, which runs a job */
        SESSION_STOP,   /* ask `slot` to end its job soon */
        SESSION_KILL,   /* end the process of `slot`; it then "died" */
        SESSION_EXIT,   /* kill what runs and leave */
    } type;
    size_t slot;
    const struct wire_message *message; /* valid until the next call */
    const char *why; /* for the log; "" if there is nothing to say */
};

struct session; /* opaque */
struct session *session_new(const struct session_config *config, int64_t now);
void session_free(struct session *s); /* NULL is fine */

void session_on_message(struct session *s, int64_t now,
                        const struct wire_message *m);
/* The connection has ended, or nobody is there to connect to. What was said
 * last may not have come. */
void session_on_lost(struct session *s, int64_t now);
/* The SEND action given last was not queued. */
void session_on_unsent(struct session *s, int64_t now);

/* The job in `slot` ended with this outcome (its token is not looked at). */
void session_on_slot_done(struct session *s, int64_t now, size_t slot,
                          const struct wire_outcome *outcome);
/* The process of `slot` is gone. `outcome` is what to report if it took a job
 * with it that nobody had told it to end. */
void session_on_slot_died(struct session *s, int64_t now, size_t slot,
                          const struct wire_outcome *outcome);
void session_on_slot_progress(struct session *s, int64_t now, size_t slot,
                              const struct wire_progress *progress);
/* `tail`: the last lines its job wrote, all of them. */
void session_on_slot_log(struct session *s, int64_t now, size_t slot,
                         struct wire_bytes tail);

/* What lies in the cache now, in the order of the names; of more than
 * LIMIT_BATCH the first ones. */
void session_on_cache(struct session *s, int64_t now,
                      const struct wire_cached *items, size_t count);

/* SIGTERM. A second call ends at once. */
void session_on_drain(struct session *s, int64_t now, const char *reason);

/* False: nothing to do until session_deadline(). */
bool session_next(struct session *s, int64_t now,
                  struct session_action *ret_action);
/* When to call session_next() again though nothing happened. */
int64_t session_deadline(const struct session *s);

/* Attempts held here: waiting, in slots, or with an outcome not committed. */
struct session_counts {
    size_t queued, running, finished;
};
struct session_counts session_count(const struct session *s);

#endif
