/* model_files.h -- a model in memory as the files of a model directory. */
#ifndef SINTER_JOBS_MODEL_FILES_H
#define SINTER_JOBS_MODEL_FILES_H

#include "jobs/recipe.h"
#include "tensor/safetensors.h"

/* All tensors (in the writer's layout, recipe_tensors(m)), config.json, and
 * the tokenizer's files of the base. The caller finishes. */
MUST_CHECK struct status model_files_add(struct st_writer *w,
                                         const struct recipe_model *m,
                                         struct job_context *context);

/* Without the tensors. */
MUST_CHECK struct status model_files_beside(struct st_writer *w,
                                            const struct merge_files *files);

#endif
