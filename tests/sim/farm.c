#include "tests/sim/farm.h"

#include "broker/core/collect.h"
#include "broker/queries.h"
#include "common/memory.h"
#include "common/philox.h"
#include "support/test.h"
#include "tests/sim/replica.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

enum { CLIENT = 900 };

static struct sched_time now(const struct farm *f)
{
    return (struct sched_time){ .now = f->now_ms * 1000000 + 1,
                                .wall_ms = 1000000 + f->now_ms };
}

struct sched *farm_new_sched(void)
{
    struct sched_settings settings = { .heartbeat_ms = FARM_HEARTBEAT_MS,
                                       .lease_ms = FARM_LEASE_MS,
                                       .depot = "http://depot",
                                       .version = "test" };

    return sched_new(&settings);
}

static void trace(struct farm *f, const char *format, ...) PRINTF_LIKE(2, 3);

static void trace(struct farm *f, const char *format, ...)
{
    char text[400];
    va_list args;

    if (f->silent)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    assert_ok(buf_print(&f->trace, "[%5" PRId64 "] %s\n", f->now_ms, text));
}

static struct farm_worker *worker_of(struct farm *f, uint64_t peer)
{
    for (int i = 0; i < FARM_WORKERS; i++)
        if (f->workers[i].connected && f->workers[i].peer == peer)
            return &f->workers[i];
    return NULL;
}

static struct farm_job *find_token(struct farm_worker *w,
                                   const struct wire_token *t)
{
    for (size_t i = 0; i < w->held_count; i++)
        if (wire_token_equal(&w->held[i].token, t))
            return &w->held[i];
    return NULL;
}

static void forget_job(struct farm_worker *w, struct farm_job *job)
{
    size_t after = (size_t)(w->held + --w->held_count - job);

    memmove(job, job + 1, after * sizeof *job);
}

static void copy(char *to, size_t room, struct wire_bytes from)
{
    (void)snprintf(to, room, "%.*s", (int)from.size, from.data);
}

/* " batch 3"; nothing for a job given alone. */
static const char *batch_text(uint64_t batch)
{
    static char text[32];

    (void)snprintf(text, sizeof text, " batch %" PRIu64, batch);
    return batch == 0 ? "" : text;
}

static void copy_holders(struct farm_job *job, const struct wire_holders *list)
{
    size_t used = 0;

    for (size_t i = 0; i < list->count && used < sizeof job->holders; i++) {
        struct wire_bytes a = list->items[i].address;
        const char *port = memrchr(a.data, ':', a.size);

        used += (size_t)snprintf(job->holders + used,
                                 sizeof job->holders - used, " %.*s",
                                 (int)(a.data + a.size - port - 1), port + 1);
    }
}

static void take_assign(struct farm *f, struct farm_worker *w,
                        const struct wire_assign *m)
{
    for (size_t i = 0; i < m->jobs.count; i++) {
        const struct wire_assignment *a = &m->jobs.items[i];
        struct farm_job *job = &w->held[w->held_count++];

        assert_true(w->held_count <= FARM_HELD);
        *job = (struct farm_job){ .token = a->token, .batch = a->batch };
        copy(job->label, sizeof job->label, a->label);
        copy(job->kind, sizeof job->kind, a->kind);
        copy_holders(job, &a->holders);
        trace(f, "%s -> worker %d (%" PRIu64 ".%" PRIu64 ")%s%s", job->label,
              (int)(w - f->workers), a->token.epoch, a->token.attempt,
              batch_text(job->batch), a->solo != 0 ? " alone" : "");
    }
}

static void take_tokens(struct farm *f, struct farm_worker *w,
                        const struct wire_tokens *tokens, const char *what)
{
    for (size_t i = 0; i < tokens->count; i++) {
        struct farm_job *job = find_token(w, &tokens->items[i]);

        trace(f, "%s %s worker %d", job == NULL ? "?" : job->label, what,
              (int)(w - f->workers));
        if (job != NULL)
            forget_job(w, job);
    }
}

static void say_hello(struct farm *f, int w);
static void give_back(struct farm *f, struct farm_worker *w,
                      const struct wire_tokens *tokens);

