/* kept.h -- what a job had done when its slot died: a directory below the
 * cache for each computation that asks for one, found again by the next
 * attempt on this machine.
 *
 * It is locked while a process uses it; what nobody came back for is removed
 * by its age. */
#ifndef SINTER_WORKER_KEPT_H
#define SINTER_WORKER_KEPT_H

#include "common/digest.h"
#include "common/status.h"

#include <stdbool.h>
#include <stdint.h>

struct kept; /* opaque */

/* `cache`/kept/`key`, with what is there. UNAVAILABLE if another process
 * uses it. */
MUST_CHECK struct status kept_open(const char *cache, const struct digest *key,
                                   struct kept **ret_kept);
const char *kept_path(const struct kept *k);
/* `remove`: nobody will come back for it. NULL is fine. */
void kept_close(struct kept *k, bool remove);

/* Remove those not opened for `age` seconds, except what is in use. */
void kept_sweep(const char *cache, int64_t age);

#endif
