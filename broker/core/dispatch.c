#include "broker/core/dispatch.h"

#include "broker/core/family.h"
#include "broker/core/fleet.h"
#include "broker/core/groups.h"
#include "broker/core/handout.h"
#include "broker/core/jobs.h"
#include "broker/core/resources.h"
#include "broker/core/retract.h"
#include "broker/core/suspects.h"
#include "common/limits.h"
#include "common/memory.h"

#include <assert.h>
#include <stddef.h>

enum {
    AHEAD_MS = 50,    /* work queued at a busy slot, if known to be short */
    AHEAD_MOST = 128, /* jobs queued per slot */
    HELD_MOST = LIMIT_BATCH / 2, /* jobs of one worker: its HELLO lists all */
    LONG_MS = 1000,              /* never queued at a busy slot */
    UNIT_MS = 10 * 60 * 1000,    /* expected work of a unit: so long a worker
                                 that joins may find nothing to do */
};

static struct session *session_of(struct ring *place)
{
    return (struct session *)(void *)((char *)place -
                                      offsetof(struct session, place));
}

void dispatch_wake(struct session *session)
{
    ring_add(&session->sched->hungry, &session->place);
}

static void wake_all(struct sched *s)
{
    for (size_t i = 0; i < map_count(s->sessions); i++)
        dispatch_wake(map_at(s->sessions, i, NULL, NULL));
}

/* ---- how long jobs take, and how many a worker may hold ---------------- */

/* Of jobs that are known to be short, as many as are expected to take
 * AHEAD_MS are sent ahead to a busy slot, to cover the way there and back.
 * How far that is believed doubles with what has ended. */
static uint64_t ahead_of(const struct group *g)
{
    double ahead;

    if (g->pace->run_ms < 0.0 || g->pace->run_ms >= LONG_MS)
        return 0;
    ahead = AHEAD_MS / (g->pace->run_ms + (double)AHEAD_MS / AHEAD_MOST);
    if (ahead > g->pace->ended)
        ahead = g->pace->ended;
    return ahead < 1.0 ? 1 : (uint64_t)ahead;
}

void dispatch_ended(struct sched *s, struct job *job, int64_t wall_ms,
                    bool well)
{
    share_settle(s, job, wall_ms);
    if (job->session != NULL)
        locality_left(job->session, job->place, well);
}

void dispatch_learn(struct sched *s, struct group *g, int64_t wall_ms)
{
    static const double weight = 0.2; /* of the last run in the mean */
    enum { LONGER = 4 };
    uint64_t before = ahead_of(g);
    double took = (double)(wall_ms < 0 ? 0 : wall_ms);

    if (g->pace->run_ms >= 0.0 && took > LONGER * (g->pace->run_ms + 1.0))
        g->pace->ended = 1;
    else if (g->pace->ended < AHEAD_MOST)
        g->pace->ended++;
    g->pace->run_ms = g->pace->run_ms < 0.0
                          ? took
                          : g->pace->run_ms + weight * (took - g->pace->run_ms);
    if (before == 0 && ahead_of(g) > 0 && g->ready.count > 0)
        wake_all(s); /* those that are full may take more */
}

/* Jobs the worker may hold at once if some are sent ahead. */
static uint64_t credit(const struct session *session, const struct group *g)
{
    uint64_t side_by_side = session->slots / resources_slots(session, g->cpus);
    uint64_t held = side_by_side * (1 + ahead_of(g));

    return held < HELD_MOST ? held : HELD_MOST;
}

/* ---- which job -------------------------------------------------------- */

bool dispatch_gives(const struct sweep *sweep)
{
    return !sweep->paused &&
           (sweep->limits.parallel == 0 ||
            sweep->jobs[JOB_RUNNING] < sweep->limits.parallel);
}

bool dispatch_may_run_more(const struct sweep *sweep)
{
    return sweep->ready > 0 && dispatch_gives(sweep);
}

static bool has_slots(const struct session *session, const struct group *g)
{
    return session->load + resources_slots(session, g->cpus) <= session->slots;
}

static bool fits_now(const struct session *session, const struct group *g)
{
    return has_slots(session, g) && resources_fit(session, g);
}

/* Jobs that need more room than the worker has left would wait for ever if
 * smaller ones went on taking it: one worker at a time takes nothing else
 * until they fit. */
static void keep_room(struct session *session, struct group *g)
{
    g->keeper = session;
    session->kept_for = g;
}

