/* prune_scores.h -- scores of a tensor's weights, chunk by chunk, for who
 * counts them (prune_cuts.c) and who chooses by them (prune.c). */
#ifndef SINTER_JOBS_PRUNE_SCORES_H
#define SINTER_JOBS_PRUNE_SCORES_H

#include "jobs/prune.h"

/* Of one stretch of a tensor, by one thread. */
struct prune_scores {
    const struct prune_pass *pass;
    const struct tensor *tensor;
    const struct prune_target *target;
    size_t number; /* of the tensor */
    size_t chunk;  /* elements */
    float *scores; /* of the chunk read last */
};

/* NO_MEMORY. To be released. */
MUST_CHECK struct status prune_scores_init(struct prune_scores *r,
                                           const struct prune_pass *p,
                                           size_t number);
void prune_scores_release(struct prune_scores *r);
/* Elements first ... first + count - 1, at most a chunk. CORRUPT names a NaN or
 * infinity; CANCELLED. */
MUST_CHECK struct status prune_scores_read(const struct prune_scores *r,
                                           uint64_t first, size_t count);
/* Of the chunk that begins there, in a stretch that ends there. */
size_t prune_scores_size(const struct prune_scores *r, uint64_t first,
                         uint64_t end);

/* Elements that belong together: whole rows, groups of rows, or anything. Masks
 * of two stretches share no byte. */
uint64_t prune_stretch(const struct prune_pass *p, size_t number);

#endif
