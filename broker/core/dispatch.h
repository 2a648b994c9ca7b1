/* dispatch.h -- which job goes to which worker next. */
#ifndef SINTER_BROKER_CORE_DISPATCH_H
#define SINTER_BROKER_CORE_DISPATCH_H

#include "broker/core/state.h"

/* Give ready jobs to workers that have room. One job a worker in turn, so
 * that nobody gets a second before everybody has a first. */
void dispatch_run(struct sched *s);

/* Why the first ready or waiting job of the sweep cannot go anywhere, for
 * people; NULL: it can, or there is none. The caller frees. */
char *dispatch_obstacle(const struct sched *s, const struct sweep *sweep);

#endif
