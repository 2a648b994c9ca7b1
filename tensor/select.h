/* select.h -- exact order statistics of float32 rows that need not be in
 * memory at once. Radix select: one pass counts the high halves of the keys,
 * a second one the low halves within the bins that hold the wanted ranks. All
 * state is counters, so the result depends neither on the cut into chunks nor
 * on who counted them: parts counted elsewhere are merged by addition.
 *
 *     select_add(s, ...);                  for each chunk, in any order
 *     select_narrow(s, ranks, count);
 *     select_add(s, ...);                  for the same chunks again
 *     found = select_result(s, i);
 *
 * NaN ranks above infinity; -0 equals 0. */
#ifndef SINTER_TENSOR_SELECT_H
#define SINTER_TENSOR_SELECT_H

#include <stddef.h>
#include <stdint.h>

#include "common/status.h"

enum { SELECT_RANKS = 64 }; /* wanted at once */

enum select_order {
    SELECT_MAGNITUDE, /* by |x| */
    SELECT_VALUE,     /* by x; a negative NaN ranks below all */
};

struct select; /* opaque; about 0.6 MB, and 0.5 MB for each bin narrowed to */

struct select *select_new(enum select_order order);
void select_free(struct select *s); /* NULL is fine */
/* Begin another row, with the memory of the last one. */
void select_clear(struct select *s);

void select_add(struct select *s, const float *x, size_t count);
/* What `other` counted in the same pass (of the same narrowing). */
void select_merge(struct select *s, const struct select *other);
/* Elements of the running pass. */
uint64_t select_count(const struct select *s);

/* Ends the first pass. Ranks count from 0, the smallest; INVALID beyond the
 * elements that were added or SELECT_RANKS. */
MUST_CHECK struct status select_narrow(struct select *s, const uint64_t *ranks,
                                       size_t count);
/* Start the second pass of another part, for ranks narrowed in `leader`. */
void select_follow(struct select *s, const struct select *leader);

struct select_found {
    float value;    /* of that rank; its magnitude for SELECT_MAGNITUDE */
    uint64_t below; /* elements that are smaller */
    uint64_t equal; /* elements of this value, at least 1 */
};

/* The i-th rank given to select_narrow(), after the second pass. */
struct select_found select_result(const struct select *s, size_t i);
/* Elements of a found value in this part alone: before parts are merged, who
 * needs "the first m by index" learns how many lie in earlier parts. */
uint64_t select_equal(const struct select *s, float value);

/* Exactly so many of the largest magnitudes: those above the threshold, and
 * of those that equal it the first `equal` by index. */
struct select_cut {
    float threshold; /* a magnitude; infinity: keep none */
    uint64_t equal;
};

/* The rank to narrow to for the `keep` largest of `count`, 1 <= keep <= count;
 * the cut that follows from what was found there. */
uint64_t select_cut_rank(uint64_t count, uint64_t keep);
struct select_cut select_cut_at(const struct select_found *found,
                                uint64_t count, uint64_t keep);
/* Zeroes what is cut. Chunks come in order; `equal` counts down. */
void select_cut_apply(struct select_cut *cut, float *x, size_t count);

/* All at once, of a row in memory, by magnitude. */
float select_magnitude(const float *x, size_t count, uint64_t rank);
struct select_cut select_largest(const float *x, size_t count, uint64_t keep);

#endif
