/* prune_cuts.h -- what is decided over more than a row: where scores are cut,
 * for several points at once and by several threads. */
#ifndef SINTER_JOBS_PRUNE_CUTS_H
#define SINTER_JOBS_PRUNE_CUTS_H

#include "jobs/prune_scores.h"

/* Is it decided over a tensor, or all of them, by one cut for each point? */
bool prune_by_cuts(const struct prune_pass *p);

/* Of chosen tensors, in order, what a thread takes at a time. */
struct prune_stretches {
    struct prune_stretch_of {
        size_t tensor;
        uint64_t first, end; /* elements */
    } * items;
    size_t count;
};
/* Of the tensors from `from` to `to`, without it; to be released. */
void prune_stretches_init(struct prune_stretches *s, const struct prune_pass *p,
                          size_t from, size_t to);
void prune_stretches_release(struct prune_stretches *s);

/* A cut for each point over all of them, which are read as often as it takes;
 * `equal` is UINT64_MAX if all ties go. */
MUST_CHECK struct status prune_cuts_find(const struct prune_pass *p,
                                         const struct prune_stretches *s,
                                         size_t threads,
                                         struct prune_cut *ret_cuts);
/* What is left of the cuts where each stretch begins, [stretches][points]; the
 * caller frees. */
MUST_CHECK struct status prune_cuts_spread(const struct prune_pass *p,
                                           const struct prune_stretches *s,
                                           size_t threads,
                                           const struct prune_cut *cuts,
                                           struct prune_cut **ret_cuts);

#endif
