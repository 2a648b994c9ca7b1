/* signals.h -- signals as numbers read from a descriptor.
 *
 * A handler and a pipe, not signalfd: BLAS starts threads before main() that
 * cannot be made to block a signal any more. One user a process. */
#ifndef SINTER_WORKER_SIGNALS_H
#define SINTER_WORKER_SIGNALS_H

#include "common/status.h"

/* SIGTERM, SIGINT and SIGCHLD from now on; SIGPIPE is ignored. */
MUST_CHECK struct status signals_open(int *ret_fd);
void signals_close(int fd);
/* The next one; 0: none now. */
int signals_next(int fd);

#endif
