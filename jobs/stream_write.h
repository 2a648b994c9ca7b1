/* stream_write.h -- tensors on their way to a model directory: files are
 * written and hashed by one thread and the model is hashed by another, while
 * the caller makes the next piece. */
#ifndef SINTER_JOBS_STREAM_WRITE_H
#define SINTER_JOBS_STREAM_WRITE_H

#include "jobs/job_context.h"
#include "tensor/safetensors.h"

struct stream_write; /* opaque */

/* `layout` must outlive the stream. After every `checkpoint` bytes what is whole
 * is made safe (0: 256 MiB). Tensors of an unfinished directory of the
 * same recipe are read again first: `context` is told and may cancel. */
MUST_CHECK struct status stream_write_new(
    const struct st_writer_settings *settings, const struct tensor_set *layout,
    uint64_t checkpoint, struct job_context *context,
    struct stream_write **ret_stream);
/* What is whole stays for the next try, if the settings have a recipe. NULL
 * is fine. */
void stream_write_free(struct stream_write *s);

/* The tensor to begin with; those before it are there. */
size_t stream_write_first(const struct stream_write *s);
/* A sink of merge_run.h; `self` is the stream. The data must stay until the
 * next call returns; a failure may be of an earlier piece. */
MUST_CHECK struct status stream_write_add(void *self, size_t tensor,
                                          const void *data, size_t size);
/* After the last tensor: all pieces are written, and what was streamed is
 * known. */
MUST_CHECK struct status stream_write_end(struct stream_write *s,
                                          struct digest *ret_digest);
/* For files beside the tensors, and to finish; after stream_write_end(). */
struct st_writer *stream_write_writer(const struct stream_write *s);

#endif
