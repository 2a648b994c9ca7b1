/* merge_pages.h -- mapped inputs given back behind a pass, so that a merge of
 * a large model keeps few pages of it. */
#ifndef SINTER_JOBS_MERGE_PAGES_H
#define SINTER_JOBS_MERGE_PAGES_H

#include "jobs/merge/merge_run.h"

struct merge_pages; /* opaque */

/* `models`: of inputs->tasks. All tensors lie in files mapped read-only. */
struct merge_pages *merge_pages_new(const struct merge_inputs *inputs,
                                    size_t models);
void merge_pages_free(struct merge_pages *p); /* NULL is fine */

/* Nobody needs these bytes of a tensor soon. Whoever reads them, or what lies
 * beside them, has them mapped again; who is last leaves nothing behind. */
void merge_pages_drop(const struct merge_pages *p, const void *data,
                      uint64_t size);

#endif
