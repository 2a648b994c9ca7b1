/* why.h -- in one sentence: why a sweep, a trial or a worker waits, failed or
 * was stopped. Each answer is {"code", "reason"}, the caller's to decref. */
#ifndef SINTER_BROKER_CORE_WHY_H
#define SINTER_BROKER_CORE_WHY_H

#include "broker/core/sched.h"
#include "common/json.h"

struct sweep;

/* Codes are for programs and stay; the sentence may change. */
struct why_row {
    const char *code;
    const char *meaning; /* for the manual */
};

extern const struct why_row why_rows[]; /* ends with a NULL code */

json_t *why_sweep(const struct sched *s, const struct sweep *sweep);
/* `number` as people count, from 1. */
MUST_CHECK struct status why_trial(const struct sched *s,
                                   const struct sweep *sweep, uint64_t number,
                                   json_t **ret_answer);
MUST_CHECK struct status why_worker(const struct sched *s, const char *name,
                                    json_t **ret_answer);

#endif
