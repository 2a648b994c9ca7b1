#include "broker/loop.h"

#include "broker/core/rights.h"
#include "broker/metrics.h"
#include "broker/queries.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

enum {
    BATCH = 256,            /* messages of one turn */
    BATCH_BYTES = 16 << 10, /* of records and replies: half a millisecond, and
                               an answer waits for two or three turns */
    GROUP_LEAST = 512,      /* records that need not wait for company */
    WORK_MOST = 4096,       /* records that wait, and jobs are given early */
    GROUP_EVERY_MS = 1,     /* records wait so long for company */
    GROUP_BYTES = 256 << 10,
    COMPACT_LEAST = 64 << 10,     /* bytes that were said already */
    WAIT_MOST_MS = 1000,          /* sign of life at least so often */
    DOUBT_MS = 100,               /* does the leader's key say it by now? */
    FINISH_MOST_MS = 5000,        /* for the store, on a clean stop */
    SNAPSHOT_RECORDS = 512 << 10, /* of news: a snapshot before its time */
    WAIT_END_MOST_MS = 60 * 1000, /* of a client for the end of a sweep */
};

static struct sched_time time_now(void)
{
    return (struct sched_time){ .now = clock_now(),
                                .wall_ms = clock_wall_ms() };
}

MUST_CHECK static struct status visit(void *self, const struct store_record *r)
{
    const struct loop *l = self;

    hatch_beat(l->hatch);
    TRY(sched_replay(l->sched, r->data.data, r->data.size),
        "%" PRIu64 "-%" PRIu64, r->epoch, r->sequence);
    return SUCCESS;
}

MUST_CHECK static struct status visit_piece(void *self, const char *name,
                                            struct wire_bytes data)
{
    const struct loop *l = self;

    hatch_beat(l->hatch);
    return snapshot_load(l->sched, name, data);
}

struct status loop_recover(struct loop *l)
{
    const struct store_visitor visitor = { .self = l,
                                           .piece = visit_piece,
                                           .record = visit };
    int64_t began = clock_now();

    l->begun = began;
    TRY(l->store.begin(l->store.self, &l->epoch), "take over the store");
    TRY(l->store.replay(l->store.self, &visitor), "read the log");
    l->snapshot.known = snapshot_known(l->sched);
    l->snapshot.due = clock_now() + l->snapshot_ms * NS_PER_MS;
    outbox_init(&l->out);
    sched_start(l->sched, l->epoch, time_now(), &l->out);
    log_event(LOG_INFO, "log read",
              "epoch=%" PRIu64 " records=%" PRIu64 " ms=%" PRId64, l->epoch,
              sched_stats(l->sched).records, (clock_now() - began) / NS_PER_MS);
    return SUCCESS;
}

/* A read-only question; false: it is none. */
static bool answer_query(struct loop *l, struct peer peer,
                         const struct wire_query *m)
{
    const struct query *q = query_find(m->verb);
    AUTO(json_release) json_t *arguments = NULL;
    AUTO(json_release) json_t *body = NULL;
    struct status st;
    int64_t wait_ms;

    if (q == NULL)
        return false;
    st = json_parse(m->arguments.data, m->arguments.size, "arguments",
                    &arguments);
    wait_ms = json_int_or(arguments, "wait_ms", 0);
    if (wait_ms > WAIT_END_MOST_MS)
        wait_ms = WAIT_END_MOST_MS;
    if (wait_ms > 0 && wire_is(m->verb, "status") &&
        sched_wait_for_end(l->sched, peer, m->request,
                           json_text_or(arguments, "sweep", ""),
                           clock_now() + wait_ms * NS_PER_MS))
        return true;
    if (!status_failed(&st))
        st = q->answer(l->sched, arguments, &body);
    outbox_answer_read(&l->out, peer, m->request, &st, body);
    return true;
}

/* The store forgot what it had accepted, and somebody who may says that it is
 * to be written anew. */
MUST_CHECK static struct status begin_rebuild(struct loop *l)
{
    if (!l->store_away || !appender_is_lost(l->appender))
        return FAIL(STATUS_INVALID,
                    "the store has lost nothing that it had accepted: there "
                    "is nothing to write anew");
    if (!l->rebuild_once)
        log_event(LOG_WARN, "the store is written anew, as ordered", "%s", "");
    l->rebuild_once = true;
    return SUCCESS;
}

