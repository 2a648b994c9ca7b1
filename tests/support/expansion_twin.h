/* expansion_twin.h -- the two ways from a trial to its jobs, side by side. */
#ifndef SINTER_TESTS_SUPPORT_EXPANSION_TWIN_H
#define SINTER_TESTS_SUPPORT_EXPANSION_TWIN_H

#include "sweep/expansion.h"

/* What trials of a sweep were when they were compared. */
struct expansion_tally {
    uint64_t trials, excluded, refused, jobs, in_family;
};

/* Fails the test unless expansion_trial() gives what compiled_trial() and
 * compiled_stages() give, for at most so many trials all over the sweep.
 * Adds to the tally. */
void expansion_compare(const struct compiled *c, uint64_t most,
                       struct expansion_tally *tally);

#endif
