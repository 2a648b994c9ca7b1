#include "broker/core/fleet.h"

#include "broker/core/admission.h"
#include "broker/core/dispatch.h"
#include "broker/core/family.h"
#include "broker/core/handout.h"
#include "broker/core/history.h"
#include "broker/core/jobs.h"
#include "broker/core/resources.h"
#include "broker/core/retract.h"
#include "broker/core/suspects.h"
#include "broker/core/verdict.h"
#include "common/limits.h"
#include "common/memory.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum {
    SUSPECT_AFTER = 3,  /* heartbeats missed: no new jobs */
    REPLACED_AFTER = 3, /* heartbeats until a namesake's leases end */
    IN_FLIGHT = 2,      /* heartbeats an assignment may be under way */
    DIFFERS_MOST = 5,   /* heartbeats that differ, however busy */
    SCANS = 4,          /* looks at the leases per heartbeat */
};

static int64_t heartbeats(const struct sched *s, int64_t count)
{
    return count * s->settings.heartbeat_ms * NS_PER_MS;
}

void token_list_add(struct token_list *list, struct wire_token token)
{
    if (list->count == list->room) {
        list->room = list->room == 0 ? 16 : 2 * list->room;
        list->items = xrealloc(list->items, list->room * sizeof token);
    }
    list->items[list->count++] = token;
}

struct session *fleet_find(const struct sched *s, struct peer peer)
{
    return map_get(s->sessions, &peer.id, sizeof peer.id);
}

static void free_session(struct session *session)
{
    ring_remove(&session->place);
    ring_remove(&session->speaks);
    resources_forget(session);
    free(session->retract.items);
    free(session->name);
    free(session->labels);
    free(session->kinds);
    free(session->version);
    free(session->kind_list);
    free(session->committed.items);
    free(session->stale.items);
    free(session->cancel.items);
    free(session->batch);
    free(session);
}

void fleet_free_all(struct sched *s)
{
    for (size_t i = 0; i < map_count(s->sessions); i++)
        free_session(map_at(s->sessions, i, NULL, NULL));
    for (size_t i = 0; i < map_count(s->known); i++)
        free(map_at(s->known, i, NULL, NULL));
    map_free(s->sessions);
    map_free(s->known);
    map_free(s->fenced);
}

void fleet_speak(struct session *session)
{
    if (session->speaks.next == NULL)
        ring_add(&session->sched->speaking, &session->speaks);
}

void fleet_seen(struct sched *s, struct session *session)
{
    if (session->suspect)
        dispatch_wake(session);
    fleet_speak(session);
    session->seen_at = s->t.now;
    session->seen_wall_ms = s->t.wall_ms;
    session->lease_ends = s->t.now + s->settings.lease_ms * NS_PER_MS;
    session->suspect = false;
}

void fleet_ask_hello(struct sched *s, struct peer peer, uint64_t sequence)
{
    struct wire_message m = { .type = WIRE_HEARTBEAT_ACK };
    struct status st;

    m.heartbeat_ack = (struct wire_heartbeat_ack){ .sequence = sequence,
                                                   .epoch = s->epoch,
                                                   .say_hello = 1 };
    st = outbox_send(s->out, peer, &m, true);
    assert(!status_failed(&st));
}

static uint64_t *new_number(uint64_t number)
{
    uint64_t *n = xnew(uint64_t);

    *n = number;
    return n;
}

/* On record: a worker came or went. */
static void record_worker(struct sched *s, const char *name,
                          uint64_t incarnation, bool joined)
{
    AUTO(json_release)
    json_t *a = json_pack("{s:s, s:I, s:b}", "name", name, "incarnation",
                          (json_int_t)incarnation, "joined", joined);

    history_record(s, "worker", a);
}

