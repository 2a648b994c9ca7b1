/* spectrum.h -- the manifold of the samples: the lowest eigenpairs of
 *
 *     L_sym = I - D^-1/2 A D^-1/2        0 = lambda_0 <= lambda_1 <= ...
 *
 * (same eigenvalues as the released I - D^-1 A, but symmetric, so that they
 * can be had exactly). Only the eigenvalues, the projector on the first K and
 * diffusion distances mean anything; signs and rotations are free.
 *
 * Three routes, by the number of samples unless one is asked for:
 *
 *     dense      all distances, LAPACK             up to SPECTRUM_DENSE_MOST
 *     knn        k nearest neighbours, ARPACK      up to SPECTRUM_KNN_MOST
 *     landmarks  dense on some; the others follow the nearest of them
 *
 * Samples whose embedding is zero (no text) are in no route. */
#ifndef SINTER_JOBS_SELECT_SPECTRUM_H
#define SINTER_JOBS_SELECT_SPECTRUM_H

#include "jobs/select/knn.h"

enum {
    SPECTRUM_DENSE_MOST = 6000,
    SPECTRUM_DENSE_LIMIT = 24000, /* if asked for; TOO_BIG beyond: 5 GB */
    SPECTRUM_KNN_MOST = 100 * 1000,
    SPECTRUM_MOST = 4 << 20,      /* samples; TOO_BIG beyond */
    SPECTRUM_LANDMARKS = 3000,    /* drawn unless said otherwise */
    SPECTRUM_LANDMARKS_LEAST = 8, /* and not fewer */
    SPECTRUM_NEIGHBOURS = 20,     /* of the graph unless said otherwise */
    SPECTRUM_VOTES = 5,           /* landmarks that label a sample */
    SPECTRUM_PAIRS = 31,          /* kept unless said otherwise: K up to 30 */
    SPECTRUM_PAIRS_MOST = 1024,
};

/* On the wire by name. */
enum spectrum_route {
    SPECTRUM_AUTO, /* by size */
    SPECTRUM_DENSE,
    SPECTRUM_KNN,
    SPECTRUM_BY_LANDMARKS,
    SPECTRUM_ROUTES
};
const char *spectrum_route_name(enum spectrum_route value); /* "auto" ... */
bool spectrum_route_find(const char *name, enum spectrum_route *ret_value);
/* Which one `asked` is for n samples: never SPECTRUM_AUTO. */
enum spectrum_route spectrum_route_for(enum spectrum_route asked, size_t n);

struct spectrum_how {
    enum spectrum_route route;
    struct affinity_sigma sigma;
    size_t pairs;      /* eigenpairs wanted: K + 1; 0: SPECTRUM_PAIRS */
    size_t neighbours; /* 0: SPECTRUM_NEIGHBOURS */
    size_t landmarks;  /* 0: SPECTRUM_LANDMARKS */
    uint32_t seed;     /* of what is drawn: landmarks, subsets, start vector */
};

/* All arrays are owned; what a route has not is NULL. */
struct spectrum {
    size_t n;        /* samples */
    size_t rows;     /* of them in the eigenvectors */
    size_t pairs;    /* eigenpairs; fewer than wanted if there are fewer rows */
    uint32_t *row;   /* [rows] their samples, ascending */
    double *values;  /* [pairs] lambda, ascending */
    double *vectors; /* [rows][pairs], orthonormal columns */
    double *degree;  /* [rows] */

    enum spectrum_route route; /* that was taken */
    double median, sigma;      /* as in struct affinity */
    bool fallback, all_equal;  /* all_equal: no eigenpairs, one cluster */
    size_t empty;              /* samples with a zero embedding */

    size_t entries;      /* of the graph; 0: none */
    size_t components;   /* of the graph; 0: none */
    uint32_t *component; /* [rows] of the graph */
    size_t votes;        /* landmarks: how many label a sample; 0: none */
    uint32_t *nearest;   /* landmarks: [n][votes] rows, nearest first */
};

/* INVALID: an embedding is not finite, or a setting is out of range; TOO_BIG:
 * too many samples for the route; NO_MEMORY; CANCELLED; FAILED: ARPACK did not
 * converge. */
MUST_CHECK struct status spectrum_make(const struct crew *crew,
                                       const float *embeddings, size_t n,
                                       size_t width,
                                       const struct spectrum_how *how,
                                       struct spectrum *ret_spectrum);
void spectrum_release(struct spectrum *s);
/* Bytes at its highest, beside the embeddings. */
uint64_t spectrum_memory(size_t n, size_t width, const struct spectrum_how *how,
                         uint64_t threads);
/* One sentence for people on the route and what was met on it. */
void spectrum_note(const struct spectrum *s, char *text, size_t size);

/* The squared diffusion distance of rows i and j after `time` steps, of the
 * first `pairs` eigenpairs:
 *     sum_{k >= 1} mu_k^{2t} (psi_k(i) - psi_k(j))^2,  mu = 1 - lambda,
 *     psi_k(i) = phi_k(i) / sqrt(pi_i),  pi = D / sum D */
double spectrum_distance(const struct spectrum *s, size_t pairs, double time,
                         size_t i, size_t j);
/* Two coordinates of each sample for a picture: [n][2]. Those of the first two
 * eigenvectors that are not constant; samples that have none take the place of
 * their nearest landmark, or the middle. */
void spectrum_plane(const struct spectrum *s, float *ret_plane);

#endif
