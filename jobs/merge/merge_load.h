/* merge_load.h -- elements of all inputs of a tensor as rows of float32. */
#ifndef SINTER_JOBS_MERGE_LOAD_H
#define SINTER_JOBS_MERGE_LOAD_H

#include "jobs/merge/merge_work.h"

/* Fill the worker's chunk, ranges one after the other; they fit its rows and
 * begin at multiples of 4. `fresh`: seen for the first time, so not known to
 * be finite; what is not is noted in the worker. */
void merge_load(struct merge_worker *w, size_t tensor,
                const struct merge_range *ranges, size_t count, bool fresh);

/* The worker is through with these elements: give their pages back, if the
 * caller wants that. */
void merge_load_drop(const struct merge_worker *w, size_t tensor,
                     uint64_t first, uint64_t end);

#endif
