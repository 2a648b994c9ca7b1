#include "jobs/select/crew.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct shift {
    const struct crew *crew;
    crew_block *block;
    void *self;
    size_t total, size;
    atomic_size_t next; /* first element that nobody has taken */
    atomic_bool stopped;
};

struct hand {
    struct shift *shift;
    size_t number;
    pthread_t thread;
};

size_t crew_size(const struct crew *c)
{
    if (c == NULL || c->threads == 0)
        return 1;
    return c->threads > CREW_THREADS ? CREW_THREADS : (size_t)c->threads;
}

bool crew_cancelled(const struct crew *c)
{
    return c != NULL && c->cancelled != NULL && c->cancelled(c->self);
}

static void *work(void *argument)
{
    const struct hand *h = argument;
    struct shift *s = h->shift;

    while (!atomic_load(&s->stopped)) {
        size_t first = atomic_fetch_add(&s->next, s->size);

        if (first >= s->total)
            break;
        s->block(s->self, h->number, first,
                 s->total - first < s->size ? s->total - first : s->size);
        if (h->number == 0 && crew_cancelled(s->crew))
            atomic_store(&s->stopped, true);
    }
    return NULL;
}

struct status crew_run(const struct crew *c, size_t total, size_t size,
                       crew_block *block, void *self)
{
    struct hand hands[CREW_THREADS];
    struct shift s = {
        .crew = c, .block = block, .self = self, .total = total, .size = size
    };
    size_t count = crew_size(c), started = 1;

    assert(size > 0 && total <= SIZE_MAX / 2);
    if (total <= size)
        count = 1;
    for (size_t i = 0; i < count; i++)
        hands[i] = (struct hand){ .shift = &s, .number = i };
    /* Fewer threads take longer and find the same. */
    while (started < count && pthread_create(&hands[started].thread, NULL, work,
                                             &hands[started]) == 0)
        started++;
    (void)work(&hands[0]);
    for (size_t i = 1; i < started; i++)
        (void)pthread_join(hands[i].thread, NULL);
    if (atomic_load(&s.stopped))
        return FAIL(STATUS_CANCELLED, "interrupted");
    return SUCCESS;
}

struct status crew_room(size_t count, size_t size, const char *what,
                        void **ret_memory)
{
    void *memory;

    if (size != 0 && count > (SIZE_MAX / 2) / size)
        return FAIL(STATUS_TOO_BIG, "%zu x %zu bytes for %s", count, size,
                    what);
    memory = calloc(count == 0 ? 1 : count, size == 0 ? 1 : size);
    if (memory == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory for %s: %zu x %zu bytes", what,
                    count, size);
    *ret_memory = memory;
    return SUCCESS;
}
