/* model.h -- the parameters of a model, float32, in one block. */
#ifndef SINTER_MODEL_MODEL_H
#define SINTER_MODEL_MODEL_H

#include "model/arch.h"
#include "tensor/tensor.h"

struct model_parameter {
    char name[128]; /* as in the checkpoint */
    const struct arch_parameter *row;
    size_t rows, columns; /* columns 0: a vector */
    size_t count;
    size_t at;         /* in a block of all parameters: gradients, moments */
    const float *data; /* in the model's block, or in a mapped file */
};

struct model {
    struct model_config config;
    size_t parameter_count; /* tensors; a tied head is none */
    struct model_parameter *parameters;
    size_t size;  /* floats of the block */
    float *block; /* NULL if all parameters are borrowed */
    /* Names of tensors of the checkpoint that the architecture does not
     * have, NULL-terminated. */
    char **extra;
};

/* Floats of all parameters. */
size_t model_size(const struct model_config *c);

/* Random parameters; equal seeds give equal bytes. NO_MEMORY. */
MUST_CHECK struct status model_new(const struct model_config *c, uint32_t seed,
                                   struct model **ret_model);

enum model_memory {
    MODEL_COPY,   /* all in the block: to train, or to outlive the tensors */
    MODEL_BORROW, /* float32 tensors stay where they are */
};
/* Names and shapes are checked against the configuration and numbers for NaN
 * and infinities: INVALID names tensor and shapes, CORRUPT tensor and
 * element. */
MUST_CHECK struct status model_load(const struct model_config *c,
                                    const struct tensor_set *tensors,
                                    enum model_memory memory,
                                    struct model **ret_model);
void model_free(struct model *m); /* NULL is fine */

/* Of row `row` of the architecture in layer `layer` (0 outside layers); the
 * stand-in's if it is tied. */
const struct model_parameter *model_parameter(const struct model *m, int row,
                                              uint32_t layer);
/* Rank and shape of a parameter, as a tensor without dtype and data. */
struct tensor model_tensor(const struct model_parameter *p);
/* NULL if there is none. */
const struct model_parameter *model_find(const struct model *m,
                                         const char *name);

#endif
