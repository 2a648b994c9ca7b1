/* stream_parts.h -- what the ways of streaming a model share. For
 * stream_model.c and stream_prune.c. */
#ifndef SINTER_JOBS_STREAM_PARTS_H
#define SINTER_JOBS_STREAM_PARTS_H

#include "jobs/recipe.h"
#include "jobs/stream_model.h"
#include "jobs/stream_write.h"

struct streamed {
    const struct stream_wish *wish;
    struct job_context *context;
    struct stream_outcome *outcome;
    struct digest recipe;
    struct stream_write *out;
};

/* Opens the stream; tells what is there already. */
MUST_CHECK struct status stream_begin(struct streamed *s,
                                      const struct tensor_set *layout);
/* After the last tensor: the files beside them. */
MUST_CHECK struct status stream_end(struct streamed *s,
                                    const struct merge_files *files);
void stream_close(struct streamed *s);

/* A tensor as it is; `done` counts bytes. */
MUST_CHECK struct status stream_copy_tensor(struct streamed *s,
                                            const struct recipe_model *m,
                                            size_t tensor, uint64_t *done);
/* Whole pages of a mapped file inside the range: read again when needed. */
void stream_drop_pages(const char *data, size_t size);

/* A prune: its model is read tensor by tensor. */
MUST_CHECK struct status stream_prune(struct streamed *s, const json_t *params);

#endif
