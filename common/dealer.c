#include "common/dealer.h"

#include "common/clock.h"
#include "common/curve.h"
#include "common/endpoint.h"
#include "common/limits.h"
#include "common/memory.h"
#include "common/roster.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

enum { OURS = 2 }; /* descriptors: the socket's and the monitor's */

struct dealer {
    struct roster roster;
    const char *endpoint; /* that of the roster now */
    void *context; /* of its own: closing waits for nobody else's messages */
    void *socket;
    void *monitor;        /* tells of connections; NULL: none */
    int monitor_fd;       /* -1: none */
    unsigned opened;      /* sockets so far: monitors have names */
    bool lost;            /* the connection, and that was not told yet */
    const char *obstacle; /* of the last handshake; NULL: none */
    bool refused;         /* that was a verdict about the key */
    bool safe;            /* the keys are set */
    struct curve_key own;
    uint8_t broker[CURVE_BYTES];
    zmq_msg_t message; /* the last one received */
    int fd;            /* readable when the socket's state may have changed */
    struct pollfd *items;
    size_t room; /* of items */
};

/* Failure detection is ours, above; these notice what TCP alone would keep
 * for half an hour, and bound what a stranger may send. */
static const struct {
    int option;
    int value;
} settings[] = {
    { ZMQ_IMMEDIATE, 1 },
    { ZMQ_LINGER, 1000 },
    { ZMQ_RECONNECT_IVL, 100 },
    { ZMQ_RECONNECT_IVL_MAX, 5000 },
    /* No pings: who waits for a broker sees for itself that it is silent, and
     * thousands of them cost the broker dearly (broker/link_zmq.c). */
    { ZMQ_TCP_MAXRT, 30000 },
    { ZMQ_HANDSHAKE_IVL, 5000 },
    { ZMQ_TCP_KEEPALIVE, 1 },
    { ZMQ_TCP_KEEPALIVE_IDLE, 60 },
    { ZMQ_TCP_KEEPALIVE_INTVL, 10 },
    { ZMQ_TCP_KEEPALIVE_CNT, 6 },
};

MUST_CHECK static struct status zmq_failure(const char *verb,
                                            const struct dealer *d)
{
    bool is_wrong =
        errno == EINVAL || errno == EPROTONOSUPPORT || errno == ENAMETOOLONG;

    return FAIL(is_wrong ? STATUS_INVALID : STATUS_UNAVAILABLE, "%s %s: %s",
                verb, d->endpoint, zmq_strerror(errno));
}

MUST_CHECK static struct status set_keys(struct dealer *d)
{
    if (!d->safe)
        return SUCCESS;
    if (zmq_setsockopt(d->socket, ZMQ_CURVE_PUBLICKEY, d->own.open,
                       CURVE_BYTES) != 0 ||
        zmq_setsockopt(d->socket, ZMQ_CURVE_SECRETKEY, d->own.secret,
                       CURVE_BYTES) != 0 ||
        zmq_setsockopt(d->socket, ZMQ_CURVE_SERVERKEY, d->broker,
                       CURVE_BYTES) != 0)
        return zmq_failure("set the keys for", d);
    return SUCCESS;
}

/* The events end before their listener does: without one, libzmq's thread
 * that has to tell it something waits for ever, and connects no more. */
static void stop_watching(struct dealer *d)
{
    if (d->socket != NULL)
        (void)zmq_socket_monitor(d->socket, NULL, 0);
    if (d->monitor != NULL)
        (void)zmq_close(d->monitor);
    d->monitor = NULL;
    d->monitor_fd = -1;
}

