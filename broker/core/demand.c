#include "broker/core/demand.h"

#include "broker/core/state.h"
#include "broker/core/sweeps.h"

#include <math.h>

enum {
    LOOK_MS = 1000,
    DRAIN_MS = 5 * 60 * 1000,
    HOLD_MS = 2 * 60 * 1000,
    MOST = 100,
    ASSUMED_MS = 10 * 1000, /* a job of a kind of which none has ended */
    SHARED = 4, /* a stage with a job for fewer than one of so many trials */
};

static const double ms_per_s = 1000.0;

void demand_init(struct demand *d, const struct demand_settings *set)
{
    *d = (struct demand){ .set = *set, .slots = 1.0 };
    if (d->set.drain_ms <= 0)
        d->set.drain_ms = DRAIN_MS;
    if (d->set.hold_ms <= 0)
        d->set.hold_ms = HOLD_MS;
    if (d->set.most == 0)
        d->set.most = MOST;
}

/* ---- the figures --------------------------------------------------------- */

/* Milliseconds of a job of that kind in the sweep. */
static double pace_of(const struct sweep *sweep, const char *kind)
{
    size_t count = sweep->paces == NULL ? 0 : map_count(sweep->paces);
    double sum = 0.0;
    double known = 0.0;

    for (size_t i = 0; i < count; i++) {
        const struct pace *p = map_at(sweep->paces, i, NULL, NULL);

        if (p->kind != kind || p->run_ms < 0.0)
            continue;
        sum += p->run_ms;
        known += 1.0;
    }
    return known > 0.0 ? sum / known : ASSUMED_MS;
}

static uint64_t sum_of(const uint64_t counts[JOB_STATES])
{
    uint64_t sum = 0;

    for (int i = 0; i < JOB_STATES; i++)
        sum += counts[i];
    return sum;
}

/* Jobs of the stage that trials will want which nobody has looked at. One that
 * many trials share grows with other things than their number: its jobs are
 * counted when they are there. */
static double to_come(const struct sweep *sweep, const struct stage *stage)
{
    uint64_t budget = sweeps_budget(sweep);
    double left = budget > sweep->taken ? (double)(budget - sweep->taken) : 0.0;
    double jobs = (double)sum_of(stage->jobs);
    double taken = (double)sweep->taken;

    if (sweep->cursor >= sweep->trial_count || jobs * SHARED < taken)
        return 0.0;
    return left * jobs / taken;
}

static double waiting(const struct stage *stage)
{
    return (double)(stage->jobs[JOB_READY] + stage->jobs[JOB_WAITING] +
                    stage->jobs[JOB_BACKOFF]);
}

static void add_sweep(struct demand *d, const struct sweep *sweep)
{
    double drain_s = (double)d->set.drain_ms / ms_per_s;
    double most_s = (double)sweep->limits.parallel * drain_s;
    double seconds = 0.0;
    double jobs = 0.0;

    for (size_t i = 0; i < sweep->stage_count && sweep->taken > 0; i++) {
        const struct stage *stage = &sweep->stages[i];
        double count = waiting(stage) + to_come(sweep, stage);

        jobs += count;
        seconds += count * pace_of(sweep, stage->kind) / ms_per_s;
    }
    /* More workers would not make it faster. */
    if (sweep->limits.parallel > 0 && seconds > most_s)
        seconds = most_s;
    d->jobs += jobs;
    d->backlog_s += seconds;
}

/* The first of each queue has waited longest, or hardly less. */
static void add_wait(struct demand *d, const struct sched *s,
                     const struct sweep *sweep)
{
    for (size_t i = 0; i < sweep->open; i++) {
        const struct job *job = heap_first(&sweep->groups[i]->ready);
        int64_t ms = job == NULL ? 0 : (s->t.now - job->ready_at) / NS_PER_MS;

        if (ms > d->oldest_ms)
            d->oldest_ms = ms;
    }
}

static void add_workers(struct demand *d, const struct sched *s)
{
    const double us_per_s = 1e6;
    double drain_s = (double)d->set.drain_ms / ms_per_s;
    uint64_t slots = 0;

    for (size_t i = 0; i < map_count(s->sessions); i++) {
        const struct session *w = map_at(s->sessions, i, NULL, NULL);
        double left_s = (double)w->expected / us_per_s;

        if (w->draining)
            continue; /* it leaves: another may be needed for it */
        d->workers++;
        d->busy += w->units > 0;
        slots += w->slots;
        d->running_s += fmin(left_s, drain_s * (double)w->slots);
    }
    if (d->workers > 0)
        d->slots = (double)slots / (double)d->workers;
}

/* ---- the answer ----------------------------------------------------------- */

uint64_t demand_wanted(const struct demand *d)
{
    double drain_s = (double)d->set.drain_ms / ms_per_s;
    double work = ceil((d->backlog_s + d->running_s) / drain_s / d->slots);
    /* Beside the busy ones nobody more could be given anything. */
    double useful = (double)d->busy + ceil(d->jobs / d->slots);
    double wanted = fmin(work, useful);

    wanted = fmax(wanted, (double)d->busy);
    wanted = fmax(wanted, (double)d->set.least);
    return (uint64_t)fmin(wanted, (double)d->set.most);
}

/* Up at once, down to the most that was wanted for a while: workers that come
 * and go cost more than some that are idle for a minute. */
uint64_t demand_steady(struct demand *d, int64_t now)
{
    if (d->wanted >= d->desired) {
        d->desired = d->wanted;
        d->peak = 0;
        d->ends = now + d->set.hold_ms * NS_PER_MS;
        return d->desired;
    }
    if (d->wanted > d->peak)
        d->peak = d->wanted;
    if (now < d->ends)
        return d->desired;
    d->desired = d->peak;
    d->peak = 0;
    d->ends = now + d->set.hold_ms * NS_PER_MS;
    return d->desired;
}

void demand_look(struct sched *s)
{
    struct demand *d = &s->demand;

    if (s->t.now < d->next)
        return;
    d->next = s->t.now + LOOK_MS * NS_PER_MS;
    d->backlog_s = d->running_s = d->jobs = 0.0;
    d->oldest_ms = 0;
    d->workers = d->busy = 0;
    for (size_t i = 0; i < s->live_count; i++) {
        if (s->live[i]->paused)
            continue;
        add_sweep(d, s->live[i]);
        add_wait(d, s, s->live[i]);
    }
    add_workers(d, s);
    d->wanted = demand_wanted(d);
    (void)demand_steady(d, s->t.now);
}
