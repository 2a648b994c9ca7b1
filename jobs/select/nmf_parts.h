/* nmf_parts.h -- what the files of nmf share. */
#ifndef SINTER_JOBS_SELECT_NMF_PARTS_H
#define SINTER_JOBS_SELECT_NMF_PARTS_H

#include "jobs/select/nmf.h"

MUST_CHECK struct status nmf_room(size_t n, size_t k, struct nmf *f);
/* What a product of rows of S = |Z Z^T| with a factor X reads: both by columns,
 * with zeros up to a whole group. */
struct nmf_rows {
    const double *factor; /* Z [rank][padded] */
    const double *other;  /* X [k][padded] */
    size_t padded, rank, k;
};
size_t nmf_padded(size_t n);
void nmf_transpose(const double *rows, size_t n, size_t k, double *columns);
/* Doubles that nmf_multiply() needs, aligned to 64 bytes. */
size_t nmf_rows_scratch(size_t rows, size_t k);
/* product [rows][k] = |z Z^T| X for some rows of Z, z [rows][rank]. The same
 * bits on all machines. */
void nmf_multiply(const struct nmf_rows *r, const double *z, size_t rows,
                  void *scratch, double *product);

/* It ends when |S - W H|^2 falls by less than this part of it in a step; for all
 * rows after a start that was refined on some of them, by the second: a step
 * is n^2 k then, and what is left to gain is in the fourth digit of the error. */
#define NMF_STILL             1e-6
#define NMF_STILL_FROM_COARSE 1e-3
/* From f->w, with f->h as a guess, for so many iterations at most; sets the
 * error and what led to it. */
MUST_CHECK struct status nmf_descend(const struct crew *crew,
                                     const struct nmf_matrix *s, double still,
                                     size_t most, struct nmf *f);
/* The best of the starts; ret_nmf as nmf_make() gives it. */
MUST_CHECK struct status nmf_best(const struct crew *crew,
                                  const struct nmf_matrix *s, size_t k,
                                  uint32_t seed, struct nmf *ret_nmf);

#endif
