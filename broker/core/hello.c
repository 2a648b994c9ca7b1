#include "broker/core/hello.h"

#include "broker/core/admission.h"
#include "broker/core/dispatch.h"
#include "broker/core/family.h"
#include "broker/core/fleet.h"
#include "broker/core/jobs.h"
#include "broker/core/resources.h"
#include "common/endpoint.h"
#include "common/limits.h"
#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

enum {
    REPLACED_AFTER = 3, /* heartbeats until a namesake's leases end */
    HELLOS = 4,         /* of a worker in a heartbeat, after ... */
    HELLO_BURST = 16,   /* ... so many at once */
    /* After as many at once as there may be: a farm that comes back is let in
     * as fast as it comes. */
    NEWCOMERS_PER_S = 1000,
};

MUST_CHECK static struct status check_hello(const struct wire_hello *m)
{
    if (m->least_major > WIRE_MAJOR || m->most_major < WIRE_MAJOR)
        return FAIL(STATUS_INVALID,
                    "this broker speaks version %d of the "
                    "protocol, the worker %llu to %llu",
                    WIRE_MAJOR, (unsigned long long)m->least_major,
                    (unsigned long long)m->most_major);
    if (m->slots < 1 || m->slots > LIMIT_SLOTS)
        return FAIL(STATUS_INVALID, "a worker has 1 to %d slots, not %llu",
                    LIMIT_SLOTS, (unsigned long long)m->slots);
    if (m->worker.size < 1 || m->worker.size > 4 * (size_t)LIMIT_NAME ||
        m->labels.size > LIMIT_URL || m->kinds.size > LIMIT_URL ||
        m->version.size > LIMIT_NAME)
        return FAIL(STATUS_INVALID, "a name or list in HELLO is empty or too "
                                    "long");
    return SUCCESS;
}

MUST_CHECK static struct status check_newcomer(struct sched *s)
{
    if (map_count(s->sessions) >= s->settings.workers)
        return FAIL(STATUS_UNAVAILABLE,
                    "there are %llu workers already, as many as this broker "
                    "takes (--max-workers)",
                    (unsigned long long)s->settings.workers);
    TRY_PLAIN(admission_newcomer(s));
    if (!bucket_take(&s->newcomers, s->t.now, NS_PER_S / NEWCOMERS_PER_S,
                     LIMIT_WORKERS))
        return FAIL(STATUS_UNAVAILABLE,
                    "more than %d new workers a second: come again later",
                    NEWCOMERS_PER_S);
    return SUCCESS;
}

static void read_kinds(struct sched *s, struct session *session)
{
    const char *at = session->kinds + strspn(session->kinds, " ");

    session->kind_count = 0;
    while (*at != '\0') {
        size_t size = strcspn(at, " ");

        session->kind_list =
            xrealloc(session->kind_list,
                     (session->kind_count + 1) * sizeof(const char *));
        session->kind_list[session->kind_count++] = sched_intern(s, at, size);
        at += size;
        at += strspn(at, " ");
    }
}

static void describe_session(struct sched *s, struct session *session,
                             const struct wire_hello *m)
{
    free(session->labels);
    free(session->kinds);
    free(session->version);
    free(session->address);
    session->labels = sched_clean(m->labels);
    session->kinds = sched_clean(m->kinds);
    session->version = sched_clean(m->version);
    session->address = endpoint_is_http(m->address.data, m->address.size)
                           ? sched_clean(m->address)
                           : NULL;
    s->queued -= unit_queued(session);
    session->slots = m->slots;
    s->queued += unit_queued(session);
    session->cpus = m->cpus;
    session->memory_bytes = m->memory_bytes;
    if (m->memory_bytes > s->memory_most)
        s->memory_most = m->memory_bytes;
    read_kinds(s, session);
    resources_forget(session);
}

/* A process of that name was started anew: the old one is most likely dead,
 * but two workers may have been given one name, so it may still object, unless
 * somebody saw it die. */
