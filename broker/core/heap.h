/* heap.h -- jobs in order of (rank, tie): the queue of ready jobs, and the
 * jobs that wait for a time. A job is in at most one heap. */
#ifndef SINTER_BROKER_CORE_HEAP_H
#define SINTER_BROKER_CORE_HEAP_H

#include <stdbool.h>
#include <stddef.h>

struct job;

struct heap {
    struct job **items;
    size_t count, room;
};

void heap_release(struct heap *h);
void heap_add(struct heap *h, struct job *job);
struct job *heap_first(const struct heap *h); /* NULL: empty */
void heap_remove(struct heap *h, struct job *job);
bool heap_has(const struct heap *h, const struct job *job);

#endif
