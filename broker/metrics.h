/* metrics.h -- what the broker tells Prometheus. */
#ifndef SINTER_BROKER_METRICS_H
#define SINTER_BROKER_METRICS_H

#include "broker/core/sched.h"
#include "broker/descriptors.h"
#include "broker/turns.h"

struct metrics {
    const struct sched *sched;
    const struct turns *turns;
    struct times appends;
    struct descriptors descriptors;
    bool store_away;
};

/* The caller frees. */
char *metrics_text(const struct metrics *m);

#endif
