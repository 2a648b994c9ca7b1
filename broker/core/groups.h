/* groups.h -- the queues of a sweep: jobs that ask the same of a worker and
 * read the same remote sources. */
#ifndef SINTER_BROKER_CORE_GROUPS_H
#define SINTER_BROKER_CORE_GROUPS_H

#include "broker/core/state.h"

/* The group the job belongs to, made if need be. */
struct group *groups_find(struct sweep *sweep, const struct job *job);
/* A job is about to come into its queue. */
void groups_fill(struct sched *s, struct group *g);
/* The i-th of those that may have jobs, i < sweep->open; NULL: it had none,
 * and the i-th is another one now. */
struct group *groups_open_at(struct sweep *sweep, size_t i);
void groups_free_all(struct sweep *sweep);

#endif
