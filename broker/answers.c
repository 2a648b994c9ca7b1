#include "broker/answers.h"

#include <assert.h>
#include <stdlib.h>

#include "common/memory.h"

void answers_add(struct answers *a, struct hatch_question *question,
                 const struct status *st, char *body, uint64_t rests_on)
{
    enum { ROOM_FIRST = 16 };

    if (a->count == a->room) {
        a->room = a->room == 0 ? ROOM_FIRST : 2 * a->room;
        a->items = xrealloc(a->items, a->room * sizeof *a->items);
    }
    a->items[a->count++] = (struct answer){ question, *st, body, rests_on };
}

void answers_give(struct answers *a, struct hatch *h, uint64_t durable)
{
    size_t kept = 0;

    for (size_t i = 0; i < a->count; i++) {
        const struct answer *one = &a->items[i];

        if (one->rests_on > durable)
            a->items[kept++] = *one;
        else
            hatch_reply(h, one->question, &one->status, one->body);
    }
    a->count = kept;
}

void answers_release(struct answers *a)
{
    assert(a->count == 0);
    free(a->items);
    *a = (struct answers){ .items = NULL };
}
