#include <stdio.h>
#include <string.h>

#include "common/limits.h"
#include "common/memory.h"
#include "worker/core/session_state.h"

enum {
    SILENT_HEARTBEATS = 4,     /* then the broker is left */
    HELLO_AGAIN_MS = 1000,     /* no WELCOME came */
    NOBODY_MS = 1000,          /* nor any word: the next address */
    UNSENT_WAIT_MS = 50,       /* the link took nothing */
    DONE_AGAIN_MS = 10 * 1000, /* sent and not committed */
    LOG_EVERY_MS = 1000,       /* of one job */
    DONE_BYTES = 1 << 20,      /* of a DONE that has more than one outcome */
    RUN_BYTES = LIMIT_MESSAGE / 2, /* of a job with what its siblings add */
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* With no other address to try, nothing is gained by haste. */
static int64_t silent_at(const struct session *s)
{
    int64_t patience_ms = SILENT_HEARTBEATS * s->heartbeat_ms;

    if (!s->welcomed && s->config.brokers > 1)
        patience_ms = least(patience_ms, NOBODY_MS);
    return session_after_ms(s->heard, patience_ms);
}

static void watch_slot(struct session *s, int64_t now,
                       struct session_slot *slot)
{
    struct attempt *a = slot->attempt;
    const struct wire_assignment *job;

    if (a == NULL)
        return;
    job = attempt_job(a);
    if (a->kill_at != 0 && now >= a->kill_at)
        slot->kill_due = true;
    if (a->end != ATTEMPT_GOES_ON)
        return;
    if (job->limit_ms > 0 &&
        now >= session_after_ms(a->started, job->limit_ms)) {
        (void)snprintf(a->why, sizeof a->why,
                       "%.*s ran longer than its limit of %.1f s and was "
                       "killed; raise the limit if that is normal",
                       (int)job->kind.size, job->kind.data,
                       (double)job->limit_ms / 1e3);
        session_end_running(s, now, a, ATTEMPT_TIMED_OUT);
    } else if (job->stall_ms > 0 &&
               now >= session_after_ms(a->moved, job->stall_ms)) {
        (void)snprintf(a->why, sizeof a->why,
                       "%.*s made no progress for %.1f s and was killed",
                       (int)job->kind.size, job->kind.data,
                       (double)job->stall_ms / 1e3);
        session_end_running(s, now, a, ATTEMPT_TIMED_OUT);
    }
}

/* What time alone brings. */
static void watch(struct session *s, int64_t now)
{
    for (size_t i = 0; i < s->config.slots; i++)
        watch_slot(s, now, &s->slots[i]);
    if (now >= s->resend_at)
        session_send_again(s);
    if (s->phase == SESSION_DRAINING &&
        (now >= s->drain_at || map_count(s->attempts) == 0)) {
        s->phase = SESSION_LEAVING;
        s->bye_due = true;
    }
}

static bool next_reopen(struct session *s, int64_t now,
                        struct session_action *ret)
{
    bool refused = now >= s->leave_at;

