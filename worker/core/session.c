#include "worker/core/session.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "common/memory.h"
#include "common/slots.h"
#include "worker/core/session_state.h"

enum {
    FIRST_HEARTBEAT_MS = 2000, /* until WELCOME says better */
    STOP_GRACE_MS = 1000,      /* between STOP and KILL */
    DONE_WAIT_MS = 2,          /* for more outcomes, while there is work */
    NO_LEADER_WAIT_MS = 200,   /* the one before had no leader either */
    LOST_WAIT_MOST_MS = 1000,  /* nobody is there, again and again */
};

struct session *session_new(const struct session_config *config, int64_t now)
{
    struct session *s = xnew(struct session);

    assert(config->slots > 0 && config->slots <= LIMIT_SLOTS);
    s->config = *config;
    s->attempts = map_new();
    s->slots = xcalloc(config->slots, sizeof *s->slots);
    s->depot = xstrdup("");
    s->heartbeat_ms = FIRST_HEARTBEAT_MS;
    s->heard = now;
    s->hello_at = now;
    s->leave_at = SESSION_NEVER;
    s->resend_at = SESSION_NEVER;
    s->handed = xcalloc(LIMIT_BATCH, sizeof *s->handed);
    s->given = xcalloc(LIMIT_BATCH, sizeof *s->given);
    s->tokens = xcalloc(LIMIT_BATCH, sizeof *s->tokens);
    s->progress = xcalloc(config->slots, sizeof *s->progress);
    return s;
}

void session_free(struct session *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < map_count(s->attempts); i++)
        attempt_free(map_at(s->attempts, i, NULL, NULL));
    map_free(s->attempts);
    free(s->slots);
    free(s->depot);
    free(s->cached);
    free(s->told);
    free(s->added);
    free(s->removed);
    free(s->handed);
    free(s->given);
    free(s->tokens);
    free(s->progress);
    free(s);
}

static struct attempt *find(const struct session *s,
                            const struct wire_token *token)
{
    return map_get(s->attempts, token, sizeof *token);
}

static void add(struct session *s, struct attempt *a)
{
    (void)map_put(s->attempts, &a->token, sizeof a->token, a);
    s->sum ^= wire_token_hash(&a->token);
}

/* The attempt is in no list and no slot any more. */
static void forget(struct session *s, struct attempt *a)
{
    (void)map_remove(s->attempts, &a->token, sizeof a->token);
    s->sum ^= wire_token_hash(&a->token);
    attempt_free(a);
}

void session_hand_back(struct session *s, const struct wire_token *token)
{
    if (s->handed_count == LIMIT_BATCH)
        return; /* its lease ends it */
    s->handed[s->handed_count++] = *token;
    s->bye_due = true;
}

static void finish(struct session *s, int64_t now, struct attempt *a,
                   const struct wire_outcome *outcome)
{
    if (s->unsent == 0)
        s->done_at = session_after_ms(now, DONE_WAIT_MS);
    attempt_finish(a, outcome);
    attempt_list_add(&s->finished, a);
    s->unsent++;
}

static void forget_finished(struct session *s, struct attempt *a)
{
    attempt_list_remove(&s->finished, a);
    s->unsent -= a->sent == 0;
    if (s->finished.count == 0)
        s->resend_at = SESSION_NEVER;
    forget(s, a);
}

uint64_t session_load(const struct session *s, const struct attempt *a)
{
    return slots_for(attempt_job(a)->cpus, s->config.slots, s->config.cpus);
}

void session_unqueue(struct session *s, struct attempt *a)
{
    attempt_list_remove(&s->queue, a);
}

/* The attempt leaves its slot. */
static struct attempt *vacate(struct session *s, struct session_slot *slot)
{
    struct attempt *a = slot->attempt;

    if (a == NULL)
        return NULL;
    s->load -= session_load(s, a);
    s->memory_used -= attempt_job(a)->memory_bytes;
    s->running--;
    slot->attempt = NULL;
    slot->stop_due = slot->kill_due = slot->tell_due = false;
    return a;
}

