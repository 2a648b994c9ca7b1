/* best.h -- which point of a sweep leads: the one with the best mean of the
 * objective over its replicates, as `sinter best` ranks them. */
#ifndef SINTER_BROKER_CORE_BEST_H
#define SINTER_BROKER_CORE_BEST_H

#include "broker/core/state.h"

/* The trial has all its results: does its point lead now, or no longer? Of
 * equals the first, whatever order they came in. */
void best_consider(const struct sched *s, const struct trial *trial);
/* The sweep has more trials than it had `before`. */
void best_grow(struct sweep *sweep, uint64_t before);

#endif