/* With "begin", begins; says how it is. */
MUST_CHECK static struct status order_rebuild(struct loop *l,
                                              const json_t *arguments,
                                              json_t **ret_body)
{
    if (json_bool_or(arguments, "begin", false))
        TRY_PLAIN(begin_rebuild(l));
    *ret_body = json_pack("{s:b, s:b}", "away", l->store_away, "lost",
                          appender_is_lost(l->appender));
    return SUCCESS;
}

/* Goes on at its own pace. */
MUST_CHECK static struct status order_gc(struct loop *l,
                                         const json_t *arguments,
                                         json_t **ret_body)
{
    return gc_ask(l->gc, arguments, time_now(), ret_body);
}

/* What is asked of the broker as a whole, not of the scheduler. */
struct order {
    const char *verb;
    bool early; /* the answer rests on nothing that must be durable first */
    struct status (*on)(struct loop *l, const json_t *arguments,
                        json_t **ret_body);
};

static const struct order orders[] = {
    { "gc", false, order_gc },
    { "rebuild", true, order_rebuild },
};

static const struct order *find_order(struct wire_bytes verb)
{
    for (size_t i = 0; i < COUNT_OF(orders); i++)
        if (wire_is(verb, orders[i].verb))
            return &orders[i];
    return NULL;
}

/* False: it is no such order. */
static bool carry_out_order(struct loop *l, const struct link_message *in,
                            const struct wire_message *m)
{
    const struct order *order = find_order(m->query.verb);
    AUTO(json_release) json_t *arguments = NULL;
    AUTO(json_release) json_t *body = NULL;
    struct status st;

    if (order == NULL)
        return false;
    st = rights_check(in->role, m);
    if (!status_failed(&st))
        st = json_parse(m->query.arguments.data, m->query.arguments.size,
                        "arguments", &arguments);
    if (!status_failed(&st))
        st = order->on(l, arguments, &body);
    outbox_answer(&l->out, in->from, m->query.request, &st, body, order->early);
    return true;
}

/* What is wrong with it is the peer's trouble. */
static void take_message(struct loop *l, const struct link_message *in)
{
    struct wire_decoded decoded;
    struct status st = wire_decode(in->data, in->size, &decoded);
    uint64_t request = 0;

    if (!status_failed(&st)) {
        const struct wire_message *m = &decoded.message;

        if (m->type == WIRE_SUBMIT)
            request = m->submit.request;
        if (m->type == WIRE_QUERY)
            request = m->query.request;
        if (m->type != WIRE_QUERY || in->from.side != PEER_CLIENT ||
            (!answer_query(l, in->from, &m->query) &&
             !carry_out_order(l, in, m))) {
            st = rights_check(in->role, m);
            if (!status_failed(&st))
                st = sched_message(l->sched, in->from, m, time_now(), &l->out);
        }
        wire_release(&decoded);
    }
    if (status_failed(&st)) {
        log_event(LOG_DEBUG, "message refused", "peer=%" PRIu64 " error=\"%s\"",
                  in->from.id, st.message);
        outbox_error(&l->out, in->from, request, &st);
    }
}

MUST_CHECK static struct status take_messages(struct loop *l)
{
    size_t before = l->out.bytes.size;

    for (int i = 0; i < BATCH && l->out.bytes.size - before < BATCH_BYTES;
         i++) {
        struct link_message in;
        bool got = false;

        TRY_PLAIN(l->link.receive(l->link.self, &in, &got));
        if (!got)
            break;
        take_message(l, &in);
    }
    return SUCCESS;
}

static char *tell_metrics(const struct loop *l)
{
    const struct metrics m = { .sched = l->sched,
                               .turns = &l->turns,
                               .appends = appender_times(l->appender),
                               .descriptors = l->descriptors,
                               .store_away = l->store_away };

    return metrics_text(&m);
}

static struct status answer_question(const struct loop *l,
                                     const struct hatch_question *q,
                                     uint64_t *ret_rests_on, char **ret_body)
{
    const struct query *query = query_find(wire_text(q->verb));
    AUTO(json_release) json_t *arguments = NULL;
    AUTO(json_release) json_t *body = NULL;

    if (query == NULL) {
        *ret_body = tell_metrics(l);
        return SUCCESS;
    }
    *ret_rests_on = appender_sequence(l->appender) + l->out.record_count;
    TRY_PLAIN(json_parse(q->arguments, strlen(q->arguments), "arguments",
                         &arguments));
    TRY_PLAIN(query->answer(l->sched, arguments, &body));
    *ret_body = json_shown_line(body);
    return SUCCESS;
}