    if (s->phase == SESSION_LEAVING || (!refused && now < silent_at(s)))
        return false;
    s->heard = now;
    s->welcomed = false;
    s->hello_at = now;
    s->leave_at = SESSION_NEVER;
    ret->type = SESSION_REOPEN;
    ret->why = refused ? "the broker does not lead, or is gone"
                       : "the broker is silent";
    return true;
}

static bool next_end(struct session *s, int64_t now, struct session_action *ret)
{
    (void)now;
    for (size_t i = 0; i < s->config.slots; i++) {
        struct session_slot *slot = &s->slots[i];

        if (!slot->stop_due && !slot->kill_due)
            continue;
        ret->type = slot->kill_due ? SESSION_KILL : SESSION_STOP;
        ret->slot = i;
        ret->why = slot->attempt->why;
        slot->dying = slot->kill_due;
        slot->stop_due = slot->kill_due = false;
        if (slot->dying)
            slot->attempt->kill_at = 0;
        return true;
    }
    return false;
}

static bool next_tell(struct session *s, int64_t now,
                      struct session_action *ret)
{
    (void)now;
    for (size_t i = 0; i < s->config.slots; i++) {
        if (!s->slots[i].tell_due)
            continue;
        s->slots[i].tell_due = false;
        s->out = (struct wire_message){
            .type = WIRE_WELCOME, .welcome = { .depot = wire_text(s->depot) }
        };
        *ret = (struct session_action){ SESSION_TELL, i, &s->out, "" };
        return true;
    }
    return false;
}

/* A job that runs alone waits until nothing else does, and nothing begins
 * beside it. */
static bool fits(const struct session *s, const struct attempt *a)
{
    if (s->running > 0 && (s->solo || attempt_job(a)->solo != 0))
        return false;
    if (s->load + session_load(s, a) > s->config.slots)
        return false;
    return s->running == 0 || s->config.memory_bytes == 0 ||
           s->memory_used + attempt_job(a)->memory_bytes <=
               s->config.memory_bytes;
}

static bool is_free(const struct session_slot *slot)
{
    return slot->attempt == NULL && !slot->dying;
}

static bool is_of(const struct attempt *a, uint64_t epoch, uint64_t batch)
{
    return batch != 0 && a->token.epoch == epoch &&
           attempt_job(a)->batch == batch;
}

/* The slot that runs its batch, unless that went on to something else. */
static struct session_slot *lane_of(const struct session *s,
                                    const struct attempt *a)
{
    struct session_slot *slot = a->lane == SIZE_MAX ? NULL : &s->slots[a->lane];

    return slot != NULL && is_of(a, slot->epoch, slot->batch) ? slot : NULL;
}

static bool has_model(const struct session_slot *slot, const struct attempt *a)
{
    const struct digest none = { { 0 } };

    return !digest_equal(&a->model, &none) &&
           digest_equal(&a->model, &slot->model);
}

/* A free slot: one that made the model that the job reads, else if possible
 * one that no batch may come back to; NULL: none. */
static struct session_slot *free_slot(const struct session *s,
                                      const struct attempt *a)
{
    struct session_slot *found = NULL;

    for (size_t i = 0; i < s->config.slots; i++) {
        struct session_slot *slot = &s->slots[i];

        if (!is_free(slot))
            continue;
        if (has_model(slot, a))
            return slot;
        if (found == NULL || (found->batch != 0 && slot->batch == 0))
            found = slot;
    }
    return found;
}

/* The first that can begin, passing over those whose batch runs. One that
 * waits for memory holds back all behind it: so a large job is never starved
 * by small ones. */
static struct attempt *choose(const struct session *s,
                              struct session_slot **ret_slot)
{
    if (s->running >= s->config.slots)
        return NULL;
    for (struct attempt *a = s->queue.first; a != NULL; a = a->next) {
        struct session_slot *slot = lane_of(s, a);

        if (slot == NULL)
            slot = free_slot(s, a);
        else if (!is_free(slot))
            continue;
        *ret_slot = slot;
        return slot != NULL && fits(s, a) ? a : NULL;
    }
    return NULL;
}

/* The slot is told of the others of its batch, which stay in its lane. */
static void tell_siblings(struct session *s, const struct attempt *a,
                          struct wire_siblings *ret_siblings)
{
    size_t bytes = a->run.bytes.size;
    size_t count = 0;

    for (struct attempt *b = s->queue.first;
         b != NULL && attempt_job(a)->batch != 0; b = b->next) {
        struct wire_bytes params = attempt_job(b)->params;

        if (!is_of(b, a->token.epoch, attempt_job(a)->batch))
            continue;
        b->lane = a->slot;
        bytes += params.size;
        if (count < SESSION_SIBLINGS && bytes <= RUN_BYTES)
            s->siblings[count++].params = params;
    }
    *ret_siblings = (struct wire_siblings){ s->siblings, count };
}

static bool next_start(struct session *s, int64_t now,
                       struct session_action *ret)
{
    struct session_slot *slot = NULL;
    struct attempt *a = choose(s, &slot);