static void deliver_worker(struct farm *f, struct farm_worker *w,
                           const struct wire_message *m)
{
    switch (m->type) {
    case WIRE_ASSIGN:
        take_assign(f, w, &m->assign);
        break;
    case WIRE_COMMITTED:
        take_tokens(f, w, &m->committed.tokens, "committed to");
        break;
    case WIRE_STALE:
        take_tokens(f, w, &m->stale.tokens, "stale at");
        break;
    case WIRE_CANCEL:
        take_tokens(f, w, &m->cancel.tokens, "cancelled at");
        break;
    case WIRE_WELCOME:
        take_tokens(f, w, &m->welcome.drop, "dropped by");
        break;
    case WIRE_RETRACT:
        give_back(f, w, &m->retract.tokens);
        break;
    case WIRE_HEARTBEAT_ACK:
        if (m->heartbeat_ack.say_hello != 0)
            say_hello(f, (int)(w - f->workers));
        break;
    default:
        fail_msg("a worker got %s", wire_name(m->type));
    }
}

static void set_answer(struct farm *f, struct wire_bytes body, uint64_t code)
{
    free(f->answer);
    f->answer = wire_take(body);
    f->answer_code = code;
}

static void deliver_client(struct farm *f, const struct wire_message *m)
{
    if (m->type == WIRE_ACCEPTED)
        set_answer(f, m->accepted.sweep, STATUS_SUCCESS);
    else if (m->type == WIRE_ANSWER)
        set_answer(f,
                   m->answer.code == STATUS_SUCCESS ? m->answer.body
                                                    : m->answer.message,
                   m->answer.code);
    else
        set_answer(f, m->error.message, m->error.code);
}

uint32_t farm_draw(struct farm *f, uint32_t bound)
{
    struct philox_key key = { .seed = f->seed };

    return philox_below(key, f->draws++, bound);
}

/* How many of the records become durable. */
static size_t survivors(struct farm *f, size_t count)
{
    if (f->crashed)
        return 0;
    if (f->crash_after < 0)
        return count;
    f->crashed = true;
    return (size_t)f->crash_after < count ? (size_t)f->crash_after : count;
}

static bool is_lost(struct farm *f)
{
    return f->crashed ||
           (f->drop_percent > 0 && farm_draw(f, 100) < f->drop_percent);
}

/* A result counts only if this broker gave nobody a newer run of the job. */
static void check_newest(const struct farm *f, const struct wire_token *t)
{
    for (int w = 0; w < FARM_WORKERS; w++)
        for (size_t i = 0; i < f->workers[w].held_count; i++) {
            const struct wire_token *other = &f->workers[w].held[i].token;

            if (other->epoch == f->epoch && digest_equal(&other->key, &t->key))
                assert_true(t->epoch == other->epoch &&
                            t->attempt >= other->attempt);
        }
}

static void check_record(const struct farm *f, const struct farm_record *r)
{
    struct wire_decoded d;

    assert_ok(wire_decode(r->data, r->size, &d));
    if (d.message.type == WIRE_RECORD_RESULT)
        check_newest(f, &d.message.record_result.token);
    wire_release(&d);
}

static void deliver(struct farm *f, uint64_t peer, const void *data,
                    size_t size)
{
    struct wire_decoded d;

    if (worker_of(f, peer) == NULL)
        return;
    assert_ok(wire_decode(data, size, &d));
    deliver_worker(f, worker_of(f, peer), &d.message);
    wire_release(&d);
}

/* Half of what is lost only takes its time. */
static void lose(struct farm *f, uint64_t peer, const void *data, size_t size)
{
    struct farm_late late = { .peer = peer, .size = size };

    if (f->crashed || farm_draw(f, 2) == 0)
        return;
    late.data = xcalloc(size, 1);
    memcpy(late.data, data, size);
    f->late = xrealloc(f->late, (f->late_count + 1) * sizeof late);
    f->late[f->late_count++] = late;
}

void farm_deliver_late(struct farm *f)
{
    while (f->late_count > 0) {
        size_t i = farm_draw(f, (uint32_t)f->late_count);
        struct farm_late late = f->late[i];

        f->late[i] = f->late[--f->late_count];
        deliver(f, late.peer, late.data, late.size);
        free(late.data);
    }
    farm_settle(f);
}

