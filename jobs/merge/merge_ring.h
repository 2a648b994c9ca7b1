/* merge_ring.h -- the output of a stream on its way out: a ring of windows
 * that all workers fill in the order of the layout. Worker 0 hands a full one
 * to the sink while the others go on with the next. */
#ifndef SINTER_JOBS_MERGE_RING_H
#define SINTER_JOBS_MERGE_RING_H

#include "jobs/merge/merge_pass.h"

/* NO_MEMORY. */
MUST_CHECK struct status merge_ring_new(const struct merge_work *work,
                                        const struct merge_sink *sink,
                                        struct merge_ring **ret_ring);
void merge_ring_free(struct merge_ring *r); /* NULL is fine */
/* Bytes of a window. */
size_t merge_ring_window(const struct merge_ring *r);

/* The elements from `first` on that are written next, where the worker's
 * output then goes; `whole`: not without all the others. All workers call it
 * in the same order; where a window is full they wait for each other. */
struct merge_part merge_ring_take(struct merge_worker *w, size_t tensor,
                                  uint64_t first, bool whole);
/* After the last tensor. */
void merge_ring_end(struct merge_worker *w);

#endif
