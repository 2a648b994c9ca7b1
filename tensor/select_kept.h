/* select_kept.h -- keys that are kept instead of being counted, and the one of
 * a rank among them. Of select.c and select_cut.c alone. */
#ifndef SINTER_TENSOR_SELECT_KEPT_H
#define SINTER_TENSOR_SELECT_KEPT_H

#include "tensor/select.h"

struct select_kept {
    uint32_t *keys; /* in any order */
    size_t count, room;
};

void select_kept_release(struct select_kept *k);

/* How many of a size half the bytes hold: `most`, or so often its half as it
 * takes. 0 bytes: no limit. */
size_t select_kept_most(uint64_t bytes, size_t most, size_t size);

/* Keys from `first` to `last`, and how often there is one that is not kept. */
struct select_scope {
    uint32_t first, last;
    uint32_t common;
    uint64_t commons;
};

/* Keeps the keys of elements that are in the scope; counts the common ones.
 * Returns how many are below. `count` is below 2^32. */
uint64_t select_kept_add(struct select_kept *k, enum select_order order,
                         struct select_scope *scope, const float *x,
                         size_t count);
/* Keeps all. */
void select_kept_add_all(struct select_kept *k, enum select_order order,
                         const float *x, size_t count);
void select_kept_append(struct select_kept *k, const struct select_kept *other);

struct select_ranked {
    uint32_t key;
    uint64_t below, equal; /* of the scope */
};

/* The key of a rank, which must be there, among those of the scope. */
struct select_ranked select_kept_find(const struct select_kept *k,
                                      const struct select_scope *scope,
                                      uint64_t rank);
uint64_t select_kept_equal(const struct select_kept *k, uint32_t key);

#endif
