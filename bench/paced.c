#include "bench/paced.h"

#include <pthread.h>
#include <stdlib.h>

#include "bench/bench.h"
#include "common/clock.h"
#include "common/memory.h"

enum {
    WATCHED_S = 2,
    WATCHERS = 2,
    GAP_NS = 50 * 1000, /* a shorter one is no stop */
    GAPS_MOST = 1 << 16,
};

void paced_print(const char *what, const char *name, double value,
                 const char *unit)
{
    AUTO(free_pointer) char *full = xasprintf("%s.%s", what, name);

    bench_print(full, value, unit, 0.0, NULL);
}

void paced_print_quantiles(const char *what, const char *name, double *values,
                           size_t count, const char *unit)
{
    static const struct {
        const char *name;
        double part;
    } rows[] = { { "p50", 0.5 }, { "p99", 0.99 }, { "p999", 0.999 } };

    for (size_t i = 0; count > 0 && i < COUNT_OF(rows); i++) {
        AUTO(free_pointer) char *full = xasprintf("%s_%s", what, rows[i].name);

        paced_print(full, name, bench_quantile(values, count, rows[i].part),
                    unit);
    }
}

/* ---- the machine ------------------------------------------------------- */

struct watcher {
    pthread_t thread;
    double *gaps; /* ns */
    size_t count;
};

/* Looks at the clock all the time: what is missing, somebody else had. */
static void *watch(void *self)
{
    struct watcher *w = self;
    int64_t began = clock_now();
    int64_t before = began;

    while (before - began < WATCHED_S * NS_PER_S) {
        int64_t now = clock_now();

        if (now - before > GAP_NS && w->count < GAPS_MOST)
            w->gaps[w->count++] = (double)(now - before);
        before = now;
    }
    return NULL;
}

/* For so much of the time it is longer than `ns` until the loop goes on. */
static double part_above(const struct watcher *watchers, double ns)
{
    double above = 0.0;

    for (int i = 0; i < WATCHERS; i++)
        for (size_t j = 0; j < watchers[i].count; j++)
            if (watchers[i].gaps[j] > ns)
                above += watchers[i].gaps[j] - ns;
    return above / ((double)WATCHERS * WATCHED_S * (double)NS_PER_S);
}

static double longest_gap(const struct watcher *watchers)
{
    double longest = 0.0;

    for (int i = 0; i < WATCHERS; i++)
        for (size_t j = 0; j < watchers[i].count; j++)
            if (watchers[i].gaps[j] > longest)
                longest = watchers[i].gaps[j];
    return longest;
}

void paced_print_machine(void)
{
    static const double part = 0.01;
    struct watcher watchers[WATCHERS] = { 0 };
    double low = 0.0;
    double high;

    for (int i = 0; i < WATCHERS; i++) {
        watchers[i].gaps = xcalloc(GAPS_MOST, sizeof(double));
        if (pthread_create(&watchers[i].thread, NULL, watch, &watchers[i]) != 0)
            abort(); /* a bench without threads shows nothing */
    }
    for (int i = 0; i < WATCHERS; i++)
        (void)pthread_join(watchers[i].thread, NULL);
    high = longest_gap(watchers);
    paced_print("machine", "stopped", 100.0 * part_above(watchers, 0.0), "%");
    paced_print("machine", "stopped_longest", high / 1000.0, "us");
    while (high - low > 1000.0) { /* 1 us */
        double middle = (low + high) / 2.0;

        if (part_above(watchers, middle) > part)
            low = middle;
        else
            high = middle;
    }
    paced_print("machine", "wait_p99", low / 1000.0, "us");
    for (int i = 0; i < WATCHERS; i++)
        free(watchers[i].gaps);
}

/* ---- a load ------------------------------------------------------------ */

void paced_print_load(const char *name, struct load *load, double seconds)
{
    static const char *const spans[LOAD_SPANS] = {
        [LOAD_DISPATCH] = "half_load_dispatch",
        [LOAD_GIVEN] = "half_load_given",
        [LOAD_WHOLE] = "half_load_commit",
        [LOAD_ANSWER] = "half_load_answer",
        [LOAD_LATE] = "half_load_late",
    };
    struct load_figures figures = load_figures(load);

    paced_print("half_load", name, (double)figures.committed / seconds,
                "jobs/s");
    paced_print("half_load_cpu_load", name, 100.0 * figures.cpu_s / seconds,
                "% of a core");
    for (int i = 0; i < LOAD_SPANS; i++) {
        size_t count = 0;
        double *values = load_trips(load, (enum load_span)i, &count);

        paced_print_quantiles(spans[i], name, values, count, "us");
    }
}
