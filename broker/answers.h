/* answers.h -- answers to questions of HTTP, in the order they were asked,
 * which wait until the records that they rest on are durable. */
#ifndef SINTER_BROKER_ANSWERS_H
#define SINTER_BROKER_ANSWERS_H

#include "broker/hatch.h"

#include <stddef.h>

struct answer {
    struct hatch_question *question;
    struct status status;
    char *body;
    uint64_t rests_on; /* all records up to this one */
};

struct answers {
    struct answer *items;
    size_t count, room;
};

/* Takes `body` (NULL on failure). */
void answers_add(struct answers *a, struct hatch_question *question,
                 const struct status *st, char *body, uint64_t rests_on);
/* Give those that rest on records up to `durable`; UINT64_MAX: all. */
void answers_give(struct answers *a, struct hatch *h, uint64_t durable);
/* Of none that were not given. */
void answers_release(struct answers *a);

#endif
