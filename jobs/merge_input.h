/* merge_input.h -- the models that merges of one configuration read, opened:
 * mapped files, or realised where they are recipes themselves. */
#ifndef SINTER_JOBS_MERGE_INPUT_H
#define SINTER_JOBS_MERGE_INPUT_H

#include "jobs/merge/merge_run.h"
#include "jobs/recipe.h"

struct merge_input {
    struct merge_inputs inputs; /* for merge_new() */
    struct recipe_model *base;  /* NULL: none */
    struct recipe_model *tasks[LIMIT_MODELS];
    struct merge_files base_files, files[LIMIT_MODELS];
    char *statistics; /* counted by other jobs; NULL: none */
    size_t statistics_size;
};

/* To be released also after a failure, which names the model. */
MUST_CHECK struct status merge_input_open(struct merge_input *in,
                                          const struct merge_config *config,
                                          struct job_context *context);
/* The same, for at least the tensors of the result that `wanted` names; of
 * remote models no others need be read. */
MUST_CHECK struct status merge_input_open_some(
    struct merge_input *in, const struct merge_config *config,
    bool (*wanted)(void *self, const char *name), void *self,
    struct job_context *context);
void merge_input_release(struct merge_input *in);
/* Tell a merge of them what was counted by other jobs. */
void merge_input_know(const struct merge_input *in, struct merge *m);

#endif
