/* hello.h -- a worker introduces itself: its session, what of its runs goes
 * on, what of our view of it was wrong. */
#ifndef SINTER_BROKER_CORE_HELLO_H
#define SINTER_BROKER_CORE_HELLO_H

#include "broker/core/state.h"

/* It is answered by WELCOME; not at all if it said the same too often. */
MUST_CHECK struct status hello_take(struct sched *s, struct peer peer,
                                    const struct wire_hello *m);

#endif
