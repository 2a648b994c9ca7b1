/* recipe.h -- a model value of resolved parameters, made real in memory.
 *
 * {"$source"} and {"$job"} are mapped files; {"$recipe"} is realised tensor by
 * tensor into memory the slot keeps for the next job with the same recipe, and
 * with it, in one pass over the inputs, recipes the context's siblings read. */
#ifndef SINTER_JOBS_RECIPE_H
#define SINTER_JOBS_RECIPE_H

#include "jobs/job_context.h"
#include "jobs/merge/merge_files.h"
#include "tensor/tensor.h"

struct recipe_cache; /* opaque; one per slot, holds the last realised models */
/* `limit`: bytes it may keep beside the model in use. */
struct recipe_cache *recipe_cache_new(uint64_t limit);
void recipe_cache_free(struct recipe_cache *c); /* NULL is fine */

struct recipe_model; /* opaque: an open or realised model */

/* SHA-256 of the canonical text of a {"kind", "params"}. */
struct digest recipe_key(const json_t *recipe);

MUST_CHECK struct status recipe_open(const json_t *model,
                                     struct job_context *context,
                                     struct recipe_model **ret_model);
/* The same, if it is of files, for at least the tensors that `wanted` names:
 * of a remote model no more need be fetched, the others may read as zeros. */
MUST_CHECK struct status recipe_open_some(
    const json_t *model, struct job_context *context,
    bool (*wanted)(void *chooser, const char *name), void *chooser,
    struct recipe_model **ret_model);
/* Head of the delta that a model is stored as (jobs/delta.h); NULL: it is
 * something else. The caller decrefs. */
MUST_CHECK struct status recipe_delta(const json_t *model,
                                      struct job_context *context,
                                      json_t **ret_head);
/* Where a {"$source"}, {"$job"} or {"$artifact"} lies; the context's. */
MUST_CHECK struct status recipe_path(const json_t *model,
                                     struct job_context *context,
                                     const char **ret_path);
/* Back to the cache; NULL is fine. */
void recipe_close(struct recipe_model *m);

const struct tensor_set *recipe_tensors(const struct recipe_model *m);
/* Are its tensors pages of files, which can be dropped and read again? */
bool recipe_is_mapped(const struct recipe_model *m);
/* Contents of config.json; NULL if the model has none. Borrowed. */
const json_t *recipe_config(const struct recipe_model *m);
/* Directory with tokenizer and config files of the base; NULL if none. */
const char *recipe_directory(const struct recipe_model *m);
/* config.json and what else lies beside the tensors; the caller releases. */
MUST_CHECK struct status recipe_files(const struct recipe_model *m,
                                      struct merge_files *ret_files);
/* SHA-256 over name, dtype, shape and bytes of all tensors in order of name:
 * equal for equal models, however they are sharded. */
struct digest recipe_digest(const struct recipe_model *m);

#endif
