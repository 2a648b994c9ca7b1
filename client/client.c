#include "client/sinter.h"

#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/clock.h"
#include "common/dealer.h"
#include "common/limits.h"
#include "common/memory.h"
#include "common/wire.h"

enum {
    TIMEOUT_MS = 10 * 1000,
    IDLE_MS = 100,    /* longest sleep between two calls of idle() */
    CONNECT_MS = 10,  /* between two tries while nobody is there */
    RESEND_MS = 2000, /* unanswered so long: sent again, then doubled */
    RESEND_MOST_MS = 8000,
    NOBODY_MS = 500,          /* nobody there so long: the next address */
    NO_LEADER_MS = 200,       /* a second broker in turn that does not lead */
    BUSY_MOST_MS = 30 * 1000, /* whatever a broker that is busy says */
};

struct sinter {
    struct sinter_settings settings; /* but for its texts */
    struct dealer *dealer;
    uint64_t request; /* of the running or last call */
};

/* One request on its way. */
struct exchange {
    struct buf message;
    int64_t give_up;   /* ns */
    int64_t resend_at; /* ns */
    int64_t resend_ms;
    int64_t connecting; /* ns, since when */
    unsigned refusals;  /* NOT_LEADER so far */
    bool sent;
    bool put_off; /* by a broker that is busy: the connection is well */
    char *busy;   /* what it said; NULL: it never did */
};

struct status sinter_connect(const struct sinter_settings *settings,
                             struct sinter **ret_client)
{
    const struct dealer_safety safety = { .key = settings->key,
                                          .broker_key = settings->broker_key,
                                          .plaintext = settings->plaintext };
    struct sinter *s = xnew(struct sinter);
    struct status st;

    s->settings = *settings;
    if (s->settings.timeout_ms == 0)
        s->settings.timeout_ms = TIMEOUT_MS;
    /* Another client's late answer is never taken for ours. */
    s->request = (uint64_t)clock_now();
    /* The caller's. */
    s->settings.endpoint = s->settings.key = s->settings.broker_key = NULL;
    st = dealer_open_safely(settings->endpoint, &safety, &s->dealer);
    if (status_failed(&st)) {
        sinter_close(s);
        return status_wrap(st, "broker %s", settings->endpoint);
    }
    *ret_client = s;
    return SUCCESS;
}

void sinter_close(struct sinter *s)
{
    if (s == NULL)
        return;
    dealer_close(s->dealer);
    free(s);
}

static const char *endpoint(const struct sinter *s)
{
    return dealer_endpoint(s->dealer);
}

MUST_CHECK static struct status reopen(struct sinter *s, struct exchange *e)
{
    e->sent = false;
    e->connecting = clock_now();
    return dealer_reopen(s->dealer);
}

/* A message that was sent but never answered went to a broker that is gone or
 * to a connection that is dead without knowing it: make a new one. */
MUST_CHECK static struct status send_if_due(struct sinter *s,
                                            struct exchange *e)
{
    int64_t now = clock_now();
    struct status st;

    if (e->sent && now < e->resend_at)
        return SUCCESS;
    if (!e->put_off &&
        (e->sent || (dealer_endpoint_count(s->dealer) > 1 &&
                     now > e->connecting + NOBODY_MS * NS_PER_MS)))
        TRY_PLAIN(reopen(s, e));
    e->put_off = false;
    st = dealer_send(s->dealer, e->message.data, e->message.size);
    if (status_failed(&st))
        return st.code == STATUS_UNAVAILABLE ? SUCCESS : st;
    e->sent = true;
    e->resend_at = now + e->resend_ms * NS_PER_MS;
    e->resend_ms =
        e->resend_ms * 2 < RESEND_MOST_MS ? e->resend_ms * 2 : RESEND_MOST_MS;
    return SUCCESS;
}

/* The request a message answers; 0: none. */
static uint64_t request_of(const struct wire_message *m)
{
    switch (m->type) {
    case WIRE_ACCEPTED:
        return m->accepted.request;
    case WIRE_ANSWER:
        return m->answer.request;
    case WIRE_ERROR:
        return m->error.request;
    case WIRE_BUSY:
        return m->busy.request;
    default:
        return 0;
    }
}

static struct status refused(uint64_t code, struct wire_bytes message)
{
    enum status_code known = STATUS_FAILED;

