/* table.h -- every job by its key: one that may still run, or that somebody
 * waits for, is a struct; one that is done and of which nobody has a pointer is
 * a row of the ledger, and becomes a struct again while it is looked at. */
#ifndef SINTER_BROKER_CORE_TABLE_H
#define SINTER_BROKER_CORE_TABLE_H

#include "broker/core/keys.h"
#include "broker/core/ledger.h"
#include "common/pool.h"

struct job;
struct sched;

struct table {
    struct keys keys;
    struct ledger *ledger;
    struct job **live; /* NULL: a hole */
    uint32_t live_count, live_room;
    uint32_t *holes;
    uint32_t hole_count;
    struct job *leaving; /* may be freed at the end of the tick */
    struct pool jobs, uses, trials;
};

struct table *table_new(struct sched *s);
void table_free(struct table *t); /* jobs and uses must be gone */

/* NULL if absent. What is found is there until table_next_leaving() at
 * least. */
struct job *table_find(struct table *t, const struct digest *key);
/* The struct that table_find() will most likely give, not yet looked at; or
 * NULL. */
const struct job *table_guess(const struct table *t, const struct digest *key);
/* One that is not there yet. */
struct job *table_add(struct table *t, const struct digest *key);
/* Look at the job again by and by: it may be needed no more. */
void table_leave(struct table *t, struct job *job);
/* The next of those, NULL: no more. */
struct job *table_next_leaving(struct table *t);
/* Take it out and free it; done ones are rows from now on. */
void table_drop(struct table *t, struct job *job);

/* What the row of that number says of the job. Its state is the caller's. */
void table_take_row(struct job *job, uint32_t number,
                    const struct ledger_row *row);

/* Is the row still the result of its key? */
bool table_has_row(const struct table *t, uint32_t row);
/* The key has no result any more. True: a struct of it remains for a while,
 * as that of a job that was never tried. Nobody counts or needs it. */
bool table_forget_row(struct table *t, uint32_t row);

/* A result of a key that is not there. */
void table_add_row(struct table *t, const struct ledger_row *row);
/* All rows of a segment. */
MUST_CHECK struct status table_load_rows(struct table *t, const char *data,
                                         size_t size);

#endif
