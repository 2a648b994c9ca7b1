#include "broker/core/sched.h"

#include "broker/core/admission.h"
#include "broker/core/command.h"
#include "broker/core/dispatch.h"
#include "broker/core/fleet.h"
#include "broker/core/hello.h"
#include "broker/core/history.h"
#include "broker/core/jobs.h"
#include "broker/core/report.h"
#include "broker/core/resources.h"
#include "broker/core/retract.h"
#include "broker/core/state.h"
#include "broker/core/sweeps.h"
#include "broker/core/verdict.h"
#include "common/limits.h"
#include "common/memory.h"
#include "common/utf8.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Heartbeats that a new broker waits for the workers of the log. */
enum { RECOVERY_HEARTBEATS = 3 };

struct sched *sched_new(const struct sched_settings *settings)
{
    struct sched *s = xnew(struct sched);

    s->settings = *settings;
    demand_init(&s->demand, &settings->demand);
    if (s->settings.workers == 0)
        s->settings.workers = LIMIT_WORKERS;
    s->look_again = INT64_MAX;
    s->fetches = settings->fetches > 0 ? settings->fetches : LOCALITY_FETCHES;
    s->depot = xstrdup(settings->depot);
    s->version = xstrdup(settings->version);
    s->names = map_new();
    s->jobs = table_new(s);
    buf_init(&s->loading, SIZE_MAX / 2);
    s->sweeps_by_id = map_new();
    s->sessions = map_new();
    s->named = map_new();
    s->known = map_new();
    return s;
}

void sched_free(struct sched *s)
{
    if (s == NULL)
        return;
    fleet_free_all(s);
    sweeps_free_all(s);
    jobs_free_all(s);
    for (size_t i = 0; i < map_count(s->names); i++)
        free(map_at(s->names, i, NULL, NULL));
    map_free(s->names);
    share_release(&s->share);
    resources_free_all(s);
    locality_free_all(s);
    heap_release(&s->backoff);
    heap_release(&s->suspects);
    free(s->gone);
    free(s->forgotten);
    free(s->waiters);
    buf_release(&s->loading);
    free(s->store_error);
    free(s->depot);
    free(s->version);
    free(s);
}

const char *sched_intern(struct sched *s, const char *text, size_t size)
{
    char *copy = map_get(s->names, text, size);

    if (copy == NULL) {
        struct wire_bytes bytes = { .data = text, .size = size };

        copy = sched_clean(bytes);
        free(map_put(s->names, text, size, copy));
    }
    return copy;
}

char *sched_clean(struct wire_bytes bytes)
{
    char *text = xcalloc(bytes.size + 1, 1);
    size_t at = 0;

    if (bytes.size > 0)
        memcpy(text, bytes.data, bytes.size);
    while (at < bytes.size) {
        size_t length =
            utf8_sequence((const unsigned char *)text + at, bytes.size - at);

        if (length == 0 || text[at] == '\0')
            text[at++] = '?';
        else
            at += length;
    }
    return text;
}

struct status sched_record(struct sched *s, const struct wire_message *m)
{
    TRY_PLAIN(outbox_record(s->out, m));
    s->order++;
    return SUCCESS;
}

MUST_CHECK static struct status apply(struct sched *s,
                                      const struct wire_message *m)
{
    s->order++;
    switch (m->type) {
    case WIRE_RECORD_START:
        return SUCCESS;
    case WIRE_RECORD_SWEEP:
        return sweeps_add(s, &m->record_sweep);
    case WIRE_RECORD_RESULT:
        jobs_result(s, &m->record_result);
        return SUCCESS;
    case WIRE_RECORD_FAILURE:
        jobs_failure(s, &m->record_failure);
        return SUCCESS;
    case WIRE_RECORD_COMMAND:
        return history_apply(s, &m->record_command);
    default:
        return FAIL(STATUS_CORRUPT, "a message of type %d in the log", m->type);
    }
}

