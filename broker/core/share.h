/* share.h -- fair share between the sweeps of one priority, in worker time.
 *
 * Start-time fair queueing: a sweep has a `turn`, the worker time it was
 * given over its weight; of those that have something to run the one with the
 * smallest goes next. What it is given is charged at once as it is expected
 * to take (the moving mean of its group), and put right when it has ended.
 * A sweep that comes, or comes back, begins where the others are: it has
 * saved up no claims, and what it was given beyond its share remains.
 *
 * The bound (docs/scheduling.md): while a sweep can run and waits, another of
 * its priority is charged at most (its weight over the waiting one's) times
 * what the waiting one was ahead, and one unit more.
 *
 * Higher priorities go first, always. */
#ifndef SINTER_BROKER_CORE_SHARE_H
#define SINTER_BROKER_CORE_SHARE_H

#include "broker/core/order.h"

#include <stdbool.h>
#include <stdint.h>

struct group;
struct job;
struct sched;
struct sweep;

enum {
    SHARE_PRIORITY = 100, /* -100 ... 100 */
    SHARE_BANDS = 2 * SHARE_PRIORITY + 1,
    SHARE_WORDS = (SHARE_BANDS + 63) / 64,
    SHARE_ASSUMED_MS = 100, /* a job of a group of which none has ended */
};

/* Sweeps of one priority. */
struct share_band {
    struct order waiting; /* sweeps that can run something, by turn */
    int64_t clock;        /* turn of the one that was served last; us */
};

struct share {
    struct share_band bands[SHARE_BANDS];
    uint64_t occupied[SHARE_WORDS]; /* bands that are not empty */
};

void share_release(struct share *share);

/* At the tick: sweeps that have something to run again, or another priority,
 * are put where they belong. */
void share_refresh(struct sched *s);
void share_leave(struct sched *s, struct sweep *sweep); /* it has ended */

/* The next sweep that may run more and that `suits`; NULL: none. The last one
 * `suits` was true for is the answer. */
struct sweep *share_next(struct sched *s,
                         bool (*suits)(void *self, struct sweep *sweep),
                         void *self);

/* What a job of the group is expected to take; ms of one slot. */
double share_expected_ms(const struct group *g);
/* The sweep has its turn: it is given a unit, each job of which is charged. */
void share_serve(struct sched *s, struct sweep *sweep);
/* The job is given to its worker, on so many slots. */
void share_charge(struct sched *s, struct job *job, uint64_t slots);
/* It took so long there, whatever came of it. */
void share_settle(struct sched *s, struct job *job, int64_t wall_ms);
/* It came back and never ran. */
void share_refund(struct sched *s, struct job *job);

#endif
