/* slots.h -- slots of the simulated world, and the jobs in them: what a job
 * does follows from its key. slots.c stands in for worker/slot.c, signals.c,
 * orphans.c and holdings.c. */
#ifndef SINTER_TESTS_SIM_WORLD_SLOTS_H
#define SINTER_TESTS_SIM_WORLD_SLOTS_H

#include "common/wire.h"
#include "tests/sim/world/process.h"

/* Permille of keys whose jobs ... */
struct slots_weather {
    unsigned retry;    /* fail once or twice, then end well */
    unsigned fail;     /* fail for good */
    unsigned crash;    /* take their slot down, some of them always */
    unsigned hang;     /* never end, some of them once only */
    unsigned memory;   /* need more memory than they ask for */
    unsigned poison;   /* take their worker down */
    unsigned stubborn; /* do not end when asked */
    int64_t longest_ms;
};

extern struct slots_weather slots_weather;

void slots_begin(uint64_t seed);

/* How a job ends: for the oracle. */
enum job_nature {
    JOB_WELL,
    JOB_TRIES, /* as long as it is retried */
    JOB_FAILS,
    JOB_CRASHES,
    JOB_HANGS,
    JOB_STARVES,
    JOB_POISONS,
};
enum job_nature slots_nature(const struct digest *key);

/* What lies in a worker's cache is some of these. */
#define SLOTS_SOURCE "https://hub/%d"
enum { SLOTS_SOURCES = 4 };

/* SIGTERM to a worker. */
void slots_signal(const struct process *worker);
/* Killed by its job: slots_poisoned() says what to do. */
extern void (*slots_poisoned)(struct process *worker);

#endif
