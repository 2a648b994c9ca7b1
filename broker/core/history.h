/* history.h -- what the log says of the past of a sweep: how it ended, and
 * that it was tried again. */
#ifndef SINTER_BROKER_CORE_HISTORY_H
#define SINTER_BROKER_CORE_HISTORY_H

#include "broker/core/state.h"

/* The record that a sweep ended, with all that people ask of it later. */
void history_record_end(struct sched *s, const struct sweep *sweep);

/* A client's "retry": {"sweep", "failed": true | "trials": [1, 2]}. Trials
 * that failed or were cancelled run again. */
MUST_CHECK struct status history_retry(struct sched *s, const json_t *arguments,
                                       uint64_t *ret_retried);

/* Apply a WIRE_RECORD_COMMAND of the log. */
MUST_CHECK struct status history_apply(struct sched *s,
                                       const struct wire_record_command *r);

/* What people ask of a sweep, but for the states of its trials; as it was. */
json_t *history_summary(const struct sweep *sweep);
void history_restore(struct sched *s, struct sweep *sweep,
                     const json_t *arguments);

/* A failed job gets another chance, on record. */
void history_forgive(struct sched *s, struct job *job);

/* A command onto the log. */
void history_record(struct sched *s, const char *verb, const json_t *arguments);

extern const char *const sweep_state_names[SWEEP_STATES];

#endif
