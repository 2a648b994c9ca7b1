#include "cli/rank.h"

#include <math.h>

#include "common/memory.h"

/* Of value i among all: 1 for the least; the middle of those equal to it. */
static double rank_of(const double *values, size_t count, size_t i)
{
    size_t below = 0, equal = 0;

    for (size_t j = 0; j < count; j++) {
        below += values[j] < values[i] ? 1 : 0;
        equal += values[j] == values[i] ? 1 : 0;
    }
    return (double)below + ((double)equal + 1.0) / 2.0;
}

double rank_correlation(const double *a, const double *b, size_t count)
{
    double middle = ((double)count + 1.0) / 2.0;
    double both = 0.0, first = 0.0, second = 0.0;

    if (count < 3)
        return (double)NAN;
    for (size_t i = 0; i < count; i++) {
        double x = rank_of(a, count, i) - middle;
        double y = rank_of(b, count, i) - middle;

        both += x * y;
        first += x * x;
        second += y * y;
    }
    return both / sqrt(first * second);
}
