/* gemm.h -- products of matrices that stay in the caches, for processors with
 * fused multiply-add; blas.h decides which products come here.
 *
 * Each element of C is one chain of fused additions over k for each
 * GEMM_DEPTH of it at most, cut evenly, and the chains are added in their
 * order: the same bits on every instruction set that is here, for any number
 * of rows and columns and any place in them. */
#ifndef SINTER_TENSOR_GEMM_H
#define SINTER_TENSOR_GEMM_H

#include "tensor/blas.h"

enum {
    GEMM_DEPTH = 256,  /* of a panel: with 32 columns 32 KiB */
    GEMM_COLUMNS = 32, /* of a panel, at most */
    GEMM_ROWS = 8,     /* of a tile, at most */
};

/* A piece of C, made of rows of A and a panel of B: `depth` rows of
 * 16-byte-aligned columns, as many as the set's `columns`. */
struct gemm_tile {
    const float *a;
    size_t a_stride; /* from row to row of A, or, turned, of its transpose */
    bool turned;
    /* What is asked for meanwhile: GEMM_ROWS rows of `depth`, which the next
     * tile will read. */
    const float *ahead;
    size_t ahead_stride;
    const float *panel;
    size_t depth;
    float alpha;
    const float *bias; /* added to each row; NULL: none */
    const float *from; /* beta times this is added; NULL: nothing */
    size_t from_stride;
    float beta;
    float *c;
    size_t c_stride;
    size_t columns; /* that there are */
};

/* What is written for one instruction set. */
struct gemm_set {
    const char *name;
    bool (*usable)(void);
    size_t rows, columns; /* of a tile, at most */
    /* [rows - 1] */
    void (*tiles[GEMM_ROWS])(const struct gemm_tile *t);
    /* `count` columns of B, from `b` on, become a panel; those that are
     * missing are zeros. */
    void (*pack)(const float *b, size_t stride, size_t depth, size_t count,
                 float *ret_panel);
    void (*pack_turned)(const float *b, size_t stride, size_t depth,
                        size_t count, float *ret_panel);
    /* The first `rows` floats of each of `depth` rows of A turned, one behind
     * the other; up to a vector behind them is written as well. */
    void (*pack_rows)(const float *a, size_t stride, size_t depth, size_t rows,
                      float *ret_packed);
};

extern const struct gemm_set gemm_avx512, gemm_avx2; /* x86-64 only */
/* The fastest first; NULL-terminated. */
extern const struct gemm_set *const gemm_sets[];
/* The first that this processor has; NULL: none. */
const struct gemm_set *gemm_best(void);

void gemm_multiply(const struct gemm_set *set, const struct blas_product *p,
                   float *c, size_t stride);

#endif