/* To explain, and to be quick; without it everything works as well. */
static void watch_connection(struct dealer *d)
{
    enum {
        EVENTS = ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                 ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                 ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                 ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED |
                 ZMQ_EVENT_CONNECT_RETRIED
    };
    static const int none = 0;
    size_t size = sizeof d->monitor_fd;
    char name[64];

    d->monitor_fd = -1;
    (void)snprintf(name, sizeof name, "inproc://connection-%u", d->opened++);
    if (zmq_socket_monitor(d->socket, name, EVENTS) != 0)
        return;
    d->monitor = zmq_socket(d->context, ZMQ_PAIR);
    if (d->monitor != NULL &&
        zmq_setsockopt(d->monitor, ZMQ_LINGER, &none, sizeof none) == 0 &&
        zmq_setsockopt(d->monitor, ZMQ_RCVHWM, &none, sizeof none) == 0 &&
        zmq_connect(d->monitor, name) == 0 &&
        zmq_getsockopt(d->monitor, ZMQ_FD, &d->monitor_fd, &size) == 0)
        return;
    stop_watching(d);
}

/* What an event means to people; NULL: all is well. */
static const char *explain(uint16_t event, bool safe)
{
    switch (event) {
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        return "the broker does not let this key in; is its .pub among those "
               "of --allow, and for this role?";
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        return safe ? "the broker there has no keys, or another than the one "
                      "of --broker-key"
                    : "the broker there wants keys (--key and --broker-key)";
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        return safe ? "the broker there hung up; is --broker-key its key?"
                    : "the broker there hung up; does it want keys (--key and "
                      "--broker-key)?";
    default:
        return NULL;
    }
}

static void note_event(struct dealer *d, uint16_t event)
{
    if (event == ZMQ_EVENT_DISCONNECTED || event == ZMQ_EVENT_CONNECT_RETRIED) {
        d->lost = true;
        return;
    }
    d->obstacle = explain(event, d->safe);
    d->refused = event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
}

static void look_at_monitor(struct dealer *d)
{
    char frame[512];
    uint16_t event;
    int got;

    /* Two frames: the event with its value, and the address. */
    while (d->monitor != NULL &&
           (got = zmq_recv(d->monitor, frame, sizeof frame, ZMQ_DONTWAIT)) >=
               0) {
        if (got < (int)sizeof event)
            continue;
        memcpy(&event, frame, sizeof event);
        note_event(d, event);
        (void)zmq_recv(d->monitor, frame, sizeof frame, ZMQ_DONTWAIT);
    }
}

bool dealer_was_lost(struct dealer *d)
{
    bool lost;

    look_at_monitor(d);
    lost = d->lost;
    d->lost = false;
    return lost;
}

const char *dealer_obstacle(struct dealer *d, bool *ret_final)
{
    look_at_monitor(d);
    if (ret_final != NULL)
        *ret_final = d->refused;
    return d->obstacle;
}

MUST_CHECK static struct status open_socket(struct dealer *d)
{
    const int64_t largest = LIMIT_MESSAGE;
    size_t size = sizeof d->fd;

    d->socket = zmq_socket(d->context, ZMQ_DEALER);
    if (d->socket == NULL)
        return zmq_failure("make a socket for", d);
    TRY_PLAIN(set_keys(d));
    watch_connection(d);
    for (size_t i = 0; i < COUNT_OF(settings); i++)
        if (zmq_setsockopt(d->socket, settings[i].option, &settings[i].value,
                           sizeof settings[i].value) != 0)
            return zmq_failure("set up the socket for", d);
    if (zmq_setsockopt(d->socket, ZMQ_MAXMSGSIZE, &largest, sizeof largest) !=
        0)
        return zmq_failure("set up the socket for", d);
    if (zmq_getsockopt(d->socket, ZMQ_FD, &d->fd, &size) != 0)
        return zmq_failure("poll the socket for", d);
    if (zmq_connect(d->socket, d->endpoint) != 0)
        return zmq_failure("connect to", d);
    return SUCCESS;
}

static void close_socket(struct dealer *d)
{
    stop_watching(d);
    if (d->socket != NULL)
        (void)zmq_close(d->socket);
    d->socket = NULL;
}

static struct dealer *new_dealer(const char *endpoints)
{
    struct dealer *d = xnew(struct dealer);

    roster_init(&d->roster, endpoints);
    d->endpoint = roster_current(&d->roster);
    (void)zmq_msg_init(&d->message);
    d->monitor_fd = -1;
    return d;
}

