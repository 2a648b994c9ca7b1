/* select.h -- exact order statistics of float32 rows that need not be in
 * memory at once. A pass keeps the elements in spans of keys, or if they are
 * many counts them by the high bits of their keys; what it finds narrows the
 * spans of the next one, until each wanted rank has a key to itself. The result
 * depends neither on the cut into chunks nor on who counted them: parts counted
 * elsewhere are merged by addition.
 *
 * Two passes, known beforehand:
 *
 *     select_add(s, ...);                  for each chunk, in any order
 *     select_narrow(s, ranks, count);
 *     select_add(s, ...);                  for the same chunks again
 *     found = select_result(s, i);
 *
 * Or one pass, rarely more, after a glance at some of the elements:
 *
 *     select_add(s, ...);                  for a sample
 *     select_guess(s, ranks, count, elements);
 *     do
 *         select_add(s, ...);              for each chunk, in any order
 *     while (!select_settle(s));
 *     found = select_result(s, i);
 *
 * NaN ranks above infinity; -0 equals 0. */
#ifndef SINTER_TENSOR_SELECT_H
#define SINTER_TENSOR_SELECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/status.h"

enum {
    SELECT_RANKS = 64,      /* wanted at once */
    SELECT_KEPT = 1 << 18,  /* elements that are kept in a pass, at most */
    SELECT_BYTES = 1 << 16, /* the least that a selection can do with */
};

enum select_order {
    SELECT_MAGNITUDE, /* by |x| */
    SELECT_VALUE,     /* by x; a negative NaN ranks below all */
};

/* Opaque. Up to 1 MB of keys, or 4 MB in one that others are merged into; for
 * more elements than are kept counters beside: 0.5 MB in a pass over all keys,
 * then 4 MB, or 0.5 MB for each rank if those are more. */
struct select;

struct select *select_new(enum select_order order);
void select_free(struct select *s); /* NULL is fine */
enum select_order select_order_of(const struct select *s);
/* Begin another row, with the memory of the last one. */
void select_clear(struct select *s);

/* Take at most so many bytes from the next row on, if they are SELECT_BYTES or
 * more; 0: as many as said above. Ranks are to be found by select_finish() or
 * select_guess(), and then select_settle(): less memory may take more passes,
 * and a row has the same limit in all its parts. */
void select_limit(struct select *s, uint64_t bytes);
/* Held for keys and counters. */
size_t select_bytes(const struct select *s);

void select_add(struct select *s, const float *x, size_t count);
/* What `other` counted in the same pass (of the same narrowing). */
void select_merge(struct select *s, const struct select *other);
/* Is it the first pass, or one without a guess, over all keys? */
bool select_is_whole(const struct select *s);
/* Elements of the running pass. */
uint64_t select_count(const struct select *s);

/* Ends the first pass. Ranks count from 0, the smallest; INVALID beyond the
 * elements that were added or SELECT_RANKS. */
MUST_CHECK struct status select_narrow(struct select *s, const uint64_t *ranks,
                                       size_t count);
/* The same, but results may be there, of a row that was kept; else the passes
 * go on with select_settle(). */
MUST_CHECK struct status select_finish(struct select *s, const uint64_t *ranks,
                                       size_t count, bool *ret_done);
/* Ends a pass over a sample of `elements`: the next one looks closely only
 * where the ranks are to be expected. How good the sample is decides how many
 * passes there are, not what they find. INVALID as above. */
MUST_CHECK struct status select_guess(struct select *s, const uint64_t *ranks,
                                      size_t count, uint64_t elements);
/* Ends a pass after select_narrow() or select_guess(). True: the results are
 * there; false: all elements have to be added once more. */
bool select_settle(struct select *s);
/* Start the next pass of another part, as `leader` was narrowed. */
void select_follow(struct select *s, const struct select *leader);

struct select_found {
    float value;    /* of that rank; its magnitude for SELECT_MAGNITUDE */
    uint64_t below; /* elements that are smaller */
    uint64_t equal; /* elements of this value, at least 1 */
};

/* The i-th wanted rank, after the last pass. */
struct select_found select_result(const struct select *s, size_t i);
/* Elements of a found value in this part alone: before parts are merged, who
 * needs "the first m by index" learns how many lie in earlier parts. */
uint64_t select_equal(const struct select *s, float value);

/* All of the running pass as bytes, appended; TOO_BIG by the buffer's limit.
 * Loaded elsewhere it is merged, settled or followed as if it had been
 * counted there. */
MUST_CHECK struct status select_save(struct select *s, struct buf *bytes);
/* Takes what select_save() gave from *at, which moves behind it. INVALID if it
 * was not that, or of another order; the selection is then cleared. */
MUST_CHECK struct status select_load(struct select *s, const char **at,
                                     const char *end);

/* Whether parts are of one pass that was not guessed, those of `ranks` wanted
 * if any are, and can be settled: how many of them are of the pass of the
 * first one; 0: all are, but together they do not have the elements. */
size_t select_fit(struct select *const *parts, size_t count,
                  const uint64_t *ranks, size_t rank_count, uint64_t elements);

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
