/* command.h -- what people order about sweeps and workers: pause, resume,
 * extend, priority, drain, cordon, uncordon, rm. Each is a fact of the log: it
 * says what shall be, not what to change, so that it can be said twice, and
 * its replay does the same. */
#ifndef SINTER_BROKER_CORE_COMMAND_H
#define SINTER_BROKER_CORE_COMMAND_H

#include "broker/core/state.h"

struct command {
    const char *verb;
    const char *arguments; /* for the manual: docs/protocol.md */
    /* Is it to be done? What exactly, under ids, goes into `ret_exact`, which
     * stays NULL when everything is so already; `ret_body` is the answer, NULL
     * for {}. A refusal changes nothing. */
    struct status (*check)(struct sched *s, const json_t *arguments,
                           json_t **ret_exact, json_t **ret_body);
    /* Live or replayed. */
    struct status (*apply)(struct sched *s, const json_t *exact, int64_t at_ms);
};

extern const struct command command_table[]; /* ends with a NULL verb */

/* NULL: no command of that name is here. */
const struct command *command_find(struct wire_bytes verb);
/* A client's: put on record and done. */
MUST_CHECK struct status command_run(struct sched *s,
                                     const struct command *command,
                                     const json_t *arguments,
                                     json_t **ret_body);

#endif
