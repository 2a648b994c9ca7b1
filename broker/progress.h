/* progress.h -- the progress of sweeps, shown in the store for who looks there
 * (docs/redis.md). */
#ifndef SINTER_BROKER_PROGRESS_H
#define SINTER_BROKER_PROGRESS_H

#include "broker/core/sched.h"
#include "broker/store.h"

struct progress; /* opaque */

struct progress *progress_new(void);
void progress_free(struct progress *p); /* NULL is fine */

/* Show what has changed, five times a second at most; cheap otherwise. */
void progress_show(struct progress *p, const struct sched *sched,
                   const struct store *store, struct sched_time t);

#endif
