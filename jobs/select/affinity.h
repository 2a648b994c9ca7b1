/* affinity.h -- samples that are near each other, as a dense matrix.
 *
 *     d_ij = |e_i - e_j|,  A_ij = exp(-d_ij^2 / (2 sigma^2)),  A_ii = 1
 *     D_i = sum_j A_ij                                  PASER, section 3.2
 *
 * Embeddings are float32 rows [n][width] of any length; the mathematics is
 * float64. Equal rows have distance 0 exactly. */
#ifndef SINTER_JOBS_SELECT_AFFINITY_H
#define SINTER_JOBS_SELECT_AFFINITY_H

#include "jobs/select/crew.h"

/* On the wire by name. */
enum affinity_rule {
    AFFINITY_MEDIAN_FULL,    /* of all n x n, the zero diagonal included */
    AFFINITY_MEDIAN_OFFDIAG, /* of the pairs */
    AFFINITY_RULES
};
const char *affinity_rule_name(enum affinity_rule value); /* "median_full" */
bool affinity_rule_find(const char *name, enum affinity_rule *ret_value);

/* The width of the kernel. */
struct affinity_sigma {
    enum affinity_rule rule;
    double fixed; /* > 0: this, not the rule's */
    double scale; /* of the rule's; 0: 1 */
};

struct affinity {
    size_t n;
    double *matrix; /* [n][n] */
    double *degree; /* [n] */
    double median;  /* of the rule, before the scale; 0 if fixed */
    double sigma;   /* what was used */
    bool fallback;  /* the rule gave 0: median of the positive distances */
    bool all_equal; /* no distance is positive: no matrix, no degree */
};

/* Rows that are not zero; ret_rows [n] are their numbers, ascending. INVALID
 * names the first row that is not finite. */
MUST_CHECK struct status affinity_rows(const float *embeddings, size_t n,
                                       size_t width, uint32_t *ret_rows,
                                       size_t *ret_count);

/* INVALID: sigma is not what it may be; NO_MEMORY; CANCELLED. */
MUST_CHECK struct status affinity_make(const struct crew *crew,
                                       const float *embeddings, size_t n,
                                       size_t width,
                                       const struct affinity_sigma *how,
                                       struct affinity *ret_affinity);
void affinity_release(struct affinity *a);
uint64_t affinity_memory(size_t n, size_t width); /* at its highest */

/* The squared distance of two rows; the same bits either way round. */
double affinity_squared(const float *a, const float *b, size_t width);
/* Of `count` squared distances of pairs, whose order is lost: the rule's
 * median of n points, and the fallback. False: all are 0. */
bool affinity_median(double *squared, size_t count, size_t n,
                     enum affinity_rule rule, double *ret_median,
                     bool *ret_fallback);

#endif