/* What is shown is durable, unless the store is away. */
static void answer_hatch(struct loop *l)
{
    uint64_t durable =
        appender_sequence(l->appender) - appender_records(l->appender);
    struct hatch_question *q;

    while ((q = hatch_next(l->hatch)) != NULL) {
        char *body = NULL;
        uint64_t rests_on = 0;
        struct status st = answer_question(l, q, &rests_on, &body);

        answers_add(&l->answers, q, &st, body, rests_on);
    }
    answers_give(&l->answers, l->hatch, l->store_away ? UINT64_MAX : durable);
}

MUST_CHECK static struct status send_message(struct loop *l, struct outbox *box,
                                             struct outbox_message *m)
{
    struct status st =
        l->link.send(l->link.self, m->peer, box->bytes.data + m->at, m->size);

    m->sent = true;
    box->work_unsent -= m->work;
    box->sent_bytes += m->size;
    if (st.code == STATUS_NOT_FOUND) {
        sched_gone(l->sched, m->peer);
        return SUCCESS;
    }
    if (st.code == STATUS_UNAVAILABLE) {
        /* Dropped: what was in it is asked for again, or found missing by
         * the next heartbeat. */
        log_event(LOG_WARN, "message dropped", "error=\"%s\"", st.message);
        return SUCCESS;
    }
    return st;
}

/* Jobs are given before the records of this turn are durable, which they do
 * not rest on: a slot need not wait for the store. Only while few records wait,
 * or workers would pile up outcomes that nobody acknowledges; and none before
 * one that was to be given earlier, which may be a run of the same job. */
static bool gives_early(const struct loop *l)
{
    return !l->store_away && !appender_holds_work(l->appender) &&
           appender_records(l->appender) + l->out.record_count <= WORK_MOST;
}

MUST_CHECK static struct status send_messages(struct loop *l,
                                              struct outbox *box,
                                              bool early_only)
{
    bool work = !early_only || gives_early(l);

    for (size_t i = 0; i < box->message_count; i++) {
        struct outbox_message *m = &box->messages[i];

        if (m->sent)
            continue;
        if (early_only && m->work)
            work = work && m->early;
        if (m->work ? work
                    : m->early || !early_only || (m->read && l->store_away))
            TRY_PLAIN(send_message(l, box, m));
    }
    return SUCCESS;
}

/* A failure means that there is no point in trying again. */
MUST_CHECK static struct status look_at_store(struct loop *l)
{
    AUTO(free_pointer) char *away = NULL;

    TRY(appender_state(l->appender, &away), "append to the log");
    if (away != NULL || l->store_away)
        sched_store_error(l->sched, away);
    l->store_away = away != NULL;
    return SUCCESS;
}

/* Many records travel together while others are under way. If none are: at once,
 * when the last went a while ago, or when a job waits for them. An append wakes
 * three threads, of which any may have to wait for a core; workers only wait to
 * hear that what they said is durable. */
static bool is_group(const struct loop *l, size_t pending)
{
    const struct outbox *out = &l->out;

    if (out->record_count >= GROUP_LEAST || out->bytes.size >= GROUP_BYTES)
        return true;
    return pending == 0 &&
           (out->work_unsent > 0 ||
            clock_now() - l->pushed >= GROUP_EVERY_MS * NS_PER_MS);
}

static void push(struct loop *l)
{
    l->pushed = clock_now();
    appender_push(l->appender, &l->out);
}

/* A broker that was stopped for a while may have a successor by now, and what
 * it knows may be old. Then the store is asked first, and what was taken in
 * waits for its answer. One that cannot be reached tells nobody; work goes on,
 * and nothing is acknowledged. */
static bool may_speak(struct loop *l)
{
    int64_t confirmed = appender_confirmed(l->appender);

    if (confirmed < l->begun)
        confirmed = l->begun;
    if (l->keeper == NULL || l->store_away ||
        keeper_may_speak(l->keeper, confirmed) ||
        (l->doubt != 0 && confirmed >= l->doubt)) {
        l->doubt = 0;
        return true;
    }
    if (l->doubt == 0) {
        l->doubt = clock_now();
        appender_ask(l->appender);
    }
    return false;
}

/* What waits for the store is bounded by what is taken in no more. */
static void weigh_backlog(struct loop *l)
{
    uint64_t bytes =
        l->out.bytes.size - l->out.sent_bytes + appender_bytes(l->appender);

    l->full = l->backlog_most > 0 &&
              bytes >= (l->full ? l->backlog_most / 2 : l->backlog_most);
    sched_backlog(l->sched, bytes, l->full);
}

