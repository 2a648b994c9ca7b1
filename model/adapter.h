/* adapter.h -- LoRA and its variants: matrices of a model that are made of
 * themselves, fixed, and a product B A of low rank, trained.
 *
 * A stands as NAME.lora_A.weight [rank][columns], B as NAME.lora_B.weight
 * [rows][rank] behind the model's own parameters, with ROLE_ADAPTER. Pruned
 * places are those of the matrix's mask (model_mask). */
#ifndef SINTER_MODEL_ADAPTER_H
#define SINTER_MODEL_ADAPTER_H

#include "model/model.h"

struct adapter_row {
    const char *name; /* in sweep files */
    const char *help;
    const struct op *train; /* how the matrix is made in training */
    const struct op *merge; /* and at the end */
    enum graph_init a, b;
    bool scaled;  /* the product is multiplied by alpha / rank */
    bool changes; /* a merge may change what the model computes */
};
extern const struct adapter_row adapters[]; /* ends with a NULL name */
const struct adapter_row *adapter_find(const char *name); /* NULL: none */

struct adapter_settings {
    const struct adapter_row *row;
    size_t rank;
    double alpha;
    uint32_t seed;
};

/* Gives the `chosen` [parameters] matrices adapters. INVALID names one that
 * is no matrix of a linear layer or a convolution, or is used twice; and a
 * rank that passes a matrix's sides. NO_MEMORY. Passes of the model made
 * before are not to be used any more. */
MUST_CHECK struct status adapter_add(struct model *m, const bool *chosen,
                                     const struct adapter_settings *s);

/* An adapter as it is. Borrowed. */
struct adapter_made {
    size_t matrix;                 /* parameter */
    const struct adapter_row *row; /* how it is merged */
    size_t rows, columns, rank;
    float factor;
    const float *a, *b; /* [rank][columns], [rows][rank] */
};
/* Those of a model, in the order of its matrices; `row` as in adapter_add().
 * The caller frees. */
size_t adapter_list(const struct model *m, const struct adapter_row *row,
                    struct adapter_made **ret_list);
/* The matrix `w` one last time, in `ret_w`, which is another array. `keep` of
 * NULL: nothing is pruned; else pruned places of variants that keep them are
 * exactly 0. NO_MEMORY. */
MUST_CHECK struct status adapter_make(const struct adapter_made *a,
                                      const float *w, const uint8_t *keep,
                                      float *ret_w);
/* Makes the matrices in their own place and takes the adapters away.
 * NO_MEMORY. */
MUST_CHECK struct status adapter_merge(struct model *m,
                                       const struct adapter_row *row);

#endif