struct status sched_replay(struct sched *s, const void *data, size_t size)
{
    struct wire_decoded decoded;
    struct status st;

    TRY(wire_decode(data, size, &decoded), "record %llu of the log",
        (unsigned long long)s->order + 1);
    st = apply(s, &decoded.message);
    jobs_sweep(s);
    wire_release(&decoded);
    return st;
}

static void begin(struct sched *s, struct sched_time t, struct outbox *out)
{
    assert(t.now >= s->t.now);
    s->t = t;
    s->out = out;
}

void sched_start(struct sched *s, uint64_t epoch, struct sched_time t,
                 struct outbox *out)
{
    struct wire_message m = { .type = WIRE_RECORD_START };
    struct status st;

    begin(s, t, out);
    s->epoch = epoch;
    m.record_start.epoch = epoch;
    m.record_start.wall_ms = t.wall_ms;
    m.record_start.version = wire_text(s->version);
    st = sched_record(s, &m);
    assert(!status_failed(&st));
    for (size_t i = 0; i < s->live_count; i++) {
        sweeps_start_clock(s, s->live[i]);
        sweeps_found(s, s->live[i]);
    }
    if (map_count(s->known) > 0)
        s->recovery_ends =
            t.now + RECOVERY_HEARTBEATS * s->settings.heartbeat_ms * NS_PER_MS;
    s->out = NULL;
}

MUST_CHECK static struct status on_hello(struct sched *s, struct peer peer,
                                         const struct wire_message *m)
{
    return hello_take(s, peer, &m->hello);
}

MUST_CHECK static struct status on_heartbeat(struct sched *s, struct peer peer,
                                             const struct wire_message *m)
{
    return fleet_heartbeat(s, peer, &m->heartbeat);
}

MUST_CHECK static struct status on_done(struct sched *s, struct peer peer,
                                        const struct wire_message *m)
{
    return verdict_done(s, peer, &m->done);
}

MUST_CHECK static struct status on_bye(struct sched *s, struct peer peer,
                                       const struct wire_message *m)
{
    return fleet_bye(s, peer, &m->bye);
}

MUST_CHECK static struct status on_retracted(struct sched *s, struct peer peer,
                                             const struct wire_message *m)
{
    return fleet_retracted(s, peer, &m->retracted);
}

MUST_CHECK static struct status on_cache(struct sched *s, struct peer peer,
                                         const struct wire_message *m)
{
    return fleet_cache(s, peer, &m->cache);
}

/* What a running job wrote so far. */
MUST_CHECK static struct status on_log(struct sched *s, struct peer peer,
                                       const struct wire_message *m)
{
    struct session *session = fleet_find(s, peer);
    struct job *job = jobs_find(s, &m->log.token.key);

    if (session == NULL || job == NULL || job->session != session ||
        m->log.text.size > LIMIT_LOG_TAIL)
        return SUCCESS;
    fleet_seen(s, session);
    free(job->log);
    job->log = sched_clean(m->log.text);
    return SUCCESS;
}

MUST_CHECK static struct status on_submit(struct sched *s, struct peer peer,
                                          const struct wire_message *m)
{
    return sweeps_submit(s, peer, &m->submit);
}

MUST_CHECK static struct status do_cancel(struct sched *s,
                                          const json_t *arguments,
                                          json_t **ret_body)
{
    return sweeps_cancel(s, arguments, ret_body);
}

MUST_CHECK static struct status do_retry(struct sched *s,
                                         const json_t *arguments,
                                         json_t **ret_body)
{
    uint64_t retried = 0;

    TRY_PLAIN(history_retry(s, arguments, &retried));
    *ret_body = json_pack("{s:I}", "retried", (json_int_t)retried);
    return SUCCESS;
}

static const struct verb {
    const char *name;
    struct status (*run)(struct sched *s, const json_t *arguments,
                         json_t **ret_body);
} verbs[] = {
    { "cancel", do_cancel },
    { "retry", do_retry },
};