static void log_notes(struct outbox *out)
{
    for (size_t i = 0; i < out->note_count; i++)
        log_event(out->notes[i].is_trouble ? LOG_WARN : LOG_INFO,
                  out->notes[i].event, "%s", out->notes[i].fields);
    if (out->notes_dropped > 0)
        log_event(LOG_INFO, "and more of these", "lines=%zu",
                  out->notes_dropped);
    out->note_count = out->notes_dropped = 0;
}

/* What was pushed and is durable by now. */
MUST_CHECK static struct status say_durable(struct loop *l)
{
    struct outbox *box;

    TRY_PLAIN(look_at_store(l));
    l->speaks = may_speak(l);
    while (l->speaks && (box = appender_first(l->appender)) != NULL) {
        TRY_PLAIN(send_messages(l, box, false));
        appender_pop(l->appender);
    }
    return SUCCESS;
}

/* Nothing is said before what it rests on is durable. */
MUST_CHECK static struct status carry_out(struct loop *l)
{
    size_t pending;

    log_notes(&l->out);
    TRY_PLAIN(say_durable(l));
    if (!l->speaks)
        return SUCCESS;
    pending = appender_pending(l->appender);
    if (pending == 0 && l->out.record_count == 0) {
        TRY_PLAIN(send_messages(l, &l->out, false));
        outbox_clear(&l->out);
        weigh_backlog(l);
        return SUCCESS;
    }
    for (size_t i = 0; l->store_away && i < pending; i++)
        TRY_PLAIN(send_messages(l, appender_group(l->appender, i), true));
    TRY_PLAIN(send_messages(l, &l->out, true));
    if (pending < APPENDER_MOST && is_group(l, pending))
        push(l);
    else if (l->out.sent_bytes > COMPACT_LEAST &&
             l->out.sent_bytes > l->out.bytes.size / 2)
        /* A long outage must not pile up answered heartbeats. */
        outbox_compact(&l->out, 0);
    weigh_backlog(l);
    return SUCCESS;
}

/* What is said of the last snapshot, if it has come to its end. */
static bool is_snapshot_under_way(struct loop *l)
{
    enum appender_snapshot state = appender_snapshot_state(l->appender);

    if (state == SNAPSHOT_WRITTEN)
        l->snapshot.known = l->snapshot.lasting;
    if (state == SNAPSHOT_FAILED) {
        l->snapshot.known = 0;
        l->snapshot.sequence = 0; /* the next one need not wait for news */
    }
    return state == SNAPSHOT_RUNNING;
}

/* Of everything, as it is now. `known`: see snapshot_take(). */
static struct snapshot *make_snapshot(struct loop *l, size_t known)
{
    uint64_t records = appender_sequence(l->appender) + l->out.record_count;
    int64_t began = clock_now();
    struct snapshot *snapshot =
        snapshot_take(l->sched, l->epoch, records, known);

    l->snapshot.sequence = records;
    l->snapshot.lasting = snapshot->lasting;
    l->snapshot.due = clock_now() + l->snapshot_ms * NS_PER_MS;
    log_event(LOG_DEBUG, "snapshot", "sequence=%" PRIu64 " pieces=%zu ms=%.1f",
              records, snapshot->count,
              (double)(clock_now() - began) / (double)NS_PER_MS);
    return snapshot;
}

/* The store forgot what it had accepted: memory has it all. */
static void rebuild_store(struct loop *l)
{
    if (!l->store_away)
        l->rebuild_once = false;
    if ((l->rebuild || l->rebuild_once) && l->store_away &&
        appender_is_lost(l->appender) && !is_snapshot_under_way(l))
        appender_rebuild(l->appender, make_snapshot(l, 0));
}

/* Now and then all that the log says is written anew, so that neither the log
 * nor the next start takes longer and longer. */
static void take_snapshot(struct loop *l)
{
    uint64_t records = appender_sequence(l->appender) + l->out.record_count;

    if (l->snapshot_ms == 0 || is_snapshot_under_way(l) || l->store_away ||
        records == l->snapshot.sequence ||
        (records - l->snapshot.sequence < SNAPSHOT_RECORDS &&
         clock_now() < l->snapshot.due))
        return;
    appender_snapshot(l->appender, make_snapshot(l, l->snapshot.known));
}

