/* pool.h -- blocks of one size, taken and given back quickly. What was given
 * back is used again; the memory itself goes with the pool. */
#ifndef SINTER_COMMON_POOL_H
#define SINTER_COMMON_POOL_H

#include <stddef.h>

struct pool {
    size_t size;   /* of a block; set it, all else zero */
    void *free;    /* blocks given back, each begins with the next */
    void *chunks;  /* each begins with the next */
    size_t unused; /* blocks of the newest chunk, from its end */
};

/* Filled with zeros. */
void *pool_take(struct pool *p);
void pool_give(struct pool *p, void *block); /* NULL is fine */
/* All blocks, also those that were not given back. */
void pool_release(struct pool *p);

#endif
