/* op.h -- what an operation of a model must provide: one row of `ops`.
 *
 * An operation reads up to OP_INPUTS float32 arrays (its parameters are
 * inputs too), writes one, and may keep numbers for its backward. All arrays
 * are row-major; a row is a token of a text or an image of a batch. The
 * sequences of a batch lie one behind the other without padding. Kernels
 * cannot fail: shapes are checked when a graph is built. The gradient check
 * and the comparison with the naive twins (tests/support/op_reference.c) run
 * over this table. */
#ifndef SINTER_MODEL_OP_H
#define SINTER_MODEL_OP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    OP_INPUTS = 5,
    OP_NO_LABEL = -1, /* a row without a target */
};

/* An operation looks at what its comment below names. */
struct op_shape {
    size_t rows;            /* of the batch; of a made weight its own */
    size_t in, out;         /* columns of in[0] and of out */
    size_t segments;        /* sequences of the batch */
    const uint32_t *starts; /* segments + 1 rows where they begin; first 0,
                               last `rows` */
    bool lean;     /* no backward will follow: `saved` is only scratch */
    bool training; /* a norm over the batch measures it */

    size_t heads, kv_heads, head_dim;
    size_t rotary;         /* numbers of a head that are turned; even */
    size_t window;         /* tokens a token sees, itself among them; 0: all */
    size_t places, offset; /* embedding: rows of the table of places, and the
                              row of the first place */
    size_t kinds;          /* embedding: rows of the table of kinds */
    bool both_ways;        /* attention: what stands behind is seen as well;
                              without `window` */
    size_t run, pitch;     /* part: `run` of each `pitch` columns, from
                              column `offset` on */
    bool transposed;       /* linear: the weight is [in][out] */
    size_t channels, height, width; /* of an image in in[0] */
    size_t kernel, stride;          /* convolution; padded by kernel / 2 */
    size_t rank;                    /* adapters */
    float factor;                   /* adapters */
    float eps;
};

/* Floats each array has. */
struct op_sizes {
    size_t in[OP_INPUTS]; /* 0: the operation has no such input */
    size_t out, saved;
};

struct op_call {
    struct op_shape shape;
    const float *in[OP_INPUTS]; /* NULL: an optional one is not there */
    float *out;
    float *saved;         /* forward writes, backward reads */
    const int32_t *index; /* [rows]: token or label of each row */
    const uint8_t *keep;  /* adapters: of in[0], 0 where it is pruned */
    const float *table;   /* cosines and sines, see op_rope.c */

    /* Backward only. NULL: not wanted. */
    float *d_in[OP_INPUTS];
    const float *d_out;
    /* d_in[i] holds nothing yet: write it instead of adding to it. */
    bool fresh[OP_INPUTS];
};

struct op {
    const char *name;
    unsigned optional; /* bit i: in[i] may be absent */
    unsigned fixed;    /* bit i: in[i] has no gradient */
    void (*sizes)(const struct op_shape *s, struct op_sizes *ret_sizes);
    void (*forward)(const struct op_call *c);
    /* Needs the arrays of forward as they were left. */
    void (*backward)(const struct op_call *c);
};

/* in: table [in][out], places [places][out] (optional), kinds [kinds][out]
 * (optional), of which only the first means anything; index: tokens.
 * out = table[token] + places[offset + place in the sequence] + kinds[0] */
extern const struct op op_embedding;
/* in: x [rows][in], w [out][in], b [out] (optional), r [rows][out]
 * (optional). out = x w^T + b + r */
extern const struct op op_linear;
/* in: x, g [in]. out = g x / sqrt(mean(x^2) + eps) */
extern const struct op op_rmsnorm;
/* in: x, g [in], b [in]. out = b + g (x - mean(x)) / sqrt(var(x) + eps) */
extern const struct op op_layernorm;
/* in: x [rows][heads][head_dim], the first `rotary` numbers of each head
 * turned by its place in the sequence */
extern const struct op op_rope;
/* in: q [rows][heads][head_dim], k and v [rows][kv_heads][head_dim].
 * out = softmax(q k^T / sqrt(head_dim)) v, each token seeing itself and what
 * stands before it in its sequence, at most `window` tokens, or both_ways all
 * of it; heads / kv_heads heads share k and v */
extern const struct op op_attention;
/* in: q, k and v of op_attention side by side in each row */
extern const struct op op_joint_attention;
/* in: g, u. out = g / (1 + exp(-g)) * u */
extern const struct op op_swiglu;
/* in: x. out = max(x, 0); x Phi(x); x Phi(x) with the tanh in its place */
extern const struct op op_relu, op_gelu, op_gelu_tanh;
/* in: x. Columns offset .. offset + run - 1 of each `pitch` of them */
extern const struct op op_part;
/* in: x [rows][channels][height x width], g, b, mean, variance [channels].
 * training: out = b + g (x - m) / sqrt(v + eps) with m and v of the batch,
 * else with mean and variance. saved: m, 1 / sqrt(v + eps), v n / (n - 1) */
extern const struct op op_batch_norm;
/* in: x [rows][channels][height][width], w [out channels][channels][kernel]
 * [kernel], r like out (optional). out = w * x + r */
extern const struct op op_conv;
/* What a kernel of a convolution sees at each of the places of out, of one
 * image: [channels x kernel^2][places]. Returns places. */
size_t op_conv_patches(const struct op_shape *s, const float *image,
                       float *ret_patches);
/* in: x [rows][channels][in / channels]. out [rows][channels]: means */
extern const struct op op_pool;
/* in: logits [rows][in]; index: labels. out [rows] = -log softmax(label), 0
 * for OP_NO_LABEL */
extern const struct op op_cross_entropy;
/* in: w [rows][in], a [rank][in], b [rows][rank]; keep of w.
 * out = w + factor b a;  w + factor (b a) keep;  w (b a) */
extern const struct op op_lora, op_mask_lora, op_scale_lora;

extern const struct op *const ops[]; /* NULL-terminated */

/* Floats of op_rope's table: for each place the cosines, then the sines of
 * rotary / 2 angles. */
size_t op_rope_table_size(size_t places, size_t rotary);
void op_rope_table(size_t places, size_t rotary, double theta,
                   float *ret_table);

/* What the batch told a batch norm, in its `saved`, [channels] each. */
struct op_batch_statistics {
    const float *mean, *variance; /* the latter unbiased */
};
struct op_batch_statistics op_batch_norm_statistics(const struct op_shape *s,
                                                    const float *saved);

#endif