static void conclude(struct session *s, int64_t now, struct attempt *a,
                     const struct wire_outcome *outcome)
{
    struct wire_outcome o = *outcome;

    if (a->end == ATTEMPT_DROPPED) {
        forget(s, a);
        return;
    }
    if (a->end == ATTEMPT_CANCELLED) {
        o.code = STATUS_CANCELLED;
        o.message = wire_text(a->why);
        o.result = wire_text("");
        o.crashed = 0;
    }
    o.wall_ms = (now - a->started) / NS_PER_MS;
    finish(s, now, a, &o);
}

void session_on_slot_done(struct session *s, int64_t now, size_t slot,
                          const struct wire_outcome *outcome)
{
    struct attempt *a = vacate(s, &s->slots[slot]);

    if (a != NULL)
        conclude(s, now, a, outcome);
}

void session_on_slot_died(struct session *s, int64_t now, size_t slot,
                          const struct wire_outcome *outcome)
{
    struct attempt *a = vacate(s, &s->slots[slot]);
    struct wire_outcome o = *outcome;

    s->slots[slot].dying = false;
    s->slots[slot].model = (struct digest){ { 0 } };
    if (a == NULL)
        return;
    if (a->end == ATTEMPT_TIMED_OUT) {
        o.code = STATUS_TIMED_OUT;
        o.message = wire_text(a->why);
        o.crashed = 0;
    }
    conclude(s, now, a, &o);
}

void session_on_slot_progress(struct session *s, int64_t now, size_t slot,
                              const struct wire_progress *progress)
{
    struct attempt *a = s->slots[slot].attempt;

    if (a == NULL)
        return;
    a->moved = now;
    attempt_set_progress(a, progress);
}

void session_on_slot_log(struct session *s, int64_t now, size_t slot,
                         struct wire_bytes tail)
{
    struct attempt *a = s->slots[slot].attempt;

    if (a == NULL)
        return;
    a->moved = now;
    attempt_set_log(a, tail);
}

void session_end_running(struct session *s, int64_t now, struct attempt *a,
                         enum attempt_end end)
{
    struct session_slot *slot = &s->slots[a->slot];

    if (a->end != ATTEMPT_GOES_ON)
        return;
    a->end = end;
    if (end == ATTEMPT_TIMED_OUT) {
        slot->kill_due = true;
        return;
    }
    slot->stop_due = true;
    a->kill_at = session_after_ms(now, STOP_GRACE_MS);
}

static void on_cancel(struct session *s, int64_t now, struct attempt *a)
{
    const struct wire_outcome none = { .code = STATUS_CANCELLED };

    if (a->state == ATTEMPT_FINISHED)
        return;
    if (a->end == ATTEMPT_GOES_ON)
        (void)snprintf(a->why, sizeof a->why, "cancelled");
    if (a->state == ATTEMPT_RUNNING) {
        session_end_running(s, now, a, ATTEMPT_CANCELLED);
        return;
    }
    session_unqueue(s, a);
    a->end = ATTEMPT_CANCELLED;
    a->started = now;
    conclude(s, now, a, &none);
}

static void on_drop(struct session *s, int64_t now, struct attempt *a)
{
    switch (a->state) {
    case ATTEMPT_FINISHED:
        forget_finished(s, a);
        return;
    case ATTEMPT_RUNNING:
        if (a->end == ATTEMPT_GOES_ON)
            (void)snprintf(a->why, sizeof a->why, "not wanted any more");
        session_end_running(s, now, a, ATTEMPT_DROPPED);
        return;
    case ATTEMPT_QUEUED:
        session_unqueue(s, a);
        forget(s, a);
        return;
    }
}

/* Given back if no slot has begun it. A batch of one message at a time: what
 * does not fit stays here. */
static void on_retract(struct session *s, int64_t now, struct attempt *a)
{
    (void)now;
    if (a->state != ATTEMPT_QUEUED || s->given_count == LIMIT_BATCH)
        return;
    s->given[s->given_count++] = a->token;
    s->given_due = true;
    session_unqueue(s, a);
    forget(s, a);
}