static void doubt_namesakes(struct sched *s, const struct session *session,
                            bool dead)
{
    int64_t ends = s->t.now + fleet_heartbeats(s, REPLACED_AFTER);
    struct session *next;

    for (struct session *other = fleet_named(s, session->name); other != NULL;
         other = next) {
        next = other->namesake;
        if (other == session)
            continue;
        if (dead)
            fleet_lose(s, other);
        else if (other->lease_ends > ends)
            other->lease_ends = ends;
    }
}

static struct session *find_incarnation(const struct sched *s, const char *name,
                                        uint64_t incarnation)
{
    struct session *other = fleet_named(s, name);

    while (other != NULL && other->incarnation != incarnation)
        other = other->namesake;
    return other;
}

/* Whoever says HELLO again and again is not listened to for a while: it costs
 * a look at every job and source the worker has. A good one that is not
 * answered says it once more. */
static bool is_hasty(struct sched *s, struct session *session)
{
    int64_t every = fleet_heartbeats(s, 1) / HELLOS;

    bool before = session->hasty;

    session->hasty =
        !bucket_take(&session->hellos, s->t.now, every, HELLO_BURST);
    if (session->hasty && !before)
        outbox_note(s->out, true, "worker says HELLO too often",
                    "worker=\"%s\"", session->name);
    return session->hasty;
}

MUST_CHECK static struct status make_session(struct sched *s, const char *name,
                                             uint64_t incarnation,
                                             struct session **ret_session)
{
    struct session *session;

    TRY_PLAIN(check_newcomer(s));
    session = xnew(struct session);
    session->sched = s;
    locality_enter(s, session);
    session->name = xstrdup(name);
    session->incarnation = incarnation;
    session->namesake = fleet_named(s, name);
    (void)map_put_text(s->named, name, session);
    fleet_record(s, name, incarnation, true);
    (void)is_hasty(s, session); /* its first */
    *ret_session = session;
    return SUCCESS;
}

/* The session moves to this connection. One that was there is that of another
 * process, which cannot be: the two have one patience. */
static void take_place(struct sched *s, struct session *session,
                       struct session *squatter, struct peer peer)
{
    if (squatter != NULL && squatter != session) {
        if (squatter->hellos.full_at > session->hellos.full_at)
            session->hellos = squatter->hellos;
        fleet_release(s, squatter, false);
        fleet_remove(s, squatter);
    }
    if (session->number != 0)
        (void)map_remove(s->sessions, &session->peer.id,
                         sizeof session->peer.id);
    (void)map_put(s->sessions, &peer.id, sizeof peer.id, session);
    session->peer = peer;
}

static void begin_session(struct sched *s, struct session *session,
                          const struct wire_hello *m)
{
    session->number = ++s->sessions_ever;
    session->connected = true;
    session->draining = false;
    session->owed = false;
    session->cordoned = fleet_is_cordoned(s, session->name);
    session->differs = 0;
    session->changed_at = s->t.now;
    dispatch_wake(session);
    describe_session(s, session, m);
}

/* The session of this process, from an earlier connection or new. NULL: it is
 * not listened to. `ret_moved`: it was on another connection. */
MUST_CHECK static struct status open_session(struct sched *s, struct peer peer,
                                             const struct wire_hello *m,
                                             struct session **ret_session,
                                             bool *ret_moved)
{
    AUTO(free_pointer) char *name = sched_clean(m->worker);
    struct session *session = find_incarnation(s, name, m->incarnation);
    struct session *squatter = fleet_find(s, peer);
    struct session *charged = squatter != NULL ? squatter : session;
    bool known = session != NULL;
    bool here = known && session->connected && session->peer.id == peer.id;

    *ret_session = NULL;
    *ret_moved = !known || session->peer.id != peer.id;
    if (charged != NULL && is_hasty(s, charged))
        return SUCCESS;
    if (!known)
        TRY_PLAIN(make_session(s, name, m->incarnation, &session));
    take_place(s, session, squatter, peer);
    begin_session(s, session, m);
    if (!here)
        outbox_note(s->out, false, known ? "worker is back" : "worker came",
                    "worker=\"%s\" slots=%llu holds=%zu version=\"%s\"", name,
                    (unsigned long long)m->slots, m->running.count,
                    session->version);
    *ret_session = session;
    return SUCCESS;
}

static bool is_newer(const struct wire_token *t, const struct job *job)
{
    return t->epoch != job->epoch ? t->epoch > job->epoch
                                  : t->attempt > job->attempt;
}

