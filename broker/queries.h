/* queries.h -- what a client may ask, as one table: verb -> function. Reads
 * the scheduler, never changes it; commands (cancel, retry) are not here. */
#ifndef SINTER_BROKER_QUERIES_H
#define SINTER_BROKER_QUERIES_H

#include "broker/core/sched.h"
#include "common/json.h"

struct query {
    const char *verb;
    const char *summary; /* one line, for the manual */
    struct status (*answer)(const struct sched *s, const json_t *arguments,
                            json_t **ret_body);
};

extern const struct query queries[]; /* ends with a NULL verb */

/* NULL: no query of that name (it may be a command). */
const struct query *query_find(struct wire_bytes verb);

#endif
