#include "broker/core/dispatch.h"

#include "broker/core/family.h"
#include "broker/core/fleet.h"
#include "broker/core/jobs.h"
#include "broker/core/verdict.h"
#include "common/limits.h"
#include "common/memory.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum {
    AHEAD_MS = 50,    /* work queued at a busy slot, if known to be short */
    AHEAD_MOST = 128, /* jobs queued per slot */
    HELD_MOST = LIMIT_BATCH / 2, /* jobs of one worker: its HELLO lists all */
    LONG_MS = 1000,              /* never queued at a busy slot */
    ASSIGN_MOST = 64,            /* jobs in one message */
    ASSIGN_BYTES = 256 << 10,
    UNIT_MS = 10 * 60 * 1000, /* expected work of a unit: so long a worker
                                 that joins may find nothing to do */
};

static bool knows_kind(const struct session *session, const char *kind)
{
    if (session->kind_count == 0)
        return true;
    for (size_t i = 0; i < session->kind_count; i++)
        if (session->kind_list[i] == kind)
            return true;
    return false;
}

/* Could the worker run such a job if it had nothing else to do? */
static bool can_serve(const struct session *session, const struct group *g)
{
    return knows_kind(session, g->kind) &&
           (session->memory_bytes == 0 ||
            g->memory_bytes <= session->memory_bytes);
}

static bool has_memory(const struct session *session, const struct group *g)
{
    return session->memory_bytes == 0 || session->units == 0 ||
           session->memory_used + g->memory_bytes <= session->memory_bytes;
}

/* Jobs the worker may hold at once if some are sent ahead. A job that takes
 * long, or nobody knows how long, waits here for the first free slot rather
 * than at a busy one; of very short ones enough are sent ahead to cover the
 * way there and back. */
static uint64_t credit(const struct session *session, const struct group *g)
{
    double ahead;
    uint64_t held;

    if (g->run_ms < 0.0 || g->run_ms >= LONG_MS)
        return session->slots;
    ahead = AHEAD_MS / (g->run_ms + (double)AHEAD_MS / AHEAD_MOST);
    held = session->slots * (1 + (ahead < 1.0 ? 1 : (uint64_t)ahead));
    return held < HELD_MOST ? held : HELD_MOST;
}

/* The group of the earliest trial, or none while the worker has no room for
 * that one: to send shorter jobs of later trials ahead instead would let them
 * overtake it for ever. */
static struct group *best_group(const struct sweep *sweep,
                                const struct session *session, bool ahead)
{
    struct group *best = NULL;
    uint64_t room;

    for (size_t i = 0; i < sweep->group_count; i++) {
        struct group *g = sweep->groups[i];
        const struct job *first = heap_first(&g->ready);

        if (first == NULL || !can_serve(session, g) || !has_memory(session, g))
            continue;
        if (best == NULL || first->rank < heap_first(&best->ready)->rank)
            best = g;
    }
    if (best == NULL)
        return NULL;
    if (!ahead)
        return session->units < session->slots ? best : NULL;
    room = credit(session, best);
    return session->running < room ? best : NULL;
}

static bool may_run_more(const struct sweep *sweep)
{
    return sweep->ready > 0 &&
           (sweep->limits.parallel == 0 ||
            sweep->jobs[JOB_RUNNING] < sweep->limits.parallel);
}

/* Highest priority; of equals the one that was served longest ago. */
static struct group *choose(const struct sched *s,
                            const struct session *session, bool ahead)
{
    struct group *best = NULL;

    for (size_t i = 0; i < s->live_count; i++) {
        const struct sweep *sweep = s->live[i];
        struct group *g;

        if (!may_run_more(sweep) ||
            (best != NULL &&
             (sweep->limits.priority < best->sweep->limits.priority ||
              (sweep->limits.priority == best->sweep->limits.priority &&
               sweep->turn >= best->sweep->turn))))
            continue;
        g = best_group(sweep, session, ahead);
        if (g != NULL)
            best = g;
    }
    return best;
}

static bool may_take(const struct session *session)
{
    return session->connected && !session->suspect && !session->draining;
}

/* Slots of the farm that could begin such a job now; at least one. Counted
 * once a round; what is given meanwhile is taken off whoever got it. */