/* Takes `d`. */
MUST_CHECK static struct status start(struct dealer *d,
                                      struct dealer **ret_dealer)
{
    struct status st;

    d->context = zmq_ctx_new();
    st = d->context != NULL ? open_socket(d)
                            : zmq_failure("start ZeroMQ for", d);
    if (status_failed(&st)) {
        dealer_close(d);
        return st;
    }
    *ret_dealer = d;
    return SUCCESS;
}

struct status dealer_open(const char *endpoint, struct dealer **ret_dealer)
{
    return start(new_dealer(endpoint), ret_dealer);
}

MUST_CHECK static struct status load_keys(struct dealer *d,
                                          const struct dealer_safety *safety)
{
    struct curve_key broker;

    if (safety->key == NULL && safety->broker_key == NULL)
        return SUCCESS;
    if (safety->key == NULL || safety->broker_key == NULL)
        return FAIL(STATUS_INVALID,
                    "--key and --broker-key go together: one's own secret key, "
                    "and the broker's public one");
    TRY(curve_load_public(safety->broker_key, &broker), "--broker-key");
    if (broker.role != CURVE_BROKER)
        return FAIL(STATUS_INVALID, "--broker-key %s is the key of a %s",
                    safety->broker_key, curve_role_name(broker.role));
    TRY(curve_load_secret(safety->key, &d->own), "--key");
    memcpy(d->broker, broker.open, CURVE_BYTES);
    d->safe = true;
    return SUCCESS;
}

MUST_CHECK static struct status check_safety(const struct dealer *d,
                                             const struct dealer_safety *safety)
{
    if (d->safe || safety->plaintext)
        return SUCCESS;
    for (size_t i = 0; i < d->roster.count; i++)
        if (!endpoint_is_private(d->roster.items[i]))
            return FAIL(
                STATUS_DENIED,
                "%s is reached over a network where others could listen and "
                "answer: give --key and --broker-key (`sinter keygen` makes "
                "them), or --plaintext if that network is yours alone",
                d->roster.items[i]);
    return SUCCESS;
}

struct status dealer_open_safely(const char *endpoint,
                                 const struct dealer_safety *safety,
                                 struct dealer **ret_dealer)
{
    struct dealer *d = new_dealer(endpoint);
    struct status st = load_keys(d, safety);

    if (!status_failed(&st))
        st = check_safety(d, safety);
    if (status_failed(&st)) {
        dealer_close(d);
        return st;
    }
    return start(d, ret_dealer);
}

void dealer_close(struct dealer *d)
{
    if (d == NULL)
        return;
    (void)zmq_msg_close(&d->message);
    close_socket(d);
    if (d->context != NULL)
        while (zmq_ctx_term(d->context) != 0 && errno == EINTR)
            ;
    curve_forget(&d->own);
    free(d->items);
    roster_release(&d->roster);
    free(d);
}

struct status dealer_reopen(struct dealer *d)
{
    const int none = 0;

    /* What waits for a silent peer would reach its successor too late. */
    if (d->socket != NULL)
        (void)zmq_setsockopt(d->socket, ZMQ_LINGER, &none, sizeof none);
    close_socket(d);
    d->refused = d->lost = false;
    roster_next(&d->roster);
    d->endpoint = roster_current(&d->roster);
    return open_socket(d);
}

bool dealer_redirect(struct dealer *d, const char *endpoint, size_t size)
{
    return roster_told(&d->roster, endpoint, size, d->safe);
}

const char *dealer_endpoint(const struct dealer *d)
{
    return d->endpoint;
}

size_t dealer_endpoint_count(const struct dealer *d)
{
    return d->roster.count;
}

struct status dealer_send(struct dealer *d, const void *data, size_t size)
{
    int sent;

    if (d->socket == NULL)
        return FAIL(STATUS_UNAVAILABLE, "send to %s: not connected",
                    d->endpoint);
    do
        sent = zmq_send(d->socket, data, size, ZMQ_DONTWAIT);
    while (sent < 0 && errno == EINTR);
    if (sent < 0 && errno == EAGAIN)
        return FAIL(STATUS_UNAVAILABLE,
                    "send to %s: nobody there, or it takes no more",
                    d->endpoint);
    return sent < 0 ? zmq_failure("send to", d) : SUCCESS;
}