static bool is_durable(struct loop *l)
{
    return !l->store_away && appender_pending(l->appender) == 0 &&
           l->out.record_count == 0;
}

static int64_t timeout_ms(const struct loop *l)
{
    int64_t deadline = sched_deadline(l->sched);
    int64_t now = clock_now();

    if (deadline <= now || gc_is_busy(l->gc))
        return 0;
    if (l->out.record_count > 0 && appender_pending(l->appender) == 0)
        return GROUP_EVERY_MS; /* nobody wakes us for these */
    if (deadline - now > WAIT_MOST_MS * NS_PER_MS)
        return WAIT_MOST_MS;
    return (deadline - now + NS_PER_MS - 1) / NS_PER_MS;
}

/* What was begun is made durable and said, unless the store is away. */
MUST_CHECK static struct status finish(struct loop *l)
{
    int64_t until = clock_now() + FINISH_MOST_MS * NS_PER_MS;

    for (;;) {
        struct pollfd store = { .fd = appender_descriptor(l->appender),
                                .events = POLLIN };

        l->pushed = 0; /* no company will come */
        TRY_PLAIN(carry_out(l));
        if (l->store_away || clock_now() > until ||
            (l->speaks && is_durable(l)))
            return SUCCESS;
        (void)poll(&store, 1, FINISH_MOST_MS);
    }
}

/* In doubt whether we lead, only the store's answer counts. */
MUST_CHECK static struct status wait_for_work(struct loop *l,
                                              struct pollfd *others,
                                              size_t count)
{
    if (l->speaks)
        return l->link.wait(l->link.self, timeout_ms(l), others, count);
    for (size_t i = 0; i < count; i++) {
        others[i].events = POLLIN;
        others[i].revents = 0;
    }
    /* Questions of HTTP wait as well, and would wake us again and again. */
    others[1].events = 0;
    (void)poll(others, (nfds_t)count, DOUBT_MS);
    return SUCCESS;
}

static void turned(struct loop *l, enum turn_part part)
{
    turns_mark(&l->turns, part, clock_now());
}

MUST_CHECK static struct status take_turn(struct loop *l)
{
    /* Most turns begin because something is durable: who waits for that need
     * not wait for all that has come meanwhile. */
    TRY_PLAIN(say_durable(l));
    if (l->speaks)
        TRY_PLAIN(take_messages(l));
    turned(l, TURN_TAKE);
    sched_tick(l->sched, time_now(), &l->out);
    turned(l, TURN_DECIDE);
    TRY_PLAIN(carry_out(l));
    turned(l, TURN_SEND);
    if (!l->speaks)
        return SUCCESS;
    answer_hatch(l);
    if (gc_is_busy(l->gc))
        gc_step(l->gc, time_now(), is_durable(l), &l->out);
    turned(l, TURN_ANSWER);
    rebuild_store(l);
    take_snapshot(l);
    if (!l->store_away)
        progress_show(l->progress, l->sched, &l->store, time_now());
    turned(l, TURN_SAVE);
    return SUCCESS;
}

MUST_CHECK static struct status serve(struct loop *l)
{
    struct pollfd others[] = { { .fd = l->stop_descriptor },
                               { .fd = hatch_descriptor(l->hatch) },
                               { .fd = appender_descriptor(l->appender) },
                               { .fd = l->reload_descriptor } };

    TRY_PLAIN(carry_out(l)); /* the record that this broker has begun */
    while (others[0].revents == 0) {
        TRY_PLAIN(wait_for_work(l, others, COUNT_OF(others)));
        hatch_beat(l->hatch);
        descriptors_watch(&l->descriptors, clock_now());
        if (others[COUNT_OF(others) - 1].revents != 0)
            l->reload(l->reload_self);
        turns_begin(&l->turns, clock_now());
        TRY_PLAIN(take_turn(l));
        turns_end(&l->turns);
    }
    return finish(l);
}

struct status loop_run(struct loop *l)
{
    struct status st = appender_new(&l->store, l->epoch, &l->appender);

    l->progress = progress_new();
    l->gc = gc_new(l->sched, l->depot, l->gc_least_ms);
    if (!status_failed(&st))
        st = serve(l);
    answers_give(&l->answers, l->hatch, UINT64_MAX);
    answers_release(&l->answers);
    progress_free(l->progress);
    gc_free(l->gc);
    l->gc = NULL;
    appender_free(l->appender);
    l->appender = NULL;
    return st;
}
