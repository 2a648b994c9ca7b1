/* suspects.h -- jobs that were at a worker when it vanished. Which of them
 * took it down, if any, shows when each runs alone: a suspect goes to a worker
 * that has nothing else and gets nothing else meanwhile. At most a fifth of
 * the farm, and at least one worker, is given to suspects. */
#ifndef SINTER_BROKER_CORE_SUSPECTS_H
#define SINTER_BROKER_CORE_SUSPECTS_H

#include "broker/core/state.h"

/* Give ready suspects to idle workers; keep one free for those that find
 * none. Part of dispatch_run(). */
void suspects_run(struct sched *s);

/* A worker's lease ran out now; before its jobs are judged. */
void suspects_note_gone(struct sched *s, const struct session *session);
/* Did so many vanish within one lease time that it tells about the network or
 * the machines, not about jobs? Workers that are silent now count with those
 * whose lease ran out and whose name has not come back. */
bool suspects_outage(const struct sched *s);

#endif
