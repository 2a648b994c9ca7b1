/* health.h -- `sinter-broker health`: asks a broker's HTTP port whether it is
 * ready, for probes of containers that have no other client. */
#ifndef SINTER_BROKER_HEALTH_H
#define SINTER_BROKER_HEALTH_H

#include "common/status.h"

/* `http`: as --http; a broker bound to all addresses is asked at this
 * machine's own. UNAVAILABLE: it is not ready, and why. What a ready one says
 * ("ok leader") is the caller's to free. */
MUST_CHECK struct status health_ask(const char *http, char **ret_words);

#endif
