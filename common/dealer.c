#include "common/dealer.h"

#include "common/clock.h"
#include "common/limits.h"
#include "common/memory.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

struct dealer {
    char *endpoint;
    void *context; /* of its own: closing waits for nobody else's messages */
    void *socket;
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
    { ZMQ_HEARTBEAT_IVL, 5000 },
    { ZMQ_HEARTBEAT_TIMEOUT, 15000 },
    { ZMQ_HEARTBEAT_TTL, 15000 },
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

MUST_CHECK static struct status open_socket(struct dealer *d)
{
    const int64_t largest = LIMIT_MESSAGE;
    size_t size = sizeof d->fd;

    d->socket = zmq_socket(d->context, ZMQ_DEALER);
    if (d->socket == NULL)
        return zmq_failure("make a socket for", d);
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
    if (d->socket != NULL)
        (void)zmq_close(d->socket);
    d->socket = NULL;
}

struct status dealer_open(const char *endpoint, struct dealer **ret_dealer)
{
    struct dealer *d = xnew(struct dealer);
    struct status st;

    d->endpoint = xstrdup(endpoint);
    (void)zmq_msg_init(&d->message);
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

void dealer_close(struct dealer *d)
{
    if (d == NULL)
        return;
    (void)zmq_msg_close(&d->message);
    close_socket(d);
    if (d->context != NULL)
        while (zmq_ctx_term(d->context) != 0 && errno == EINTR)
            ;
    free(d->items);
    free(d->endpoint);
    free(d);
}

struct status dealer_reopen(struct dealer *d)
{
    const int none = 0;

    /* What waits for a silent peer would reach its successor too late. */
    if (d->socket != NULL)
        (void)zmq_setsockopt(d->socket, ZMQ_LINGER, &none, sizeof none);
    close_socket(d);
    return open_socket(d);
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
    if (d->room < count + 1) {
        d->room = count + 1;
        d->items = xrealloc(d->items, d->room * sizeof *d->items);
    }
    d->items[0] = (struct pollfd){ .fd = d->fd, .events = POLLIN };
    for (size_t i = 0; i < count; i++)
        d->items[i + 1] =
            (struct pollfd){ .fd = others[i].fd, .events = others[i].events };
}

/* Wait for the socket's descriptor and the others. False: time is over, a
 * signal came or one of the others is ready. */
static bool poll_all(struct dealer *d, int64_t timeout_ms,
                     struct pollfd *others, size_t count)
{
    int wait = timeout_ms > INT_MAX ? INT_MAX : (int)timeout_ms;
    int ready;

    fill_items(d, others, count);
    ready = poll(d->items, (nfds_t)(count + 1), wait);
    for (size_t i = 0; i < count; i++)
        others[i].revents = d->items[i + 1].revents;
    return ready == 1 && d->items[0].revents != 0;
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
