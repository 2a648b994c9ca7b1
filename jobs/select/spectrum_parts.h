/* spectrum_parts.h -- what the files of spectrum share. */
#ifndef SINTER_JOBS_SELECT_SPECTRUM_PARTS_H
#define SINTER_JOBS_SELECT_SPECTRUM_PARTS_H

#include "jobs/select/spectrum.h"

/* Rows of a spectrum that are not zero, one after another. */
struct spectrum_points {
    const float *rows;
    size_t count, width;
};

MUST_CHECK struct status spectrum_sparse(const struct crew *crew,
                                         const struct spectrum_points *p,
                                         const struct spectrum_how *how,
                                         size_t pairs, struct spectrum *s);
/* Memory for `pairs` eigenpairs of s->rows. */
MUST_CHECK struct status spectrum_room(struct spectrum *s, size_t pairs);

/* A graph with fewer samples is a matrix for LAPACK. */
enum { SPECTRUM_SMALL = 600 };

/* A connected part of the graph of neighbours. */
struct component {
    size_t size;
    uint32_t name;
};

/* For qsort(): the largest first, of equal ones the lower name. */
int component_by_size(const void *a, const void *b);

#endif
