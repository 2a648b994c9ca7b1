#include "broker/core/family.h"

#include "common/memory.h"

#include <assert.h>
#include <stdlib.h>

static struct family *family_of(struct sweep *sweep, uint64_t number)
{
    struct family *f;

    if (sweep->families == NULL)
        sweep->families = map_new();
    f = map_get(sweep->families, &number, sizeof number);
    if (f != NULL)
        return f;
    f = xnew(struct family);
    f->number = number;
    f->sweep = sweep;
    (void)map_put(sweep->families, &number, sizeof number, f);
    return f;
}

/* Trials are looked at in order, so new jobs come last; one that comes back
 * finds its place near the front. */
void family_join(struct job *job)
{
    struct family *f;
    struct job *after;

    if (job->family == 0)
        return;
    f = family_of(job->group->sweep, job->family);
    after = f->last;
    while (after != NULL && after->rank > job->rank)
        after = after->kin_prev;
    job->kin = f;
    job->kin_prev = after;
    job->kin_next = after == NULL ? f->first : after->kin_next;
    if (job->kin_next == NULL)
        f->last = job;
    else
        job->kin_next->kin_prev = job;
    if (after == NULL)
        f->first = job;
    else
        after->kin_next = job;
    f->ready++;
}

void family_leave(struct job *job)
{
    struct family *f = job->kin;

    if (f == NULL)
        return;
    if (job->kin_prev == NULL)
        f->first = job->kin_next;
    else
        job->kin_prev->kin_next = job->kin_next;
    if (job->kin_next == NULL)
        f->last = job->kin_prev;
    else
        job->kin_next->kin_prev = job->kin_prev;
    job->kin = NULL;
    job->kin_prev = NULL;
    job->kin_next = NULL;
    if (--f->ready > 0)
        return;
    (void)map_remove(f->sweep->families, &f->number, sizeof f->number);
    free(f);
}

void family_free_all(struct sweep *sweep)
{
    for (size_t i = 0;
         sweep->families != NULL && i < map_count(sweep->families); i++)
        free(map_at(sweep->families, i, NULL, NULL));
    map_free(sweep->families);
}

bool family_has_more(const struct job *first)
{
    return first->kin != NULL && first->kin->ready > 1;
}

size_t family_take(struct job *first, size_t most,
                   bool (*fits)(const struct session *session,
                                const struct job *first, const struct job *job),
                   const struct session *session,
                   struct job *ret_jobs[FAMILY_MOST])
{
    size_t count = 0;

    assert(most <= FAMILY_MOST);
    ret_jobs[count++] = first;
    if (first->kin == NULL)
        return count;
    for (struct job *job = first->kin->first; job != NULL && count < most;
         job = job->kin_next)
        if (job != first && fits(session, first, job))
            ret_jobs[count++] = job;
    return count;
}

/* ---- units ------------------------------------------------------------ */

struct unit *unit_new(struct sched *s, int64_t memory_bytes)
{
    struct unit *unit = xnew(struct unit);

    unit->number = ++s->units;
    unit->memory_bytes = memory_bytes;
    return unit;
}

void unit_enter(struct session *session, struct job *job, struct unit *unit)
{
    job->unit = unit;
    if (unit == NULL) {
        session->units++;
        session->memory_used += job->memory_bytes;
    } else if (unit->left++ == 0) {
        session->units++;
        session->memory_used += unit->memory_bytes;
    }
}

void unit_forget(struct job *job)
{
    if (job->unit != NULL && --job->unit->left == 0)
        free(job->unit);
    job->unit = NULL;
}

void unit_leave(struct session *session, struct job *job)
{
    struct unit *unit = job->unit;

    job->unit = NULL;
    if (unit == NULL) {
        session->units--;
        session->memory_used -= job->memory_bytes;
    } else if (--unit->left == 0) {
        session->units--;
        session->memory_used -= unit->memory_bytes;
        free(unit);
    }
}
