/* op_reference.h -- the naive twins of the operations of model/op.h: float64,
 * one formula each, and random calls of any shape to try both with. */
#ifndef SINTER_TESTS_SUPPORT_OP_REFERENCE_H
#define SINTER_TESTS_SUPPORT_OP_REFERENCE_H

#include "model/op.h"

struct op_reference {
    const struct op *op;
    void (*forward)(const struct op_call *c, double *out);
};
extern const struct op_reference op_references[]; /* ends with a NULL op */

/* Shapes worth trying, in rising size. */
enum { OP_TRIALS = 7 };

/* A call with all its arrays, filled at random. */
struct op_trial {
    const struct op *op;
    struct op_call call;
    struct op_sizes sizes;
    float *in[OP_INPUTS], *d_in[OP_INPUTS];
    float *d_out;
    uint32_t starts[8];
    int32_t *index;
    uint8_t *keep;
    float *table;
};

/* `number` from 0 to OP_TRIALS - 1. */
void op_trial_init(struct op_trial *t, const struct op *op, int number);
void op_trial_release(struct op_trial *t);
/* Whether the trial has that input and the operation a gradient for it. */
bool op_trial_slopes(const struct op_trial *t, size_t input);

#endif
