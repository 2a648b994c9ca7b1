/* admission.h -- what is taken in while the store is away, or while as much
 * waits for it as there may be: memory is bounded by what is not taken. */
#ifndef SINTER_BROKER_CORE_ADMISSION_H
#define SINTER_BROKER_CORE_ADMISSION_H

#include "broker/core/state.h"

enum admission {
    ADMIT_ALWAYS,
    /* Not while too much waits: a worker keeps it and says it again. */
    ADMIT_WITH_ROOM,
    /* Nor while the store is away: a client is told to come again. */
    ADMIT_WHEN_WELL,
};

/* ret_taken: handle the message. If not, the peer was told what it has to
 * know. UNAVAILABLE: tell it so, it does not know BUSY. */
MUST_CHECK struct status admission_check(struct sched *s, enum admission rule,
                                         struct peer peer,
                                         const struct wire_message *m,
                                         bool *ret_taken);

/* The store takes what there is. */
bool admission_is_well(const struct sched *s);

/* A worker nobody knows: its coming would be one more record. */
MUST_CHECK struct status admission_newcomer(const struct sched *s);

#endif
