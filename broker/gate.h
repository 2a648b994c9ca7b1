/* gate.h -- the ZeroMQ end of ZAP: libzmq asks here, for each CURVE handshake
 * of the same context, whether the key may connect. Belongs to the thread of
 * the link; whoever asks is answered while that waits for messages. */
#ifndef SINTER_BROKER_GATE_H
#define SINTER_BROKER_GATE_H

#include "common/curve.h"
#include "common/status.h"

struct gate; /* opaque */

/* `context` is a ZeroMQ context, without sockets that use keys so far. */
MUST_CHECK struct status gate_open(void *context, struct gate **ret_gate);
void gate_free(struct gate *g); /* NULL is fine */
/* To be polled for input. */
void *gate_socket(struct gate *g);
/* Answer all that have asked. Refusals are logged, at most one a second. */
void gate_answer(struct gate *g, const struct curve_ring *ring);

#endif
