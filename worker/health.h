/* health.h -- does the worker's loop go round? It leaves a mark beside the
 * cache, whose time `sinter-worker health` looks at: what a container's probe
 * runs. A broker that is away is no illness of the worker. */
#ifndef SINTER_WORKER_HEALTH_H
#define SINTER_WORKER_HEALTH_H

#include "common/status.h"

/* It went round just now; it has ended. Best effort. */
void health_mark(const char *cache, const char *name);
void health_end(const char *cache, const char *name);

/* Of that worker, or (NULL) of any with that cache: UNAVAILABLE says since when
 * there was no sign of it. */
MUST_CHECK struct status health_check(const char *cache, const char *name);

#endif