    if (code > STATUS_SUCCESS && code < STATUS_COUNT)
        known = (enum status_code)code;
    return FAIL(known, "%.*s", (int)message.size, message.data);
}

/* To the broker that is said to lead, or the next one. Two that send us to
 * and fro are between two leaders: not so fast. */
MUST_CHECK static struct status move(struct sinter *s, struct exchange *e,
                                     const struct wire_not_leader *m)
{
    AUTO(free_pointer) char *from = xstrdup(endpoint(s));

    (void)dealer_redirect(s->dealer, m->address.data, m->address.size);
    if (e->refusals++ > 0)
        clock_sleep_ms(NO_LEADER_MS);
    TRY_PLAIN(reopen(s, e));
    if (s->settings.moved != NULL)
        s->settings.moved(s->settings.self, from, endpoint(s));
    return SUCCESS;
}

/* A time of our own choice, so that not all who wait come back at once. */
static int64_t jittered(int64_t ms)
{
    ms = ms < 1 ? 1 : ms;
    ms = ms > BUSY_MOST_MS ? BUSY_MOST_MS : ms;
    return ms + clock_now() / 1000 % (ms + 1);
}

/* The same request again, a little later; it changed nothing. */
static void put_off(struct sinter *s, struct exchange *e,
                    const struct wire_busy *m)
{
    int64_t now = clock_now();
    bool first = e->busy == NULL;

    free(e->busy);
    e->busy = wire_take(m->reason);
    e->put_off = true;
    e->resend_at = now + jittered(m->retry_after_ms) * NS_PER_MS;
    e->resend_ms = RESEND_MS;
    if (!first)
        return;
    if (s->settings.busy_ms > s->settings.timeout_ms)
        e->give_up +=
            (s->settings.busy_ms - s->settings.timeout_ms) * NS_PER_MS;
    if (s->settings.busy != NULL)
        s->settings.busy(s->settings.self, endpoint(s), e->busy);
}

/* The request or its answer may be lost with the connection: once more, to
 * the next broker if there is one. */
MUST_CHECK static struct status on_lost(struct sinter *s, struct exchange *e)
{
    if (!e->sent || e->put_off)
        return SUCCESS;
    e->sent = false;
    e->connecting = clock_now();
    return dealer_endpoint_count(s->dealer) > 1 ? reopen(s, e) : SUCCESS;
}

/* Wait a little; ret_done when `decoded` holds the answer of this request. */
MUST_CHECK static struct status receive(struct sinter *s, struct exchange *e,
                                        struct wire_decoded *decoded,
                                        bool *ret_done)
{
    const void *data = NULL;
    size_t size = 0;
    struct status st = SUCCESS;

    *ret_done = false;
    TRY_PLAIN(dealer_wait(s->dealer, e->sent ? IDLE_MS : CONNECT_MS, NULL, 0,
                          &data, &size));
    if (data == NULL)
        return dealer_was_lost(s->dealer) ? on_lost(s, e) : SUCCESS;
    TRY(wire_decode(data, size, decoded), "answer of broker %s", endpoint(s));
    if (request_of(&decoded->message) == s->request) {
        *ret_done = decoded->message.type != WIRE_BUSY;
        if (*ret_done)
            return SUCCESS;
        put_off(s, e, &decoded->message.busy);
    } else if (decoded->message.type == WIRE_NOT_LEADER) {
        st = move(s, e, &decoded->message.not_leader);
    }
    wire_release(decoded); /* or of a call that was given up */
    return st;
}

static struct status no_answer(const struct sinter *s, const struct exchange *e)
{
    double seconds = (double)s->settings.timeout_ms / 1000.0;
    const char *obstacle = dealer_obstacle(s->dealer, NULL);

    if (!e->sent && obstacle != NULL)
        return FAIL(STATUS_DENIED, "broker %s: %s", endpoint(s), obstacle);
    if (e->busy != NULL)
        return FAIL(STATUS_UNAVAILABLE,
                    "broker %s is busy: %.300s; nothing was changed, try again "
                    "later",
                    endpoint(s), e->busy);
    if (e->sent)
        return FAIL(STATUS_TIMED_OUT,
                    "broker %s did not answer within %.3g s; it may be busy: "
                    "try again, or with a longer --timeout",
                    endpoint(s), seconds);
    return FAIL(STATUS_UNAVAILABLE,
                "no broker answers at %s (tried for %.3g s); is "
                "sinter-broker running, and is this its --clients endpoint?",
                endpoint(s), seconds);
}