static uint64_t idle_slots(const struct sched *s, struct group *g)
{
    uint64_t given;

    if (g->idle_round != s->rounds) {
        g->idle_round = s->rounds;
        g->idle_given = s->given;
        g->idle = 0;
        for (size_t i = 0; i < map_count(s->sessions); i++) {
            const struct session *w = map_at(s->sessions, i, NULL, NULL);

            if (may_take(w) && can_serve(w, g) && w->units < w->slots)
                g->idle += w->slots - w->units;
        }
    }
    given = s->given - g->idle_given;
    return g->idle > given ? g->idle - given : 1;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* How many of the family go together: its share of the idle slots, and no
 * more work than a worker should hold. */
static uint64_t unit_size(const struct sched *s, const struct session *session,
                          struct group *g, bool ahead)
{
    const struct job *first = heap_first(&g->ready);
    const struct sweep *sweep = g->sweep;
    uint64_t most = ahead ? credit(session, g) : HELD_MOST;
    uint64_t size;

    if (!family_has_more(first) || most <= session->running)
        return 1;
    size = least(first->kin->ready, most - session->running);
    if (!ahead) {
        uint64_t slots = idle_slots(s, g);

        size = least(size, (first->kin->ready + slots - 1) / slots);
    }
    if (g->run_ms > 0.0)
        size = least(size, 1 + (uint64_t)(UNIT_MS / g->run_ms));
    if (sweep->limits.parallel > 0)
        size = least(size, sweep->limits.parallel - sweep->jobs[JOB_RUNNING]);
    return least(size, FAMILY_MOST);
}

/* A job of the family, maybe of another kind, that can go with the first. */
static bool fits_unit(const struct session *session, const struct job *first,
                      const struct job *job)
{
    return can_serve(session, job->group) &&
           job->memory_bytes <= first->memory_bytes;
}

static void assign(struct sched *s, struct session *session, struct job *job,
                   struct unit *unit)
{
    jobs_assign(s, job, session, unit, s->epoch, job->attempt + 1);
    if (session->batch_count == session->batch_room) {
        session->batch_room =
            session->batch_room == 0 ? 16 : 2 * session->batch_room;
        session->batch = xrealloc(session->batch,
                                  session->batch_room * sizeof(struct job *));
    }
    session->batch[session->batch_count++] = job;
    s->stats.assigned++;
}

/* Sweeps take turns by jobs, so that one with large families gets no more
 * than another; one that had nothing to run has saved up no claims. */
static void charge(struct sched *s, struct sweep *sweep, size_t jobs)
{
    if (sweep->turn < s->turns)
        sweep->turn = s->turns;
    s->turns = sweep->turn;
    sweep->turn += jobs;
    s->given++;
}

static void give(struct sched *s, struct session *session, struct group *g,
                 bool ahead)
{
    struct job *first = heap_first(&g->ready);
    struct job *jobs[FAMILY_MOST];
    size_t count = family_take(first, unit_size(s, session, g, ahead),
                               fits_unit, session, jobs);
    struct unit *unit = count > 1 ? unit_new(s, first->memory_bytes) : NULL;

    for (size_t i = 0; i < count; i++)
        assign(s, session, jobs[i], unit);
    charge(s, g->sweep, count);
}

/* Did anybody take a job? */
static bool lap(struct sched *s, bool ahead)
{
    size_t count = map_count(s->sessions);
    bool any = false;

    for (size_t i = 0; i < count && s->job_count[JOB_READY] > 0; i++) {
        struct session *session =
            map_at(s->sessions, (s->rotor + i) % count, NULL, NULL);
        struct group *g = may_take(session) ? choose(s, session, ahead) : NULL;

        if (g == NULL)
            continue;
        give(s, session, g, ahead);
        any = true;
    }
    return any;
}

static size_t size_of(const struct job *job)
{
    enum { FRAME = 256 };
    size_t size = FRAME + strlen(job->params);

    for (size_t i = 0; i < job->input_count; i++)
        size += FRAME + strlen(job->inputs[i]->result);
    return size;
}

/* The label is the caller's to free, as are the inputs' items. */
static struct wire_assignment assignment_of(const struct job *job)
{
    struct wire_assignment a = {
        .token = jobs_token(job),
        .kind = wire_text(job->kind),
        .params = wire_text(job->params),
        .label = wire_text(jobs_label(job)),
        .stall_ms = job->stall_ms,
        .limit_ms = job->limit_ms,
        .memory_bytes = job->memory_bytes,
        .batch = job->unit == NULL ? 0 : job->unit->number,
    };

    a.inputs.items = xcalloc(job->input_count + 1, sizeof *a.inputs.items);
    a.inputs.count = job->input_count;
    for (size_t i = 0; i < job->input_count; i++) {
        a.inputs.items[i].key = job->inputs[i]->key;
        a.inputs.items[i].result = wire_text(job->inputs[i]->result);
    }
    return a;
}

static void release_assignment(struct wire_assignment *a)
{
    free((char *)(uintptr_t)a->label.data);
    free(a->inputs.items);
}

MUST_CHECK static struct status send_jobs(struct sched *s,
                                          const struct session *session,
                                          struct job *const *jobs, size_t count)
{
    struct wire_assignment items[ASSIGN_MOST];
    struct wire_message m = { .type = WIRE_ASSIGN };
    struct status st;

    assert(count <= ASSIGN_MOST);
    for (size_t i = 0; i < count; i++)
        items[i] = assignment_of(jobs[i]);
    m.assign.jobs.items = items;
    m.assign.jobs.count = count;
    st = outbox_send(s->out, session->peer, &m, false);
    for (size_t i = 0; i < count; i++)
        release_assignment(&items[i]);
    return st;
}

/* As many of the batch, from `at`, as go into one message. */
static size_t message_length(const struct session *session, size_t at)
{
    size_t bytes = 0;
    size_t count = 0;

    while (at + count < session->batch_count && count < ASSIGN_MOST) {
        bytes += size_of(session->batch[at + count]);
        if (bytes > ASSIGN_BYTES && count > 0)
            break;
        count++;
    }
    return count;
}

static void send_batch(struct sched *s, struct session *session)
{
    size_t count;

    for (size_t at = 0; at < session->batch_count; at += count) {
        struct status st;

        count = message_length(session, at);
        st = send_jobs(s, session, session->batch + at, count);
        /* Only a single job with huge inputs can be too big. */
        if (status_failed(&st))
            verdict_impossible(s, session->batch[at], &st);
    }
    session->batch_count = 0;
}

void dispatch_run(struct sched *s)
{
    if (s->recovery_ends != 0 || s->job_count[JOB_READY] == 0)
        return;
    s->rounds++;
    s->given = 0;
    while (lap(s, false))
        continue;
    while (lap(s, true))
        continue;
    s->rotor++;
    for (size_t i = 0; i < map_count(s->sessions); i++)
        send_batch(s, map_at(s->sessions, i, NULL, NULL));
}

static char *group_obstacle(const struct sched *s, const struct group *g)
{
    bool known = false;
    int64_t most = 0;

    for (size_t i = 0; i < map_count(s->sessions); i++) {
        const struct session *session = map_at(s->sessions, i, NULL, NULL);

        if (can_serve(session, g))
            return NULL;
        if (!knows_kind(session, g->kind))
            continue;
        known = true;
        most = session->memory_bytes > most ? session->memory_bytes : most;
    }
    if (!known)
        return xasprintf("no connected worker can run %s", g->kind);
    return xasprintf("a %s job asks for %lld MiB of memory, the largest "
                     "worker has %lld MiB",
                     g->kind, (long long)(g->memory_bytes >> 20),
                     (long long)(most >> 20));
}

char *dispatch_obstacle(const struct sched *s, const struct sweep *sweep)
{
    if (sweep->state != SWEEP_RUNNING || sweep->ready == 0)
        return NULL;
    if (map_count(s->sessions) == 0)
        return xstrdup("no worker is connected");
    if (s->recovery_ends != 0)
        return xstrdup("the broker was restarted and waits for its workers");
    for (size_t i = 0; i < sweep->group_count; i++) {
        const struct group *g = sweep->groups[i];
        char *obstacle;

        if (g->ready.count == 0)
            continue;
        obstacle = group_obstacle(s, g);
        if (obstacle != NULL)
            return obstacle;
    }
    return NULL;
}
