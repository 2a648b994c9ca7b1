/* How fast the farm is when its jobs do nothing.
 *
 *     dispatch [points [raw points [row [rate [seconds]]]]]
 *
 * First a real broker and two real workers of one slot, on each store; then
 * the same broker and workers that are no programs (bench/load.h), so that
 * its own limit is seen: 16 connections that answer in batches, or with one
 * job a message; what a job costs the broker; what a point costs in memory.
 *
 * Half load is half of what was just reached, or `rate` jobs a second, for ten
 * seconds or so many. Jobs end at that rate whatever the broker does, and their latency is counted from
 * there until they are known to be durable (bench/load.h): so long a worker
 * waits for leave to forget. The jobs that take their place come no later. The
 * first half second, in which the workers are given as many jobs as they may
 * hold, does not count.
 * bench/floor shows what the same machine can do at most. */
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "bench/farm.h"
#include "bench/load.h"
#include "bench/paced.h"
#include "common/clock.h"
#include "common/memory.h"

enum {
    DEFAULT_POINTS = 20000,
    DEFAULT_RAW = 1000 * 1000,
    TRIPS = 300, /* sweeps of one job, one after the other */
    CONNECTIONS = 16,
    SLOTS = 16,
    PACED_S = 10,
    WARM_MS = 500,
    LONG_MS = 2000, /* the broker queues no job this long at a busy slot */
};

/* ---- real workers ------------------------------------------------------ */

static void measure_real(const char *name, const char *fsync, int points)
{
    struct farm f = farm_open(
        (struct farm_settings){ .fsync = fsync, .workers = FARM_WORKERS });
    double *trips = xcalloc(TRIPS, sizeof *trips);

    (void)farm_run_sweep(&f, 0, points / 10 + 1); /* warm */
    paced_print("dispatch", name, points / farm_run_sweep(&f, 1, points),
                "jobs/s");
    for (int i = 0; i < TRIPS; i++)
        trips[i] = 1000.0 * farm_run_sweep(&f, 2 + i, 1);
    paced_print_quantiles("round_trip", name, trips, TRIPS, "ms");
    free(trips);
    farm_close(&f);
}

/* ---- workers that are none --------------------------------------------- */

struct raw {
    const char *name, *fsync;
    size_t batch;
    int64_t wall_ms;
    bool curve; /* keys at both ends; libzmq's is in this process */
};

static struct load *begin_load(const struct farm *f, const struct raw *r,
                               double rate)
{
    AUTO(free_pointer) char *key = farm_key(f, "worker.key");
    AUTO(free_pointer) char *broker_key = farm_key(f, "broker.pub");
    struct load_settings settings = { .endpoint = f->workers_at,
                                      .key = key,
                                      .broker_key = broker_key,
                                      .connections = CONNECTIONS,
                                      .slots = SLOTS,
                                      .batch = r->batch,
                                      .wall_ms = r->wall_ms,
                                      .rate = rate,
                                      .warm_ns = WARM_MS * NS_PER_MS };
    struct load *load = NULL;

    must(load_start(&settings, &load));
    return load;
}

static double saturate(struct farm *f, const struct raw *r, int points)
{
    struct load *load;
    double submitted_s;
    double cpu;
    double before;
    double queued;
    double seconds;
    char id[24];
    int64_t began = clock_now();

    before = farm_rss_bytes(f->broker);
    farm_submit(f, 1, points, id);
    submitted_s = (double)(clock_now() - began) / (double)NS_PER_S;
    clock_sleep_ms(300); /* what it looks at ahead of the workers */
    queued = farm_rss_bytes(f->broker);
    cpu = farm_cpu_s(f->broker);
    load = begin_load(f, r, 0.0);
    began = clock_now();
    farm_wait_for_end(f, id, points);
    seconds = (double)(clock_now() - began) / (double)NS_PER_S;
    cpu = farm_cpu_s(f->broker) - cpu;
    must(load_stop(load));
    paced_print("raw", r->name, points / seconds, "jobs/s");
    paced_print("raw_broker_cpu", r->name, 1e6 * cpu / points, "us/job");
    paced_print("raw_load_cpu", r->name,
                1e6 * load_figures(load).cpu_s / points, "us/job");
    paced_print("raw_batch", r->name,
                (double)load_figures(load).assigned /
                    (double)load_figures(load).assigns,
                "jobs/message");
    paced_print("submit", r->name, 1000.0 * submitted_s, "ms");
    paced_print("memory_queued", r->name, (queued - before) / points,
                "B/point");
    paced_print("memory_finished", r->name,
                (farm_rss_bytes(f->broker) - before) / points, "B/point");
    load_free(load);
    return points / seconds;
}

