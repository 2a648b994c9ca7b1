/* merge_parts.h -- the global survey of a merge in rounds, and each round in
 * parts that different machines count: what no machine could hold is counted
 * where it lies, and what was counted once serves later merges.
 *
 *     for each round, beginning with no statistics:
 *         merge_count_part(m, ..., statistics, part, parts, &counted[part])
 *         merge_settle_parts(m, counted, parts, &statistics)
 *     merge_know(m, statistics)
 *
 * The bytes of a merge are those of a merge that counts by itself. */
#ifndef SINTER_JOBS_MERGE_PARTS_H
#define SINTER_JOBS_MERGE_PARTS_H

#include "common/buf.h"
#include "jobs/merge/merge_run.h"

enum {
    MERGE_PARTS = 256,        /* at most */
    MERGE_COUNTED = 256 << 20 /* bytes of what a part has counted, at most */
};

/* Saved counts or statistics; borrowed. */
struct merge_saved {
    const void *bytes; /* NULL: none */
    size_t size;
};

/* Rounds of this merge; 0: it counts nothing of the whole model. */
size_t merge_parts_rounds(const struct merge_config *c);
/* Whether a number changes what is counted in a round, or in one before; if
 * not, whether it changes what the round comes to. */
enum merge_reach {
    MERGE_REACHES_NOT,
    MERGE_REACHES_SETTLE,
    MERGE_REACHES_COUNT
};
enum merge_reach merge_parts_reach(const struct merge_method *method,
                                   enum merge_parameter parameter,
                                   size_t round);

/* Is anything of a tensor (of the layout) in the part? */
bool merge_part_has(const struct merge *m, size_t tensor, uint64_t part,
                    uint64_t parts);
/* Count one part of a round by one thread. Elements are cut evenly, between
 * multiples of REDUCE_CHUNK of a tensor. */
MUST_CHECK struct status merge_count_part(struct merge *m,
                                          const struct merge_runtime *runtime,
                                          struct merge_saved statistics,
                                          uint64_t part, uint64_t parts,
                                          struct buf *ret_counted);
/* What all parts of a round come to. INVALID if they do not belong
 * together. */
MUST_CHECK struct status merge_settle_parts(struct merge *m,
                                            const struct merge_saved *counted,
                                            size_t parts,
                                            struct buf *ret_statistics);

#endif
