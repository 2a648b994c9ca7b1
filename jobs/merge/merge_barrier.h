/* merge_barrier.h -- where threads wait for each other, often and not for
 * long: they look for a while before they sleep. */
#ifndef SINTER_JOBS_MERGE_BARRIER_H
#define SINTER_JOBS_MERGE_BARRIER_H

#include <pthread.h>
#include <stdatomic.h>

struct merge_barrier {
    size_t threads;
    atomic_size_t arrived; /* in this turn */
    atomic_size_t turn;
    pthread_mutex_t lock; /* of those who sleep */
    pthread_cond_t turned;
};

/* Before the threads know of it. */
void merge_barrier_init(struct merge_barrier *b, size_t threads);
void merge_barrier_release(struct merge_barrier *b);
void merge_barrier_wait(struct merge_barrier *b);

#endif
