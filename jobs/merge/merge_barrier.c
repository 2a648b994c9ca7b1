#include "jobs/merge/merge_barrier.h"

#include <stdbool.h>

enum { LOOKS = 4096 }; /* some 20 us; to sleep and be woken takes longer */

void merge_barrier_init(struct merge_barrier *b, size_t threads)
{
    b->threads = threads;
    atomic_init(&b->arrived, 0);
    atomic_init(&b->turn, 0);
    (void)pthread_mutex_init(&b->lock, NULL);
    (void)pthread_cond_init(&b->turned, NULL);
}

void merge_barrier_release(struct merge_barrier *b)
{
    (void)pthread_cond_destroy(&b->turned);
    (void)pthread_mutex_destroy(&b->lock);
}

static void turn(struct merge_barrier *b)
{
    atomic_store(&b->arrived, 0);
    (void)pthread_mutex_lock(&b->lock);
    atomic_fetch_add(&b->turn, 1);
    (void)pthread_cond_broadcast(&b->turned);
    (void)pthread_mutex_unlock(&b->lock);
}

static bool has_turned(const struct merge_barrier *b, size_t before)
{
    for (int i = 0; i < LOOKS; i++) {
        if (atomic_load_explicit(&b->turn, memory_order_acquire) != before)
            return true;
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
    }
    return false;
}

void merge_barrier_wait(struct merge_barrier *b)
{
    size_t before = atomic_load(&b->turn);

    if (atomic_fetch_add(&b->arrived, 1) + 1 == b->threads) {
        turn(b);
        return;
    }
    if (has_turned(b, before))
        return;
    (void)pthread_mutex_lock(&b->lock);
    while (atomic_load(&b->turn) == before)
        (void)pthread_cond_wait(&b->turned, &b->lock);
    (void)pthread_mutex_unlock(&b->lock);
}
