/* cluster.h -- from a spectrum to a cluster for each sample.
 *
 *     Z = Phi_K diag(mu^t), S = |Z Z^T| ~ W H, c(i) = argmax_k W_ik |H_k|
 *
 * Labels are canonical: numbered by first appearance, without gaps. What no
 * column prefers is dropped, so there may be fewer clusters than K. */
#ifndef SINTER_JOBS_SELECT_CLUSTER_H
#define SINTER_JOBS_SELECT_CLUSTER_H

#include "jobs/select/nmf.h"
#include "jobs/select/spectrum.h"

enum {
    CLUSTER_LEAST = 2, /* K by eigengap: from ... */
    CLUSTER_MOST = 30, /* ... to min(this, n - 2) */
};

struct cluster_how {
    size_t k;           /* 0: by the largest eigengap */
    size_t least, most; /* of that; 0: as above */
    double time;        /* t >= 0 */
    uint32_t seed;      /* of restarts */
};

struct clusters {
    size_t n;
    size_t count;     /* clusters there are: K effective and `lone` */
    uint32_t *labels; /* [n] below count */
    size_t *sizes;    /* [count] */
    size_t k;         /* asked for, or found */
    double gap;       /* lambda_k - lambda_{k-1}; NaN: not known */
    bool by_gap;      /* K was found */
    bool repeated;    /* the gap is below 1e-6: the cut is arbitrary */
    bool merged;      /* more components than K: the smallest share one */
    bool one;         /* too few samples, or all are equal: one cluster */
    bool reduced;     /* K was larger than what there is */
    size_t dropped;   /* columns that won nowhere */
    bool lone;        /* samples without text have a cluster of their own ... */
    uint32_t lone_label; /* ... this one */
    double error;        /* of the factorisation, relative; 0: none was made */
    size_t iterations, starts;
};

/* K = argmax (lambda_k - lambda_{k-1}) over least <= k <= most, ties to the
 * smaller, of `count` eigenvalues (ascending); `ret_gap` is that difference.
 * 0: the range holds nothing. */
size_t cluster_eigengap(const double *values, size_t count, size_t least,
                        size_t most, double *ret_gap);

/* Renames by first appearance; returns how many there are. Labels < n. */
MUST_CHECK struct status cluster_canonical(uint32_t *labels, size_t n,
                                           size_t *ret_count);

/* INVALID: K needs more eigenpairs than the spectrum holds. NO_MEMORY,
 * CANCELLED. */
MUST_CHECK struct status cluster_make(const struct crew *crew,
                                      const struct spectrum *s,
                                      const struct cluster_how *how,
                                      struct clusters *ret_clusters);
void clusters_release(struct clusters *c);
uint64_t cluster_memory(size_t n, size_t k, uint64_t threads);
/* One sentence for people on K, the gap and what was met. */
void cluster_note(const struct clusters *c, char *text, size_t size);

/* The `count` samples of a cluster nearest to the mean of its embeddings
 * (equal: the lower number); SIZE_MAX where there are no more. */
void cluster_nearest(const struct clusters *c, uint32_t label,
                     const float *embeddings, size_t width, size_t count,
                     size_t *ret_samples);

#endif
