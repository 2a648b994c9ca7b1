#include "broker/core/heap.h"

#include "broker/core/state.h"
#include "common/memory.h"

#include <assert.h>
#include <stdlib.h>

enum { FIRST_ROOM = 16 };

void heap_release(struct heap *h)
{
    free(h->items);
    *h = (struct heap){ 0 };
}

static bool comes_first(const struct job *a, const struct job *b)
{
    return a->rank != b->rank ? a->rank < b->rank : a->tie < b->tie;
}

static void put(struct heap *h, size_t at, struct job *job)
{
    h->items[at] = job;
    job->heap_at = at;
}

static void rise(struct heap *h, size_t at)
{
    struct job *job = h->items[at];

    while (at > 0 && comes_first(job, h->items[(at - 1) / 2])) {
        put(h, at, h->items[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(h, at, job);
}

static void sink(struct heap *h, size_t at)
{
    struct job *job = h->items[at];

    for (;;) {
        size_t child = 2 * at + 1;

        if (child + 1 < h->count &&
            comes_first(h->items[child + 1], h->items[child]))
            child++;
        if (child >= h->count || !comes_first(h->items[child], job))
            break;
        put(h, at, h->items[child]);
        at = child;
    }
    put(h, at, job);
}

void heap_add(struct heap *h, struct job *job)
{
    if (h->count == h->room) {
        h->room = h->room == 0 ? FIRST_ROOM : 2 * h->room;
        h->items = xrealloc(h->items, h->room * sizeof(struct job *));
    }
    put(h, h->count++, job);
    rise(h, h->count - 1);
}

struct job *heap_first(const struct heap *h)
{
    return h->count == 0 ? NULL : h->items[0];
}

void heap_remove(struct heap *h, struct job *job)
{
    size_t at = job->heap_at;
    struct job *last = h->items[h->count - 1];

    assert(at < h->count && h->items[at] == job);
    h->count--;
    if (last == job)
        return;
    put(h, at, last);
    rise(h, at);
    sink(h, last->heap_at);
}

bool heap_has(const struct heap *h, const struct job *job)
{
    return job->heap_at < h->count && h->items[job->heap_at] == job;
}
