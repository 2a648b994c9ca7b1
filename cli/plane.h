/* plane.h -- the samples of a selection as points, coloured by cluster, those
 * that were selected filled. */
#ifndef SINTER_CLI_PLANE_H
#define SINTER_CLI_PLANE_H

#include "common/status.h"

#include <stdbool.h>
#include <stddef.h>

struct plane {
    const char *title;
    const char *const *notes; /* lines below, ends with NULL */
    size_t count;
    const double *x, *y;    /* [count]; any units */
    const size_t *clusters; /* [count] below cluster_count */
    const bool *selected;   /* [count] */
    size_t cluster_count;
    const char *const *legends; /* [cluster_count] */
};

/* Of more points only some of those that were not selected are drawn. */
enum { PLANE_POINTS = 20000 };

/* A file, .svg, .pdf or .png by its name: whole or not at all. */
MUST_CHECK struct status plane_write(const struct plane *p, const char *path);

#endif