    if (a == NULL)
        return false;
    session_unqueue(s, a);
    a->state = ATTEMPT_RUNNING;
    a->slot = (size_t)(slot - s->slots);
    a->started = a->moved = a->logged = now;
    s->solo = attempt_job(a)->solo != 0;
    slot->attempt = a;
    slot->epoch = a->token.epoch;
    slot->batch = attempt_job(a)->batch;
    slot->model = a->model;
    s->running++;
    s->load += session_load(s, a);
    s->memory_used += attempt_job(a)->memory_bytes;
    s->out = a->run.decoded.message;
    s->out.slot_run.depot = wire_text(s->depot);
    tell_siblings(s, a, &s->out.slot_run.siblings);
    *ret = (struct session_action){ SESSION_START, a->slot, &s->out, "" };
    return true;
}

/* The broker knows of all that lies in the cache, or will when this is sent. */
static void note_told(struct session *s)
{
    free(s->told);
    s->told = xcalloc(s->cached_count + 1, sizeof *s->told);
    s->told_count = s->cached_count;
    if (s->told_count > 0)
        memcpy(s->told, s->cached, s->told_count * sizeof *s->told);
    s->cache_due = false;
}

static bool give(struct session *s, struct session_action *ret)
{
    ret->type = SESSION_SEND;
    ret->message = &s->out;
    return true;
}

static bool next_hello(struct session *s, int64_t now,
                       struct session_action *ret)
{
    const struct session_config *c = &s->config;
    size_t count = map_count(s->attempts);

    if (s->phase == SESSION_LEAVING || now < s->hello_at)
        return false;
    s->hello_at = session_after_ms(now, HELLO_AGAIN_MS);
    for (size_t i = 0; i < count; i++) {
        const struct attempt *a = map_at(s->attempts, i, NULL, NULL);

        s->tokens[i] = a->token;
    }
    note_told(s);
    s->out = (struct wire_message){
        .type = WIRE_HELLO,
        .hello = { .worker = wire_text(c->worker),
                   .incarnation = c->incarnation,
                   .least_major = WIRE_MAJOR,
                   .most_major = WIRE_MAJOR,
                   .slots = c->slots,
                   .cpus = c->cpus,
                   .memory_bytes = c->memory_bytes,
                   .labels = wire_text(c->labels),
                   .kinds = wire_text(c->kinds),
                   .version = wire_text(c->version),
                   .running = { s->tokens, count },
                   .cache = { s->cached, s->cached_count },
                   .replaces = c->replaces,
                   .address = wire_text(c->address) },
    };
    return give(s, ret);
}

static bool may_send(const struct session *s, int64_t now)
{
    return s->welcomed && now >= s->send_at;
}

/* Outcomes wait a little for company, unless nothing would follow. */
static int64_t done_deadline(const struct session *s)
{
    return s->queue.count > 0 && s->unsent < SESSION_DONE_MOST ? s->done_at : 0;
}

static bool next_done(struct session *s, int64_t now,
                      struct session_action *ret)
{
    size_t count = 0;
    size_t bytes = 0;

    if (s->unsent == 0 || !may_send(s, now) || now < done_deadline(s))
        return false;
    s->batch++;
    for (struct attempt *a = s->finished.first; a != NULL; a = a->next) {
        if (a->sent != 0)
            continue;
        bytes += attempt_outcome_size(a);
        if (count == SESSION_DONE_MOST || (count > 0 && bytes > DONE_BYTES))
            break;
        s->outcomes[count++] = *attempt_outcome(a);
        a->sent = now > 0 ? now : 1;
        a->batch = s->batch;
    }
    s->unsent -= count;
    s->resend_at = least(s->resend_at, session_after_ms(now, DONE_AGAIN_MS));
    s->out = (struct wire_message){ .type = WIRE_DONE,
                                    .done = { { s->outcomes, count } } };
    return give(s, ret);
}

static bool next_heartbeat(struct session *s, int64_t now,
                           struct session_action *ret)
{
    size_t moved = 0;

