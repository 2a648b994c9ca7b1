#include "broker/loop.h"

#include "broker/queries.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

enum {
    BATCH = 1024,          /* messages of one group commit */
    BATCH_BYTES = 4 << 20, /* of records and replies, about */
    APPEND_MOST = 2048,    /* records of one append */
    COMPACT_ABOVE = 10000, /* messages kept while the store is away */
    WAIT_MOST_MS = 1000,   /* sign of life at least so often */
    RETRY_FIRST_MS = 100,
    RETRY_MOST_MS = 5000,
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

struct status loop_recover(struct loop *l)
{
    int64_t began = clock_now();

    TRY(l->store.begin(l->store.self, &l->epoch), "take over the store");
    TRY(l->store.replay(l->store.self, visit, l), "read the log");
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
    outbox_answer(&l->out, peer, m->request, &st, body, true);
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
        if (m->type != WIRE_QUERY || in->from.side != PEER_CLIENT ||
            !answer_query(l, in->from, &m->query))
            st = sched_message(l->sched, in->from, m, time_now(), &l->out);
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

static struct status answer_question(const struct loop *l,
                                     const struct hatch_question *q,
                                     char **ret_body)
{
    const struct query *query = query_find(wire_text(q->verb));
    AUTO(json_release) json_t *arguments = NULL;
    AUTO(json_release) json_t *body = NULL;

    if (query == NULL) {
        *ret_body = queries_metrics(l->sched);
        return SUCCESS;
    }
    TRY_PLAIN(json_parse(q->arguments, strlen(q->arguments), "arguments",
                         &arguments));
    TRY_PLAIN(query->answer(l->sched, arguments, &body));
    *ret_body = json_dumps(body, JSON_COMPACT);
    return SUCCESS;
}

static void answer_hatch(struct loop *l)
{
    struct hatch_question *q;

    while ((q = hatch_next(l->hatch)) != NULL) {
        char *body = NULL;
        struct status st = answer_question(l, q, &body);

        hatch_reply(l->hatch, q, &st, body);
    }
}

MUST_CHECK static struct status send_message(struct loop *l,
                                             struct outbox_message *m)
{
    struct status st =
        l->link.send(l->link.self, m->peer, l->out.bytes.data + m->at, m->size);

    m->sent = true;
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

MUST_CHECK static struct status send_messages(struct loop *l, bool early_only)
{
    for (size_t i = 0; i < l->out.message_count; i++) {
        struct outbox_message *m = &l->out.messages[i];

        if (!m->sent && (m->early || !early_only))
            TRY_PLAIN(send_message(l, m));
    }
    return SUCCESS;
}

/* The next records of the outbox, at most APPEND_MOST. */
MUST_CHECK static struct status append_some(struct loop *l)
{
    struct store_record records[APPEND_MOST];
    size_t count = l->out.record_count - l->appended;

    if (count > APPEND_MOST)
        count = APPEND_MOST;
    for (size_t i = 0; i < count; i++) {
        const struct outbox_record *r = &l->out.records[l->appended + i];

        records[i] = (struct store_record){
            .epoch = l->epoch,
            .sequence = l->sequence + 1 + i,
            .data = { .data = l->out.bytes.data + r->at, .size = r->size },
        };
    }
    TRY_PLAIN(l->store.append(l->store.self, records, count));
    l->sequence += count;
    l->appended += count;
    return SUCCESS;
}

static void store_is_away(struct loop *l, const struct status *st)
{
    if (!l->store_away)
        log_failure("store is away; nothing is acknowledged until it is back",
                    st);
    l->retry_ms = l->store_away ? 2 * l->retry_ms : RETRY_FIRST_MS;
    if (l->retry_ms > RETRY_MOST_MS)
        l->retry_ms = RETRY_MOST_MS;
    l->retry_at = clock_now() + l->retry_ms * NS_PER_MS;
    l->store_away = true;
    sched_store_error(l->sched, st->message);
}

static void store_is_back(struct loop *l)
{
    if (!l->store_away)
        return;
    l->store_away = false;
    sched_store_error(l->sched, NULL);
    log_event(LOG_INFO, "store is back", "sequence=%" PRIu64, l->sequence);
}

/* All records durable? A failure means that there is no point in trying
 * again. */
MUST_CHECK static struct status append_records(struct loop *l, bool *ret_all)
{
    *ret_all = l->appended == l->out.record_count;
    if (l->store_away && clock_now() < l->retry_at)
        return SUCCESS;
    while (l->appended < l->out.record_count) {
        struct status st = append_some(l);

        if (status_failed(&st) && status_retry(st.code) == RETRY_LATER) {
            store_is_away(l, &st);
            return SUCCESS;
        }
        if (status_failed(&st))
            return st;
        store_is_back(l);
    }
    *ret_all = true;
    return SUCCESS;
}

/* Nothing is said before what it rests on is durable. */
MUST_CHECK static struct status carry_out(struct loop *l)
{
    bool all = false;

    TRY(append_records(l, &all), "append to the log");
    TRY_PLAIN(send_messages(l, !all));
    if (all) {
        outbox_clear(&l->out);
        l->appended = 0;
    } else if (l->out.message_count > COMPACT_ABOVE) {
        /* A long outage must not pile up answered heartbeats. */
        outbox_compact(&l->out, l->appended);
        l->appended = 0;
    }
    return SUCCESS;
}

static int64_t timeout_ms(const struct loop *l)
{
    int64_t deadline = sched_deadline(l->sched);
    int64_t now = clock_now();

    if (l->store_away && l->retry_at < deadline)
        deadline = l->retry_at;
    if (deadline <= now)
        return 0;
    if (deadline - now > WAIT_MOST_MS * NS_PER_MS)
        return WAIT_MOST_MS;
    return (deadline - now + NS_PER_MS - 1) / NS_PER_MS;
}

struct status loop_run(struct loop *l)
{
    struct pollfd others[] = { { .fd = l->stop_descriptor },
                               { .fd = hatch_descriptor(l->hatch) } };

    TRY_PLAIN(carry_out(l)); /* the record that this broker has begun */
    while (others[0].revents == 0) {
        TRY_PLAIN(l->link.wait(l->link.self, timeout_ms(l), others,
                               COUNT_OF(others)));
        hatch_beat(l->hatch);
        TRY_PLAIN(take_messages(l));
        answer_hatch(l);
        sched_tick(l->sched, time_now(), &l->out);
        TRY_PLAIN(carry_out(l));
    }
    return SUCCESS;
}