struct status fleet_apply(struct sched *s, const json_t *arguments,
                          int64_t at_ms)
{
    const char *name = json_text_or(arguments, "name", "");
    uint64_t incarnation = (uint64_t)json_int_or(arguments, "incarnation", 0);

    (void)at_ms;
    if (json_bool_or(arguments, "joined", false))
        free(map_put_text(s->known, name, new_number(incarnation)));
    else
        free(map_remove_text(s->known, name));
    return SUCCESS;
}

/* A worker of the log, or one that was started in its place, has spoken. */
static void heard_of(struct sched *s, const char *name)
{
    if (s->recovery_ends == 0)
        return;
    free(map_remove_text(s->known, name));
    if (map_count(s->known) == 0)
        s->recovery_ends = 0;
}

/* The others had their time. */
static void end_recovery(struct sched *s)
{
    s->recovery_ends = 0;
    while (map_count(s->known) > 0) {
        const void *key;
        size_t size;
        uint64_t *incarnation = map_at(s->known, 0, &key, &size);
        AUTO(free_pointer) char *name = xstrndup(key, size);

        outbox_note(s->out, true, "worker did not come back", "worker=\"%s\"",
                    name);
        record_worker(s, name, *incarnation, false);
        free(map_remove_text(s->known, name));
    }
}

static void remove_session(struct sched *s, struct session *session)
{
    assert(session->first == NULL);
    dispatch_release_keeper(session);
    locality_leave(s, session);
    record_worker(s, session->name, session->incarnation, false);
    (void)map_remove(s->sessions, &session->peer.id, sizeof session->peer.id);
    free_session(session);
}

/* Was the job in a slot? The oldest of each of the oldest `slots` units were;
 * `found` counts them. */
static bool was_running(const struct session *session, const struct job *job,
                        uint64_t found)
{
    return found < session->slots && (job->unit == NULL || !job->unit->blamed);
}

/* Its jobs go to others. If there is somebody to blame, those that were in
 * slots are judged; the rest had only been queued. One whose last heartbeat
 * told of other jobs than we know of may have run those as well. */
static void release_jobs(struct sched *s, struct session *session, bool blame)
{
    bool alone = session->running == 1 && session->differs == 0;
    uint64_t found = 0;

    while (session->first != NULL) {
        struct job *job = session->first;

        if (blame && was_running(session, job, found)) {
            found++;
            if (job->unit != NULL)
                job->unit->blamed = true;
            verdict_lost(s, job, alone);
            continue;
        }
        jobs_take_away(job);
        jobs_requeue(s, job, 0);
    }
}

/* A worker that leaves on purpose, or with many others, or that a broker
 * that has just begun does not find, is nobody's fault. */
static void lose(struct sched *s, struct session *session, bool outage)
{
    s->stats.lost++;
    outbox_note(s->out, true, "worker lost",
                "worker=\"%s\" jobs=%zu silent_ms=%lld outage=%d",
                session->name, session->running,
                (long long)((s->t.now - session->seen_at) / NS_PER_MS), outage);
    release_jobs(s, session,
                 !outage && !session->draining && s->recovery_ends == 0);
    remove_session(s, session);
}

/* The worker takes nothing more: what it names goes to others and is nobody's
 * fault, what else it holds it may finish. It is gone when it holds nothing
 * and has been told of all it finished. */
struct status fleet_bye(struct sched *s, struct peer peer,
                        const struct wire_bye *m)
{
    struct session *session = fleet_find(s, peer);

    if (session == NULL)
        return SUCCESS;
    fleet_seen(s, session);
    session->draining = true;
    retract_take(s, session, &m->unstarted);
    if (session->first != NULL || session->committed.count > 0 ||
        session->stale.count > 0)
        return SUCCESS;
    heard_of(s, session->name);
    outbox_note(s->out, false, "worker left", "worker=\"%s\"", session->name);
    remove_session(s, session);
    return SUCCESS;
}