/* Takes a message if one is there. Further parts of one are not ours and are
 * dropped. */
MUST_CHECK static struct status receive(struct dealer *d, const void **ret_data,
                                        size_t *ret_size)
{
    int got = zmq_msg_recv(&d->message, d->socket, ZMQ_DONTWAIT);
    zmq_msg_t rest;

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return SUCCESS;
    if (got < 0)
        return zmq_failure("receive from", d);
    *ret_data = zmq_msg_data(&d->message);
    *ret_size = zmq_msg_size(&d->message);
    if (!zmq_msg_more(&d->message))
        return SUCCESS;
    (void)zmq_msg_init(&rest);
    while (zmq_msg_recv(&rest, d->socket, ZMQ_DONTWAIT) >= 0 &&
           zmq_msg_more(&rest))
        ;
    (void)zmq_msg_close(&rest);
    return SUCCESS;
}

static void fill_items(struct dealer *d, const struct pollfd *others,
                       size_t count)
{
    if (d->room < OURS + count) {
        d->room = OURS + count;
        d->items = xrealloc(d->items, d->room * sizeof *d->items);
    }
    d->items[0] = (struct pollfd){ .fd = d->fd, .events = POLLIN };
    d->items[1] = (struct pollfd){ .fd = d->monitor_fd, .events = POLLIN };
    for (size_t i = 0; i < count; i++)
        d->items[OURS + i] =
            (struct pollfd){ .fd = others[i].fd, .events = others[i].events };
}

/* Is it news that the connection is lost? */
static bool hear_of_loss(struct dealer *d)
{
    bool before = d->lost;

    look_at_monitor(d);
    return d->lost && !before;
}

/* Wait for the socket's descriptor and the others. False: time is over, a
 * signal came, one of the others is ready or the connection is lost. */
static bool poll_all(struct dealer *d, int64_t timeout_ms,
                     struct pollfd *others, size_t count)
{
    int wait = timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;
    int ours = 0;
    int ready;

    fill_items(d, others, count);
    ready = poll(d->items, (nfds_t)(OURS + count), wait);
    for (size_t i = 0; i < count; i++)
        others[i].revents = d->items[OURS + i].revents;
    for (size_t i = 0; i < OURS; i++)
        ours += ready > 0 && d->items[i].revents != 0;
    if (ready > 0 && d->items[1].revents != 0 && hear_of_loss(d))
        return false;
    return ready > 0 && ours == ready;
}

int dealer_descriptor(const struct dealer *d)
{
    return d->fd;
}

/* The descriptor tells of changes, not of messages: receive() before each
 * wait takes note of all that was told, so nothing can be slept over. */
struct status dealer_wait(struct dealer *d, int64_t timeout_ms,
                          struct pollfd *others, size_t other_count,
                          const void **ret_data, size_t *ret_size)
{
    const int64_t start = clock_now();
    bool again = true;

    *ret_data = NULL;
    *ret_size = 0;
    if (d->socket == NULL)
        return FAIL(STATUS_UNAVAILABLE, "wait for %s: not connected",
                    d->endpoint);
    TRY_PLAIN(receive(d, ret_data, ret_size));
    if (*ret_data != NULL)
        timeout_ms = 0;
    while (again) {
        int64_t left = timeout_ms - (clock_now() - start) / NS_PER_MS;

        again = poll_all(d,
                         timeout_ms < 0 ? -1
                         : left > 0     ? left
                                        : 0,
                         others, other_count);
        if (*ret_data != NULL)
            return SUCCESS;
        TRY_PLAIN(receive(d, ret_data, ret_size));
        again =
            again && *ret_data == NULL &&
            (timeout_ms < 0 || clock_now() - start < timeout_ms * NS_PER_MS);
    }
    return SUCCESS;
}
