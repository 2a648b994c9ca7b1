#include "common/estimate.h"

#include <math.h>

struct estimate estimate_of(const double *values, size_t count)
{
    struct estimate e = { .count = count };
    double squares = 0.0;
    double n = (double)count;

    if (count == 0)
        return e;
    for (size_t i = 0; i < count; i++)
        e.mean += values[i] / n;
    for (size_t i = 0; i < count; i++)
        squares += (values[i] - e.mean) * (values[i] - e.mean);
    /* Rounding of the mean alone is no spread. */
    if (count > 1 && sqrt(squares) > 1e-14 * fabs(e.mean))
        e.error = sqrt(squares / (n - 1.0) / n);
    return e;
}

struct estimate estimate_of_pairs(const double *values, size_t count,
                                  size_t replicates)
{
    struct estimate e =
        estimate_of(values, replicates == 2 && count > 1 ? 1 : count);
    double n = (double)e.count;

    if (replicates == 0)
        return e;
    if (e.count > 2)
        e.error *= sqrt(2.0 * (n - 1.0) / (n - 2.0));
    else if (e.count == 2)
        e.error *= sqrt(3.0);
    return e;
}
