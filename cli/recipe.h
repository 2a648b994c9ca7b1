/* recipe.h -- how the model of a trial is made, as a file. */
#ifndef SINTER_CLI_RECIPE_H
#define SINTER_CLI_RECIPE_H

#include "cli/trial.h"

/* A mergekit configuration, or (`json`) a document that holds every recipe;
 * both with the trial's values and metrics and the digest of its model if
 * that is known. The caller frees. */
MUST_CHECK struct status recipe_of_trial(struct session *s,
                                         const struct trial *t, bool json,
                                         char **ret_text);

#endif