/* Records become durable, then messages arrive at once and in order. */
static void carry_out(struct farm *f)
{
    struct outbox out = f->out;
    size_t durable = survivors(f, out.record_count);

    outbox_init(&f->out); /* deliveries may cause more */
    for (size_t i = 0; i < durable; i++) {
        struct farm_record r = { .size = out.records[i].size };

        r.data = xcalloc(r.size + 1, 1);
        memcpy(r.data, out.bytes.data + out.records[i].at, r.size);
        f->log = xrealloc(f->log, (f->log_count + 1) * sizeof r);
        f->log[f->log_count++] = r;
        check_record(f, &r);
    }
    for (size_t i = 0; i < out.message_count; i++) {
        const struct outbox_message *m = &out.messages[i];
        const char *data = out.bytes.data + m->at;
        struct wire_decoded d;

        if (f->crashed)
            break;
        if (m->peer.side == PEER_WORKER && is_lost(f)) {
            lose(f, m->peer.id, data, m->size);
        } else if (m->peer.side == PEER_WORKER) {
            deliver(f, m->peer.id, data, m->size);
        } else {
            assert_ok(wire_decode(data, m->size, &d));
            deliver_client(f, &d.message);
            wire_release(&d);
        }
    }
    outbox_release(&out);
}

void farm_settle(struct farm *f)
{
    for (int i = 0; i < 10000; i++) {
        sched_tick(f->sched, now(f), &f->out);
        carry_out(f);
        if (sched_deadline(f->sched) > now(f).now && f->out.message_count == 0)
            return;
    }
    fail_msg("the scheduler does not come to rest");
}

static void send_message(struct farm *f, struct peer peer,
                         const struct wire_message *m)
{
    struct status st = sched_message(f->sched, peer, m, now(f), &f->out);

    if (status_failed(&st))
        outbox_error(&f->out, peer, 0, &st);
    farm_settle(f);
}

static struct peer peer_of(const struct farm *f, int w)
{
    return (struct peer){ .side = PEER_WORKER, .id = f->workers[w].peer };
}

static void start(struct farm *f)
{
    sched_start(f->sched, ++f->epoch, now(f), &f->out);
    farm_settle(f);
}

struct farm *farm_new(void)
{
    struct farm *f = xnew(struct farm);

    outbox_init(&f->out);
    buf_init(&f->trace, 1 << 20);
    f->next_peer = 1;
    f->crash_after = -1;
    f->sched = farm_new_sched();
    for (int i = 0; i < FARM_WORKERS; i++)
        f->workers[i].kinds = f->workers[i].labels = "";
    start(f);
    return f;
}

void farm_free(struct farm *f)
{
    sched_free(f->sched);
    outbox_release(&f->out);
    buf_release(&f->trace);
    for (size_t i = 0; i < f->log_count; i++)
        free(f->log[i].data);
    for (size_t i = 0; i < f->late_count; i++)
        free(f->late[i].data);
    free(f->late);
    free(f->log);
    free(f->answer);
    free(f);
}

void farm_submit(struct farm *f, const char *document)
{
    struct wire_message m = { .type = WIRE_SUBMIT };

    m.submit.request = 1;
    m.submit.idempotency = wire_text(document);
    m.submit.compiled = wire_text(document);
    send_message(f, (struct peer){ PEER_CLIENT, CLIENT }, &m);
}

/* The oldest of each of the oldest `slots` batches are in slots; in a walk
 * any may be. */
static bool has_begun(struct farm *f, const struct farm_worker *w,
                      const struct farm_job *job)
{
    uint64_t seen[FARM_HELD] = { 0 };
    size_t units = 0;

    if (job->finished || (f->silent && farm_draw(f, 4) == 0))
        return true;
    for (size_t i = 0; i < w->held_count && units < w->slots; i++) {
        const struct farm_job *other = &w->held[i];
        bool first = true;

        for (size_t k = 0; k < units; k++)
            first = first && (other->batch == 0 || seen[k] != other->batch);
        if (first && other == job)
            return true;
        if (first)
            seen[units++] = other->batch;
    }
    return false;
}