/* From a job's end at a worker until that is durable and known there. */
static void paced(struct farm *f, const struct raw *r, double rate,
                  long paced_s)
{
    int points =
        (int)(rate * (double)paced_s / 1e5 + 1.0) * 100000; /* whole rows */
    struct load *load = begin_load(f, r, rate);
    double redis = 0.0;
    double cpu;
    double seconds;

    clock_sleep_ms(100); /* all have connected */
    cpu = farm_cpu_s(f->broker);
    if (f->redis != 0)
        redis = farm_cpu_s(f->redis);
    seconds = farm_run_sweep(f, 2, points);
    cpu = farm_cpu_s(f->broker) - cpu;
    if (f->redis != 0)
        redis = farm_cpu_s(f->redis) - redis;
    must(load_stop(load));
    paced_print("half_load_wanted", r->name, rate, "jobs/s");
    paced_print("half_load_cpu_broker", r->name, 100.0 * cpu / seconds,
                "% of a core");
    paced_print("half_load_cpu_redis", r->name, 100.0 * redis / seconds,
                "% of a core");
    paced_print_load(r->name, load, seconds);
    load_free(load);
}

/* `rate` 0: half of what it takes. */
static void measure_raw(const struct raw *r, int points, double rate,
                        long paced_s)
{
    struct farm f = farm_open(
        (struct farm_settings){ .fsync = r->fsync, .curve = r->curve });
    double most = saturate(&f, r, points);

    paced_print("recovery", r->name, 1000.0 * farm_restart_broker(&f), "ms");
    paced(&f, r, rate > 0.0 ? rate : most / 2.0, paced_s);
    farm_close(&f);
}

int main(int argc, char **argv)
{
    static const struct raw rows[] = {
        { "sqlite", NULL, 64, 0, false },
        { "sqlite_single", NULL, 1, LONG_MS, false },
        { "sqlite_curve", NULL, 64, 0, true },
        { "sqlite_curve_single", NULL, 1, LONG_MS, true },
        { "redis_everysec", "everysec", 64, 0, false },
        { "redis_always", "always", 64, 0, false },
        { "redis_everysec_single", "everysec", 1, LONG_MS, false },
        { "redis_always_single", "always", 1, LONG_MS, false },
        { "redis_everysec_curve", "everysec", 64, 0, true },
        { "redis_always_curve", "always", 64, 0, true },
        { "redis_everysec_curve_single", "everysec", 1, LONG_MS, true },
        { "redis_always_curve_single", "always", 1, LONG_MS, true },
    };
    long points = argc > 1 ? strtol(argv[1], NULL, 10) : DEFAULT_POINTS;
    long raw = argc > 2 ? strtol(argv[2], NULL, 10) : DEFAULT_RAW;
    const char *only = argc > 3 ? argv[3] : NULL;
    double rate = argc > 4 ? strtod(argv[4], NULL) : 0.0;
    long paced_s = argc > 5 ? strtol(argv[5], NULL, 10) : PACED_S;

    if (points < 0 || raw < 0 || rate < 0.0 || paced_s <= 0) {
        (void)fprintf(stderr, "usage: dispatch [points [raw points [row [rate "
                              "[seconds]]]]]\n");
        return 2;
    }
    paced_print_machine();
    if (points > 0) {
        measure_real("sqlite", NULL, (int)points);
        measure_real("redis_everysec", "everysec", (int)points);
        measure_real("redis_always", "always", (int)points);
    }
    for (size_t i = 0; raw > 0 && i < COUNT_OF(rows); i++)
        if (only == NULL || strcmp(only, rows[i].name) == 0)
            measure_raw(&rows[i], (int)(rows[i].batch == 1 ? raw / 5 : raw),
                        rate, paced_s);
    return 0;
}
