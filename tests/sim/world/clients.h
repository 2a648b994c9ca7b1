/* clients.h -- clients of the simulated world: they use the program's own C
 * API, submit, ask and order at random, and remember what they were told. */
#ifndef SINTER_TESTS_SIM_WORLD_CLIENTS_H
#define SINTER_TESTS_SIM_WORLD_CLIENTS_H

#include "tests/sim/world/process.h"

enum { CLIENTS_MOST = 3 };

struct clients_weather {
    unsigned orders;  /* permille of calls that are no submit and no question */
    int64_t pause_ms; /* between two calls, at most */
    unsigned shapes;  /* kinds of sweeps they submit */
    unsigned points;  /* of a sweep, at most */
};

extern struct clients_weather clients_weather;

/* `brokers`: "b0:c,b1:c" */
void clients_begin(size_t count, const char *brokers);
struct process *clients_at(size_t number); /* NULL: it is not there now */
void clients_kill(size_t number);
/* They order nothing new: what was paused, cordoned or ended by hand goes on,
 * and then they only ask. */
void clients_settle(void);
bool clients_have_settled(void);

#endif
