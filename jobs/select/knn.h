/* knn.h -- the affinity of many samples as a sparse graph: each is joined to
 * its k nearest, and whatever joins one way joins the other way as well.
 *
 *     A_ij = exp(-d_ij^2 / (2 sigma^2)) if i is among the k nearest of j or j
 *     among those of i; A_ii = 1; equal distances: the lower number is nearer
 *
 * Memory is n x k, not n x n. The nearest are found among all by blocked
 * matrix products in float32, which keep k + KNN_SPARE candidates; distances
 * and the order of those are then float64. */
#ifndef SINTER_JOBS_SELECT_KNN_H
#define SINTER_JOBS_SELECT_KNN_H

#include "jobs/select/affinity.h"

enum {
    KNN_SPARE = 16,
    KNN_NEIGHBOURS = 256, /* k at most */
    KNN_SUBSET = 2000,    /* samples that sigma is measured on */
};

struct knn {
    size_t n;
    size_t entries;   /* of the matrix, diagonal included */
    uint64_t *begin;  /* [n + 1] row i is begin[i] ... begin[i + 1] - 1 */
    uint32_t *column; /* [entries] ascending in a row */
    double *weight;   /* [entries] */
    double *degree;   /* [n] */
    double median, sigma;
    bool fallback;  /* as in struct affinity */
    bool all_equal; /* no edges, no degrees: everything is one */

    size_t components;
    uint32_t *component; /* [n] numbered by first appearance */
};

struct knn_how {
    size_t neighbours; /* 1 ... KNN_NEIGHBOURS; all others if there are
                        * fewer */
    struct affinity_sigma sigma; /* of a subset drawn with `seed` */
    uint32_t seed;
};

/* The `k` nearest rows of `to` [m][width] for each row of `from` [n][width],
 * nearest first: ret_index [n][k], ret_squared [n][k] squared distances
 * (NULL: not wanted). `self`: row i of both is one sample, which is not its
 * own neighbour. k <= m (m - 1 with `self`). NO_MEMORY, CANCELLED. */
struct knn_search {
    const float *from, *to;
    size_t n, m, width, k;
    bool self;
};
MUST_CHECK struct status knn_nearest(const struct crew *crew,
                                     const struct knn_search *s,
                                     uint32_t *ret_index, double *ret_squared);

/* INVALID, NO_MEMORY, CANCELLED. */
MUST_CHECK struct status knn_make(const struct crew *crew,
                                  const float *embeddings, size_t n,
                                  size_t width, const struct knn_how *how,
                                  struct knn *ret_graph);
void knn_release(struct knn *g);
uint64_t knn_memory(size_t n, size_t neighbours, uint64_t threads);

#endif
