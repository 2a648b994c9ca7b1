/* paced.h -- what the benches say of a load at a fixed rate, and of the machine
 * it ran on. */
#ifndef SINTER_BENCH_PACED_H
#define SINTER_BENCH_PACED_H

#include "bench/load.h"

/* Prints WHAT.NAME. */
void paced_print(const char *what, const char *name, double value,
                 const char *unit);
/* p50, p99 and p99.9; sorts the values. Nothing if there are none. */
void paced_print_quantiles(const char *what, const char *name, double *values,
                           size_t count, const char *unit);

/* For some seconds a loop on each core does nothing but look at the clock: how
 * much of the time it was stopped, for how long at most, and how long what
 * comes at any time has to wait for that alone, at the 99th percentile. Below
 * that no latency can be on this machine. */
void paced_print_machine(void);

/* After load_stop(): the latencies, what the load used of a core, and the rate
 * it came to in so many seconds. */
void paced_print_load(const char *name, struct load *load, double seconds);

#endif
