/* sinter.h -- the C API of a farm: submit a sweep, ask, command.
 *
 * Calls block until the broker answered or the time is up; one thread owns a
 * connection. Every request may be sent again after a reconnect: a submit
 * with the same idempotency text is the same sweep, and commands say what
 * shall be, not what to change. */
#ifndef SINTER_CLIENT_SINTER_H
#define SINTER_CLIENT_SINTER_H

#include "common/json.h"
#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

struct sinter; /* opaque */

enum { SINTER_ID = 65 }; /* a sweep's id with its NUL */

struct sinter_settings {
    const char *endpoint; /* "tcp://host:7421", "ipc:///path"; several with
                             commas between: brokers, of which one leads */
    int64_t timeout_ms;   /* of each call; 0: 10,000 */
    int64_t busy_ms;      /* of a call that would change something, while the
                             broker says that it is busy; less than
                             timeout_ms: that */
    /* CURVE: files that `sinter keygen` made, both or none. Without them only
     * endpoints of this machine are spoken to, unless `plaintext` is set. */
    const char *key;        /* secret, of a client or an admin */
    const char *broker_key; /* public */
    bool plaintext;
    /* Called at least every 100 ms while a call waits; true ends the call
     * with CANCELLED. May be NULL. */
    bool (*idle)(void *self);
    /* A broker said that it does not lead, and another is asked. May be
     * NULL. */
    void (*moved)(void *self, const char *from, const char *to);
    /* A broker says that it is busy, and why: a call goes on trying. Once in a
     * call. May be NULL. */
    void (*busy)(void *self, const char *endpoint, const char *reason);
    void *self; /* of all */
};

/* Does not wait for the broker. */
MUST_CHECK struct status sinter_connect(const struct sinter_settings *settings,
                                        struct sinter **ret_client);
void sinter_close(struct sinter *s); /* NULL is fine */

/* `compiled` is the JSON document of sweep/compiled.h. Durable when it
 * returns. UNAVAILABLE and TIMED_OUT: nothing is known, submit again; a broker
 * that was busy all the time says so. */
MUST_CHECK struct status sinter_submit(struct sinter *s, const void *compiled,
                                       size_t size, const char *idempotency,
                                       char ret_sweep[SINTER_ID],
                                       bool *ret_duplicate);

/* One question or command; `arguments` may be NULL for none. The caller
 * decrefs the answer. NOT_FOUND: no such sweep, trial or verb. */
MUST_CHECK struct status sinter_query(struct sinter *s, const char *verb,
                                      const json_t *arguments,
                                      json_t **ret_answer);

#endif