MUST_CHECK static struct status converse(struct sinter *s, struct exchange *e,
                                         struct wire_decoded *ret_decoded)
{
    bool final = false;
    bool done = false;

    e->give_up = clock_now() + s->settings.timeout_ms * NS_PER_MS;
    e->connecting = clock_now();
    e->resend_ms = RESEND_MS;
    while (!done) {
        if (s->settings.idle != NULL && s->settings.idle(s->settings.self))
            return FAIL(STATUS_CANCELLED,
                        "interrupted while waiting for "
                        "broker %s",
                        endpoint(s));
        (void)dealer_obstacle(s->dealer, &final);
        if (clock_now() > e->give_up || (final && !e->sent))
            return no_answer(s, e);
        TRY(send_if_due(s, e), "broker %s", endpoint(s));
        TRY_PLAIN(receive(s, e, ret_decoded, &done));
    }
    if (ret_decoded->message.type == WIRE_ERROR) {
        struct status st = refused(ret_decoded->message.error.code,
                                   ret_decoded->message.error.message);

        wire_release(ret_decoded);
        return st;
    }
    return SUCCESS;
}

/* Send `m` and wait; the answer must be of type `wanted`. */
MUST_CHECK static struct status call(struct sinter *s,
                                     const struct wire_message *m,
                                     enum wire_type wanted,
                                     struct wire_decoded *ret_decoded)
{
    struct exchange e = { .sent = false };
    struct status st;

    buf_init(&e.message, LIMIT_MESSAGE + WIRE_HEADER);
    st = wire_encode(m, &e.message);
    if (!status_failed(&st))
        st = converse(s, &e, ret_decoded);
    buf_release(&e.message);
    free(e.busy);
    if (status_failed(&st))
        return st;
    if (ret_decoded->message.type == wanted)
        return SUCCESS;
    wire_release(ret_decoded);
    return FAIL(STATUS_CORRUPT, "broker %s answered a %s with something else",
                endpoint(s), wire_name(m->type));
}

struct status sinter_submit(struct sinter *s, const void *compiled, size_t size,
                            const char *idempotency, char ret_sweep[SINTER_ID],
                            bool *ret_duplicate)
{
    struct wire_message m = { .type = WIRE_SUBMIT };
    struct wire_decoded d = { .lists = NULL };
    struct wire_accepted *a = &d.message.accepted;

    if (size > LIMIT_COMPILED)
        return FAIL(STATUS_TOO_BIG,
                    "the compiled sweep has %zu bytes, at most %d are taken",
                    size, (int)LIMIT_COMPILED);
    m.submit.request = ++s->request;
    m.submit.idempotency = wire_text(idempotency);
    m.submit.compiled.data = compiled;
    m.submit.compiled.size = size;
    m.submit.takes_busy = 1;
    TRY(call(s, &m, WIRE_ACCEPTED, &d), "submit");
    snprintf(ret_sweep, SINTER_ID, "%.*s", (int)a->sweep.size, a->sweep.data);
    *ret_duplicate = a->duplicate != 0;
    wire_release(&d);
    return SUCCESS;
}

MUST_CHECK static struct status take_answer(const struct wire_answer *a,
                                            const char *verb,
                                            json_t **ret_answer)
{
    if (a->code != STATUS_SUCCESS)
        return refused(a->code, a->message);
    if (a->body.size == 0) {
        *ret_answer = json_object();
        return SUCCESS;
    }
    TRY(json_parse(a->body.data, a->body.size, "answer of the broker",
                   ret_answer),
        "%s", verb);
    return SUCCESS;
}

struct status sinter_query(struct sinter *s, const char *verb,
                           const json_t *arguments, json_t **ret_answer)
{
    struct wire_message m = { .type = WIRE_QUERY };
    AUTO(free_pointer) char *text = NULL;
    struct wire_decoded d = { .lists = NULL };
    struct status st;

    text = arguments == NULL ? xstrdup("{}") : json_canonical(arguments);
    m.query.request = ++s->request;
    m.query.verb = wire_text(verb);
    m.query.arguments = wire_text(text);
    m.query.takes_busy = 1;
    TRY_PLAIN(call(s, &m, WIRE_ANSWER, &d));
    st = take_answer(&d.message.answer, verb, ret_answer);
    wire_release(&d);
    return st;
}
