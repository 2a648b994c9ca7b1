#include "broker/core/family.h"

#include "broker/core/dispatch.h"
#include "broker/core/resources.h"
#include "common/memory.h"

#include <assert.h>
#include <stdlib.h>

enum { US_PER_MS = 1000 };

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

size_t family_take(struct job *first, size_t most, size_t limit,
                   bool (*fits)(struct session *session,
                                const struct job *first, const struct job *job),
                   struct session *session, struct job *ret_jobs[FAMILY_MOST])
{
    size_t count = 0;

    assert(limit <= FAMILY_MOST);
    ret_jobs[count++] = first;
    if (first->kin == NULL)
        return count;
    for (struct job *job = first->kin->first; job != NULL && count < limit;
         job = job->kin_next) {
        if (count >= most && job->rank != ret_jobs[count - 1]->rank)
            break; /* those of one trial read one model: not torn apart */
        if (job != first && fits(session, first, job))
            ret_jobs[count++] = job;
    }
    return count;
}

/* ---- units ------------------------------------------------------------ */

struct unit *unit_new(struct sched *s, const struct session *session,
                      const struct job *widest)
{
    struct unit *unit = xnew(struct unit);

    unit->number = ++s->units;
    unit->memory_bytes = widest->memory_bytes;
    unit->slots = resources_slots(session, widest->cpus);
    return unit;
}

uint64_t unit_queued(const struct session *session)
{
    uint64_t begun =
        session->units < session->slots ? session->units : session->slots;

    return session->running - begun;
}

static void take_room(struct session *session, uint64_t slots, int64_t memory)
{
    session->units++;
    session->load += slots;
    session->memory_used += memory;
}

static void give_room(struct session *session, uint64_t slots, int64_t memory)
{
    session->units--;
    session->load -= slots;
    session->memory_used -= memory;
}

void unit_enter(struct session *session, struct job *job, struct unit *unit)
{
    uint64_t slots = resources_slots(session, job->cpus);

    session->sched->queued -= unit_queued(session);
    session->running++;
    job->unit = unit;
    job->slots = slots;
    job->expected = 0;
    if (job->group != NULL)
        job->expected = (int64_t)(share_expected_ms(job->group) * US_PER_MS) *
                        (int64_t)slots;
    session->expected += job->expected;
    if (unit == NULL)
        take_room(session, slots, job->memory_bytes);
    else if (unit->left++ == 0)
        take_room(session, unit->slots, unit->memory_bytes);
    session->sched->queued += unit_queued(session);
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

    session->sched->queued -= unit_queued(session);
    session->running--;
    session->expected -= job->expected;
    locality_left(session, job->place, false);
    job->unit = NULL;
    session->retracting -= job->retracting;
    job->retracting = false;
    if (unit == NULL) {
        give_room(session, job->slots, job->memory_bytes);
    } else if (--unit->left == 0) {
        give_room(session, unit->slots, unit->memory_bytes);
        free(unit);
    }
    session->sched->queued += unit_queued(session);
    dispatch_wake(session);
}