MUST_CHECK static struct status command(struct sched *s,
                                        const struct wire_query *m,
                                        json_t **ret_body)
{
    const struct command *known = command_find(m->verb);
    AUTO(json_release) json_t *arguments = NULL;

    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        if (!wire_is(m->verb, verbs[i].name))
            continue;
        TRY_PLAIN(json_parse(m->arguments.data, m->arguments.size, "arguments",
                             &arguments));
        return verbs[i].run(s, arguments, ret_body);
    }
    if (known != NULL) {
        TRY_PLAIN(json_parse(m->arguments.data, m->arguments.size, "arguments",
                             &arguments));
        return command_run(s, known, arguments, ret_body);
    }
    return FAIL(STATUS_INVALID, "there is no command \"%.*s\"",
                m->verb.size > LIMIT_NAME ? LIMIT_NAME : (int)m->verb.size,
                m->verb.data);
}

MUST_CHECK static struct status on_query(struct sched *s, struct peer peer,
                                         const struct wire_message *m)
{
    AUTO(json_release) json_t *body = NULL;
    struct status st = command(s, &m->query, &body);

    outbox_answer(s->out, peer, m->query.request, &st, body, false);
    return SUCCESS;
}

static const struct handler {
    enum wire_type type;
    enum peer_side side;
    enum admission rule;
    struct status (*on)(struct sched *s, struct peer peer,
                        const struct wire_message *m);
} handlers[] = {
    { WIRE_DONE, PEER_WORKER, ADMIT_WITH_ROOM, on_done },
    { WIRE_HEARTBEAT, PEER_WORKER, ADMIT_ALWAYS, on_heartbeat },
    { WIRE_HELLO, PEER_WORKER, ADMIT_ALWAYS, on_hello },
    { WIRE_BYE, PEER_WORKER, ADMIT_ALWAYS, on_bye },
    { WIRE_LOG, PEER_WORKER, ADMIT_ALWAYS, on_log },
    { WIRE_RETRACTED, PEER_WORKER, ADMIT_ALWAYS, on_retracted },
    { WIRE_CACHE, PEER_WORKER, ADMIT_ALWAYS, on_cache },
    { WIRE_SUBMIT, PEER_CLIENT, ADMIT_WHEN_WELL, on_submit },
    { WIRE_QUERY, PEER_CLIENT, ADMIT_WHEN_WELL, on_query },
};

struct status sched_message(struct sched *s, struct peer peer,
                            const struct wire_message *m, struct sched_time t,
                            struct outbox *out)
{
    struct status st;

    for (size_t i = 0; i < COUNT_OF(handlers); i++) {
        bool taken = false;

        if (handlers[i].type != m->type || handlers[i].side != peer.side)
            continue;
        begin(s, t, out);
        st = admission_check(s, handlers[i].rule, peer, m, &taken);
        if (taken)
            st = handlers[i].on(s, peer, m);
        s->out = NULL;
        return st;
    }
    return FAIL(STATUS_INVALID, "a %s message does not belong here",
                wire_name(m->type));
}

void sched_gone(struct sched *s, struct peer peer)
{
    struct session *session =
        peer.side == PEER_WORKER ? fleet_find(s, peer) : NULL;

    if (session != NULL)
        session->connected = false;
}

static void answer_waiters(struct sched *s)
{
    size_t kept = 0;

    for (size_t i = 0; i < s->waiter_count; i++) {
        const struct waiter *w = &s->waiters[i];
        AUTO(json_release) json_t *body = NULL;
        struct status st;

        if (w->sweep->state == SWEEP_RUNNING && s->t.now < w->until) {
            s->waiters[kept++] = *w;
            continue;
        }
        st = SUCCESS;
        body = report_status(s, w->sweep);
        outbox_answer_read(s->out, w->peer, w->request, &st, body);
    }
    s->waiter_count = kept;
}

