/* workers.h -- workers of the simulated world: the program's loop over slots
 * of slots.h, and who starts them again. */
#ifndef SINTER_TESTS_SIM_WORLD_WORKERS_H
#define SINTER_TESTS_SIM_WORLD_WORKERS_H

#include "tests/sim/world/process.h"

enum { WORKERS_MOST = 6, WORKERS_MEMORY = 1000 };

/* `brokers`: "b0:w,b1:w" */
void workers_begin(size_t some, const char *brokers);
void workers_start(size_t number);
size_t workers_count(void);
const char *workers_name(size_t number);
/* NULL: it is not there now. */
struct process *workers_at(size_t number);
/* `quietly`: its host is gone, nobody hears of it. */
void workers_kill(size_t number, bool quietly);
void workers_term(size_t number);

#endif
