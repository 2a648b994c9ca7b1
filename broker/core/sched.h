/* sched.h -- the scheduler: what happened goes in, what to do comes out.
 *
 * Pure: no socket, clock, log or store. Time is an argument and chance is a
 * function of job and attempt, so the same events give the same outbox. Every
 * fact that must survive is a record in the outbox; replaying the records
 * into a new scheduler gives the same sweeps, jobs and results back. */
#ifndef SINTER_BROKER_CORE_SCHED_H
#define SINTER_BROKER_CORE_SCHED_H

#include "broker/core/demand.h"
#include "broker/core/outbox.h"
#include "common/status.h"
#include "common/wire.h"

#include <stdint.h>

struct sched; /* opaque; state.h for the files of core/ */

struct sched_settings {
    int64_t heartbeat_ms; /* workers speak at least so often */
    int64_t lease_ms;     /* a silent worker loses its jobs after */
    uint64_t workers;     /* that may be connected; 0: LIMIT_WORKERS */
    uint64_t fetches;     /* workers that fetch from one origin at a time;
                             0: 8 */
    struct demand_settings demand;
    const char *depot;   /* base URL, told to workers */
    const char *version; /* of the program, for the record */
};

struct sched *sched_new(const struct sched_settings *settings);
void sched_free(struct sched *s); /* NULL is fine */

/* Before sched_start(): apply a record of the log, in order. CORRUPT when it
 * cannot be understood: the log is then of a newer program or damaged. */
MUST_CHECK struct status sched_replay(struct sched *s, const void *data,
                                      size_t size);

/* `now`: nanoseconds, monotonic, never decreasing. `wall_ms`: since 1970, for
 * people and for limits that outlive a broker. */
struct sched_time {
    int64_t now, wall_ms;
};

/* Begin to serve as `epoch`: puts the first record into `out`. */
void sched_start(struct sched *s, uint64_t epoch, struct sched_time t,
                 struct outbox *out);

/* A peer said something (any message but read-only queries). A failure is the
 * peer's mistake and has changed nothing: tell it and go on. */
MUST_CHECK struct status sched_message(struct sched *s, struct peer peer,
                                       const struct wire_message *m,
                                       struct sched_time t, struct outbox *out);
/* The connection is known to be gone; the leases run on. */
void sched_gone(struct sched *s, struct peer peer);

/* After a batch of messages, and at the deadline: time-outs, new trials,
 * assignments, acknowledgements. */
void sched_tick(struct sched *s, struct sched_time t, struct outbox *out);
/* When sched_tick() must be called again even if nothing happens;
 * INT64_MAX: never; in the past: at once, there is more to do. */
int64_t sched_deadline(const struct sched *s);

/* Answer the request with the status of the sweep when it has ended, at
 * latest at `until` (ns). False: it has ended or is not there, answer now. */
bool sched_wait_for_end(struct sched *s, struct peer peer, uint64_t request,
                        const char *sweep, int64_t until);

/* Everybody who waits for something: workers, and clients for the end of a
 * sweep. */
void sched_peers(const struct sched *s,
                 void (*visit)(void *self, struct peer peer), void *self);

/* The store is away (text) or well (NULL): shown in status, and no sweep or
 * order is accepted that could not be kept. The text is copied. */
void sched_store_error(struct sched *s, const char *text);

/* So much waits for the store. `full`: nothing is begun or taken in that would
 * add to it; what is refused so is said again by whoever said it. */
void sched_backlog(struct sched *s, uint64_t bytes, bool full);

/* Figures for /metrics and the tests. */
struct sched_stats {
    uint64_t epoch;
    uint64_t sweeps, sweeps_live;
    uint64_t jobs, jobs_ready, jobs_running, jobs_done, jobs_failed;
    uint64_t workers, slots, busy;
    uint64_t assigned, results, failures, lost, stale, duplicates;
    uint64_t records;
    uint64_t backlog_bytes, busy_replies;
    uint64_t fetched_bytes, pulled_bytes, pulls_failed;
};
struct sched_stats sched_stats(const struct sched *s);

/* As last looked at, by a tick. */
const struct demand *sched_demand(const struct sched *s);

/* Is every invariant of the state kept? For the simulation: aborts with the
 * broken one if not. Walks everything. */
void sched_check(const struct sched *s);

#endif
