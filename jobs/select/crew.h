/* crew.h -- threads for long sums, and memory whose size comes from outside.
 *
 * Work is cut into blocks whose bounds depend on its size alone; threads take
 * them as they come. So a result does not depend on the number of threads, if
 * each block writes only what is its own. */
#ifndef SINTER_JOBS_SELECT_CREW_H
#define SINTER_JOBS_SELECT_CREW_H

#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

struct crew {
    uint64_t threads; /* 0: one, that of the caller */
    /* Polled by the caller's thread between blocks; NULL: never. */
    bool (*cancelled)(void *self);
    void *self;
};

/* How many threads run, the caller's among them; below it is `hand`. */
size_t crew_size(const struct crew *c);
bool crew_cancelled(const struct crew *c); /* NULL is fine */

/* Elements [first, first + count); `hand` is a number below crew_size() that
 * no two calls at a time share, for scratch memory. */
typedef void crew_block(void *self, size_t hand, size_t first, size_t count);

/* Calls `block` for [0, total) in blocks of `size`. CANCELLED: some are not
 * done. One job at a time in a process. */
MUST_CHECK struct status crew_run(const struct crew *c, size_t total,
                                  size_t size, crew_block *block, void *self);

/* count x size bytes of zeros for `what`, the caller's to free(). NO_MEMORY;
 * TOO_BIG when the product is no size at all. Never NULL on success. */
MUST_CHECK struct status crew_room(size_t count, size_t size, const char *what,
                                   void **ret_memory);

#endif
