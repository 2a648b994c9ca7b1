/* gc.h -- give back what of the depot nobody needs: artifacts of results that
 * no sweep leads to, and blobs that belong to no result at all. A little at
 * each turn of the loop, in this order: mark what is needed; forget, on
 * record, the results whose artifacts go; when that is durable, delete. What
 * was stored or asked for less than `older_ms` ago stays. */
#ifndef SINTER_BROKER_GC_H
#define SINTER_BROKER_GC_H

#include "broker/core/sched.h"
#include "broker/depot.h"
#include "common/json.h"

struct gc; /* opaque */

/* All borrowed. `depot` NULL: this broker serves none. What is younger than
 * `least_ms` stays in any case: longer than uploads wait for their commit. */
struct gc *gc_new(struct sched *sched, const struct depot *depot,
                  int64_t least_ms);
void gc_free(struct gc *g); /* NULL is fine */

/* A client's {"ticket", "delete", "older_ms"}: begins, or says how far the one
 * of that ticket is. UNAVAILABLE: another one is under way. */
MUST_CHECK struct status gc_ask(struct gc *g, const json_t *arguments,
                                struct sched_time t, json_t **ret_body);

/* There is something to do now. */
bool gc_is_busy(const struct gc *g);
/* One step. `durable`: all records so far are. */
void gc_step(struct gc *g, struct sched_time t, bool durable,
             struct outbox *out);

#endif
