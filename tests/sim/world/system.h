/* system.h -- what the code of a process asks of its system, as the simulated
 * world answers it: clocks, threads, conditions, event descriptors and the
 * log. system.c stands in for common/clock.c and common/log.c; calls of the C
 * library come to it by --wrap of the linker (tests/sim.cmake). */
#ifndef SINTER_TESTS_SIM_WORLD_SYSTEM_H
#define SINTER_TESTS_SIM_WORLD_SYSTEM_H

#include "tests/sim/world/process.h"

#include <poll.h>

/* A descriptor that is readable while it counts something; of the running
 * process, or of that one. */
int system_event(struct process *p);
void system_count(int descriptor);
bool system_is_readable(int descriptor);
/* What it counted, which is 0 then. */
uint64_t system_take(int descriptor);

/* Which of them are readable (all, for a process that was killed)? */
bool system_look(struct pollfd *items, size_t count);
/* What fiber_wait() waits on that wants to look again when something of the
 * process may have become readable. */
extern const char system_news;

void system_begin(void);

#endif
