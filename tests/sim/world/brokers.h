/* brokers.h -- brokers of the simulated world: the program's loop, appender,
 * keeper and standby, each process at a seat, and who starts it again. What
 * broker/main.c does around them is done here. */
#ifndef SINTER_TESTS_SIM_WORLD_BROKERS_H
#define SINTER_TESTS_SIM_WORLD_BROKERS_H

#include "broker/core/sched.h"
#include "tests/sim/world/process.h"

struct brokers_settings {
    size_t seats; /* 1: no standby */
    int64_t heartbeat_ms, lease_ms, ttl_ms;
    int64_t snapshot_ms; /* 0: none */
    bool rebuild;
    bool check;       /* the scheduler's own invariants, now and then */
    bool own_restart; /* one that has ended is started again */
};

extern struct brokers_settings brokers_settings;

void brokers_begin(void);
/* At a seat; waits for the key, or takes over at once. */
void brokers_start(size_t seat, bool standby);
/* NULL: nobody sits there (now). */
struct process *brokers_at(size_t seat);
void brokers_kill(size_t seat, bool quietly);
/* SIGTERM */
void brokers_term(size_t seat);

/* The scheduler of the one that leads; NULL: none does. */
const struct sched *brokers_leading(void);
/* Has it nothing more to write or say? */
bool brokers_are_idle(void);
/* Was it started to wait for the leader's key? */
bool brokers_has_waited(const struct process *p);
bool brokers_store_is_away(const struct process *p);

#endif
