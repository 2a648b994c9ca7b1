/* check.c -- every invariant of the state, walked: the oracle of the
 * simulation. */
#include "broker/core/dispatch.h"
#include "broker/core/family.h"
#include "broker/core/jobs.h"
#include "broker/core/resources.h"
#include "broker/core/sched.h"
#include "broker/core/state.h"

#include <assert.h>
#include <string.h>

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
        assert(needs > 0 && job->pending == 0 &&
               job->group->sweep->state == SWEEP_RUNNING &&
               heap_has(job->suspect ? &s->suspects : &job->group->ready, job));
    assert((job->kin != NULL) ==
           (job->state == JOB_READY && job->family != 0 && !job->suspect));
    assert(job->unit == NULL || job->session != NULL);
    if (job->state == JOB_BACKOFF)
        assert(heap_has(&s->backoff, job) && needs > 0);
    if (job->state == JOB_WAITING)
        assert(job->pending > 0 && needs > 0);
    if (job->state == JOB_IDLE || job->state == JOB_FAILED)
        assert(needs == 0);
    if (job->state == JOB_DONE)
        assert(needs == 0 && job->row != 0 && job->settled &&
               job->uses == NULL);
}

static void check_jobs(const struct sched *s)
{
    uint64_t counts[JOB_STATES] = { 0 };

    for (uint32_t i = 0; i < s->jobs->live_count; i++) {
        const struct job *job = s->jobs->live[i];

        if (job == NULL)
            continue;
        assert(job->at == i);
        assert(jobs_find(s, &job->key) == job);
        assert(job->leaving || job->holders > 0 || job->state != JOB_DONE);
        check_job(s, job);
        counts[job->state]++;
    }
    counts[JOB_DONE] = ledger_count(s->jobs->ledger) - s->forgotten_count;
    assert(memcmp(counts, s->job_count, sizeof counts) == 0);
    assert(s->backoff.count == counts[JOB_BACKOFF]);
}

static void check_sums(const struct sched *s, const struct sweep *sweep)
{
    uint64_t counts[JOB_STATES] = { 0 };
    uint64_t staged[JOB_STATES] = { 0 };

    for (const struct use *u = sweep->uses; u != NULL; u = u->sweep_next) {
        assert(u->sweep == sweep);
        assert(u->sweep_next == NULL || u->sweep_next->sweep_prev == u);
        counts[u->job->state]++;
    }
    for (uint32_t row = 0; row < ledger_count(s->jobs->ledger); row++)
        counts[JOB_DONE] +=
            sweep->state == SWEEP_RUNNING && jobs_is_counted(s, sweep, row);
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

static void check_sweep(const struct sched *s, const struct sweep *sweep)
{
    size_t ready = 0;

    check_families(sweep);
    check_sums(s, sweep);
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

/* What its jobs take of it. */
static void check_room(const struct session *w)
{
    int64_t expected = 0;
    uint64_t load = 0;
    size_t retracting = 0;

    for (const struct job *job = w->first; job != NULL; job = job->next) {
        expected += job->expected;
        retracting += job->retracting;
        if (leads_unit(w, job))
            load += job->unit == NULL ? job->slots : job->unit->slots;
    }
    assert(expected == w->expected && load == w->load);
    assert(retracting == w->retracting);
    assert(w->kept_for == NULL || w->kept_for->keeper == w);
}

/* Nothing in the queues is for it. */
static void check_idle(const struct sched *s, struct session *w)
{
    for (size_t i = 0; i < s->live_count; i++)
        for (size_t k = 0; k < s->live[i]->group_count; k++) {
            struct group *g = s->live[i]->groups[k];

            assert(g->ready.count == 0 || locality_missing(w, g->place) > 0 ||
                   !dispatch_may_run_more(s->live[i]) ||
                   !resources_serve(w, g) || !resources_fit(w, g) ||
                   w->load + resources_slots(w, g->cpus) > w->slots);
        }
}

/* A sweep that can run something waits in its band, if workers are served. */
static void check_shares(const struct sched *s)
{
    uint64_t queued = 0;

    for (size_t i = 0; i < s->live_count; i++)
        assert(s->recovery_ends != 0 || s->live[i]->turn.place != 0 ||
               !dispatch_may_run_more(s->live[i]));
    for (size_t i = 0; i < SHARE_BANDS; i++) {
        const struct share_band *band = &s->share.bands[i];

        assert((band->waiting.count > 0) ==
               ((s->share.occupied[i / 64] >> i % 64 & 1) != 0));
        for (size_t k = 0; k < band->waiting.count; k++)
            assert(band->waiting.items[k]->place == k + 1);
    }
    for (size_t i = 0; i < map_count(s->sessions); i++) {
        queued += unit_queued(map_at(s->sessions, i, NULL, NULL));
    }
    assert(queued == s->queued);
}

static void check_session(const struct sched *s, struct session *w)
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
    check_room(w);
    if (s->recovery_ends == 0 && dispatch_is_idle(w))
        check_idle(s, w);
    assert(w->solo == NULL || (w->first == w->solo && w->last == w->solo));
}

void sched_check(const struct sched *s)
{
    check_jobs(s);
    for (size_t i = 0; i < s->sweep_count; i++)
        check_sweep(s, s->sweeps[i]);
    for (size_t i = 0; i < map_count(s->sessions); i++)
        check_session(s, map_at(s->sessions, i, NULL, NULL));
    check_shares(s);
    locality_check(s);
    for (size_t i = 0; i < s->live_count; i++)
        assert(s->live[i]->state == SWEEP_RUNNING);
}
