/* rank.h -- do two lists of numbers put things in the same order? Pure. */
#ifndef SINTER_CLI_RANK_H
#define SINTER_CLI_RANK_H

#include <stddef.h>

/* Spearman's correlation: 1 the same order, -1 the reverse; equal numbers
 * share their ranks. NaN with fewer than three, or where all are equal. */
double rank_correlation(const double *a, const double *b, size_t count);

#endif
