/* pairs.h -- metrics that compare replicates. Pure. */
#ifndef SINTER_SWEEP_PAIRS_H
#define SINTER_SWEEP_PAIRS_H

#include "common/json.h"

#include <stddef.h>

/* Of a metric that compares replicates, or of a formula over one: how many
 * replicates the compiled document has; of all others 0. */
size_t pairs_of_metric(const json_t *document, const char *metric);

#endif
