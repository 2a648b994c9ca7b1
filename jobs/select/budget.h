/* budget.h -- how many samples each cluster may give.
 *
 *     n_k = floor(B (w_k / sum_j w_j))                        PASER, eq. 6
 *
 * evaluated in this order in float64, the sum from left to right. */
#ifndef SINTER_JOBS_SELECT_BUDGET_H
#define SINTER_JOBS_SELECT_BUDGET_H

#include "common/status.h"

#include <stddef.h>

/* On the wire by name. */
enum budget_mode {
    BUDGET_CAPPED,    /* as remainder, but never more than a cluster has: it
                       * gives all, the rest is split among the others */
    BUDGET_REMAINDER, /* what floor leaves, by the largest fraction; equal
                       * fractions: the lower number */
    BUDGET_FLOOR,     /* as released: the rest is lost */
    BUDGET_MODES
};
const char *budget_mode_name(enum budget_mode value);
bool budget_mode_find(const char *name, enum budget_mode *ret_value);

struct budget_how {
    enum budget_mode mode;
    size_t budget; /* B, samples */
    /* Given to each cluster first, as far as it has so many; if B does not
     * reach, one each in turn, the largest weight first. */
    size_t min_per_cluster;
};

struct budget_result {
    size_t unspent;
    bool zero_total; /* all weights are 0: equal shares; `floor` gives none */
};

/* int(fraction x n), 0 <= fraction <= 1. */
size_t budget_of_fraction(double fraction, size_t n);

/* weights [count]: mean degradation, a tiny negative counts as 0. sizes
 * [count]: what each can give; floor and remainder do not look at them.
 * INVALID names the cluster whose weight is not finite. */
MUST_CHECK struct status budget_split(const struct budget_how *how,
                                      size_t count, const double *weights,
                                      const size_t *sizes, size_t *ret_counts,
                                      struct budget_result *ret_result);

#endif
