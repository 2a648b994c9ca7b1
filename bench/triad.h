/* triad.h -- what this machine's memory gives: a = b + 3 c over three rows
 * that no cache holds. The yardstick of whatever streams tensors. */
#ifndef SINTER_BENCH_TRIAD_H
#define SINTER_BENCH_TRIAD_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "common/clock.h"
#include "common/memory.h"
#include "tensor/elementwise.h"

enum { TRIAD_FLOATS = 16 << 20 }; /* three rows of 64 MiB */

/* The share of one thread. */
struct triad_part {
    float *a;
    const float *b;
    const float *c;
    size_t count;
};

static inline void *triad_run(void *arg)
{
    const struct triad_part *p = arg;

    elementwise_add_scaled(p->b, 3.0F, p->c, p->a, p->count);
    return NULL;
}

static inline void triad_all(struct triad_part *parts, pthread_t *threads,
                             size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (pthread_create(threads + i, NULL, triad_run, parts + i) != 0)
            abort();
    }
    (void)triad_run(parts);
    for (size_t i = 1; i < count; i++)
        (void)pthread_join(threads[i], NULL);
}

/* The median of several runs; two reads and one write are counted for each
 * element, not the read that a write may cause. */
static inline double triad_bytes_per_second(size_t floats, int threads)
{
    enum { RUNS = 9 };
    size_t count = threads < 1 ? 1 : (size_t)threads;
    float *rows = xcalloc(3 * floats, sizeof *rows);
    struct triad_part *parts = xcalloc(count, sizeof *parts);
    pthread_t *ids = xcalloc(count, sizeof *ids);
    double seconds[RUNS];

    for (size_t i = 0; i < 3 * floats; i++)
        rows[i] = (float)i; /* the pages exist before the clock runs */
    for (size_t i = 0; i < count; i++) {
        size_t first = floats / count * i;
        size_t end = i + 1 == count ? floats : first + floats / count;

        parts[i] =
            (struct triad_part){ rows + first, rows + floats + first,
                                 rows + 2 * floats + first, end - first };
    }
    for (size_t run = 0; run < RUNS; run++) {
        int64_t begin = clock_now();

        triad_all(parts, ids, count);
        seconds[run] = (double)(clock_now() - begin) / (double)NS_PER_S;
    }
    free(ids);
    free(parts);
    free(rows);
    return 3.0 * (double)(floats * sizeof(float)) /
           bench_quantile(seconds, RUNS, 0.5);
}

#endif
