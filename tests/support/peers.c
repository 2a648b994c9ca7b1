#include "support/peers.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/limits.h"
#include "common/memory.h"

enum { PATIENCE_MS = 5000 };

MUST_CHECK static struct status send_message(struct dealer *d,
                                             const struct wire_message *m)
{
    struct status st;
    struct buf out;

    buf_init(&out, LIMIT_MESSAGE);
    st = wire_encode(m, &out);
    /* IMMEDIATE: nothing can be queued before the connection stands. */
    for (int waited = 0; !status_failed(&st); waited++) {
        st = dealer_send(d, out.data, out.size);
        if (st.code != STATUS_UNAVAILABLE || waited >= PATIENCE_MS)
            break;
        st = SUCCESS;
        clock_sleep_ms(1);
    }
    buf_release(&out);
    return st;
}

/* A worker that cannot speak is of no use to its test. */
static void must_send(struct dealer *d, const struct wire_message *m)
{
    struct status st = send_message(d, m);

    if (status_failed(&st)) {
        (void)fprintf(stderr, "%s\n", st.message);
        abort();
    }
}

static bool receive(struct dealer *d, int64_t ms, struct wire_decoded *ret)
{
    const void *data = NULL;
    size_t size = 0;
    struct status st = dealer_wait(d, ms, NULL, 0, &data, &size);

    if (!status_failed(&st) && data != NULL)
        st = wire_decode(data, size, ret);
    if (status_failed(&st)) {
        (void)fprintf(stderr, "%s\n", st.message);
        abort();
    }
    return data != NULL;
}

void peer_worker_open(struct peer_worker *w, const char *endpoint,
                      const char *name, uint64_t slots)
{
    struct status st;

    memset(w, 0, sizeof *w);
    w->name = name;
    w->slots = slots;
    w->incarnation = (uint64_t)clock_now();
    st = dealer_open(endpoint, &w->dealer);
    assert(!status_failed(&st));
    (void)st;
    peer_worker_hello(w);
}

void peer_worker_close(struct peer_worker *w)
{
    dealer_close(w->dealer);
    w->dealer = NULL;
}

void peer_worker_hello(struct peer_worker *w)
{
    struct wire_message m = { .type = WIRE_HELLO };

    m.hello = (struct wire_hello){
        .worker = wire_text(w->name),
        .incarnation = w->incarnation,
        .least_major = WIRE_MAJOR,
        .most_major = WIRE_MAJOR,
        .slots = w->slots,
        .running = { .items = w->held, .count = w->held_count },
    };
    must_send(w->dealer, &m);
}

void peer_worker_heartbeat(struct peer_worker *w)
{
    struct wire_message m = { .type = WIRE_HEARTBEAT };

    m.heartbeat.sequence = ++w->beats;
    m.heartbeat.running_count = w->held_count;
    for (size_t i = 0; i < w->held_count; i++)
        m.heartbeat.running_sum ^= wire_token_hash(&w->held[i]);
    must_send(w->dealer, &m);
}

static void send_results(struct peer_worker *w, const struct wire_token *tokens,
                         size_t count)
{
    struct wire_outcome *outcomes = xcalloc(count + 1, sizeof *outcomes);
    char(*results)[64] = xcalloc(count + 1, sizeof *results);
    struct wire_message m = { .type = WIRE_DONE };

    for (size_t i = 0; i < count; i++) {
        (void)snprintf(results[i], sizeof results[i],
                       "{\"metrics\":{\"value\":%d}}", tokens[i].key.bytes[0]);
        outcomes[i].token = tokens[i];
        outcomes[i].result = wire_text(results[i]);
    }
    m.done.outcomes.items = outcomes;
    m.done.outcomes.count = count;
    must_send(w->dealer, &m);
    free(outcomes);
    free(results);
}

void peer_worker_finish(struct peer_worker *w)
{
    if (w->held_count > 0)
        send_results(w, w->held, w->held_count);
}

static size_t forget(struct peer_worker *w, const struct wire_tokens *tokens)
{
    size_t found = 0;

    for (size_t i = 0; i < tokens->count; i++)
        for (size_t k = 0; k < w->held_count; k++)
            if (wire_token_equal(&w->held[k], &tokens->items[i])) {
                w->held[k] = w->held[--w->held_count];
                found++;
                break;
            }
    return found;
}

static void take_jobs(struct peer_worker *w, const struct wire_assign *m)
{
    size_t from = w->held_count;

    for (size_t i = 0; i < m->jobs.count; i++) {
        assert(w->held_count < PEER_HELD);
        w->held[w->held_count++] = m->jobs.items[i].token;
    }
    w->assigned += m->jobs.count;
    if (!w->idle)
        send_results(w, w->held + from, m->jobs.count);
}

