/* stream_model.h -- a model of any size written as a directory, in bounded
 * memory: a merge is computed window by window, a prune stretch by stretch,
 * other models are copied tensor by tensor. Equal inputs give equal bytes. */
#ifndef SINTER_JOBS_STREAM_MODEL_H
#define SINTER_JOBS_STREAM_MODEL_H

#include "jobs/job_context.h"

struct stream_wish {
    const json_t *model;    /* a model value, as in parameters; told in
                              recipe.json */
    const char *directory;  /* appears whole or not at all; must not exist */
    uint64_t shard_bytes;   /* 0: one file */
    const json_t *metadata; /* texts for the headers; may be NULL */
    uint64_t checkpoint;    /* bytes after which what is whole is made safe; 0:
                            256 MiB */
    /* All that the bytes depend on: what was begun with an equal one goes on.
     * NULL: the model. */
    const json_t *identity;
};

struct stream_outcome {
    char digest[DIGEST_TEXT]; /* of the model (model_digest.h) */
    uint64_t tensors, bytes;  /* written, with those that were there */
    uint64_t bytes_read;      /* of inputs by this run */
    uint64_t bytes_kept;      /* that were there already; the log tells */
    const char *anew; /* why what was begun could not go on; NULL: nothing was,
                         or it did. A literal. */
};

/* context->memory_bytes bounds what is taken beside mapped inputs, the
 * context's scratch is not used. What is whole when it fails stays beside
 * the directory (safetensors.h). */
MUST_CHECK struct status stream_model(const struct stream_wish *wish,
                                      struct job_context *context,
                                      struct stream_outcome *ret_outcome);

#endif