/* Does anything need the job, or could a trial that is not looked at yet?
 * `job`: NULL if it is not known. */
static bool may_be_needed(const struct sched *s, const struct job *job)
{
    if (job != NULL && job->needs != NULL)
        return true;
    for (size_t i = 0; i < s->live_count; i++)
        if (s->live[i]->cursor < s->live[i]->trial_count)
            return true;
    return false;
}

/* May the worker go on with this run? The newest token of a job wins; a run
 * whose lease ended goes on as long as nobody else was given the job. */
static bool adopt(struct sched *s, struct session *session,
                  const struct wire_token *t)
{
    struct job *job = jobs_find(s, &t->key);
    bool same;

    if (job == NULL && may_be_needed(s, NULL))
        job = jobs_touch(s, &t->key);
    if (job == NULL)
        return false;
    same = t->epoch == job->epoch && t->attempt == job->attempt;
    if (job->state == JOB_DONE || job->state == JOB_FAILED ||
        (same && job->settled) || t->epoch > s->epoch)
        return false;
    if (same && job->session == session) {
        job->mark = s->mark;
        return true;
    }
    if ((!same && !is_newer(t, job)) || !may_be_needed(s, job))
        return false;
    if (job->session != NULL && job->session != session)
        fleet_cancel(s, job);
    jobs_take_away(job);
    jobs_assign(s, job, session, NULL, t->epoch, t->attempt);
    job->mark = s->mark;
    return true;
}

/* Jobs we gave it that it does not list. An assignment may be under way, if
 * the connection is the one it was sent on; one that is taken back all the same
 * may still come, before WELCOME does, which drops it. */
static void take_back_unlisted(struct sched *s, struct session *session,
                               bool same_peer, struct token_list *drop)
{
    struct job *job = session->first;

    while (job != NULL) {
        struct job *next = job->next;
        bool under_way =
            same_peer &&
            (fleet_is_held_back(s) || s->t.now - job->assigned_at <
                                          fleet_heartbeats(s, FLEET_IN_FLIGHT));

        if (job->mark != s->mark && !under_way) {
            if (same_peer)
                token_list_add(drop, jobs_token(job));
            jobs_take_away(job);
            jobs_requeue(s, job, 0);
        }
        job = next;
    }
}

MUST_CHECK static struct status welcome(struct sched *s,
                                        const struct session *session,
                                        const struct token_list *drop)
{
    struct wire_message m = { .type = WIRE_WELCOME };

    m.welcome.epoch = s->epoch;
    m.welcome.session = session->number;
    m.welcome.heartbeat_ms = s->settings.heartbeat_ms;
    m.welcome.lease_ms = s->settings.lease_ms;
    m.welcome.depot = wire_text(s->depot);
    m.welcome.drop.items = drop->items;
    m.welcome.drop.count = drop->count;
    /* What is dropped may rest on a record that is not yet durable. While the
     * store is away HELLO comes again and again; one answer would wait for
     * each. What is to be dropped is found again afterwards. */
    if (s->store_error != NULL)
        m.welcome.drop.count = 0;
    return outbox_send(s->out, session->peer, &m, m.welcome.drop.count == 0);
}

struct status hello_take(struct sched *s, struct peer peer,
                         const struct wire_hello *m)
{
    struct token_list drop = { 0 };
    struct session *session = NULL;
    struct status st;
    bool moved = true;

    TRY_PLAIN(check_hello(m));
    TRY_PLAIN(open_session(s, peer, m, &session, &moved));
    if (session == NULL)
        return SUCCESS;
    fleet_seen(s, session);
    locality_told(s, session, &m->cache, &(struct wire_evicted_list){ 0 },
                  true);
    doubt_namesakes(s, session, m->replaces != 0);
    fleet_heard_of(s, session->name);
    s->mark++;
    for (size_t i = 0; i < m->running.count; i++)
        if (!adopt(s, session, &m->running.items[i]))
            token_list_add(&drop, m->running.items[i]);
    take_back_unlisted(s, session, !moved, &drop);
    st = welcome(s, session, &drop);
    free(drop.items);
    return st;
}
