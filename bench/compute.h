/* compute.h -- what more threads of this machine give to work that needs no
 * memory: each draws the same numbers into a row of its own that stays in its
 * cache. The yardstick of speedups. */
#ifndef SINTER_BENCH_COMPUTE_H
#define SINTER_BENCH_COMPUTE_H

#include <pthread.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/philox.h"

static inline void *compute_run(void *arg)
{
    enum { ROW = 1024, TIMES = 2000 };
    const struct philox_key key = { 1, 2, 3 };
    float row[ROW];

    (void)arg;
    for (uint64_t i = 0; i < TIMES; i++)
        philox_uniform(key, i * ROW, ROW, row);
    return NULL;
}

/* Seconds that two threads take for it, as a part of those that one takes for
 * the work of both: 0.5 on two processors, 1 on one. */
static inline double compute_share_of_two(void)
{
    int64_t begin = clock_now();
    int64_t alone;
    pthread_t other;

    (void)compute_run(NULL);
    alone = clock_now() - begin;
    begin = clock_now();
    if (pthread_create(&other, NULL, compute_run, NULL) != 0)
        abort();
    (void)compute_run(NULL);
    (void)pthread_join(other, NULL);
    return (double)(clock_now() - begin) / (2.0 * (double)alone);
}

#endif
