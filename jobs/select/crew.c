#include "jobs/select/crew.h"

#include <assert.h>
#include <stdlib.h>

#include "jobs/parallel.h"

struct shift {
    const struct crew *crew;
    crew_block *block;
    void *self;
    size_t total, size;
};

size_t crew_size(const struct crew *c)
{
    return parallel_hands(c == NULL ? 1 : c->threads, SIZE_MAX);
}

bool crew_cancelled(const struct crew *c)
{
    return c != NULL && c->cancelled != NULL && c->cancelled(c->self);
}

static struct status work(void *self, size_t hand, size_t piece)
{
    const struct shift *s = self;
    size_t first = piece * s->size, rest = s->total - first;

    s->block(s->self, hand, first, rest < s->size ? rest : s->size);
    if (hand == 0 && crew_cancelled(s->crew))
        return FAIL(STATUS_CANCELLED, "interrupted");
    return SUCCESS;
}

struct status crew_run(const struct crew *c, size_t total, size_t size,
                       crew_block *block, void *self)
{
    struct shift s = { c, block, self, total, size };
    size_t pieces;

    assert(size > 0 && total <= SIZE_MAX / 2);
    pieces = (total + size - 1) / size;
    return parallel_run(parallel_hands(crew_size(c), pieces), pieces, work, &s);
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
