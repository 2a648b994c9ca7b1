/* loop.h -- the broker as a whole: sockets and scheduler in one thread, the
 * store in another, and the loop that turns them. */
#ifndef SINTER_BROKER_LOOP_H
#define SINTER_BROKER_LOOP_H

#include "broker/answers.h"
#include "broker/appender.h"
#include "broker/core/sched.h"
#include "broker/descriptors.h"
#include "broker/gc.h"
#include "broker/hatch.h"
#include "broker/keeper.h"
#include "broker/link.h"
#include "broker/progress.h"
#include "broker/store.h"
#include "broker/turns.h"

/* All borrowed; opened and closed by main.c (or a test). */
struct loop {
    struct sched *sched;
    struct store store;
    struct link link;
    struct hatch *hatch;
    struct keeper *keeper;      /* NULL: no other broker can take over */
    const struct depot *depot;  /* for gc; NULL: there is none */
    int64_t gc_least_ms;        /* it keeps what is younger */
    int stop_descriptor;        /* readable: end the loop */
    int reload_descriptor;      /* readable: call reload() */
    void (*reload)(void *self); /* NULL: there is no such descriptor */
    void *reload_self;

    uint64_t epoch;
    int64_t begun; /* ns: just before the epoch was raised */
    int64_t doubt; /* ns: since when it is not known that we lead; 0: it is */
    bool speaks;   /* in this turn */
    struct turns turns;
    struct descriptors descriptors; /* prepared by main */
    struct appender *appender;      /* while it runs */
    struct outbox out;              /* not yet pushed */
    int64_t pushed;                 /* ns: when the last records were */
    struct answers answers;         /* to HTTP, not yet given */
    bool store_away;
    uint64_t backlog_most; /* set by main: bytes that may wait for the store;
                              0: any */
    bool full;             /* so many do */
    int64_t snapshot_ms;   /* set by main: between snapshots; 0: none */
    bool rebuild;      /* set by main: a store that forgot is written anew */
    bool rebuild_once; /* ordered: this time, though not set by main */
    struct progress *progress; /* while it runs */
    struct gc *gc;             /* the same */

    struct {
        uint64_t sequence; /* of the last one that was taken */
        int64_t due;       /* ns: the next one, if there is news */
        size_t known;      /* pieces in the store that never change */
        size_t lasting;    /* the same, when the last one is written */
    } snapshot;
};

/* Take over the store and read its log. */
MUST_CHECK struct status loop_recover(struct loop *l);
/* Serve until told to stop (SUCCESS). STALE: another broker took over. */
MUST_CHECK struct status loop_run(struct loop *l);

#endif
