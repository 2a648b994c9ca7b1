/* peers.h -- a client and a worker that speak to a real broker, for tests:
 * the worker runs no job, it answers with a number made of the key. */
#ifndef SINTER_TESTS_SUPPORT_PEERS_H
#define SINTER_TESTS_SUPPORT_PEERS_H

#include "common/dealer.h"
#include "common/json.h"
#include "common/wire.h"

enum { PEER_HELD = 4096 };

struct peer_worker {
    struct dealer *dealer;
    const char *name;
    uint64_t incarnation, slots, beats;
    struct wire_token held[PEER_HELD]; /* not committed yet */
    size_t held_count;
    size_t assigned, committed, stale, dropped; /* so far */
    uint64_t epoch;                             /* of the last WELCOME */
    bool idle; /* takes jobs and does not finish them */
};

void peer_worker_open(struct peer_worker *w, const char *endpoint,
                      const char *name, uint64_t slots);
void peer_worker_close(struct peer_worker *w);
void peer_worker_hello(struct peer_worker *w);
void peer_worker_heartbeat(struct peer_worker *w);
/* Take one message if it comes within `ms`, and do what it asks. False:
 * nothing came. */
bool peer_worker_step(struct peer_worker *w, int64_t ms);
/* Finish all that it holds. */
void peer_worker_finish(struct peer_worker *w);

/* A grid of `x` from 1 to `points`, each evaluated without work; the
 * caller's to free. */
char *peer_document(const char *name, int points);

/* Success: the body is the caller's to decref. */
MUST_CHECK struct status peer_ask(struct dealer *client, const char *verb,
                                  const char *arguments, json_t **ret_body);
MUST_CHECK struct status peer_submit(struct dealer *client,
                                     const char *document, char id[24]);
/* Sent as it is; the next message as an ERROR, or TIMED_OUT. */
MUST_CHECK struct status peer_provoke(struct dealer *d, const void *data,
                                      size_t size);

#endif
