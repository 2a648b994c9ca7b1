/* handout.h -- the messages by which jobs go to their workers. */
#ifndef SINTER_BROKER_CORE_HANDOUT_H
#define SINTER_BROKER_CORE_HANDOUT_H

#include "broker/core/state.h"

/* The job was assigned to the session: it is sent with the next
 * handout_send(). */
void handout_add(struct session *session, struct job *job);
void handout_send(struct sched *s, struct session *session);

#endif
