/* delta.h -- a model stored as what it differs in from another: a directory of
 *
 *     delta.json          {"sinter_delta": 1, "kind": ..., "base": MODEL,
 *                          "adapters": {NAME: {"variant", "factor"}},
 *                          "copies": {NAME: OTHER}, "config": {...},
 *                          "tensors": DIGEST}
 *     model.safetensors   NAME in place of the base's; NAME.lora_A and
 *                         NAME.lora_B, whose product is merged into it;
 *                         NAME.mask, the bits of what is not pruned
 *
 * "copies": tensors the base does not have, which begin as another one.
 * "config": members that replace those of the base's config.json. The base is
 * a source, a recipe or an {"$artifact"}: it can be opened by whoever has the
 * directory alone. */
#ifndef SINTER_JOBS_DELTA_H
#define SINTER_JOBS_DELTA_H

#include "jobs/recipe_cache.h"
#include "model/adapter.h"

/* --- to write one ----------------------------------------------------------- */

struct delta {
    json_t *head;           /* delta.json */
    struct tensor *tensors; /* in memory */
    size_t count;
    uint64_t held; /* bytes of them */
    char **parts;  /* model directories in which the others wait */
    size_t part_count;
};

/* `base`: the model value of a job, whose {"$job"}s are looked up. */
MUST_CHECK struct status delta_init(struct delta *d, const char *kind,
                                    const json_t *base,
                                    struct job_context *context);
void delta_release(struct delta *d);

/* Like `like`, with these bytes, which are copied. */
void delta_add_tensor(struct delta *d, const struct tensor *like,
                      const void *bytes);
/* `keep` [count], 0 where it is pruned, else 1. */
void delta_add_mask(struct delta *d, const char *name, const uint8_t *keep,
                    size_t count);
/* A [rank][columns] and B [rows][rank] of a tensor of `rows`. */
void delta_add_adapter(struct delta *d, const char *name,
                       const struct adapter_made *adapter);
void delta_add_copy(struct delta *d, const char *name, const char *of);
void delta_set_config(struct delta *d, const char *key, json_t *value);
/* What is in memory goes to a model directory, which must not be there, and
 * waits in it. Nothing if there is none. */
MUST_CHECK struct status delta_spill(struct delta *d, const char *directory);
/* The same of what another attempt spilled there. CORRUPT. */
MUST_CHECK struct status delta_recall(struct delta *d, const char *directory);
/* What was spilled and recalled is forgotten. */
void delta_forget(struct delta *d);
/* All of it as an artifact, by way of the scratch directory. */
MUST_CHECK struct status delta_store(struct delta *d,
                                     struct job_context *context,
                                     char ret_artifact[DIGEST_TEXT]);

/* --- to read one ------------------------------------------------------------ */

bool delta_is(const char *directory);
/* delta.json; the caller decrefs. CORRUPT, or INVALID for a version that is
 * not known. */
MUST_CHECK struct status delta_head(const char *directory, json_t **ret_head);
/* By equal keys: the same model. */
struct digest delta_key(const json_t *head);
/* The model itself: the base opened, copied and changed. Bytes are those of
 * who stored it. */
MUST_CHECK struct status delta_realise(const char *directory,
                                       const json_t *head,
                                       struct job_context *context,
                                       struct recipe_entry **ret_entry);

#endif