    if (now < s->heartbeat_at || !may_send(s, now) ||
        s->phase == SESSION_LEAVING)
        return false;
    s->heartbeat_at = session_after_ms(now, s->heartbeat_ms);
    for (size_t i = 0; i < s->config.slots; i++) {
        struct attempt *a = s->slots[i].attempt;

        if (a == NULL || a->told)
            continue;
        s->progress[moved++] = a->progress;
        a->told = true;
    }
    s->out = (struct wire_message){
        .type = WIRE_HEARTBEAT,
        .heartbeat = { .sequence = ++s->sequence,
                       .running_count = map_count(s->attempts),
                       .running_sum = s->sum,
                       .free_slots = s->config.slots - s->running,
                       .progress = { s->progress, moved } },
    };
    return give(s, ret);
}

static bool next_log(struct session *s, int64_t now, struct session_action *ret)
{
    if (!may_send(s, now))
        return false;
    for (size_t i = 0; i < s->config.slots; i++) {
        struct attempt *a = s->slots[i].attempt;

        if (a == NULL || a->log_told ||
            now < session_after_ms(a->logged, LOG_EVERY_MS))
            continue;
        a->logged = now;
        a->log_told = true;
        s->out = (struct wire_message){
            .type = WIRE_LOG,
            .log = { a->token, { a->log.data, a->log.size } },
        };
        return give(s, ret);
    }
    return false;
}

/* What runs when we leave is handed back as well. */
static void hand_back_running(struct session *s)
{
    for (size_t i = 0; i < s->config.slots; i++) {
        if (s->slots[i].attempt != NULL)
            session_hand_back(s, &s->slots[i].attempt->token);
    }
}

static bool next_retracted(struct session *s, int64_t now,
                           struct session_action *ret)
{
    if (!s->given_due || !may_send(s, now))
        return false;
    s->out = (struct wire_message){
        .type = WIRE_RETRACTED,
        .retracted = { { s->given, s->given_count } },
    };
    s->given_due = false;
    return give(s, ret);
}

/* What differs between two lists in the order of their names. */
static void compare_caches(struct session *s, struct wire_cache *ret_change)
{
    size_t old = 0;
    size_t new = 0;

    free(s->added);
    free(s->removed);
    s->added = xcalloc(s->cached_count + 1, sizeof *s->added);
    s->removed = xcalloc(s->told_count + 1, sizeof *s->removed);
    *ret_change = (struct wire_cache){ { s->added, 0 }, { s->removed, 0 } };
    while (old < s->told_count || new < s->cached_count) {
        int order = old == s->told_count ? 1 : -1;

        if (old < s->told_count && new < s->cached_count)
            order = memcmp(&s->told[old].source, &s->cached[new].source,
                           DIGEST_SIZE);
        if (order < 0)
            s->removed[ret_change->removed.count++].source =
                s->told[old].source;
        else if (order > 0 || s->told[old].served != s->cached[new].served)
            s->added[ret_change->added.count++] = s->cached[new];
        old += order <= 0;
        new += order >= 0;
    }
}

static bool next_cache(struct session *s, int64_t now,
                       struct session_action *ret)
{
    struct wire_cache change;