/* Its outcome is durable, or refused: either way it is off our hands. */
static void on_settled(struct session *s, int64_t now, struct attempt *a)
{
    (void)now;
    if (a->state == ATTEMPT_FINISHED)
        forget_finished(s, a);
}

/* STALE before the end: somebody else has the job. */
static void on_stale(struct session *s, int64_t now, struct attempt *a)
{
    on_drop(s, now, a);
}

static void for_each_known(struct session *s, int64_t now,
                           const struct wire_tokens *tokens,
                           void (*act)(struct session *s, int64_t now,
                                       struct attempt *a))
{
    for (size_t i = 0; i < tokens->count; i++) {
        struct attempt *a = find(s, &tokens->items[i]);

        if (a != NULL)
            act(s, now, a);
    }
}

/* A job that cannot even be kept is answered at once. */
static void refuse(struct session *s, int64_t now,
                   const struct wire_assignment *job, const struct status *why)
{
    const struct wire_assignment bare = { .token = job->token };
    const struct wire_outcome o = { .code = why->code,
                                    .message = wire_text(why->message) };
    struct attempt *a;
    struct status st = attempt_new(&bare, &a);

    if (status_failed(&st)) {
        session_hand_back(s, &job->token);
        return;
    }
    add(s, a);
    a->started = now;
    conclude(s, now, a, &o);
}

/* Its batch may have begun already: they came in several messages. */
static void find_lane(const struct session *s, struct attempt *a)
{
    uint64_t batch = attempt_job(a)->batch;

    for (size_t i = 0; batch != 0 && i < s->config.slots; i++) {
        if (s->slots[i].batch == batch && s->slots[i].epoch == a->token.epoch)
            a->lane = i;
    }
}

static void on_assigned(struct session *s, int64_t now,
                        const struct wire_assignment *job)
{
    struct attempt *a;
    struct status st;

    if (find(s, &job->token) != NULL)
        return; /* said twice */
    if (s->phase != SESSION_WORKING || map_count(s->attempts) >= LIMIT_BATCH) {
        session_hand_back(s, &job->token);
        return;
    }
    st = attempt_new(job, &a);
    if (status_failed(&st)) {
        refuse(s, now, job, &st);
        return;
    }
    add(s, a);
    find_lane(s, a);
    attempt_list_add(&s->queue, a);
}

void session_send_again(struct session *s)
{
    for (struct attempt *a = s->finished.first; a != NULL; a = a->next)
        a->sent = 0;
    s->unsent = s->finished.count;
    s->done_at = 0;
    s->resend_at = SESSION_NEVER;
}

/* A broker that was restarted may serve it on another port; a running job
 * that will store its artifact must know. */
static void move_depot(struct session *s, struct wire_bytes depot)
{
    bool moved = !wire_is(depot, s->depot);

    free(s->depot);
    s->depot = wire_take(depot);
    for (size_t i = 0; i < s->config.slots; i++)
        s->slots[i].tell_due = moved && s->slots[i].attempt != NULL;
}

static void on_welcome(struct session *s, int64_t now,
                       const struct wire_welcome *w)
{
    s->welcomed = true;
    s->config.replaces = false; /* whoever is of our name by then lives */
    s->hello_at = SESSION_NEVER;
    s->leave_at = SESSION_NEVER;
    s->refusals = 0;
    s->send_at = now;
    if (w->heartbeat_ms > 0)
        s->heartbeat_ms = w->heartbeat_ms;
    s->heartbeat_at = session_after_ms(now, s->heartbeat_ms);
    move_depot(s, w->depot);
    for_each_known(s, now, &w->drop, on_drop);
    session_send_again(s);
    if (s->phase != SESSION_WORKING)
        s->bye_due = true; /* said to an earlier connection, if at all */
}

/* Unless that is done sooner already. */
static void leave_in(struct session *s, int64_t now, int64_t ms)
{
    int64_t at = session_after_ms(now, ms);

    if (at < s->leave_at)
        s->leave_at = at;
    s->refusals++;
}

