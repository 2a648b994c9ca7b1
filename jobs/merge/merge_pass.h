/* merge_pass.h -- one worker over elements of one tensor, chunk by chunk. */
#ifndef SINTER_JOBS_MERGE_PASS_H
#define SINTER_JOBS_MERGE_PASS_H

#include "jobs/merge/merge_work.h"

/* Has the caller cancelled it? Only worker 0 asks, so that the caller's
 * function needs no lock. */
void merge_poll(const struct merge_worker *w);

/* Elements at a time: a multiple of REDUCE_CHUNK, or whole rows. Whatever is
 * given out of a tensor begins at a multiple of it. */
uint64_t merge_unit(const struct merge_work *work, size_t tensor);

/* The elements that belong to a worker if all share a tensor evenly: in the
 * order of the workers. */
struct merge_part {
    uint64_t first, end;
};
struct merge_part merge_share(const struct merge_worker *w, size_t tensor);

/* Count elements for the survey, or a sample of those pieces that begin
 * there. */
void merge_count(struct merge_worker *w, size_t tensor, struct merge_part part,
                 bool fresh);
void merge_sample(struct merge_worker *w, size_t tensor,
                  struct merge_part part);
/* Merge elements, or copy them, to where the worker's output is. */
void merge_write(struct merge_worker *w, size_t tensor, struct merge_part part,
                 bool fresh);

#endif
