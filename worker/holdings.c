#include "worker/holdings.h"

#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "common/memory.h"
#include "sources/held.h"

struct list {
    struct wire_cached *items;
    size_t count;
    bool is_served;
};

static void add(void *self, const struct held *held)
{
    struct list *l = self;

    if (l->count < LIMIT_BATCH)
        l->items[l->count++] =
            (struct wire_cached){ .source = held->name,
                                  .bytes = held->bytes,
                                  .served = l->is_served && held->is_proven };
}

static int by_name(const void *a, const void *b)
{
    return memcmp(a, b, DIGEST_SIZE);
}

void holdings_look(const char *cache, bool is_served, struct session *session,
                   int64_t now)
{
    struct list l = { xcalloc(LIMIT_BATCH, sizeof *l.items), 0, is_served };

    held_each(cache, add, &l);
    qsort(l.items, l.count, sizeof *l.items, by_name);
    session_on_cache(session, now, l.items, l.count);
    free(l.items);
}
