#include "broker/times.h"

#include "common/clock.h"

#include <assert.h>
#include <inttypes.h>

enum { FIRST_NS = 16 * 1000 };

void times_add(struct times *t, int64_t ns)
{
    size_t i = 0;

    while (i < TIMES_BUCKETS && ns > (int64_t)FIRST_NS << i)
        i++;
    if (i < TIMES_BUCKETS)
        t->buckets[i]++;
    t->count++;
    t->sum += ns;
    if (ns > t->longest)
        t->longest = ns;
}

static double seconds(int64_t ns)
{
    return (double)ns / (double)NS_PER_S;
}

/* There is room: the caller's buffer is large. */
static void must_print(struct status st)
{
    assert(!status_failed(&st));
    (void)st;
}

void times_print(const struct times *t, const char *name, const char *help,
                 struct buf *out)
{
    uint64_t below = 0;

    must_print(buf_print(out,
                         "# HELP %s_seconds %s\n"
                         "# TYPE %s_seconds histogram\n",
                         name, help, name));
    for (size_t i = 0; i < TIMES_BUCKETS; i++) {
        below += t->buckets[i];
        must_print(buf_print(out, "%s_seconds_bucket{le=\"%g\"} %" PRIu64 "\n",
                             name, seconds((int64_t)FIRST_NS << i), below));
    }
    must_print(buf_print(out,
                         "%s_seconds_bucket{le=\"+Inf\"} %" PRIu64
                         "\n%s_seconds_sum %.6f\n%s_seconds_count %" PRIu64
                         "\n# HELP %s_longest_seconds since the start\n"
                         "# TYPE %s_longest_seconds gauge\n"
                         "%s_longest_seconds %.6f\n",
                         name, t->count, name, seconds(t->sum), name, t->count,
                         name, name, name, seconds(t->longest)));
}
