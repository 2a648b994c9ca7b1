#include "broker/core/order.h"

#include "common/memory.h"

#include <assert.h>
#include <stdlib.h>

enum { FIRST_ROOM = 8 };

void order_release(struct order *o)
{
    free(o->items);
    *o = (struct order){ 0 };
}

bool order_before(const struct order_entry *a, const struct order_entry *b)
{
    return a->key != b->key ? a->key < b->key : a->tie < b->tie;
}

/* Places count from 1, as the parent of `at` is at / 2. */
static void put(struct order *o, size_t at, struct order_entry *e)
{
    o->items[at - 1] = e;
    e->place = at;
}

static void rise(struct order *o, size_t at, struct order_entry *e)
{
    while (at > 1 && order_before(e, o->items[at / 2 - 1])) {
        put(o, at, o->items[at / 2 - 1]);
        at /= 2;
    }
    put(o, at, e);
}

static void sink(struct order *o, size_t at, struct order_entry *e)
{
    for (;;) {
        size_t child = 2 * at;

        if (child < o->count &&
            order_before(o->items[child], o->items[child - 1]))
            child++;
        if (child > o->count || !order_before(o->items[child - 1], e))
            break;
        put(o, at, o->items[child - 1]);
        at = child;
    }
    put(o, at, e);
}

void order_add(struct order *o, struct order_entry *e)
{
    assert(e->place == 0);
    if (o->count == o->room) {
        o->room = o->room == 0 ? FIRST_ROOM : 2 * o->room;
        o->items = xrealloc(o->items, o->room * sizeof(struct order_entry *));
    }
    o->count++;
    rise(o, o->count, e);
}

void order_remove(struct order *o, struct order_entry *e)
{
    size_t at = e->place;
    struct order_entry *last = o->items[o->count - 1];

    assert(at > 0 && at <= o->count && o->items[at - 1] == e);
    e->place = 0;
    o->count--;
    if (last == e)
        return;
    rise(o, at, last);
    sink(o, last->place, last);
}

struct order_entry *order_first(const struct order *o)
{
    return o->count == 0 ? NULL : o->items[0];
}
