/* estimate.h -- a mean and how far it can be trusted. */
#ifndef SINTER_COMMON_ESTIMATE_H
#define SINTER_COMMON_ESTIMATE_H

#include <stddef.h>

/* Mean and standard error of the mean, of the replicates of a point say. */
struct estimate {
    double mean;
    double error; /* 0: one value only, or all are equal */
    size_t count;
};

/* Sample standard deviation over the root of the count. */
struct estimate estimate_of(const double *values, size_t count);
/* Of comparisons of each replicate with the next one, the last with the first.
 * Two replicates are one pair, which both of them have measured. More pairs
 * share replicates, so their mean is less certain than that of as many apart:
 * exact if both of a pair add to it, else an error that is too large.
 * `replicates` 0: they are no pairs. */
struct estimate estimate_of_pairs(const double *values, size_t count,
                                  size_t replicates);

#endif
