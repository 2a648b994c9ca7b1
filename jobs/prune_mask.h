/* prune_mask.h -- which elements of a matrix go, from their scores. Pure.
 *
 * A score is a float32 of at least 0. Rows are outputs, columns inputs; a
 * turned matrix lies [inputs][outputs] in memory. */
#ifndef SINTER_JOBS_PRUNE_MASK_H
#define SINTER_JOBS_PRUNE_MASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tensor/dtype.h"
#include "tensor/select.h"

enum prune_rule {
    PRUNE_EXACT,   /* floor(n s) go; of equal ones the first by index */
    PRUNE_ROUND,   /* n s rounded half to even go */
    PRUNE_LTE,     /* all up to the one of rank floor(n s), with it */
    PRUNE_TOPK_GT, /* all up to the floor(n s)-th smallest and its equals */
    PRUNE_ALPHA,   /* of each row the most that do not sum up to more than a
                      share of all, the share so that n s go */
};
enum prune_scope { PRUNE_LAYER, PRUNE_GLOBAL, PRUNE_ROW };

struct prune_how {
    enum prune_rule rule;
    enum prune_scope scope;
    double sparsity; /* 0 ... below 1; 0: nothing goes */
    bool highest;    /* these go in place of the lowest; a matrix in memory, by
                     rows or as a whole: all but floor(n (1 - s)) */
    size_t go, of;   /* so many of so many inputs; `of` 0: unstructured */
};

struct prune_matrix {
    size_t outputs, inputs;
    bool turned;
};

/* --- elements that are seen one after the other ---------------------------- */

/* What goes: scores below, and of those that equal it the first. */
struct prune_cut {
    float below;
    uint64_t equal; /* UINT64_MAX: all */
};

/* The rank that decides over `count` scores; false: nothing goes. */
bool prune_rank(const struct prune_how *h, uint64_t count, uint64_t *ret_rank);
/* From what was found there. */
struct prune_cut prune_cut_at(const struct prune_how *h, uint64_t count,
                              const struct select_found *found);
/* Chunks come in order; `equal` counts down. Sets keep[i] to 0 or 1. */
void prune_cut_apply(struct prune_cut *cut, const float *scores, size_t count,
                     uint8_t *keep);

/* Scores that equal where it cuts. */
uint64_t prune_cut_ties(const struct prune_cut *cut, const float *scores,
                        size_t count);

/* Weights that are not kept become 0. */
void prune_zero(enum dtype dtype, void *weights, const uint8_t *keep,
                size_t count);

/* --- a matrix in memory ----------------------------------------------------- */

/* Any rule but the scope GLOBAL, which then is that of the matrix. */
void prune_choose(const struct prune_how *h, const struct prune_matrix *m,
                  const float *scores, uint8_t *keep);
/* The same of rows whose scores were sorted, once for many choices. */
bool prune_by_sorted(const struct prune_how *h);
void prune_sort_rows(const struct prune_matrix *m, const float *scores,
                     float *ret_sorted);
void prune_choose_sorted(const struct prune_how *h,
                         const struct prune_matrix *m, const float *scores,
                         const float *sorted, uint8_t *keep);
/* Outputs none of whose inputs is kept. */
size_t prune_emptied(const struct prune_matrix *m, const uint8_t *keep);

#endif
