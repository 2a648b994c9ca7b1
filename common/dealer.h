/* dealer.h -- one ZeroMQ DEALER connection, for workers and clients.
 *
 * One thread owns it. Nothing is "sent" until it is answered at the level
 * above: a send that cannot be queued at once is UNAVAILABLE. */
#ifndef SINTER_COMMON_DEALER_H
#define SINTER_COMMON_DEALER_H

#include "common/status.h"

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dealer; /* opaque */

/* `endpoint` may be several with commas between: brokers of one farm, of which
 * one leads; the first is tried first.
 * Start to connect; does not wait. IMMEDIATE is set: nothing is queued for a
 * peer that is not there. Reconnects by itself, 0.1 s growing to 5 s. */
MUST_CHECK struct status dealer_open(const char *endpoint,
                                     struct dealer **ret_dealer);

/* How each side knows the other: files of keys (curve.h), both or none. */
struct dealer_safety {
    const char *key;        /* our secret; NULL: none */
    const char *broker_key; /* the broker's public one; NULL: none */
    bool plaintext;         /* do without, though others could listen */
};

/* dealer_open() with CURVE. Without keys only where nobody else can listen
 * (endpoint_is_private()), unless told otherwise: else DENIED. */
MUST_CHECK struct status dealer_open_safely(const char *endpoint,
                                            const struct dealer_safety *safety,
                                            struct dealer **ret_dealer);
/* Why the last handshake came to nothing, for people; NULL: nothing is known
 * to be wrong. `ret_final` (may be NULL): the key was refused, and only
 * dealer_reopen() tries again. */
const char *dealer_obstacle(struct dealer *d, bool *ret_final);
void dealer_close(struct dealer *d); /* NULL is fine; lingers 1 s */
/* Drop the connection and make a new one (a broker that went silent), to the
 * next of its endpoints or where dealer_redirect() says. */
MUST_CHECK struct status dealer_reopen(struct dealer *d);
/* The next dealer_reopen() goes there. Only to one of the endpoints, unless
 * who says so has proved by its key that it is the broker. False: not there. */
bool dealer_redirect(struct dealer *d, const char *endpoint, size_t size);
/* Has the connection ended, or is nobody there to connect to? Told once each
 * time, and dealer_wait() ends for it. What the peer had said last may be lost
 * with it: libzmq drops what was not read by then. */
bool dealer_was_lost(struct dealer *d);
/* Where it connects to now, until the next dealer_reopen(); how many there
 * are. */
const char *dealer_endpoint(const struct dealer *d);
size_t dealer_endpoint_count(const struct dealer *d);

MUST_CHECK struct status dealer_send(struct dealer *d, const void *data,
                                     size_t size);

/* For whoever waits elsewhere: readable when there may be something, told once.
 * After that, and after each send, dealer_wait() until it has nothing. */
int dealer_descriptor(const struct dealer *d);

/* Wait up to `timeout_ms` (-1: for ever) for a message or for any of the
 * plain descriptors in `others`, whose revents are set. A message, if one
 * came, is in ret_data (valid until the next call) with its size, else NULL
 * and 0. An interrupting signal ends the wait as if time had passed, and so
 * does the loss of the connection (dealer_was_lost()). */
MUST_CHECK struct status dealer_wait(struct dealer *d, int64_t timeout_ms,
                                     struct pollfd *others, size_t other_count,
                                     const void **ret_data, size_t *ret_size);

#endif
