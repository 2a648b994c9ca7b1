/* leaderboard.h -- points ranked by the mean of their replicates. Pure. */
#ifndef SINTER_CLI_LEADERBOARD_H
#define SINTER_CLI_LEADERBOARD_H

#include "common/estimate.h"
#include "common/json.h"

#include <stddef.h>
#include <stdint.h>

struct leader {
    json_t *values; /* of the point: a trial's without "seed" */
    uint64_t trial; /* its best replicate, as people number them */
    struct estimate objective;
    size_t replicates;  /* also those without a value */
    size_t measured;    /* those with one */
    json_t *trials;     /* borrowed by nobody: array of its trial objects */
    const json_t *spec; /* borrowed */
};

struct leaderboard {
    struct leader *items; /* best first; then by number */
    size_t count;
    size_t unmeasured; /* points without a value */
    bool tied;         /* the first two differ by less than their error */
};

/* `spec`: a compiled document, which must outlive it (NULL: of metrics nothing
 * is known); `trials`: objects as the verb "trials" gives them. */
void leaderboard_make(const json_t *spec, const json_t *trials,
                      const char *metric, bool maximize,
                      struct leaderboard *ret_board);
void leaderboard_release(struct leaderboard *b);

/* Another metric of the same point; count 0 if no replicate has it. */
struct estimate leader_estimate(const struct leader *l, const char *metric);

#endif
