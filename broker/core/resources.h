/* resources.h -- what a job asks of a worker, and whether a worker has it.
 *
 * Jobs of one sweep that ask the same are a group; groups of all sweeps that
 * ask the same are of one shape, and a session remembers for each shape
 * whether it has what that asks for. */
#ifndef SINTER_BROKER_CORE_RESOURCES_H
#define SINTER_BROKER_CORE_RESOURCES_H

#include "broker/core/state.h"

void resources_free_all(struct sched *s);

/* Could the worker run jobs of the group if it had nothing else to do? The
 * second remembers. */
bool resources_has(const struct session *session, const struct group *g);
bool resources_serve(struct session *session, struct group *g);
/* Has it the room now, beside what it holds? */
bool resources_fit(const struct session *session, const struct group *g);
/* Slots that a job asking for so many cpus takes of the worker's. */
uint64_t resources_slots(const struct session *session, int64_t cpus);
/* The worker described itself anew. */
void resources_forget(struct session *session);

/* Which of the things that jobs of the group ask for no worker has, for
 * people; NULL: some worker has all. The caller frees. */
char *resources_obstacle(const struct sched *s, const struct group *g);

#endif
