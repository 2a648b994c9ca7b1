#include "broker/gate.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

#include "broker/zap.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"

enum {
    ADDRESS_SHOWN = 64,
    KEY_SHOWN = 12,
    QUIET_MS = 1000, /* between two lines of the log */
};

struct gate {
    void *socket;
    zmq_msg_t frames[ZAP_FRAMES_MOST];
    int64_t told_at; /* ns */
    uint64_t untold; /* refusals since */
};

struct status gate_open(void *context, struct gate **ret_gate)
{
    static const int no_linger = 0;
    struct gate *g = xnew(struct gate);

    for (size_t i = 0; i < ZAP_FRAMES_MOST; i++)
        (void)zmq_msg_init(&g->frames[i]);
    g->told_at = INT64_MIN / 2;
    g->socket = zmq_socket(context, ZMQ_REP);
    if (g->socket == NULL ||
        zmq_setsockopt(g->socket, ZMQ_LINGER, &no_linger, sizeof no_linger) !=
            0 ||
        zmq_bind(g->socket, "inproc://zeromq.zap.01") != 0) {
        gate_free(g);
        return FAIL(STATUS_FAILED, "no gate for connections: %s",
                    zmq_strerror(zmq_errno()));
    }
    *ret_gate = g;
    return SUCCESS;
}

void gate_free(struct gate *g)
{
    if (g == NULL)
        return;
    for (size_t i = 0; i < ZAP_FRAMES_MOST; i++)
        (void)zmq_msg_close(&g->frames[i]);
    if (g->socket != NULL)
        (void)zmq_close(g->socket);
    free(g);
}

void *gate_socket(struct gate *g)
{
    return g->socket;
}

/* All frames of the next request, those beyond ZAP_FRAMES_MOST counted only.
 * 0: there is none. */
static size_t receive(struct gate *g, struct zap_frame *frames)
{
    size_t count = 0;
    bool more = true;

    while (more) {
        zmq_msg_t *m =
            &g->frames[count < ZAP_FRAMES_MOST ? count
                                               : (size_t)ZAP_FRAMES_MOST - 1];

        if (zmq_msg_recv(m, g->socket, ZMQ_DONTWAIT) < 0)
            return 0;
        more = zmq_msg_more(m) != 0;
        count++;
    }
    for (size_t i = 0; i < count && i < ZAP_FRAMES_MOST; i++)
        frames[i] = (struct zap_frame){ zmq_msg_data(&g->frames[i]),
                                        zmq_msg_size(&g->frames[i]) };
    return count;
}

/* Version, id, code, text, user, properties. That it cannot be sent means
 * that nobody waits any more. */
static void reply(struct gate *g, const struct zap_request *q,
                  const struct curve_key *key)
{
    const struct zap_frame parts[] = {
        { "1.0", 3 },
        q->id,
        { key != NULL ? "200" : "400", 3 },
        { key != NULL ? "OK" : "NO", 2 },
    };
    char user[ZAP_USER] = "";

    if (key != NULL)
        zap_user(key->open, user);
    for (size_t i = 0; i < COUNT_OF(parts); i++)
        (void)zmq_send(g->socket, parts[i].data, parts[i].size,
                       ZMQ_DONTWAIT | ZMQ_SNDMORE);
    (void)zmq_send(g->socket, user, strlen(user), ZMQ_DONTWAIT | ZMQ_SNDMORE);
    (void)zmq_send(g->socket, NULL, 0, ZMQ_DONTWAIT);
}

static void tell(struct gate *g, const struct zap_request *q, const char *why)
{
    char address[ADDRESS_SHOWN + 1] = "";
    char key[ZAP_USER];
    size_t size =
        q->address.size < ADDRESS_SHOWN ? q->address.size : ADDRESS_SHOWN;
    int64_t now = clock_now();

    g->untold++;
    if (now - g->told_at < QUIET_MS * NS_PER_MS)
        return;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = ((const unsigned char *)q->address.data)[i];

        address[i] = isalnum(c) || strchr(".:[]%", c) != NULL ? (char)c : '?';
    }
    zap_user(q->key, key);
    log_event(LOG_WARN, "connection refused",
              "from=%s key=%.*s why=\"%s\" since_told=%" PRIu64, address,
              (int)KEY_SHOWN, key, why, g->untold);
    g->told_at = now;
    g->untold = 0;
}

void gate_answer(struct gate *g, const struct curve_ring *ring)
{
    struct zap_frame frames[ZAP_FRAMES_MOST];
    size_t count;

    while ((count = receive(g, frames)) > 0) {
        const struct curve_key *key = NULL;
        struct zap_request q;
        struct status st = zap_decode(frames, count, &q);

        if (!status_failed(&st))
            key = zap_judge(ring, &q);
        reply(g, &q, key);
        if (key == NULL)
            tell(g, &q,
                 status_failed(&st) ? st.message
                                    : "this key is not allowed here");
    }
}
