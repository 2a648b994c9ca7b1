/* scratch.h -- a slot's directory for what its jobs write on the way.
 *
 * It is locked while its process lives; what a killed one left behind is
 * removed by the next that starts. */
#ifndef SINTER_WORKER_SCRATCH_H
#define SINTER_WORKER_SCRATCH_H

#include "common/status.h"

struct scratch; /* opaque */

/* A new empty directory below `cache`/scratch. */
MUST_CHECK struct status scratch_new(const char *cache,
                                     struct scratch **ret_scratch);
void scratch_free(struct scratch *s); /* removes it; NULL is fine */

const char *scratch_path(const struct scratch *s);
/* Empty it for the next job; cheap if it is. */
MUST_CHECK struct status scratch_clear(const struct scratch *s);

#endif
