/* small_model.h -- models of a few tensors in memory, for tests. */
#ifndef SINTER_TESTS_SUPPORT_SMALL_MODEL_H
#define SINTER_TESTS_SUPPORT_SMALL_MODEL_H

#include "tensor/tensor.h"

struct small_row {
    const char *name; /* NULL ends a list; in order of name */
    enum dtype dtype;
    uint32_t rank;
    uint64_t shape[3];
};

struct small_model {
    struct tensor_set set;
    struct tensor *items; /* set.items */
};

/* Float tensors are draws in (-1, 1) times `scale`, others count up. */
struct small_model small_model_new(const struct small_row *rows, uint32_t seed,
                                   double scale);
/* A fine-tune: `base` plus such draws times `scale`. */
struct small_model small_model_near(const struct small_model *base,
                                    uint32_t seed, double scale);
void small_model_release(struct small_model *m);

/* One element as a number, and changed. */
double small_model_get(const struct small_model *m, const char *name,
                       uint64_t element);
void small_model_set(struct small_model *m, const char *name, uint64_t element,
                     double value);

#endif
