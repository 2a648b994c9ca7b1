/* hatch.h -- where HTTP threads ask the loop thread, which alone may look at
 * the scheduler. A bounded queue under a mutex, an eventfd to wake the loop,
 * and a condition to wait for the answer. */
#ifndef SINTER_BROKER_HATCH_H
#define SINTER_BROKER_HATCH_H

#include "common/status.h"

#include <stdint.h>

struct hatch; /* opaque */

MUST_CHECK struct status hatch_new(struct hatch **ret_hatch);
void hatch_free(struct hatch *h); /* NULL is fine; nobody may be asking */

/* Any thread. `arguments` is JSON text. The body is the caller's to free.
 * UNAVAILABLE: too many ask; TIMED_OUT: the loop gave no answer in
 * time. */
MUST_CHECK struct status hatch_ask(struct hatch *h, const char *verb,
                                   const char *arguments, char **ret_body);
/* Milliseconds since the loop last said that it lives. */
int64_t hatch_silence_ms(const struct hatch *h);
bool hatch_is_ready(const struct hatch *h);
/* False: this broker leads. True: it waits for another, whose HTTP address
 * is in `address` if it is known, else "". */
enum { HATCH_ADDRESS = 256 };
bool hatch_is_standby(struct hatch *h, char address[HATCH_ADDRESS]);

/* The loop thread. The descriptor is readable while questions wait. */
int hatch_descriptor(const struct hatch *h);
void hatch_beat(struct hatch *h);
void hatch_set_ready(struct hatch *h);
void hatch_set_standby(struct hatch *h, bool standby, const char *address);

struct hatch_question {
    const char *verb, *arguments; /* until the reply */
};

/* NULL: none waits. */
struct hatch_question *hatch_next(struct hatch *h);
/* Takes `body` (NULL on failure); ends the question. */
void hatch_reply(struct hatch *h, struct hatch_question *question,
                 const struct status *st, char *body);

#endif
