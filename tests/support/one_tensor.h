/* one_tensor.h -- merges of a single tensor in memory, for tests. */
#ifndef SINTER_TESTS_SUPPORT_ONE_TENSOR_H
#define SINTER_TESTS_SUPPORT_ONE_TENSOR_H

#include "jobs/merge/merge_run.h"

enum { ONE_MODELS = 4, ONE_POINTS = 8 };

/* F32 tensors of one shape. */
struct one_tensor {
    uint32_t rank;
    uint64_t shape[2];
    const float *base;
    const float *tasks[ONE_MODELS]; /* ends with NULL */
    const float *draws[ONE_MODELS]; /* NULL: own draws */
    bool base_first;                /* the base is the first of the models */
    size_t threads;                 /* 0: one */
    size_t chunk;                   /* 0: any */
};

/* `method` and `parameters` as JSON: "\"merge_method\": \"slerp\"" and
 * "\"t\": 0.5"; `ret_out` has room for the tensor. */
struct status one_tensor_merge(const struct one_tensor *t, const char *method,
                               const char *parameters, float *ret_out);
/* Several points in one run. */
struct status one_tensor_points(const struct one_tensor *t, const char *method,
                                const char *const *parameters, size_t points,
                                float *const *ret_outs);

#endif
