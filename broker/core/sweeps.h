/* sweeps.h -- sweeps and their trials: from the record to the end. */
#ifndef SINTER_BROKER_CORE_SWEEPS_H
#define SINTER_BROKER_CORE_SWEEPS_H

#include "broker/core/state.h"

/* A client's WIRE_SUBMIT: the record, and the reply. */
MUST_CHECK struct status sweeps_submit(struct sched *s, struct peer peer,
                                       const struct wire_submit *m);
void sweeps_free_all(struct sched *s);

/* Apply a record of the log. */
MUST_CHECK struct status sweeps_add(struct sched *s,
                                    const struct wire_record_sweep *r);

/* Id, unique prefix of one, name (the newest of that name) or "@last". */
MUST_CHECK struct status sweeps_find(const struct sched *s, const char *text,
                                     struct sweep **ret_sweep);

MUST_CHECK struct status sweeps_cancel(struct sched *s, const json_t *arguments,
                                       json_t **ret_body);

/* The log left it live: so many of its first trials may be done. */
void sweeps_found(const struct sched *s, struct sweep *sweep);

/* From jobs_end.c: the last need is met; a job that it needs has failed. Both
 * free the trial. */
void sweeps_trial_done(struct sched *s, struct trial *trial);
void sweeps_trial_failed(struct sched *s, struct trial *trial);
/* A failed job is tried again: so are the trials that failed with it. */
void sweeps_reopen_failed(struct sched *s, struct sweep *sweep);
/* An ended sweep is live again, from its first trial. */
void sweeps_reopen(struct sched *s, struct sweep *sweep);
/* A live sweep is over, by the log. */
void sweeps_retire(struct sched *s, struct sweep *sweep);

/* Trials that are asked for: limits.trials, or all there are. */
uint64_t sweeps_budget(const struct sweep *sweep);
/* Ask for so many; a sweep that has ended is not opened by it. */
void sweeps_grow(struct sched *s, struct sweep *sweep, uint64_t trials);
/* TOO_BIG: so many cannot be kept track of. */
MUST_CHECK struct status sweeps_check_count(uint64_t trials);
double sweeps_weight(const struct sweep *sweep);
/* Forget one that has ended. */
void sweeps_remove(struct sched *s, struct sweep *sweep);

/* At the tick: look at more trials, end what is over. */
void sweeps_expand(struct sched *s);
void sweeps_settle(struct sched *s);

/* Clocks begin to run (after the replay, and for a new sweep). */
void sweeps_start_clock(struct sched *s, struct sweep *sweep);

#endif