static void send_retracted(struct farm *f, const struct farm_worker *w,
                           struct wire_token *tokens, size_t count)
{
    struct wire_message m = { .type = WIRE_RETRACTED };
    struct peer peer = { .side = PEER_WORKER, .id = w->peer };

    m.retracted.tokens.items = tokens;
    m.retracted.tokens.count = count;
    if (f->drop_percent > 0 && farm_draw(f, 100) < f->drop_percent)
        return; /* lost */
    send_message(f, peer, &m);
    if (f->silent && farm_draw(f, 8) == 0)
        send_message(f, peer, &m); /* said twice */
}

static void give_back(struct farm *f, struct farm_worker *w,
                      const struct wire_tokens *tokens)
{
    AUTO(free_pointer)
    struct wire_token *back = xcalloc(tokens->count + 1, sizeof *back);
    size_t count = 0;

    for (size_t i = 0; i < tokens->count; i++) {
        struct farm_job *job = find_token(w, &tokens->items[i]);

        if (job == NULL || has_begun(f, w, job))
            continue;
        trace(f, "%s given back by worker %d", job->label,
              (int)(w - f->workers));
        back[count++] = job->token;
        forget_job(w, job);
    }
    if (count > 0)
        send_retracted(f, w, back, count);
}

static void say_hello(struct farm *f, int w)
{
    static struct wire_token running[FARM_HELD];
    struct farm_worker *worker = &f->workers[w];
    struct wire_message m = { .type = WIRE_HELLO };
    char name[16];

    (void)snprintf(name, sizeof name, "worker-%d", w);
    for (size_t i = 0; i < worker->held_count; i++)
        running[i] = worker->held[i].token;
    m.hello = (struct wire_hello){
        .worker = wire_text(name),
        .incarnation = worker->incarnation,
        .least_major = WIRE_MAJOR,
        .most_major = WIRE_MAJOR,
        .slots = worker->slots,
        .cpus = worker->cpus,
        .memory_bytes = worker->memory_bytes,
        .labels = wire_text(worker->labels),
        .kinds = wire_text(worker->kinds),
        .running = { .items = running, .count = worker->held_count },
        .replaces = worker->replaces,
        .address = wire_text(worker->address),
    };
    send_message(f, peer_of(f, w), &m);
    /* Finished ones are offered again after WELCOME. */
    for (size_t i = worker->held_count; i > 0; i--)
        if (i <= worker->held_count && worker->held[i - 1].finished)
            farm_outcome(f, w, &worker->held[i - 1], STATUS_SUCCESS, false);
}

void farm_hello(struct farm *f, int w, uint64_t slots)
{
    struct farm_worker *worker = &f->workers[w];

    if (worker->incarnation == 0)
        worker->incarnation = f->next_peer + 5000;
    worker->peer = f->next_peer++;
    worker->connected = true;
    worker->slots = slots;
    say_hello(f, w);
}

void farm_heartbeat(struct farm *f, int w)
{
    struct farm_worker *worker = &f->workers[w];
    struct wire_message m = { .type = WIRE_HEARTBEAT };

    m.heartbeat.sequence = ++worker->beats;
    m.heartbeat.running_count = worker->held_count;
    for (size_t i = 0; i < worker->held_count; i++)
        m.heartbeat.running_sum ^= wire_token_hash(&worker->held[i].token);
    send_message(f, peer_of(f, w), &m);
}

struct farm_job *farm_find(struct farm *f, int w, const char *label)
{
    struct farm_worker *worker = &f->workers[w];

    for (size_t i = 0; i < worker->held_count; i++)
        if (strcmp(worker->held[i].label, label) == 0)
            return &worker->held[i];
    fail_msg("worker %d does not have %s", w, label);
    return NULL;
}

/* Everybody who runs a job gets the same result: a number made of its key. */
static char *result_text(const struct farm_job *job)
{
    char artifact[DIGEST_TEXT];

    digest_to_text(&job->token.key, artifact);
    if (strcmp(job->kind, "train") == 0)
        return xasprintf("{\"artifact\":\"%s\"}", artifact);
    return xasprintf("{\"metrics\":{\"value\":%d}}", job->token.key.bytes[0]);
}

