/* model_input.h -- the `model` of a job as something that computes. */
#ifndef SINTER_JOBS_MODEL_INPUT_H
#define SINTER_JOBS_MODEL_INPUT_H

#include "jobs/recipe.h"
#include "model/model.h"
#include "model/tokenizer.h"

struct model_input {
    struct recipe_model *recipe;
    struct model *model;
    struct tokenizer *tokenizer; /* NULL: bytes, or images */
    /* A head that was tied, and the tensor that it begins as, if the files do
     * not have it; see model_input_untie(). Owned; NULL: none. */
    char *head, *head_of;
};

/* Opens `params`.model, checks its architecture, tokenizer, names, shapes and
 * numbers, and logs tensors that mean nothing to the architecture. */
MUST_CHECK struct status model_input_open(const json_t *params,
                                          struct job_context *context,
                                          enum model_memory memory,
                                          struct model_input *ret_input);
/* The tokenizer of a text model's files; NULL: bytes. INVALID if it has tokens
 * beyond the vocabulary; the caller frees also then. */
MUST_CHECK struct status model_input_tokenizer(
    const struct recipe_model *m, uint32_t vocab,
    struct tokenizer **ret_tokenizer);
/* A tied head becomes a tensor of its own; one that is so stays. */
MUST_CHECK struct status model_input_untie(struct model_input *in,
                                           enum model_memory memory);
/* The tensor of the files that a parameter is read from; what the model has
 * for itself has its own name. */
const char *model_input_name(const struct model_input *in,
                             const char *parameter);
void model_input_release(struct model_input *in);

/* NO_MEMORY with the numbers if `bytes` pass the job's budget. */
MUST_CHECK struct status model_input_fits(size_t bytes, const char *what,
                                          const struct job_context *context);

#endif
