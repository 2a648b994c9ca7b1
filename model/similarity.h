/* similarity.h -- how alike two models are: what their outputs have in common
 * (CKA), and what lies between them (linear mode connectivity). */
#ifndef SINTER_MODEL_SIMILARITY_H
#define SINTER_MODEL_SIMILARITY_H

#include "common/status.h"

#include <stddef.h>

/* Ways to the same number, but for the last: */
enum cka_form {
    CKA_FEATURE,  /* by products of columns: for more rows than columns */
    CKA_GRAM,     /* by products of rows */
    CKA_DEBIASED, /* without what few rows have in common by chance; may be
                     below 0 */
};

/* Outputs of both models for the same inputs, row by row. */
struct cka_pair {
    size_t rows;
    const float *x, *y; /* [rows][x_width], [rows][y_width] */
    size_t x_width, y_width;
};

/* Bytes it takes beside the pair. */
size_t cka_bytes(const struct cka_pair *pair, enum cka_form form);
/* Linear centred kernel alignment, 1 for outputs that are the same but for a
 * turn, a factor and a shift. FAILED where it is not defined: outputs that do
 * not vary, or too few rows; NO_MEMORY.
 * Source: Kornblith et al., "Similarity of neural network representations
 * revisited", 2019; debiased: Song et al., "Feature selection via dependence
 * maximization", 2012. */
MUST_CHECK struct status cka(const struct cka_pair *pair, enum cka_form form,
                             double *ret_similarity);

/* Signed connectivity of a curve of losses or errors between two models,
 * ends included: m - v[i], m the mean of both ends, at the first place where
 * |m - v[i]| is largest. Below 0: a barrier.
 * Source: Yang et al., "Taxonomizing local versus global structure in neural
 * network loss landscapes", 2021. */
double connectivity(const double *values, size_t count, size_t *ret_at);

#endif