bool sched_wait_for_end(struct sched *s, struct peer peer, uint64_t request,
                        const char *name, int64_t until)
{
    enum { WAITERS_MOST = 10000 };
    struct sweep *sweep = NULL;
    struct status st = sweeps_find(s, name, &sweep);

    if (status_failed(&st) || sweep->state != SWEEP_RUNNING ||
        s->waiter_count >= WAITERS_MOST)
        return false;
    if (s->waiter_count == s->waiter_room) {
        s->waiter_room = s->waiter_room == 0 ? 8 : 2 * s->waiter_room;
        s->waiters =
            xrealloc(s->waiters, s->waiter_room * sizeof(struct waiter));
    }
    s->waiters[s->waiter_count++] = (struct waiter){
        .peer = peer, .request = request, .sweep = sweep, .until = until
    };
    return true;
}

void sched_peers(const struct sched *s,
                 void (*visit)(void *self, struct peer peer), void *self)
{
    for (size_t i = 0; i < map_count(s->sessions); i++) {
        const struct session *session = map_at(s->sessions, i, NULL, NULL);

        if (session->connected)
            visit(self, session->peer);
    }
    for (size_t i = 0; i < s->waiter_count; i++)
        visit(self, s->waiters[i].peer);
}

void sched_tick(struct sched *s, struct sched_time t, struct outbox *out)
{
    begin(s, t, out);
    jobs_wake(s);
    fleet_scan(s);
    if (!s->full)
        sweeps_expand(s);
    sweeps_settle(s);
    if (!s->full)
        dispatch_run(s);
    fleet_flush(s);
    answer_waiters(s);
    jobs_sweep(s);
    demand_look(s);
    s->out = NULL;
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t sched_deadline(const struct sched *s)
{
    const struct job *waking = heap_first(&s->backoff);
    int64_t at = INT64_MAX;

    if (s->expand_more && !s->full)
        return INT64_MIN;
    if (waking != NULL)
        at = waking->rank;
    if (map_count(s->sessions) > 0)
        at = sooner(at, s->next_scan);
    if (s->recovery_ends != 0)
        at = sooner(at, s->recovery_ends);
    if (!s->full) {
        at = sooner(at, retract_deadline(s));
        at = sooner(at, s->look_again);
    }
    for (size_t i = 0; i < s->live_count; i++)
        at = sooner(at, s->live[i]->ends_at);
    for (size_t i = 0; i < s->waiter_count; i++)
        at = sooner(at, s->waiters[i].until);
    return at;
}

void sched_store_error(struct sched *s, const char *text)
{
    if (text == NULL && s->store_error != NULL)
        s->held_until = s->t.now;
    free(s->store_error);
    s->store_error = text == NULL ? NULL : xstrdup(text);
}

void sched_backlog(struct sched *s, uint64_t bytes, bool full)
{
    s->backlog_bytes = bytes;
    if (s->full && !full)
        s->news++;
    s->full = full;
}

const struct demand *sched_demand(const struct sched *s)
{
    return &s->demand;
}

struct sched_stats sched_stats(const struct sched *s)
{
    struct sched_stats stats = s->stats;

    stats.epoch = s->epoch;
    stats.sweeps = s->sweep_count;
    stats.sweeps_live = s->live_count;
    for (int i = 0; i < JOB_STATES; i++)
        stats.jobs += s->job_count[i];
    stats.jobs_ready = s->job_count[JOB_READY];
    stats.jobs_running = s->job_count[JOB_RUNNING];
    stats.jobs_done = s->job_count[JOB_DONE];
    stats.jobs_failed = s->job_count[JOB_FAILED];
    stats.workers = map_count(s->sessions);
    for (size_t i = 0; i < map_count(s->sessions); i++) {
        const struct session *w = map_at(s->sessions, i, NULL, NULL);

        stats.slots += w->slots;
        stats.busy += w->units < w->slots ? w->units : w->slots;
    }
    stats.records = s->order;
    stats.backlog_bytes = s->backlog_bytes;
    return stats;
}
