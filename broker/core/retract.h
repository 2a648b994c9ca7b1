/* retract.h -- jobs that wait at one worker while another has nothing to do.
 *
 * Two phases: RETRACT asks for them, RETRACTED says which the worker had not
 * begun and has forgotten; only these are given to others. A lost RETRACT
 * changes nothing; a lost RETRACTED shows as a difference in the heartbeats,
 * and HELLO puts it right. */
#ifndef SINTER_BROKER_CORE_RETRACT_H
#define SINTER_BROKER_CORE_RETRACT_H

#include "broker/core/state.h"

/* At the end of a round: idle workers ask for jobs that wait at others. */
void retract_run(struct sched *s);
/* When it should be looked at again; INT64_MAX: not by time alone. */
int64_t retract_deadline(const struct sched *s);
/* Ask for everything that the worker has not begun. */
void retract_all(struct session *session);

/* The worker's answer, or what it handed back of itself. */
void retract_take(struct sched *s, struct session *session,
                  const struct wire_tokens *tokens);

#endif