struct status fleet_retracted(struct sched *s, struct peer peer,
                              const struct wire_token_list *m)
{
    struct session *session = fleet_find(s, peer);

    if (session == NULL) {
        /* What it gave back it will not list. */
        fleet_ask_hello(s, peer, 0);
        return SUCCESS;
    }
    fleet_seen(s, session);
    retract_take(s, session, &m->tokens);
    return SUCCESS;
}

struct status fleet_cache(struct sched *s, struct peer peer,
                          const struct wire_cache *m)
{
    struct session *session = fleet_find(s, peer);

    if (session == NULL)
        return SUCCESS; /* HELLO will say it all */
    fleet_seen(s, session);
    locality_told(s, session, &m->added, &m->removed, false);
    return SUCCESS;
}

/* ---- drain and cordon --------------------------------------------------- */

static void fence(struct sched *s, const char *name, bool on)
{
    static char mark;

    if (s->fenced == NULL)
        s->fenced = map_new();
    if (on)
        (void)map_put_text(s->fenced, name, &mark);
    else
        (void)map_remove_text(s->fenced, name);
}

bool fleet_is_cordoned(const struct sched *s, const char *name)
{
    return s->fenced != NULL && map_get_text(s->fenced, name) != NULL;
}

void fleet_cordon(struct sched *s, const char *name, bool on)
{
    fence(s, name, on);
    for (size_t i = 0; i < map_count(s->sessions); i++) {
        struct session *session = map_at(s->sessions, i, NULL, NULL);

        if (strcmp(session->name, name) != 0)
            continue;
        session->cordoned = on;
        if (on)
            dispatch_release_keeper(session);
        else
            dispatch_wake(session);
    }
}

void fleet_drain(struct sched *s, const char *name)
{
    fleet_cordon(s, name, true);
    for (size_t i = 0; i < map_count(s->sessions); i++) {
        struct session *session = map_at(s->sessions, i, NULL, NULL);

        if (strcmp(session->name, name) == 0)
            retract_all(session);
    }
}

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

