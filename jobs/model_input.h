/* model_input.h -- the `model` of a job as something that computes. */
#ifndef SINTER_JOBS_MODEL_INPUT_H
#define SINTER_JOBS_MODEL_INPUT_H

#include "jobs/recipe.h"
#include "model/model.h"

struct model_input {
    struct recipe_model *recipe;
    struct model *model;
};

/* Opens `params`.model, checks its architecture, tokenizer, names, shapes and
 * numbers, and logs tensors that mean nothing to the architecture. */
MUST_CHECK struct status model_input_open(const json_t *params,
                                          struct job_context *context,
                                          enum model_memory memory,
                                          struct model_input *ret_input);
void model_input_release(struct model_input *in);

/* NO_MEMORY with the numbers if `bytes` pass the job's budget. */
MUST_CHECK struct status model_input_fits(size_t bytes, const char *what,
                                          const struct job_context *context);

#endif
