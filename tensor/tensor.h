/* tensor.h -- named tensors, as they lie in a file, a cache or an arena. */
#ifndef SINTER_TENSOR_TENSOR_H
#define SINTER_TENSOR_TENSOR_H

#include "common/limits.h"
#include "common/status.h"
#include "tensor/dtype.h"

#include <stddef.h>
#include <stdint.h>

/* A view: it owns nothing. */
struct tensor {
    const char *name;
    enum dtype dtype;
    uint32_t rank; /* 0: a scalar, count 1 */
    uint64_t shape[LIMIT_RANK];
    uint64_t count;   /* elements, row-major; may be 0 */
    const void *data; /* NULL if only the header is known */
    const char *file; /* where it came from, for messages */
};

/* Sorted by name (strcmp), no name twice. */
struct tensor_set {
    size_t count;
    const struct tensor *items;
};

/* The order of a set, for qsort() of struct tensor. */
int tensor_by_name(const void *a, const void *b);
/* NULL if absent. */
const struct tensor *tensor_find(const struct tensor_set *set,
                                 const char *name);
bool tensor_same_shape(const struct tensor *a, const struct tensor *b);
/* "32016x4096"; returns `text`. */
const char *tensor_shape_text(const struct tensor *t, char *text, size_t size);
uint64_t tensor_bytes(const struct tensor *t);

#endif
