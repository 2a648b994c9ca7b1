/* priority.h -- which sample of a cluster comes first: damage per cost.
 *
 *     IES = j / ln(cost)                                      PASER, eq. 7
 *
 * |x| and |y| are tokens; |x| + |y| counts as at least 2, for ln 1 is 0. */
#ifndef SINTER_JOBS_SELECT_PRIORITY_H
#define SINTER_JOBS_SELECT_PRIORITY_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* On the wire by name. */
enum priority_cost {
    PRIORITY_SQUARE, /* (|x| + |y|)^2: attention */
    PRIORITY_LINEAR, /* |x| + |y|: twice the scores of square, same order */
    PRIORITY_NONE,   /* the score is j */
    PRIORITY_COSTS
};
const char *priority_cost_name(enum priority_cost value);
bool priority_cost_find(const char *name, enum priority_cost *ret_value);

/* What ln is taken of; 1 for none, where nothing is. */
double priority_cost_of(enum priority_cost cost, size_t x, size_t y);
double priority_score(enum priority_cost cost, double jsd, size_t x, size_t y);

/* Mean over the finite jsd [n] of each label; NaN and *ret_counts 0 where a
 * cluster has none. Both [clusters]. */
void priority_degradation(const double *jsd, const uint32_t *labels, size_t n,
                          size_t clusters, double *ret_means,
                          size_t *ret_counts);

/* Sorts `order` [count], numbers of samples, by their score, largest first;
 * equal scores keep their order. No score is NaN. */
MUST_CHECK struct status priority_sort(const double *scores, uint32_t *order,
                                       size_t count);

#endif
