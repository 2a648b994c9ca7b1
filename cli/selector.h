/* selector.h -- how people name a sweep or a trial. Pure.
 *
 * SWEEP is "@last", an id, its unique prefix or a name; the broker resolves
 * it. Behind a slash stands a trial's number ("#12", "12") or "best". A bare
 * number is a trial of the last sweep. */
#ifndef SINTER_CLI_SELECTOR_H
#define SINTER_CLI_SELECTOR_H

#include "common/limits.h"
#include "common/status.h"

#include <stdint.h>

struct selector {
    char sweep[LIMIT_NAME + 16];
    uint64_t trial; /* from 1; 0: the sweep as a whole, or `best` */
    bool best;
};

MUST_CHECK struct status selector_parse(const char *text,
                                        struct selector *ret_selector);

#endif
