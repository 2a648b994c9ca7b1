/* merge_sums.h -- float64 sums over a tensor that several threads make, with
 * bits that depend on the data alone.
 *
 * A tensor is cut into pieces (of REDUCE_CHUNK elements, or rows), counted
 * from 0. Pieces are added in pairs, pairs in pairs of pairs: a binary tree
 * over their numbers. A run of pieces is few nodes of it, however long, and
 * runs that different threads took join to the same tree. */
#ifndef SINTER_JOBS_MERGE_SUMS_H
#define SINTER_JOBS_MERGE_SUMS_H

#include <stddef.h>
#include <stdint.h>

struct merge_sums; /* opaque */

struct merge_sums *merge_sums_new(void);
void merge_sums_free(struct merge_sums *s); /* NULL is fine */
/* Begin again, with `width` sums side by side. */
void merge_sums_clear(struct merge_sums *s, size_t width);

/* The sums of a piece, all 0, for the caller to set before the next call.
 * Pieces come in order, without gaps. */
double *merge_sums_piece(struct merge_sums *s, uint64_t piece);
/* Add the run that comes after what is there; `later` may be empty. */
void merge_sums_join(struct merge_sums *s, struct merge_sums *later);
/* Of all pieces, from 0 on; 0 without one. */
void merge_sums_total(struct merge_sums *s, double *ret_sums);

#endif
