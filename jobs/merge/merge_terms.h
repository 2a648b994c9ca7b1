/* merge_terms.h -- what the kernels of task vectors take: of each model how
 * much of which elements, and where the result goes. Points that differ in
 * lambda only are one set of terms with several ends. */
#ifndef SINTER_JOBS_MERGE_TERMS_H
#define SINTER_JOBS_MERGE_TERMS_H

#include "jobs/merge/merge_run.h"
#include "jobs/merge/merge_trim.h"

/* out = base + lambda x merged */
struct merge_end {
    double lambda;
    float *out;   /* NULL: something else is made of the terms */
    size_t point; /* whose it is, if the kernel's caller wants to know */
};

struct merge_terms {
    size_t models;
    double weight[LIMIT_MODELS];
    double scale[LIMIT_MODELS]; /* of what a drop left */
    float drawn[LIMIT_MODELS];  /* least draw that is kept */
    struct merge_kept kept[LIMIT_MODELS];
    double zero; /* whose sign a sum of 0 takes */
    bool mean;   /* divide by the weights of what was elected */
    bool max;    /* the largest of what was elected */
    size_t ends;
    struct merge_end end[MERGE_POINTS];
    int64_t signs; /* counted: sum of the signs of sums */
};

enum { MERGE_GROUP = 16 };

/* Reads `count` elements from the rows of a chunk, a multiple of
 * MERGE_GROUP, and writes as many to each end. */
typedef void merge_kernel(struct merge_terms *t,
                          const struct merge_chunk *chunk, size_t count);

/* Of chunks that are widened, and of narrow ones. */
struct merge_kernels {
    merge_kernel *f32, *bf16;
};

/* A kernel over all of a chunk, to whose first element the ends belong. */
void merge_kernel_run(const struct merge_kernels *kernels,
                      struct merge_terms *t, const struct merge_chunk *chunk);

/* Lets points with equal terms share one run: of terms[0 ... points - 1], each
 * with one end, the first of equal ones takes the ends of the others, which
 * have none afterwards. */
void merge_terms_share(struct merge_terms *terms, size_t points);

#endif
