#include "broker/core/table.h"

#include "broker/core/state.h"
#include "common/memory.h"

#include <assert.h>
#include <stdlib.h>

/* Values of `keys`: a number in `live`, or a row and 1. */
static const uint32_t is_live = UINT32_C(1) << 31;

static const struct digest *key_of(const void *self, uint32_t value)
{
    const struct table *t = self;

    return (value & is_live) != 0 ? &t->live[value & ~is_live]->key
                                  : ledger_key(t->ledger, value - 1);
}

static const char *intern(void *self, const char *text, size_t size)
{
    return sched_intern(self, text, size);
}

struct table *table_new(struct sched *s)
{
    enum { NEEDS = TRIAL_NEEDS };
    struct table *t = xnew(struct table);

    t->keys = (struct keys){ .key_of = key_of, .self = t };
    t->ledger = ledger_new(intern, s);
    t->jobs.size = sizeof(struct job);
    t->uses.size = sizeof(struct use);
    t->trials.size = sizeof(struct trial) + NEEDS * sizeof(struct need);
    return t;
}

void table_free(struct table *t)
{
    keys_release(&t->keys);
    ledger_free(t->ledger);
    pool_release(&t->jobs);
    pool_release(&t->uses);
    pool_release(&t->trials);
    free(t->live);
    free(t->holes);
    free(t);
}

static uint32_t free_place(struct table *t)
{
    if (t->hole_count > 0)
        return t->holes[--t->hole_count];
    if (t->live_count == t->live_room) {
        t->live_room = t->live_room == 0 ? 1024 : 2 * t->live_room;
        t->live = xrealloc(t->live, t->live_room * sizeof(struct job *));
        t->holes = xrealloc(t->holes, t->live_room * sizeof *t->holes);
    }
    return t->live_count++;
}

static struct job *make_live(struct table *t, const struct digest *key)
{
    struct job *job = pool_take(&t->jobs);

    job->key = *key;
    job->at = free_place(t);
    t->live[job->at] = job;
    keys_put(&t->keys, key, job->at | is_live);
    return job;
}

void table_take_row(struct job *job, uint32_t number,
                    const struct ledger_row *row)
{
    job->settled = true;
    job->row = number + 1;
    job->epoch = row->epoch;
    job->attempt = row->attempt;
    job->order = row->order;
    job->kind = row->kind;
    job->worker = row->worker;
}

static struct job *make_done(struct table *t, uint32_t number)
{
    struct ledger_row row = ledger_read(t->ledger, number);
    struct job *job = make_live(t, &row.key);

    job->state = JOB_DONE;
    table_take_row(job, number, &row);
    job->log = row.log.size == 0 ? NULL : xstrndup(row.log.data, row.log.size);
    table_leave(t, job);
    return job;
}

struct job *table_find(struct table *t, const struct digest *key)
{
    uint32_t value = keys_get(&t->keys, key);

    if (value == 0)
        return NULL;
    return (value & is_live) != 0 ? t->live[value & ~is_live]
                                  : make_done(t, value - 1);
}

const struct job *table_guess(const struct table *t, const struct digest *key)
{
    uint32_t value = keys_guess(&t->keys, key);

    return (value & is_live) == 0 ? NULL : t->live[value & ~is_live];
}

struct job *table_add(struct table *t, const struct digest *key)
{
    return make_live(t, key);
}

void table_leave(struct table *t, struct job *job)
{
    if (job->leaving)
        return;
    job->leaving = true;
    job->leaving_next = t->leaving;
    t->leaving = job;
}

struct job *table_next_leaving(struct table *t)
{
    struct job *job = t->leaving;

    if (job == NULL)
        return NULL;
    t->leaving = job->leaving_next;
    job->leaving = false;
    return job;
}

void table_drop(struct table *t, struct job *job)
{
    assert(!job->leaving);
    if (job->row != 0)
        keys_put(&t->keys, &job->key, job->row);
    else
        keys_remove(&t->keys, &job->key);
    t->live[job->at] = NULL;
    t->holes[t->hole_count++] = job->at;
    pool_give(&t->jobs, job);
}

void table_add_row(struct table *t, const struct ledger_row *row)
{
    uint32_t number = ledger_add(t->ledger, row);

    keys_put(&t->keys, &row->key, number + 1);
}

struct status table_load_rows(struct table *t, const char *data, size_t size)
{
    uint32_t number = ledger_count(t->ledger);

    TRY_PLAIN(ledger_load(t->ledger, data, size));
    for (; number < ledger_count(t->ledger); number++)
        keys_put(&t->keys, ledger_key(t->ledger, number), number + 1);
    return SUCCESS;
}

static struct job *live_of(const struct table *t, uint32_t value)
{
    return (value & is_live) != 0 ? t->live[value & ~is_live] : NULL;
}

bool table_has_row(const struct table *t, uint32_t row)
{
    uint32_t value = keys_get(&t->keys, ledger_key(t->ledger, row));
    const struct job *job = live_of(t, value);

    return job == NULL ? value == row + 1 : job->row == row + 1;
}

bool table_forget_row(struct table *t, uint32_t row)
{
    const struct digest *key = ledger_key(t->ledger, row);
    struct job *job = live_of(t, keys_get(&t->keys, key));

    if (!table_has_row(t, row))
        return false;
    if (job == NULL) {
        keys_remove(&t->keys, key);
        return false;
    }
    assert(job->uses == NULL && job->needs == NULL);
    job->row = 0;
    job->at_ms = 0;
    job->state = JOB_IDLE;
    table_leave(t, job);
    return true;
}
