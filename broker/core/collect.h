/* collect.h -- which artifacts nobody who is kept could ask for: those of
 * results that no trial of any sweep leads to. Marking goes on a little at a
 * time; meanwhile the scheduler works as ever. */
#ifndef SINTER_BROKER_CORE_COLLECT_H
#define SINTER_BROKER_CORE_COLLECT_H

#include "broker/core/sched.h"
#include "common/json.h"

struct collect; /* opaque; one at a time */
struct sweep;

/* Results from `before_ms` (1970) on are kept whatever they are, and so are
 * exports and verifications that ended after it. */
struct collect *collect_new(struct sched *s, int64_t before_ms);
void collect_free(struct collect *c); /* NULL is fine */

/* Look at so many trials; true when all are marked. */
bool collect_mark(struct collect *c, size_t trials);

/* At once after the last collect_mark(): each artifact, as 64 hex digits. */
void collect_each(const struct collect *c,
                  void (*visit)(void *self, const char *artifact, bool kept),
                  void *self);
/* Forget the results whose artifacts are not kept, and the exports they were
 * of, on record: what needs them computes them again. */
void collect_forget(struct collect *c, struct sched_time t, struct outbox *out);

/* For the files of core/: a sweep will be freed. */
void collect_drop_sweep(struct collect *c, const struct sweep *sweep);
/* Apply the record of what was forgotten. */
MUST_CHECK struct status collect_apply(struct sched *s, const json_t *arguments,
                                       int64_t at_ms);
/* The same for all that was ever forgotten, for snapshots; the caller
 * decrefs. NULL: nothing from row number `*from` on, which is moved on. */
json_t *collect_forgotten(const struct sched *s, size_t *from);

#endif
