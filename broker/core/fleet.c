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
    SUSPECT_AFTER = 3, /* heartbeats missed: no new jobs */
    IN_FLIGHT = 2,     /* heartbeats an assignment may be under way */
    DIFFERS_MOST = 5,  /* heartbeats that differ, however busy */
    SCANS = 4,         /* looks at the leases per heartbeat */
};

int64_t fleet_heartbeats(const struct sched *s, int64_t count)
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
    free(session->address);
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
    map_free(s->named);
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

void fleet_record(struct sched *s, const char *name, uint64_t incarnation,
                  bool joined)
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

void fleet_heard_of(struct sched *s, const char *name)
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
        fleet_record(s, name, *incarnation, false);
        free(map_remove_text(s->known, name));
    }
}

struct session *fleet_named(const struct sched *s, const char *name)
{
    return map_get_text(s->named, name);
}

static void leave_namesakes(struct sched *s, const struct session *session)
{
    struct session *first = fleet_named(s, session->name);
    struct session **at = &first;

    while (*at != session)
        at = &(*at)->namesake;
    *at = session->namesake;
    if (first == NULL)
        (void)map_remove_text(s->named, session->name);
    else
        (void)map_put_text(s->named, session->name, first);
}

void fleet_remove(struct sched *s, struct session *session)
{
    assert(session->first == NULL);
    dispatch_release_keeper(session);
    leave_namesakes(s, session);
    locality_leave(s, session);
    fleet_record(s, session->name, session->incarnation, false);
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

void fleet_release(struct sched *s, struct session *session, bool blame)
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
    fleet_release(s, session,
                  !outage && !session->draining && s->recovery_ends == 0);
    fleet_remove(s, session);
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
    fleet_heard_of(s, session->name);
    outbox_note(s->out, false, "worker left", "worker=\"%s\"", session->name);
    fleet_remove(s, session);
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
    for (struct session *session = fleet_named(s, name); session != NULL;
         session = session->namesake) {
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
    for (struct session *session = fleet_named(s, name); session != NULL;
         session = session->namesake)
        retract_all(session);
}

bool fleet_is_held_back(const struct sched *s)
{
    return s->store_error != NULL ||
           (s->held_until != 0 &&
            s->t.now - s->held_until < fleet_heartbeats(s, FLEET_IN_FLIGHT));
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
    if (fleet_is_held_back(s))
        return false;
    return session->differs >= DIFFERS_MOST ||
           s->t.now - session->changed_at >
               fleet_heartbeats(s, FLEET_IN_FLIGHT);
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
    int64_t ends = s->t.now + fleet_heartbeats(s, SUSPECT_AFTER);

    for (size_t i = 0; i < map_count(s->sessions); i++) {
        struct session *session = map_at(s->sessions, i, NULL, NULL);

        if (session->lease_ends < ends)
            session->lease_ends = ends;
    }
}

void fleet_lose(struct sched *s, struct session *session)
{
    suspects_note_gone(s, session);
    lose(s, session, suspects_outage(s));
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
    if (s->next_scan != 0 &&
        s->t.now - s->next_scan > fleet_heartbeats(s, FLEET_IN_FLIGHT))
        forgive_silence(s);
    s->next_scan = s->t.now + fleet_heartbeats(s, 1) / SCANS;
    for (size_t i = map_count(s->sessions); i > 0; i--) {
        struct session *session = map_at(s->sessions, i - 1, NULL, NULL);
        bool ends = s->t.now >= session->lease_ends;

        if (ends)
            suspects_note_gone(s, session);
        else if (s->t.now - session->seen_at >
                 fleet_heartbeats(s, SUSPECT_AFTER))
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
