/* loop.h -- what the worker is: broker, slots and signals in one loop. */
#ifndef SINTER_WORKER_LOOP_H
#define SINTER_WORKER_LOOP_H

#include "common/status.h"
#include "worker/config.h"

/* Until drained or told to end at once. `argv` is the command line, which the
 * slots get again. */
MUST_CHECK struct status worker_loop_run(const struct worker_config *config,
                                         char *const *argv);

#endif
