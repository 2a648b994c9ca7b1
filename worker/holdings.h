/* holdings.h -- what lies in the worker's cache, looked at now and then. */
#ifndef SINTER_WORKER_HOLDINGS_H
#define SINTER_WORKER_HOLDINGS_H

#include "worker/core/session.h"

/* Tells the session what is there. */
void holdings_look(const char *cache, bool is_served, struct session *session,
                   int64_t now);

#endif
