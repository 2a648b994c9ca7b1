/* load.h -- workers that do nothing, as many as one wants, in one thread: they
 * speak ZMTP 3.1 (NULL) over plain sockets, so that a bench sees what the
 * broker can do and not what libzmq costs at the other end. */
#ifndef SINTER_BENCH_LOAD_H
#define SINTER_BENCH_LOAD_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct load; /* opaque */

struct load_settings {
    /* Paths, both or none. With keys the connections are libzmq's, which is
     * at work at this end as well then. */
    const char *key, *broker_key;
    const char *endpoint; /* "ipc://PATH" or "tcp://127.0.0.1:PORT" */
    size_t connections;
    uint64_t slots;  /* of each */
    size_t batch;    /* outcomes of one DONE, at most 64 */
    int64_t wall_ms; /* what every job is said to have taken */
    double rate;     /* jobs a second, all together; 0: as they come */
    int64_t warm_ns; /* at a rate: latencies count from so long after the first
                        job on */
};

struct load_figures {
    uint64_t assigned, committed, stale; /* jobs */
    uint64_t assigns, dones;             /* messages */
    double cpu_s;                        /* of its thread */
};

/* Connects all and begins to work, in a thread of its own. */
MUST_CHECK struct status load_start(const struct load_settings *settings,
                                    struct load **ret_load);
/* Ends the thread. Its first failure, if it had one. */
MUST_CHECK struct status load_stop(struct load *l);
void load_free(struct load *l);

struct load_figures load_figures(const struct load *l);
/* After load_stop(): microseconds, one for each DONE; borrowed, in no order.
 * At a rate jobs end when they are due, and are dated from there: neither a
 * busy load nor a slow broker makes the next ones later. */
enum load_span {
    LOAD_DISPATCH, /* from the end of its first job until as many have come in
                      their place */
    LOAD_GIVEN,    /* from the message on its way to the same */
    LOAD_WHOLE,    /* from the end of the first job to the last COMMITTED */
    LOAD_ANSWER,   /* from the message on its way to the same */
    LOAD_LATE, /* the difference: company, and how late the load itself was */
    LOAD_SPANS
};
double *load_trips(struct load *l, enum load_span span, size_t *ret_count);

#endif
