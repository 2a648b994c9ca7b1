/* nmf_parts.h -- what the files of nmf share. */
#ifndef SINTER_JOBS_SELECT_NMF_PARTS_H
#define SINTER_JOBS_SELECT_NMF_PARTS_H

#include "jobs/select/nmf.h"

MUST_CHECK struct status nmf_room(size_t n, size_t k, struct nmf *f);
/* gram [k][k] = x^T x, x: [n][k] */
void nmf_gram(const double *x, size_t n, size_t k, double *gram);
/* |S|^2; `gram` has room for [rank][rank]. */
double nmf_squares(const struct nmf_matrix *s, double *gram);
/* A row of one factor, given S times the other and the other's gram. */
void nmf_sweep_row(const double *gram, const double *product, size_t k,
                   double *row);
/* From f->w, with f->h as a guess; sets the error and what led to it. */
MUST_CHECK struct status nmf_descend(const struct crew *crew,
                                     const struct nmf_matrix *s, struct nmf *f);
/* The best of the starts; ret_nmf as nmf_make() gives it. */
MUST_CHECK struct status nmf_best(const struct crew *crew,
                                  const struct nmf_matrix *s, size_t k,
                                  uint32_t seed, struct nmf *ret_nmf);

#endif
