#include "tests/sim/world/time.h"

#include "common/memory.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INSTANT_MOST = 200 * 1000 };

struct event {
    int64_t at;
    uint64_t order;
    void (*happen)(void *self, uint64_t number);
    void *self;
    uint64_t number;
};

/* In front of each piece of memory. */
struct piece {
    _Alignas(16) struct piece *next;
};

static struct {
    int64_t now;
    uint64_t chance;
    struct event *heap; /* the memory stays from world to world */
    size_t count, room;
    uint64_t order, happened;
    uint64_t instant; /* events since the clock moved */
    struct piece *pieces;
} t;

bool time_tells;

void time_begin(uint64_t seed)
{
    t.now = 0;
    t.chance = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    t.count = 0;
    t.order = t.happened = 0;
}

void time_end(void)
{
    while (t.pieces != NULL) {
        struct piece *next = t.pieces->next;

        free(t.pieces);
        t.pieces = next;
    }
    t.count = 0;
}

int64_t time_now(void)
{
    return t.now;
}

uint64_t time_events(void)
{
    return t.happened;
}

/* splitmix64 */
uint64_t time_draw(uint64_t bound)
{
    uint64_t z = t.chance += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % bound;
}

int64_t time_between(int64_t least, int64_t most)
{
    return least + (int64_t)time_draw((uint64_t)(most - least) + 1);
}

bool time_chance(unsigned permille)
{
    return permille > 0 && time_draw(1000) < permille;
}

void *time_alloc(size_t size)
{
    struct piece *p = xcalloc(1, sizeof *p + size);

    p->next = t.pieces;
    t.pieces = p;
    return p + 1;
}

char *time_copy(const void *data, size_t size)
{
    char *copy = time_alloc(size + 1);

    if (size > 0)
        memcpy(copy, data, size);
    return copy;
}

static bool is_sooner(const struct event *a, const struct event *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

void time_at(int64_t at, void (*happen)(void *self, uint64_t number),
             void *self, uint64_t number)
{
    const struct event e = { at < t.now ? t.now : at, t.order++, happen, self,
                             number };
    size_t i = t.count++;

    if (t.count > t.room) {
        t.room = t.room == 0 ? 1024 : 2 * t.room;
        t.heap = xrealloc(t.heap, t.room * sizeof *t.heap);
    }
    while (i > 0 && is_sooner(&e, &t.heap[(i - 1) / 2])) {
        t.heap[i] = t.heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    t.heap[i] = e;
}

void time_after(int64_t ns, void (*happen)(void *self, uint64_t number),
                void *self, uint64_t number)
{
    time_at(t.now + ns, happen, self, number);
}

static struct event take_first(void)
{
    struct event first = t.heap[0];
    struct event last = t.heap[--t.count];
    size_t i = 0;

    for (size_t child = 1; child < t.count; child = 2 * i + 1) {
        if (child + 1 < t.count &&
            is_sooner(&t.heap[child + 1], &t.heap[child]))
            child++;
        if (!is_sooner(&t.heap[child], &last))
            break;
        t.heap[i] = t.heap[child];
        i = child;
    }
    t.heap[i] = last;
    return first;
}

void time_pass(int64_t until)
{
    while (t.count > 0 && t.heap[0].at <= until) {
        struct event e = take_first();

        t.instant = e.at == t.now ? t.instant + 1 : 0;
        if (t.instant > INSTANT_MOST)
            abort(); /* somebody goes round in circles and never waits */
        t.now = e.at;
        t.happened++;
        e.happen(e.self, e.number);
    }
    t.now = until > t.now ? until : t.now;
}

void time_tell(const char *format, ...)
{
    va_list args;

    if (!time_tells)
        return;
    (void)printf("[%4" PRId64 ".%06" PRId64 "] ", t.now / NS_PER_S,
                 t.now % NS_PER_S / 1000);
    va_start(args, format);
    (void)vprintf(format, args);
    va_end(args);
    (void)putchar('\n');
}
