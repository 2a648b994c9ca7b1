/* bucket.h -- how often something may be done: `burst` times at once, then once
 * every `every` ns. All zero is a full bucket. */
#ifndef SINTER_BROKER_CORE_BUCKET_H
#define SINTER_BROKER_CORE_BUCKET_H

#include <stdbool.h>
#include <stdint.h>

struct bucket {
    int64_t full_at; /* ns: by then it is full again */
};

static inline bool bucket_take(struct bucket *b, int64_t now, int64_t every,
                               int64_t burst)
{
    int64_t from = b->full_at > now ? b->full_at : now;

    if (from - now > (burst - 1) * every)
        return false;
    b->full_at = from + every;
    return true;
}

#endif
