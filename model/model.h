/* model.h -- a graph and its parameters, float32. */
#ifndef SINTER_MODEL_MODEL_H
#define SINTER_MODEL_MODEL_H

#include "model/arch.h"
#include "tensor/tensor.h"

struct model_parameter {
    const char *name; /* as in the checkpoint; the graph's */
    enum graph_role role;
    size_t count;
    size_t at;         /* in a block of all parameters */
    const float *data; /* in the model's block, or in a mapped file */
    float *own;        /* the same, writable; NULL: borrowed */
    bool alone;        /* `own` is an allocation of its own */
    uint8_t *keep;     /* [count], 0 where it is pruned; NULL: dense */
};

struct model {
    struct model_config config;
    struct graph *graph;
    size_t parameter_count;             /* tensors; a tied head is none */
    struct model_parameter *parameters; /* as in the graph */
    size_t size;                        /* floats of all parameters */
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

/* The same a section at a time, for models larger than memory: an outline
 * whose parameters have no data (names and shapes are checked), and the
 * parameters that a section uses first, each an allocation of its own. */
MUST_CHECK struct status model_outline(const struct model_config *c,
                                       const struct tensor_set *tensors,
                                       struct model **ret_model);
MUST_CHECK struct status model_load_section(struct model *m,
                                            const struct tensor_set *tensors,
                                            size_t section);
void model_drop_section(struct model *m, size_t section);

/* Rank and shape of a parameter, with its data. */
struct tensor model_tensor(const struct model *m, size_t parameter);
/* NULL if there is none. */
const struct model_parameter *model_find(const struct model *m,
                                         const char *name);

/* The parameter may be written from now on: a borrowed one is copied.
 * NO_MEMORY. */
MUST_CHECK struct status model_own(struct model *m, size_t parameter);
/* Random numbers as model_new() draws them, into a parameter of its own. */
void model_draw(struct model *m, size_t parameter, uint32_t seed);
/* Prunes: where `keep` [count] is 0 the parameter becomes 0 and stays so in
 * training. NULL: where it is 0 now. NO_MEMORY. */
MUST_CHECK struct status model_mask(struct model *m, size_t parameter,
                                    const uint8_t *keep);

#endif
