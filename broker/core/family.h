/* family.h -- ready jobs of one sweep whose lazy models can be realised in
 * one pass (stage_job.family), and how many of them go to one slot together.
 *
 * They are given as a `unit`: run one after the other in one slot, counted as
 * one against the worker's credit and memory. Everything else -- lease,
 * attempt, verdict, cancel -- remains each job's own. */
#ifndef SINTER_BROKER_CORE_FAMILY_H
#define SINTER_BROKER_CORE_FAMILY_H

#include "broker/core/state.h"

enum { FAMILY_MOST = 64 }; /* jobs of one unit */

/* A job that enters or leaves the queue of its group. */
void family_join(struct job *job);
void family_leave(struct job *job);
void family_free_all(struct sweep *sweep);

/* Others of the family of `first` may be given with it? */
bool family_has_more(const struct job *first);
/* Fills `ret_jobs` with `first` and the earliest others of its family that
 * `fits` takes, in the order of their trials; returns how many. About `most`:
 * jobs of one trial read one model and stay together, up to `limit`. */
size_t family_take(struct job *first, size_t most, size_t limit,
                   bool (*fits)(struct session *session,
                                const struct job *first, const struct job *job),
                   struct session *session, struct job *ret_jobs[FAMILY_MOST]);

/* A job given to a session belongs to a unit, or (NULL) is one of its own. A
 * unit takes the room of its widest job. */
struct unit *unit_new(struct sched *s, const struct session *session,
                      const struct job *widest);
void unit_enter(struct session *session, struct job *job, struct unit *unit);
void unit_leave(struct session *session, struct job *job);
/* Jobs there that no slot can have begun. */
uint64_t unit_queued(const struct session *session);
void unit_forget(struct job *job); /* when there is no session any more */

#endif