/* What runs goes on; the leader is told of it by HELLO. */
static void on_not_leader(struct session *s, int64_t now)
{
    s->welcomed = false;
    s->hello_at = SESSION_NEVER;
    leave_in(s, now, s->refusals == 0 ? 0 : NO_LEADER_WAIT_MS);
}

/* The link connects again by itself; another broker may lead by now. */
void session_on_lost(struct session *s, int64_t now)
{
    int64_t wait_ms = (int64_t)s->refusals * NO_LEADER_WAIT_MS;

    if (s->phase == SESSION_LEAVING || s->phase == SESSION_LEFT)
        return;
    s->welcomed = false;
    s->hello_at = now;
    if (s->config.brokers > 1)
        leave_in(s, now,
                 wait_ms < LOST_WAIT_MOST_MS ? wait_ms : LOST_WAIT_MOST_MS);
}

static void begin_drain(struct session *s, int64_t now, struct wire_bytes why)
{
    struct attempt *a;

    s->phase = SESSION_DRAINING;
    s->drain_at = session_after_ms(now, s->config.drain_ms);
    (void)snprintf(s->reason, sizeof s->reason, "%.*s", (int)why.size,
                   why.size == 0 ? "" : why.data);
    s->bye_due = true;
    while ((a = s->queue.first) != NULL) {
        session_hand_back(s, &a->token);
        session_unqueue(s, a);
        forget(s, a);
    }
}

static bool same_cache(const struct session *s)
{
    if (s->cached_count != s->told_count)
        return false;
    for (size_t i = 0; i < s->told_count; i++)
        if (!digest_equal(&s->cached[i].source, &s->told[i].source) ||
            s->cached[i].served != s->told[i].served)
            return false;
    return true;
}

void session_on_cache(struct session *s, int64_t now,
                      const struct wire_cached *items, size_t count)
{
    (void)now;
    s->cached_count = count < LIMIT_BATCH ? count : LIMIT_BATCH;
    free(s->cached);
    s->cached = xcalloc(s->cached_count + 1, sizeof *s->cached);
    if (s->cached_count > 0)
        memcpy(s->cached, items, s->cached_count * sizeof *items);
    s->cache_due = !same_cache(s);
}

void session_on_drain(struct session *s, int64_t now, const char *reason)
{
    if (s->phase == SESSION_WORKING)
        begin_drain(s, now, wire_text(reason));
    else if (s->phase == SESSION_DRAINING)
        s->drain_at = now;
}

void session_on_message(struct session *s, int64_t now,
                        const struct wire_message *m)
{
    s->heard = now;
    switch ((int)m->type) {
    case WIRE_WELCOME:
        on_welcome(s, now, &m->welcome);
        break;
    case WIRE_ASSIGN:
        for (size_t i = 0; i < m->assign.jobs.count; i++)
            on_assigned(s, now, &m->assign.jobs.items[i]);
        break;
    case WIRE_COMMITTED:
        for_each_known(s, now, &m->committed.tokens, on_settled);
        break;
    case WIRE_STALE:
        for_each_known(s, now, &m->stale.tokens, on_stale);
        break;
    case WIRE_CANCEL:
        for_each_known(s, now, &m->cancel.tokens, on_cancel);
        break;
    case WIRE_RETRACT:
        for_each_known(s, now, &m->retract.tokens, on_retract);
        break;
    case WIRE_HEARTBEAT_ACK:
        if (m->heartbeat_ack.say_hello != 0)
            s->hello_at = now;
        break;
    case WIRE_NOT_LEADER:
        on_not_leader(s, now);
        break;
    case WIRE_DRAIN:
        if (s->phase == SESSION_WORKING)
            begin_drain(s, now, m->drain.reason);
        break;
    default: /* ERROR and what a newer broker may say: it lives */
        break;
    }
}

struct session_counts session_count(const struct session *s)
{
    return (struct session_counts){ s->queue.count, s->running,
                                    s->finished.count };
}