enum { WALL_MS = 1500 };

void farm_send_outcome(struct farm *f, int w, const struct wire_outcome *o)
{
    struct wire_outcome copy = *o;
    struct wire_message m = { .type = WIRE_DONE };

    m.done.outcomes.items = &copy;
    m.done.outcomes.count = 1;
    send_message(f, peer_of(f, w), &m);
}

static void send_outcome(struct farm *f, int w, const struct farm_job *job,
                         const char *result, uint64_t code, bool crashed,
                         int64_t wall_ms)
{
    struct wire_outcome o = { .token = job->token,
                              .code = code,
                              .crashed = crashed,
                              .wall_ms = wall_ms };

    if (code == STATUS_SUCCESS)
        o.result = wire_text(result);
    else
        o.message = wire_text("no luck");
    farm_send_outcome(f, w, &o);
}

void farm_outcome(struct farm *f, int w, const struct farm_job *job,
                  uint64_t code, bool crashed)
{
    AUTO(free_pointer) char *result = result_text(job);

    send_outcome(f, w, job, result, code, crashed, WALL_MS);
}

void farm_done_with(struct farm *f, int w, const char *label, int value)
{
    AUTO(free_pointer)
    char *result = xasprintf("{\"metrics\":{\"value\":%d}}", value);
    struct farm_job *job = farm_find(f, w, label);
    struct farm_job as_it_is = *job;

    job->finished = true;
    send_outcome(f, w, &as_it_is, result, STATUS_SUCCESS, false, WALL_MS);
}

void farm_done_after(struct farm *f, int w, const char *label, int64_t wall_ms)
{
    struct farm_job *job = farm_find(f, w, label);
    AUTO(free_pointer) char *result = result_text(job);
    struct farm_job as_it_is = *job;

    job->finished = true;
    send_outcome(f, w, &as_it_is, result, STATUS_SUCCESS, false, wall_ms);
}

void farm_done(struct farm *f, int w, const char *label)
{
    struct farm_job *job = farm_find(f, w, label);
    struct farm_job as_it_is = *job;

    job->finished = true;
    farm_outcome(f, w, &as_it_is, STATUS_SUCCESS, false);
}

void farm_fail(struct farm *f, int w, const char *label, enum status_code code,
               bool crashed)
{
    struct farm_job as_it_is = *farm_find(f, w, label);

    farm_outcome(f, w, &as_it_is, code, crashed);
}

void farm_bye(struct farm *f, int w)
{
    static struct wire_token held[FARM_HELD];
    struct farm_worker *worker = &f->workers[w];
    struct wire_message m = { .type = WIRE_BYE };
    struct peer peer = peer_of(f, w);

    for (size_t i = 0; i < worker->held_count; i++)
        held[i] = worker->held[i].token;
    m.bye.unstarted.items = held;
    m.bye.unstarted.count = worker->held_count;
    farm_kill(f, w);
    send_message(f, peer, &m);
}

void farm_hand_back(struct farm *f, int w, const char *label)
{
    struct wire_message m = { .type = WIRE_BYE };
    struct farm_job *job = farm_find(f, w, label);
    struct wire_token token = job->token;

    forget_job(&f->workers[w], job);
    m.bye.unstarted.items = &token;
    m.bye.unstarted.count = 1;
    send_message(f, peer_of(f, w), &m);
}

void farm_say(struct farm *f, int w, const struct wire_message *m)
{
    send_message(f, peer_of(f, w), m);
}

void farm_tell_cache(struct farm *f, int w, const struct digest *source,
                     bool there)
{
    struct wire_cached added = { .source = *source,
                                 .bytes = 1 << 30,
                                 .served = f->workers[w].address != NULL };
    struct wire_evicted removed = { .source = *source };
    struct wire_message m = { .type = WIRE_CACHE };

    m.cache.added.items = &added;
    m.cache.added.count = there;
    m.cache.removed.items = &removed;
    m.cache.removed.count = !there;
    farm_say(f, w, &m);
}

