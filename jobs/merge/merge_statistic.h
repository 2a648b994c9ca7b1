/* merge_statistic.h -- order statistics of one row that the tallies of several
 * threads, or machines, count together, in as many rounds as it takes. */
#ifndef SINTER_JOBS_MERGE_STATISTIC_H
#define SINTER_JOBS_MERGE_STATISTIC_H

#include "jobs/merge/merge_survey.h"
#include "tensor/select.h"

/* The part of one tally. */
struct merge_statistic {
    struct select *select;
    enum { MERGE_COUNT_SAMPLE, MERGE_COUNT_FIRST, MERGE_COUNT_NEXT } round;
    bool early; /* it need not take as many rounds as others */
    bool done;
    size_t count;
    uint64_t ranks[SELECT_RANKS]; /* each once */
    float values[SELECT_RANKS];   /* of the ranks, when done */
};

/* Nothing wanted yet, of a row of so many elements; about how many ranks will
 * be. Those of equal numbers have the same rounds until they are done; without
 * hints any is counted in two. */
void merge_statistic_begin(struct merge_statistic *s, enum select_order order,
                           uint64_t elements, size_t ranks, bool hints);
/* After it was begun: a part of the bytes that `shares` of them may take
 * (select_limit()); without hints it takes what it needs. */
void merge_statistic_limit(struct merge_statistic *s, uint64_t bytes,
                           size_t shares);
void merge_statistic_release(struct merge_statistic *s);
/* Asks for a rank; its place among the values. */
size_t merge_statistic_want(struct merge_statistic *s, uint64_t rank);
/* What the next round is over. */
enum merge_round merge_statistic_round(const struct merge_statistic *s);
/* Elements of this part; nothing once it is done. */
void merge_statistic_add(struct merge_statistic *s, const float *x,
                         size_t count);
/* Ends a round of all parts, `elements` together. */
void merge_statistic_settle(struct merge_statistic *const *parts,
                            size_t threads, uint64_t elements);

MUST_CHECK struct status merge_statistic_save(const struct merge_statistic *s,
                                              struct buf *bytes);
/* Into one that was begun and wants the same, which does not matter before the
 * first round has ended; false if the bytes are not of such a one. */
bool merge_statistic_load(struct merge_statistic *s, const char **at,
                          const char *end);

/* Of parts that were loaded: how many are of the round of the first one; 0: all
 * are, but not of so many elements together. */
size_t merge_statistic_fit(struct merge_statistic *const *parts, size_t count,
                           uint64_t elements);

/* The next number of saved bytes has to be `expected`. */
bool merge_statistic_is_next(const char **at, const char *end,
                             uint64_t expected);
/* Floats are saved by their bits. */
MUST_CHECK struct status merge_statistic_put(struct buf *bytes, float value);
bool merge_statistic_get(const char **at, const char *end, float *ret_value);

#endif
