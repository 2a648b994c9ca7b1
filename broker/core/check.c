/* check.c -- every invariant of the state, walked: the oracle of the
 * simulation. */
#include "broker/core/jobs.h"
#include "broker/core/sched.h"
#include "broker/core/state.h"

#include <assert.h>
#include <string.h>

static bool in_heap(const struct heap *h, const struct job *job)
{
    return job->heap_at < h->count && h->items[job->heap_at] == job;
}

static void check_job(const struct sched *s, const struct job *job)
{
    uint64_t wanted = 0;
    size_t needs = 0;

    for (const struct use *u = job->uses; u != NULL; u = u->job_next) {
        assert(u->job == job);
        assert(u->sweep->state == SWEEP_RUNNING);
        wanted += u->wanted;
    }
    for (const struct need *n = job->needs; n != NULL; n = n->next) {
        assert(n->job == job && n->open);
        needs++;
    }
    assert(wanted == needs);
    assert((job->state == JOB_RUNNING) == (job->session != NULL));
    if (job->state == JOB_READY)
        assert(in_heap(&job->group->ready, job) && needs > 0 &&
               job->pending == 0 && job->group->sweep->state == 0);
    assert((job->kin != NULL) == (job->state == JOB_READY && job->family != 0));
    assert(job->unit == NULL || job->session != NULL);
    if (job->state == JOB_BACKOFF)
        assert(in_heap(&s->backoff, job) && needs > 0);
    if (job->state == JOB_WAITING)
        assert(job->pending > 0 && needs > 0);
    if (job->state == JOB_IDLE || job->state == JOB_FAILED)
        assert(needs == 0);
    if (job->state == JOB_DONE)
        assert(needs == 0 && job->result != NULL && job->settled);
}

static void check_jobs(const struct sched *s)
{
    uint64_t counts[JOB_STATES] = { 0 };

    for (size_t i = 0; i < map_count(s->jobs); i++) {
        const struct job *job = map_at(s->jobs, i, NULL, NULL);

        check_job(s, job);
        counts[job->state]++;
    }
    assert(memcmp(counts, s->job_count, sizeof counts) == 0);
    assert(s->backoff.count == counts[JOB_BACKOFF]);
}

static void check_sums(const struct sweep *sweep)
{
    uint64_t counts[JOB_STATES] = { 0 };
    uint64_t staged[JOB_STATES] = { 0 };

    for (const struct use *u = sweep->uses; u != NULL; u = u->sweep_next) {
        assert(u->sweep == sweep);
        counts[u->job->state]++;
    }
    for (size_t i = 0; i < sweep->stage_count; i++)
        for (int k = 0; k < JOB_STATES; k++)
            staged[k] += sweep->stages[i].jobs[k];
    assert(memcmp(staged, sweep->jobs, sizeof staged) == 0);
    if (sweep->state == SWEEP_RUNNING) {
        assert(memcmp(counts, sweep->jobs, sizeof counts) == 0);
        assert(sweep->known + sweep->computed == counts[JOB_DONE]);
    } else {
        assert(sweep->uses == NULL && sweep->active == NULL);
    }
}

static void check_trials(const struct sweep *sweep)
{
    uint64_t tally[TRIAL_STATES] = { 0 };
    uint64_t active = 0;

    for (uint64_t i = 0; i < sweep->trial_count; i++)
        tally[sweep->trials[i]]++;
    assert(memcmp(tally, sweep->tally, sizeof tally) == 0);
    for (const struct trial *t = sweep->active; t != NULL; t = t->next) {
        size_t open = 0;

        assert(sweep->trials[t->index] == TRIAL_ACTIVE);
        for (size_t i = 0; i < t->need_count; i++)
            open += t->needs[i].open;
        assert(open == t->pending && open > 0);
        active++;
    }
    assert(active == tally[TRIAL_ACTIVE]);
}

/* Returns its jobs: they stand in order of rank. */
static size_t check_family(const struct family *f, const struct sweep *sweep)
{
    size_t count = 0;

    assert(f->sweep == sweep && f->ready > 0);
    for (const struct job *job = f->first; job != NULL; job = job->kin_next) {
        assert(job->kin == f && job->family == f->number);
        assert(job->group->sweep == sweep);
        assert(job->kin_next == NULL ? job == f->last
                                     : job->kin_next->kin_prev == job &&
                                           job->kin_next->rank >= job->rank);
        count++;
    }
    assert(count == f->ready);
    return count;
}

static void check_families(const struct sweep *sweep)
{
    size_t in_families = 0;
    size_t with_family = 0;

    for (size_t i = 0;
         sweep->families != NULL && i < map_count(sweep->families); i++)
        in_families +=
            check_family(map_at(sweep->families, i, NULL, NULL), sweep);
    for (size_t i = 0; i < sweep->group_count; i++)
        for (size_t k = 0; k < sweep->groups[i]->ready.count; k++)
            with_family += sweep->groups[i]->ready.items[k]->family != 0;
    assert(in_families == with_family);
}

static void check_sweep(const struct sweep *sweep)
{
    size_t ready = 0;

    check_families(sweep);
    check_sums(sweep);
    check_trials(sweep);
    for (size_t i = 0; i < sweep->group_count; i++) {
        const struct heap *h = &sweep->groups[i]->ready;

        ready += h->count;
        for (size_t k = 0; k < h->count; k++)
            assert(h->items[k]->state == JOB_READY &&
                   h->items[k]->group == sweep->groups[i]);
    }
    assert(ready == sweep->ready);
}

/* Is it the oldest of its unit? The unit then has as many as it says. */
static bool leads_unit(const struct session *w, const struct job *job)
{
    const struct job *leader = NULL;
    size_t left = 0;

    if (job->unit == NULL)
        return true;
    for (const struct job *at = w->first; at != NULL; at = at->next) {
        if (at->unit != job->unit)
            continue;
        leader = leader == NULL ? at : leader;
        assert(at->memory_bytes <= job->unit->memory_bytes);
        left++;
    }
    assert(left == job->unit->left);
    return leader == job;
}

static void check_session(const struct session *w)
{
    size_t running = 0;
    size_t units = 0;
    uint64_t total = 0;
    int64_t memory = 0;

    for (const struct job *job = w->first; job != NULL; job = job->next) {
        struct wire_token token = jobs_token(job);

        assert(job->session == w && job->state == JOB_RUNNING);
        running++;
        total ^= wire_token_hash(&token);
        if (leads_unit(w, job)) {
            units++;
            memory +=
                job->unit == NULL ? job->memory_bytes : job->unit->memory_bytes;
        }
    }
    assert(running == w->running && total == w->running_sum);
    assert(units == w->units);
    assert(memory == w->memory_used);
    assert(w->batch_count == 0);
}

void sched_check(const struct sched *s)
{
    check_jobs(s);
    for (size_t i = 0; i < s->sweep_count; i++)
        check_sweep(s->sweeps[i]);
    for (size_t i = 0; i < map_count(s->sessions); i++)
        check_session(map_at(s->sessions, i, NULL, NULL));
    for (size_t i = 0; i < s->live_count; i++)
        assert(s->live[i]->state == SWEEP_RUNNING);
}
