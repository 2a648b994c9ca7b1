/* parallel.h -- numbered pieces of work, done by threads as they come. */
#ifndef SINTER_JOBS_PARALLEL_H
#define SINTER_JOBS_PARALLEL_H

#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

enum { PARALLEL_MOST = 64 /* threads */ };

/* How many of `threads` have something to do. At least 1. */
size_t parallel_hands(uint64_t threads, size_t pieces);

/* `work` for each piece, by so many hands of which the first, 0, is the
 * caller's thread: it alone may ask a job's context. Of failures that of the
 * lowest piece is told; pieces behind one that failed may not be done. Threads
 * that cannot be had are done without; signals are the caller's. */
MUST_CHECK struct status parallel_run(
    size_t hands, size_t pieces,
    struct status (*work)(void *self, size_t hand, size_t piece), void *self);

#endif
