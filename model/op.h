/* op.h -- what an operation of a model must provide: one row, one file.
 *
 * An operation reads up to OP_INPUTS float32 arrays (its parameters are
 * inputs too), writes one, and may keep numbers for its backward. All arrays
 * are row-major; a row is a token. The sequences of a batch lie one behind
 * the other without padding. Kernels cannot fail: shapes are checked when a
 * pass is laid out. The gradient check and the comparison with the naive
 * twins (tests/support/op_reference.c) run over this table. */
#ifndef SINTER_MODEL_OP_H
#define SINTER_MODEL_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    OP_INPUTS = 3,
    OP_NO_LABEL = -1, /* a row without a target */
};

struct op_shape {
    size_t rows;    /* tokens of the batch */
    size_t in, out; /* columns of in[0] and of out */
    size_t heads, kv_heads, head_dim;
    size_t segments;        /* sequences of the batch */
    const uint32_t *starts; /* segments + 1 rows where they begin; first 0,
                               last `rows` */
    float eps;
    bool lean; /* no backward will follow: `saved` is only scratch */
};

/* Floats each array has. */
struct op_sizes {
    size_t in[OP_INPUTS]; /* 0: the operation has no such input */
    size_t out, saved;
};

struct op_call {
    struct op_shape shape;
    const float *in[OP_INPUTS];
    float *out;
    float *saved;         /* forward writes, backward reads */
    const int32_t *index; /* [rows]: token or label of each row */
    const float *table;   /* cosines and sines, see op_rope.c */

    /* Backward only. NULL: not wanted. */
    float *d_in[OP_INPUTS];
    const float *d_out;
    /* d_in[i] holds nothing yet: write it instead of adding to it. */
    bool fresh[OP_INPUTS];
};

struct op {
    const char *name;
    void (*sizes)(const struct op_shape *s, struct op_sizes *ret_sizes);
    void (*forward)(const struct op_call *c);
    /* Needs the arrays of forward as they were left. */
    void (*backward)(const struct op_call *c);
};

/* in: table [vocab = in][out]; index: tokens. out = table[token] */
extern const struct op op_embedding;
/* in: x [rows][in], w [out][in]. out = x w^T */
extern const struct op op_linear;
/* in: x [rows][in], w [out][in], r [rows][out]. out = r + x w^T */
extern const struct op op_linear_add;
/* in: x, g [in]. out = g x / sqrt(mean(x^2) + eps) */
extern const struct op op_rmsnorm;
/* in: x [rows][heads][head_dim], turned by its place in the sequence */
extern const struct op op_rope;
/* in: q [rows][heads][head_dim], k and v [rows][kv_heads][head_dim].
 * out = softmax(q k^T / sqrt(head_dim)) v, each token seeing itself and what
 * stands before it in its sequence; heads / kv_heads heads share k and v */
extern const struct op op_attention;
/* in: g, u. out = g / (1 + exp(-g)) * u */
extern const struct op op_swiglu;
/* in: logits [rows][in]; index: labels. out [rows] = -log softmax(label), 0
 * for OP_NO_LABEL */
extern const struct op op_cross_entropy;

extern const struct op *const ops[]; /* NULL-terminated */

/* Floats of op_rope's table: for each place the cosines, then the sines of
 * head_dim / 2 angles. */
size_t op_rope_table_size(size_t places, size_t head_dim);
void op_rope_table(size_t places, size_t head_dim, double theta,
                   float *ret_table);

#endif
