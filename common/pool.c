#include "common/pool.h"

#include "common/memory.h"

#include <stdlib.h>
#include <string.h>

/* The sanitizer watches single blocks only if each has memory of its own. */
#if defined(__SANITIZE_ADDRESS__)
#define WATCHED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WATCHED 1
#endif
#endif

static void *take_link(void **list)
{
    void *first = *list;

    memcpy(list, first, sizeof *list);
    return first;
}

#ifdef WATCHED
/* What is not given back is a leak, and is meant to be seen. */
void *pool_take(struct pool *p)
{
    return xcalloc(1, p->size);
}

void pool_give(struct pool *p, void *block)
{
    (void)p;
    free(block);
}
#else
enum { CHUNK_BYTES = 64 << 10, CHUNK_HEAD = 16, ALIGNED = 16 };

static void put_link(void **list, void *block)
{
    memcpy(block, list, sizeof *list);
    *list = block;
}

static size_t span_of(const struct pool *p)
{
    return (p->size + ALIGNED - 1) / ALIGNED * ALIGNED;
}

static void *take_unused(struct pool *p)
{
    size_t span = span_of(p);

    if (p->unused == 0) {
        put_link(&p->chunks, xcalloc(1, CHUNK_BYTES));
        p->unused = (CHUNK_BYTES - CHUNK_HEAD) / span;
    }
    return (char *)p->chunks + CHUNK_HEAD + --p->unused * span;
}

void *pool_take(struct pool *p)
{
    void *block;

    if (p->free == NULL)
        return take_unused(p);
    block = take_link(&p->free);
    memset(block, 0, p->size);
    return block;
}

void pool_give(struct pool *p, void *block)
{
    if (block != NULL)
        put_link(&p->free, block);
}
#endif

void pool_release(struct pool *p)
{
    while (p->chunks != NULL)
        free(take_link(&p->chunks));
    *p = (struct pool){ .size = p->size };
}
