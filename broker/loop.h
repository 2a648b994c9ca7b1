/* loop.h -- the broker as a whole: sockets, store and scheduler in one
 * thread, and the loop that turns them. */
#ifndef SINTER_BROKER_LOOP_H
#define SINTER_BROKER_LOOP_H

#include "broker/core/sched.h"
#include "broker/hatch.h"
#include "broker/link.h"
#include "broker/store.h"

/* All borrowed; opened and closed by main.c (or a test). */
struct loop {
    struct sched *sched;
    struct store store;
    struct link link;
    struct hatch *hatch;
    int stop_descriptor; /* readable: end the loop */

    uint64_t epoch;
    uint64_t sequence; /* of the last durable record of this epoch */
    struct outbox out;
    size_t appended; /* records of `out` that are durable */
    bool store_away;
    int64_t retry_at, retry_ms;
};

/* Take over the store and read its log. */
MUST_CHECK struct status loop_recover(struct loop *l);
/* Serve until told to stop (SUCCESS). STALE: another broker took over. */
MUST_CHECK struct status loop_run(struct loop *l);

#endif
