/* merge_pcb_score.h -- the arithmetic of merge_pcb.h, a few elements at a
 * time. */
#ifndef SINTER_JOBS_MERGE_PCB_SCORE_H
#define SINTER_JOBS_MERGE_PCB_SCORE_H

#include "common/limits.h"

#include <stddef.h>
#include <stdint.h>

/* How a model fares against the others. z: its magnitude between the bounds,
 * from 0 to 1. */
enum merge_rivalry {
    MERGE_RIVALS_DELTAS, /* tanh(d_i sum_j d_j) */
    MERGE_RIVALS_SIGNED, /* tanh(d_i sum_j sign(d_j) z_j) */
    MERGE_RIVALS_EACH,   /* sum_j tanh(sign(d_i) z_i sign(d_j) z_j) */
};

enum { MERGE_SCORES = 256 }; /* elements at once */

/* Room for one run. */
struct merge_scoring {
    size_t models; /* at most those of merge_scoring_new() */
    float *scores; /* [models][MERGE_SCORES]: the result */
    /* Of MERGE_RIVALS_EACH: */
    double *signed_z; /* [models][MERGE_SCORES]: sign(d) z */
    double *rivals;   /* the same: how it fares */
    double crowd[MERGE_SCORES];
    double self[MERGE_SCORES];
};

struct merge_scoring *merge_scoring_new(size_t models);
void merge_scoring_free(struct merge_scoring *s);

/* Bounds of the magnitudes of each model, which has no say where they are
 * one. */
struct merge_bounds {
    float low[LIMIT_MODELS], high[LIMIT_MODELS];
};

/* s->scores of at most MERGE_SCORES elements; model i's deltas start at
 * delta + i * stride. Float32, because thresholds are order statistics of
 * these. */
void merge_score(struct merge_scoring *s, enum merge_rivalry rivalry,
                 const struct merge_bounds *bounds, const float *delta,
                 size_t stride, size_t count);
/* The largest of a row that is above `top`, else `top`. */
float merge_score_top(const float *scores, size_t count, float top);

/* What decides how much of each model a point takes. */
struct merge_ends {
    const struct merge_bounds *bounds;
    const float *thresholds, *tops; /* of the scores */
    const double *lambdas;
};

/* out = base + sum lambda_i won_i / sum share_i: a share is how far s->scores
 * is above the threshold, and won_i is that much of the delta's magnitude
 * within the bounds, with its sign. Rows as in merge_score(). */
void merge_score_write(const struct merge_scoring *s,
                       const struct merge_ends *ends, const float *delta,
                       size_t stride, const float *base, float *out,
                       size_t count);

#endif
