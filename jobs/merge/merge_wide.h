/* merge_wide.h -- the sums of many points of a run, where the machine has
 * vectors of 512 bits. The same bits as the kernels of merge_kernel.h. */
#ifndef SINTER_JOBS_MERGE_WIDE_H
#define SINTER_JOBS_MERGE_WIDE_H

#include "jobs/merge/merge_terms.h"

/* Fewer points cost less as they come. */
enum { MERGE_WIDE_POINTS = 8 };

/* Whether the machine can. */
bool merge_wide_able(void);

/* What the ends of terms[0 ... points - 1] (merge_terms_share()) get of a
 * chunk: of each model its weight of the elements that were not dropped. Other
 * threads see it once this has returned. */
void merge_wide_sums(const struct merge_terms *terms, size_t points,
                     const struct merge_chunk *chunk);

#endif
