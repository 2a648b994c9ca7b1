/* bench.h -- what the programs of this folder print: one JSON object a line,
 * so that a run can be kept and compared. */
#ifndef SINTER_BENCH_BENCH_H
#define SINTER_BENCH_BENCH_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/json.h"

/* `ratio` is the value divided by that of `against`, which names another
 * line's measure; NULL: there is nothing to compare with. */
static inline void bench_print(const char *name, double value, const char *unit,
                               double ratio, const char *against)
{
    /* json_real() of what is not finite is NULL, which is written as null. */
    json_t *line = json_pack("{s:s, s:o?, s:s, s:o?, s:s?}", "name", name,
                             "value", json_real(value), "unit", unit, "ratio",
                             against == NULL ? NULL : json_real(ratio),
                             "against", against);
    char *text = json_dumps(line, JSON_REAL_PRECISION(6));

    (void)printf("%s\n", text);
    (void)fflush(stdout);
    free(text);
    json_decref(line);
}

static inline int bench_compare(const void *a, const void *b)
{
    const double *x = a;
    const double *y = b;

    return (*x > *y) - (*x < *y);
}

/* The value below which `part` (0 ... 1) of the values lie; sorts them. */
static inline double bench_quantile(double *values, size_t count, double part)
{
    qsort(values, count, sizeof *values, bench_compare);
    return values[(size_t)((double)(count - 1) * part + 0.5)];
}

#endif