void dispatch_release_keeper(struct session *session)
{
    if (session->kept_for != NULL)
        session->kept_for->keeper = NULL;
    session->kept_for = NULL;
}

/* One that does not fit is left to the worker that makes room for it. */
static bool is_for(struct session *session, struct group *g)
{
    return resources_serve(session, g) &&
           (g->keeper == NULL || fits_now(session, g));
}

static bool is_earlier(const struct group *a, const struct group *b)
{
    const struct job *x = heap_first(&a->ready);
    const struct job *y = heap_first(&b->ready);

    return x->rank != y->rank ? x->rank < y->rank : x->tie < y->tie;
}

/* The group whose bytes the worker has, or has most of; of equals that of the
 * earliest trial. */
static struct group *best_of(struct sweep *sweep, struct session *session)
{
    struct group *best = NULL;
    uint64_t best_missing = 0;
    size_t i = 0;

    while (i < sweep->open) {
        struct group *g = groups_open_at(sweep, i);
        uint64_t missing;

        i += g != NULL;
        if (g == NULL || !is_for(session, g))
            continue;
        missing = locality_missing(session, g->place);
        if (best != NULL && (missing > best_missing ||
                             (missing == best_missing && !is_earlier(g, best))))
            continue;
        if (missing > 0 && !locality_may_give(session->sched, session, g))
            continue;
        best = g;
        best_missing = missing;
    }
    return best;
}

struct choice {
    struct session *session;
    struct group *group;
};

static bool suits(void *self, struct sweep *sweep)
{
    struct choice *c = self;
    struct group *g = best_of(sweep, c->session);

    if (g != NULL)
        c->group = g;
    return g != NULL;
}

/* What it keeps room for, once that fits. */
static bool is_kept_for(struct session *session)
{
    const struct group *g = session->kept_for;

    if (g == NULL)
        return false;
    if (g->ready.count > 0 && dispatch_may_run_more(g->sweep))
        return true;
    dispatch_release_keeper(session);
    return false;
}

/* For a free slot. */
static struct group *choose(struct sched *s, struct session *session)
{
    struct choice c = { .session = session };

    if (is_kept_for(session)) {
        struct group *g = session->kept_for;

        return fits_now(session, g) ? g : NULL;
    }
    if (share_next(s, suits, &c) == NULL)
        return NULL;
    if (fits_now(session, c.group))
        return c.group;
    keep_room(session, c.group);
    return NULL;
}

/* For a worker without a free slot: what is next, or nothing if the worker
 * has no credit for that. To send shorter jobs of others ahead instead would
 * let them overtake it for ever. */
static struct group *choose_ahead(struct sched *s, struct session *session)
{
    struct choice c = { .session = session };

    if (is_kept_for(session) || share_next(s, suits, &c) == NULL)
        return NULL;
    return resources_fit(session, c.group) &&
                   session->running < credit(session, c.group)
               ? c.group
               : NULL;
}

bool dispatch_is_open(const struct session *session)
{
    return session->connected && !session->suspect && !session->draining &&
           !session->cordoned;
}

static bool may_take(const struct session *session)
{
    return dispatch_is_open(session) && session->solo == NULL &&
           !session->reserved;
}

bool dispatch_is_idle(const struct session *session)
{
    return may_take(session) && session->kept_for == NULL &&
           session->load < session->slots;
}

/* ---- how many together ------------------------------------------------- */

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
            struct session *w = map_at(s->sessions, i, NULL, NULL);

            if (dispatch_is_idle(w) && resources_serve(w, g))
                g->idle += (w->slots - w->load) / resources_slots(w, g->cpus);
        }
    }
    given = s->given - g->idle_given;
    return g->idle > given ? g->idle - given : 1;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t unit_limit(const struct sweep *sweep)
{
    if (sweep->limits.parallel == 0)
        return FAMILY_MOST;
    return least(FAMILY_MOST,
                 sweep->limits.parallel - sweep->jobs[JOB_RUNNING]);
}

/* How many of the family go together: its share of the idle slots, and no
 * more work than a worker should hold. */
static uint64_t unit_size(const struct sched *s, const struct session *session,
                          struct group *g, bool ahead)
{
    const struct job *first = heap_first(&g->ready);
    uint64_t most = ahead ? credit(session, g) : HELD_MOST;
    uint64_t size;