    if (!s->cache_due || !may_send(s, now))
        return false;
    s->cache_due = false;
    compare_caches(s, &change);
    s->out = (struct wire_message){ .type = WIRE_CACHE, .cache = change };
    return give(s, ret);
}

static bool next_bye(struct session *s, int64_t now, struct session_action *ret)
{
    if (!s->bye_due || !may_send(s, now))
        return false;
    if (s->phase == SESSION_LEAVING)
        hand_back_running(s);
    s->bye_due = false;
    s->out = (struct wire_message){
        .type = WIRE_BYE,
        .bye = { wire_text(s->phase == SESSION_WORKING ? "full" : s->reason),
                 { s->handed, s->handed_count } },
    };
    return give(s, ret);
}

static bool next_exit(struct session *s, int64_t now,
                      struct session_action *ret)
{
    (void)now;
    if (s->phase != SESSION_LEAVING)
        return false;
    s->phase = SESSION_LEFT;
    ret->type = SESSION_EXIT;
    ret->why = s->reason;
    return true;
}

/* The BYE given last was queued: its tokens are off our hands. */
static void settle(struct session *s)
{
    if (s->out.type == WIRE_BYE && !s->bye_due)
        s->handed_count = 0;
    if (s->out.type == WIRE_CACHE && !s->cache_due)
        note_told(s);
    if (s->out.type == WIRE_RETRACTED && !s->given_due)
        s->given_count = 0;
    s->out.type = (enum wire_type)0; /* it was queued */
}

void session_on_unsent(struct session *s, int64_t now)
{
    s->send_at = session_after_ms(now, UNSENT_WAIT_MS);
    if (s->out.type == WIRE_HELLO)
        s->hello_at = least(s->hello_at, s->send_at);
    if (s->out.type == WIRE_BYE)
        s->bye_due = true;
    if (s->out.type == WIRE_RETRACTED)
        s->given_due = true;
    if (s->out.type == WIRE_CACHE)
        s->cache_due = true;
    if (s->out.type != WIRE_DONE)
        return;
    for (struct attempt *a = s->finished.first; a != NULL; a = a->next) {
        if (a->batch == s->batch && a->sent != 0) {
            a->sent = 0;
            s->unsent++;
        }
    }
}

bool session_next(struct session *s, int64_t now,
                  struct session_action *ret_action)
{
    static bool (*const steps[])(struct session *, int64_t,
                                 struct session_action *) = {
        next_reopen,    next_end,  next_tell,      next_start,
        next_hello,     next_done, next_retracted, next_bye,
        next_heartbeat, next_log,  next_cache,     next_exit,
    };

    *ret_action = (struct session_action){ .why = "" };
    if (s->phase == SESSION_LEFT)
        return false;
    settle(s);
    watch(s, now);
    for (size_t i = 0; i < COUNT_OF(steps); i++) {
        if (steps[i](s, now, ret_action))
            return true;
    }
    return false;
}

static int64_t slot_deadline(const struct session_slot *slot)
{
    const struct attempt *a = slot->attempt;
    const struct wire_assignment *job;
    int64_t at = SESSION_NEVER;

    if (a == NULL)
        return SESSION_NEVER;
    job = attempt_job(a);
    if (a->kill_at != 0)
        at = a->kill_at;
    if (a->end == ATTEMPT_GOES_ON && job->limit_ms > 0)
        at = least(at, session_after_ms(a->started, job->limit_ms));
    if (a->end == ATTEMPT_GOES_ON && job->stall_ms > 0)
        at = least(at, session_after_ms(a->moved, job->stall_ms));
    return at;
}

static int64_t send_deadline(const struct session *s)
{
    int64_t at = s->heartbeat_at;

    if (!s->welcomed)
        return SESSION_NEVER;
    if (s->bye_due || s->given_due || s->cache_due)
        return s->send_at;
    if (s->unsent > 0)
        at = least(at, done_deadline(s));
    for (size_t i = 0; i < s->config.slots; i++) {
        const struct attempt *a = s->slots[i].attempt;

        if (a != NULL && !a->log_told)
            at = least(at, session_after_ms(a->logged, LOG_EVERY_MS));
    }
    return most(at, s->send_at);
}

int64_t session_deadline(const struct session *s)
{
    int64_t at = least(least(silent_at(s), s->leave_at),
                       least(s->hello_at, s->resend_at));

    for (size_t i = 0; i < s->config.slots; i++)
        at = least(at, slot_deadline(&s->slots[i]));
    if (s->phase == SESSION_DRAINING)
        at = least(at, s->drain_at);
    return least(at, send_deadline(s));
}
