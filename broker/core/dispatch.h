/* dispatch.h -- which job goes to which worker next. */
#ifndef SINTER_BROKER_CORE_DISPATCH_H
#define SINTER_BROKER_CORE_DISPATCH_H

#include "broker/core/state.h"

/* Give ready jobs to workers that have room. One job a worker in turn, so
 * that nobody gets a second before everybody has a first. */
void dispatch_run(struct sched *s);
/* Something changed at the worker: it may have room for a job. */
void dispatch_wake(struct session *session);
/* It may be given jobs, if not now then soon. */
bool dispatch_is_open(const struct session *session);
/* It has a free slot and may be given any job. */
bool dispatch_is_idle(const struct session *session);
/* It is not to make room for a large job any more. */
void dispatch_release_keeper(struct session *session);
/* A run of the job ended at its worker. */
void dispatch_ended(struct sched *s, struct job *job, int64_t wall_ms,
                    bool well);
/* A job of the group took so long. */
void dispatch_learn(struct sched *s, struct group *g, int64_t wall_ms);

/* Does the sweep give out jobs? Not while it is paused, nor beyond its
 * limits.parallel. */
bool dispatch_gives(const struct sweep *sweep);
/* The same, and are there any for a group's queue? */
bool dispatch_may_run_more(const struct sweep *sweep);
/* Give a ready job to an idle worker that gets nothing beside it. */
void dispatch_give_alone(struct sched *s, struct session *session,
                         struct job *job);

/* Why the first ready or waiting job of the sweep cannot go anywhere, for
 * people; NULL: it can, or there is none. The caller frees. */
char *dispatch_obstacle(const struct sched *s, const struct sweep *sweep);

#endif