    if (!family_has_more(first) || most <= session->running)
        return 1;
    size = least(first->kin->ready, most - session->running);
    if (!ahead) {
        uint64_t slots = idle_slots(s, g);

        size = least(size, (first->kin->ready + slots - 1) / slots);
    }
    if (g->pace->run_ms > 0.0)
        size = least(size, 1 + (uint64_t)(UNIT_MS / g->pace->run_ms));
    return least(size, unit_limit(g->sweep));
}

/* A job of the family, maybe of another kind, that can go with the first. */
static bool fits_unit(struct session *session, const struct job *first,
                      const struct job *job)
{
    return resources_serve(session, job->group) &&
           job->memory_bytes <= first->memory_bytes && job->cpus <= first->cpus;
}

static void assign(struct sched *s, struct session *session, struct job *job,
                   struct unit *unit)
{
    jobs_assign(s, job, session, unit, s->epoch, job->attempt + 1);
    share_charge(s, job, job->slots);
    locality_given(session, job->place);
    handout_add(session, job);
    s->stats.assigned++;
}

static void give(struct sched *s, struct session *session, struct group *g,
                 bool ahead)
{
    struct job *first = heap_first(&g->ready);
    struct job *jobs[FAMILY_MOST];
    size_t count = family_take(first, unit_size(s, session, g, ahead),
                               unit_limit(g->sweep), fits_unit, session, jobs);
    struct unit *unit = count > 1 ? unit_new(s, session, first) : NULL;

    if (session->kept_for == g)
        dispatch_release_keeper(session);
    if (locality_missing(session, g->place) == 0)
        g->passed_at = 0;
    share_serve(s, g->sweep);
    for (size_t i = 0; i < count; i++)
        assign(s, session, jobs[i], unit);
    s->given++;
}

void dispatch_give_alone(struct sched *s, struct session *session,
                         struct job *job)
{
    dispatch_release_keeper(session);
    share_serve(s, job->group->sweep);
    assign(s, session, job, NULL);
    session->solo = job;
    s->given++;
}

/* ---- a round ----------------------------------------------------------- */

/* Free slots: one job a worker in turn. Those without a free slot go to
 * `busy`; those that nothing suits wait for news. */
static void serve_free(struct sched *s, struct ring *busy)
{
    struct ring aside = { NULL, NULL };
    struct ring *place = NULL;

    while (s->job_count[JOB_READY] > 0 &&
           (place = ring_take(&s->hungry)) != NULL) {
        struct session *session = session_of(place);
        struct group *g;

        if (!may_take(session)) {
            dispatch_release_keeper(session);
            if (dispatch_is_open(session))
                ring_add(&aside, place);
            continue;
        }
        if (session->load >= session->slots) {
            ring_add(busy, place);
            continue;
        }
        g = choose(s, session);
        if (g != NULL)
            give(s, session, g, false);
        if (g != NULL)
            ring_add(&s->hungry, place);
        else
            ring_add(session->kept_for == NULL ? &s->parked : &aside, place);
    }
    ring_splice(&s->hungry, &aside);
}

/* Busy workers: short jobs ahead. One that is full comes back when something
 * of it has ended. */
static void serve_ahead(struct sched *s, struct ring *busy)
{
    struct ring *place = NULL;

    while (s->job_count[JOB_READY] > 0 && (place = ring_take(busy)) != NULL) {
        struct session *session = session_of(place);
        struct group *g = choose_ahead(s, session);

        if (g == NULL)
            continue;
        give(s, session, g, true);
        ring_add(busy, place);
    }
    ring_splice(&s->hungry, busy);
}

static void give_jobs(struct sched *s)
{
    struct ring busy = { NULL, NULL };

    s->rounds++;
    s->given = 0;
    share_refresh(s);
    suspects_run(s);
    if (s->news != s->news_seen)
        ring_splice(&s->hungry, &s->parked);
    s->news_seen = s->news;
    serve_free(s, &busy);
    serve_ahead(s, &busy);
}

void dispatch_run(struct sched *s)
{
    if (s->t.now >= s->look_again) {
        s->look_again = INT64_MAX;
        s->news++;
    }
    if (s->recovery_ends != 0)
        return;
    if (s->job_count[JOB_READY] > 0)
        give_jobs(s);
    retract_run(s);
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
        obstacle = resources_obstacle(s, g);
        if (obstacle != NULL)
            return obstacle;
    }
    return NULL;
}
