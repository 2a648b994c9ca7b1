#include "worker/holdings.h"

#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "common/memory.h"
#include "sources/held.h"

struct list {
    struct wire_cached *items;
    size_t count;
};

static void add(void *self, const struct digest *source, uint64_t bytes)
{
    struct list *l = self;

    if (l->count < LIMIT_BATCH)
        l->items[l->count++] = (struct wire_cached){ *source, bytes };
}

static int by_name(const void *a, const void *b)
{
    return memcmp(a, b, DIGEST_SIZE);
}

void holdings_look(const char *cache, struct session *session, int64_t now)
{
    struct list l = { xcalloc(LIMIT_BATCH, sizeof *l.items), 0 };

    held_each(cache, add, &l);
    qsort(l.items, l.count, sizeof *l.items, by_name);
    session_on_cache(session, now, l.items, l.count);
    free(l.items);
}