MUST_CHECK static struct status check_newcomer(const struct sched *s)
{
    if (map_count(s->sessions) >= s->settings.workers)
        return FAIL(STATUS_UNAVAILABLE,
                    "there are %llu workers already, as many as this broker "
                    "takes (--max-workers)",
                    (unsigned long long)s->settings.workers);
    return admission_newcomer(s);
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
    session->labels = sched_clean(m->labels);
    session->kinds = sched_clean(m->kinds);
    session->version = sched_clean(m->version);
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
 * but two workers may have been given one name, so it may still object. */
static void doubt_namesakes(struct sched *s, const struct session *session)
{
    int64_t ends = s->t.now + heartbeats(s, REPLACED_AFTER);

    for (size_t i = 0; i < map_count(s->sessions); i++) {
        struct session *other = map_at(s->sessions, i, NULL, NULL);

        if (other != session && strcmp(other->name, session->name) == 0 &&
            other->lease_ends > ends)
            other->lease_ends = ends;
    }
}

static struct session *find_incarnation(const struct sched *s,
                                        const struct wire_hello *m)
{
    for (size_t i = 0; i < map_count(s->sessions); i++) {
        struct session *other = map_at(s->sessions, i, NULL, NULL);

        if (other->incarnation == m->incarnation &&
            wire_is(m->worker, other->name))
            return other;
    }
    return NULL;
}

/* The session of this process, from an earlier connection or new. */
MUST_CHECK static struct status open_session(struct sched *s, struct peer peer,
                                             const struct wire_hello *m,
                                             struct session **ret_session)
{
    struct session *session = find_incarnation(s, m);
    struct session *squatter = fleet_find(s, peer);
    bool known = session != NULL;
    bool here = known && session->connected && session->peer.id == peer.id;

    if (!known)
        TRY_PLAIN(check_newcomer(s));
    if (squatter != NULL && squatter != session) {
        /* Another process behind the same connection: cannot be. */
        release_jobs(s, squatter, false);
        remove_session(s, squatter);
    }
    if (session == NULL) {
        session = xnew(struct session);
        session->sched = s;
        locality_enter(s, session);
        session->name = sched_clean(m->worker);
        session->incarnation = m->incarnation;
        record_worker(s, session->name, session->incarnation, true);
    } else {
        (void)map_remove(s->sessions, &session->peer.id,
                         sizeof session->peer.id);
    }
    session->number = ++s->sessions_ever;
    session->connected = true;
    session->draining = false;
    session->owed = false;
    session->cordoned = fleet_is_cordoned(s, session->name);
    session->differs = 0;
    dispatch_wake(session);
    session->changed_at = s->t.now;
    describe_session(s, session, m);
    if (!here)
        outbox_note(s->out, false, known ? "worker is back" : "worker came",
                    "worker=\"%s\" slots=%llu holds=%zu version=\"%s\"",
                    session->name, (unsigned long long)m->slots,
                    m->running.count, session->version);
    (void)map_put(s->sessions, &peer.id, sizeof peer.id, session);
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

/* While the store is away nothing goes out that rests on it: assignments wait,
 * and will then be under way for a while. */
static bool is_held_back(const struct sched *s)
{
    return s->store_error != NULL ||
           (s->held_until != 0 &&
            s->t.now - s->held_until < heartbeats(s, IN_FLIGHT));
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
            same_peer && (is_held_back(s) || s->t.now - job->assigned_at <
                                                 heartbeats(s, IN_FLIGHT));

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

struct status fleet_hello(struct sched *s, struct peer peer,
                          const struct wire_hello *m)
{
    struct token_list drop = { 0 };
    struct session *session = NULL;
    struct status st;
    bool same_peer;

    TRY_PLAIN(check_hello(m));
    TRY_PLAIN(open_session(s, peer, m, &session));
    same_peer = session->peer.id == peer.id;
    session->peer = peer;
    fleet_seen(s, session);
    locality_told(s, session, &m->cache, &(struct wire_evicted_list){ 0 },
                  true);
    doubt_namesakes(s, session);
    heard_of(s, session->name);
    s->mark++;
    for (size_t i = 0; i < m->running.count; i++)
        if (!adopt(s, session, &m->running.items[i]))
            token_list_add(&drop, m->running.items[i]);
    take_back_unlisted(s, session, same_peer, &drop);
    st = welcome(s, session, &drop);
    free(drop.items);
    return st;
}

static void note_progress(struct sched *s, const struct session *session,
                          const struct wire_progresses *progress)
{
    for (size_t i = 0; i < progress->count; i++) {
        const struct wire_progress *p = &progress->items[i];
        struct job *job = jobs_find(s, &p->token.key);

        if (job == NULL || job->session != session)
            continue;
        job->progress_done = p->done;
        job->progress_total = p->total;
    }
}

/* Do worker and broker mean the same jobs? While assignments and outcomes
 * are under way they may not; a difference that stays is a lost message. */
static bool views_differ(struct sched *s, struct session *session,
                         const struct wire_heartbeat *m)
{
    if (m->running_count == session->running &&
        m->running_sum == session->running_sum) {
        session->differs = 0;
        return false;
    }
    session->differs++;
    if (is_held_back(s))
        return false;
    return session->differs >= DIFFERS_MOST ||
           s->t.now - session->changed_at > heartbeats(s, IN_FLIGHT);
}

struct status fleet_heartbeat(struct sched *s, struct peer peer,
                              const struct wire_heartbeat *m)
{
    struct session *session = fleet_find(s, peer);
    struct wire_message ack = { .type = WIRE_HEARTBEAT_ACK };

    if (session == NULL) {
        fleet_ask_hello(s, peer, m->sequence);
        return SUCCESS;
    }
    fleet_seen(s, session);
    note_progress(s, session, &m->progress);
    ack.heartbeat_ack.sequence = m->sequence;
    ack.heartbeat_ack.epoch = s->epoch;
    /* What waits for the store must differ. */
    if (admission_is_well(s))
        ack.heartbeat_ack.say_hello =
            views_differ(s, session, m) || session->owed;
    return outbox_send(s->out, peer, &ack, true);
}

void fleet_cancel(struct sched *s, struct job *job)
{
    struct session *session = job->session;

    token_list_add(&session->cancel, jobs_token(job));
    fleet_speak(session);
    if (session->differs == 0)
        session->differs = 1; /* until it says that it runs no more */
    session->changed_at = s->t.now;
    jobs_take_away(job);
}

/* Nobody could be heard while the broker itself stood still. */
static void forgive_silence(struct sched *s)
{
    int64_t ends = s->t.now + heartbeats(s, SUSPECT_AFTER);

    for (size_t i = 0; i < map_count(s->sessions); i++) {
        struct session *session = map_at(s->sessions, i, NULL, NULL);

        if (session->lease_ends < ends)
            session->lease_ends = ends;
    }
}

static void end_leases(struct sched *s)
{
    bool outage = suspects_outage(s);

    for (size_t i = map_count(s->sessions); i > 0; i--) {
        struct session *session = map_at(s->sessions, i - 1, NULL, NULL);

        if (s->t.now >= session->lease_ends)
            lose(s, session, outage);
    }
}

/* It gets nothing new until it is heard of. */
static void suspect(struct sched *s, struct session *session)
{
    if (!session->suspect)
        outbox_note(s->out, false, "worker is silent", "worker=\"%s\" jobs=%zu",
                    session->name, session->running);
    session->suspect = true;
}

void fleet_scan(struct sched *s)
{
    bool any = false;

    if (s->recovery_ends != 0 && s->t.now >= s->recovery_ends)
        end_recovery(s);
    if (s->t.now < s->next_scan)
        return;
    if (s->next_scan != 0 && s->t.now - s->next_scan > heartbeats(s, IN_FLIGHT))
        forgive_silence(s);
    s->next_scan = s->t.now + heartbeats(s, 1) / SCANS;
    for (size_t i = map_count(s->sessions); i > 0; i--) {
        struct session *session = map_at(s->sessions, i - 1, NULL, NULL);
        bool ends = s->t.now >= session->lease_ends;

        if (ends)
            suspects_note_gone(s, session);
        else if (s->t.now - session->seen_at > heartbeats(s, SUSPECT_AFTER))
            suspect(s, session);
        any = any || ends;
    }
    if (any)
        end_leases(s);
}

static void flush_list(struct sched *s, const struct session *session,
                       enum wire_type type, struct token_list *list)
{
    for (size_t at = 0; at < list->count; at += LIMIT_BATCH) {
        size_t left = list->count - at;
        struct wire_message m = { .type = type };
        struct status st;

        /* These messages share one layout. */
        m.committed.tokens.items = list->items + at;
        m.committed.tokens.count = left < LIMIT_BATCH ? left : LIMIT_BATCH;
        st = outbox_send(s->out, session->peer, &m, false);
        assert(!status_failed(&st));
    }
    list->count = 0;
}

static struct session *speaker_of(struct ring *speaks)
{
    return (struct session *)(void *)((char *)speaks -
                                      offsetof(struct session, speaks));
}

void fleet_flush(struct sched *s)
{
    struct ring *speaks = s->speaking.next;

    for (; speaks != NULL && speaks != &s->speaking; speaks = speaks->next)
        handout_send(s, speaker_of(speaks));
    while ((speaks = ring_take(&s->speaking)) != NULL) {
        struct session *session = speaker_of(speaks);

        flush_list(s, session, WIRE_COMMITTED, &session->committed);
        flush_list(s, session, WIRE_STALE, &session->stale);
        flush_list(s, session, WIRE_CANCEL, &session->cancel);
        flush_list(s, session, WIRE_RETRACT, &session->retract);
    }
}
