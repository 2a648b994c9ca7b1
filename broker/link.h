/* link.h -- port: the broker's two sockets, one for workers, one for clients.
 *
 * One thread owns it. A peer is one connection; its number is never used for
 * another. Nothing is "sent" until it is answered at the level above. */
#ifndef SINTER_BROKER_LINK_H
#define SINTER_BROKER_LINK_H

#include "broker/core/outbox.h"
#include "common/curve.h"
#include "common/status.h"

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

struct link_message {
    struct peer from;
    enum curve_role role; /* that of its key; without keys all is allowed */
    const void *data;     /* until the next call */
    size_t size;
};

struct link {
    void *self;

    /* Until a message may be there, one of `others` is ready (revents is
     * set), a signal came or `timeout_ms` has passed (-1: for ever). */
    MUST_CHECK struct status (*wait)(void *self, int64_t timeout_ms,
                                     struct pollfd *others, size_t other_count);
    /* The next message if one is there; never waits. */
    MUST_CHECK struct status (*receive)(void *self, struct link_message *ret,
                                        bool *ret_got);
    /* NOT_FOUND: the connection is gone. UNAVAILABLE: too much is queued for
     * this peer already; the message is dropped. Never waits. */
    MUST_CHECK struct status (*send)(void *self, struct peer to,
                                     const void *data, size_t size);
    /* What a socket is really bound to ("tcp://127.0.0.1:7420" where the
     * port was left open). */
    const char *(*endpoint)(void *self, enum peer_side side);
    /* From now on these are let in, and no message of others is received any
     * more, though they be connected. Takes the ring. */
    void (*allow)(void *self, struct curve_ring *ring);
    void (*close)(void *self);
};

struct link_settings {
    const char *endpoints[PEER_SIDES];
    size_t most_queued; /* messages for one peer; of one, 256 at most */
    /* NULL: plaintext, and whoever connects is let in. Copied. */
    const struct curve_key *key;
    struct curve_ring *ring; /* with a key; taken, also by a failure */
};

MUST_CHECK struct status link_zmq_open(const struct link_settings *settings,
                                       struct link *ret_link);

#endif
