/* recipe_mask.h -- what a pruned model says of its weights: which are gone. A
 * weight that is 0 without being pruned may come back in training, one that
 * is gone may not. */
#ifndef SINTER_JOBS_RECIPE_MASK_H
#define SINTER_JOBS_RECIPE_MASK_H

#include "jobs/recipe.h"
#include "model/model.h"

/* A bit for each element of the tensor, 0 where it is pruned, the lowest bit
 * first; borrowed. NULL: nobody pruned it, as far as is known: files of a
 * model have no masks. */
const uint8_t *recipe_mask(const struct recipe_model *m, const char *tensor);

/* Bytes a mask of the tensor takes in recipe_entry.extra: whole lines. */
size_t recipe_mask_bytes(const struct tensor *t);
/* Masks parameters of `model`, which was loaded from `m`, by model_mask().
 * NO_MEMORY. */
MUST_CHECK struct status recipe_mask_model(const struct recipe_model *m,
                                           struct model *model);

#endif
