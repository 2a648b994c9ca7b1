/* slot_child.h -- a slot from the inside: reads a job from its socket, runs
 * the kind, answers, and so on until the worker is gone. */
#ifndef SINTER_WORKER_SLOT_CHILD_H
#define SINTER_WORKER_SLOT_CHILD_H

#include "common/status.h"
#include "worker/config.h"

/* Success when the worker has closed the socket. */
MUST_CHECK struct status slot_child_run(const struct worker_config *config);

#endif
