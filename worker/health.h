/* health.h -- does the worker's loop go round? It leaves a mark beside the
 * cache, whose time `sinter-worker health` looks at: what a container's probe
 * runs. A broker that is away is no illness of the worker. */
#ifndef SINTER_WORKER_HEALTH_H
#define SINTER_WORKER_HEALTH_H

#include <stdbool.h>

#include "common/status.h"

/* It went round just now, and can do jobs ("") or why not; it has ended. Best
 * effort. */
void health_mark(const char *cache, const char *name, const char *obstacle);
void health_end(const char *cache, const char *name);

/* Did a worker of that name leave a mark, and has not said that it ends? */
bool health_has(const char *cache, const char *name);

/* Of that worker, or (NULL) of any with that cache: UNAVAILABLE says since when
 * there was no sign of it; or with `ready`, why it can do no jobs. */
MUST_CHECK struct status health_check(const char *cache, const char *name,
                                      bool ready);

#endif