void farm_kill(struct farm *f, int w)
{
    f->workers[w].connected = false;
    f->workers[w].held_count = 0;
    f->workers[w].incarnation = 0;
}

void farm_advance(struct farm *f, int64_t ms)
{
    int64_t end = f->now_ms + ms;

    while (f->now_ms < end) {
        int64_t deadline = sched_deadline(f->sched);
        int64_t next =
            f->now_ms - f->now_ms % FARM_HEARTBEAT_MS + FARM_HEARTBEAT_MS;

        if (deadline < INT64_MAX && deadline / 1000000 + 1 < next)
            next = deadline / 1000000 + 1;
        if (next <= f->now_ms)
            next = f->now_ms + 1;
        f->now_ms = next < end ? next : end;
        farm_settle(f);
        for (int w = 0; f->now_ms % FARM_HEARTBEAT_MS == 0 && w < FARM_WORKERS;
             w++)
            if (f->workers[w].connected)
                farm_heartbeat(f, w);
    }
}

void farm_restart(struct farm *f)
{
    static const struct replica nothing;

    sched_free(f->sched);
    outbox_clear(&f->out);
    f->crashed = false;
    f->crash_after = -1;
    f->sched = farm_new_sched();
    if (f->snapshot != NULL && farm_draw(f, 2) == 0)
        replica_load(f->snapshot, f, f->sched);
    else
        replica_load(&nothing, f, f->sched);
    for (int w = 0; w < FARM_WORKERS; w++)
        if (f->workers[w].connected)
            f->workers[w].peer = f->next_peer++;
    start(f);
}

static void count_artifact(void *self, const char *artifact, bool kept)
{
    size_t *counts = self;

    assert_int_equal(strlen(artifact), DIGEST_TEXT - 1);
    counts[kept]++;
}

size_t farm_collect(struct farm *f, int64_t older_ms, bool forget)
{
    struct collect *c = collect_new(f->sched, now(f).wall_ms - older_ms);
    size_t counts[2] = { 0 };

    while (!collect_mark(c, 3))
        continue;
    collect_each(c, count_artifact, counts);
    if (forget)
        collect_forget(c, now(f), &f->out);
    collect_free(c);
    farm_settle(f);
    return counts[false];
}

void farm_ask(struct farm *f, const char *verb, const char *arguments)
{
    const struct query *q = query_find(wire_text(verb));
    struct wire_message m = { .type = WIRE_QUERY };
    json_t *a = NULL;
    json_t *body = NULL;
    struct status st;

    if (q == NULL) {
        m.query.verb = wire_text(verb);
        m.query.arguments = wire_text(arguments);
        send_message(f, (struct peer){ PEER_CLIENT, CLIENT }, &m);
        return;
    }
    assert_ok(json_parse(arguments, strlen(arguments), "arguments", &a));
    st = q->answer(f->sched, a, &body);
    outbox_answer(&f->out, (struct peer){ PEER_CLIENT, CLIENT }, 0, &st, body,
                  true);
    json_decref(a);
    json_decref(body);
    carry_out(f);
}

json_t *farm_status(struct farm *f, const char *sweep)
{
    AUTO(free_pointer) char *a = xasprintf("{\"sweep\":\"%s\"}", sweep);
    json_t *status = NULL;

    farm_ask(f, "status", a);
    assert_ok(json_parse(f->answer, strlen(f->answer), "status", &status));
    return status;
}

int64_t farm_count(struct farm *f, const char *sweep, const char *path)
{
    AUTO(json_release) json_t *status = farm_status(f, sweep);
    const char *dot = strchr(path, '.');
    AUTO(free_pointer)
    char *first =
        dot == NULL ? xstrdup(path) : xstrndup(path, (size_t)(dot - path));
    const json_t *at = json_object_get(status, first);

    if (dot != NULL)
        at = json_object_get(at, dot + 1);
    assert_true(json_is_integer(at));
    return json_integer_value(at);
}

void farm_expect(struct farm *f, const char *expected)
{
    assert_string_equal(f->trace.size == 0 ? "" : f->trace.data, expected);
    buf_clear(&f->trace);
}

void farm_forget(struct farm *f)
{
    buf_clear(&f->trace);
}
