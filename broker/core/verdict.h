/* verdict.h -- how a run of a job ended, and what follows: the result, a
 * retry after a while, or the end. */
#ifndef SINTER_BROKER_CORE_VERDICT_H
#define SINTER_BROKER_CORE_VERDICT_H

#include "broker/core/state.h"

enum { VERDICT_CRASHES = 3 }; /* deaths before the job is to blame */

/* A worker's outcomes: each is answered COMMITTED or STALE. */
MUST_CHECK struct status verdict_done(struct sched *s, struct peer peer,
                                      const struct wire_done *m);
/* The worker vanished while it ran the job. `alone`: and held nothing else. */
void verdict_lost(struct sched *s, struct job *job, bool alone);
/* The job cannot be given to any worker: it ends here. */
void verdict_impossible(struct sched *s, struct job *job,
                        const struct status *why);

/* Milliseconds to wait after failure number `failures` of the job: a random
 * part (full jitter) of `backoff_ms` doubled each time, 5 minutes at most.
 * The same job and attempt always wait the same time. */
int64_t verdict_backoff_ms(const struct job *job, uint64_t failures,
                           int64_t backoff_ms);

#endif
