/* families.h -- what may go wrong in a world, and how often in which. */
#ifndef SINTER_TESTS_SIM_WORLD_FAMILIES_H
#define SINTER_TESTS_SIM_WORLD_FAMILIES_H

#include "tests/sim/world/clients.h"
#include "tests/sim/world/keep.h"
#include "tests/sim/world/network.h"
#include "tests/sim/world/slots.h"

enum accident {
    KILL_BROKER,
    PAUSE_BROKER,
    TERM_BROKER,
    USURP,
    KILL_WORKER,
    PAUSE_WORKER,
    TERM_WORKER,
    KILL_CLIENT,
    BREAK,
    HALF_OPEN,
    HOLD,
    PARTITION,
    STORE_DOWN,
    STORE_CUT,
    STORE_LOSE,
    STORE_FLUSH,
    JUMP,
    ACCIDENTS
};

struct family {
    const char *name;
    size_t seats;      /* of brokers */
    unsigned every_ms; /* an accident, on average; 0: none */
    unsigned weights[ACCIDENTS];
    struct network_weather network;
    struct keep_weather store;
    struct slots_weather slots;
    struct clients_weather clients;
    bool rebuild;
};

extern const struct family families[];
extern const size_t family_count;

/* One accident, as the weights have it. */
void family_accident(const struct family *f);
/* What was stopped goes on, and nothing more goes wrong. */
void families_heal(void);

#endif