static void take(struct peer_worker *w, const struct wire_message *m)
{
    switch (m->type) {
    case WIRE_ASSIGN:
        take_jobs(w, &m->assign);
        break;
    case WIRE_COMMITTED:
        w->committed += forget(w, &m->committed.tokens);
        break;
    case WIRE_STALE:
        w->stale += forget(w, &m->stale.tokens);
        break;
    case WIRE_CANCEL:
        (void)forget(w, &m->cancel.tokens);
        break;
    case WIRE_WELCOME:
        w->epoch = m->welcome.epoch;
        w->dropped += forget(w, &m->welcome.drop);
        break;
    case WIRE_HEARTBEAT_ACK:
        if (m->heartbeat_ack.say_hello != 0)
            peer_worker_hello(w);
        break;
    case WIRE_RETRACT:
        break; /* all it has runs */
    default:
        (void)fprintf(stderr, "a worker got %s\n", wire_name(m->type));
        abort();
    }
}

bool peer_worker_step(struct peer_worker *w, int64_t ms)
{
    struct wire_decoded d;

    if (!receive(w->dealer, ms, &d))
        return false;
    take(w, &d.message);
    wire_release(&d);
    return true;
}

char *peer_document(const char *name, int points)
{
    return xasprintf(
        "{\"sinter\":1,\"name\":\"%s\",\"parameters\":[{\"name\":\"x\","
        "\"from\":1,\"to\":%d,\"count\":%d,\"scale\":\"linear\"}],"
        "\"strategy\":{\"method\":\"grid\"},\"evaluate\":[{\"name\":\"e\","
        "\"kind\":\"evaluate.noop\",\"variants\":[{\"params\":{\"x\":"
        "{\"$param\":\"x\"}}}],\"metrics\":[\"value\"]}],\"objective\":"
        "{\"metric\":\"e.value\",\"goal\":\"minimize\"}}",
        name, points, points);
}

MUST_CHECK static struct status read_answer(const struct wire_message *m,
                                            json_t **ret_body)
{
    if (m->type != WIRE_ANSWER)
        return FAIL(STATUS_FAILED, "%s instead of an answer",
                    wire_name(m->type));
    if (m->answer.code != STATUS_SUCCESS)
        return FAIL((enum status_code)m->answer.code, "%.*s",
                    (int)m->answer.message.size, m->answer.message.data);
    return json_parse(m->answer.body.data, m->answer.body.size, "answer",
                      ret_body);
}

struct status peer_ask(struct dealer *client, const char *verb,
                       const char *arguments, json_t **ret_body)
{
    struct wire_message m = { .type = WIRE_QUERY };
    struct wire_decoded d;
    struct status st;

    m.query.request = 5;
    m.query.verb = wire_text(verb);
    m.query.arguments = wire_text(arguments);
    TRY_PLAIN(send_message(client, &m));
    if (!receive(client, PATIENCE_MS, &d))
        return FAIL(STATUS_TIMED_OUT, "no answer to %s", verb);
    st = read_answer(&d.message, ret_body);
    wire_release(&d);
    return st;
}

struct status peer_submit(struct dealer *client, const char *document,
                          char id[24])
{
    struct wire_message m = { .type = WIRE_SUBMIT };
    struct wire_decoded d;
    struct status st = SUCCESS;

    m.submit.request = 6;
    m.submit.idempotency = wire_text(document);
    m.submit.compiled = wire_text(document);
    TRY_PLAIN(send_message(client, &m));
    if (!receive(client, PATIENCE_MS, &d))
        return FAIL(STATUS_TIMED_OUT, "no answer to a submit");
    if (d.message.type == WIRE_ACCEPTED)
        (void)snprintf(id, 24, "%.*s", (int)d.message.accepted.sweep.size,
                       d.message.accepted.sweep.data);
    else
        st = FAIL(STATUS_FAILED, "submit: %.*s",
                  (int)d.message.error.message.size,
                  d.message.error.message.data);
    wire_release(&d);
    return st;
}

struct status peer_provoke(struct dealer *d, const void *data, size_t size)
{
    struct wire_decoded decoded;
    struct status st = FAIL(STATUS_FAILED, "no error came");

    for (int i = 0; i < PATIENCE_MS; i++) {
        struct status sent = dealer_send(d, data, size);

        if (!status_failed(&sent))
            break;
        clock_sleep_ms(1);
    }
    if (!receive(d, PATIENCE_MS, &decoded))
        return FAIL(STATUS_TIMED_OUT, "no answer");
    if (decoded.message.type == WIRE_ERROR)
        st = FAIL((enum status_code)decoded.message.error.code, "%.*s",
                  (int)decoded.message.error.message.size,
                  decoded.message.error.message.data);
    wire_release(&decoded);
    return st;
}
