/* times.h -- how long something takes, counted by powers of two, as Prometheus
 * wants it. */
#ifndef SINTER_BROKER_TIMES_H
#define SINTER_BROKER_TIMES_H

#include "common/buf.h"

#include <stdint.h>

enum { TIMES_BUCKETS = 17 }; /* the last ends at about 1 s */

struct times {
    uint64_t buckets[TIMES_BUCKETS]; /* each without those below */
    uint64_t count;
    int64_t sum, longest; /* ns */
};

void times_add(struct times *t, int64_t ns);
/* Lines for Prometheus: a histogram NAME_seconds and the gauge
 * NAME_longest_seconds. */
void times_print(const struct times *t, const char *name, const char *help,
                 struct buf *out);

#endif
