/* merge_statistics.h -- what merges have counted, from job to job. */
#ifndef SINTER_JOBS_MERGE_STATISTICS_H
#define SINTER_JOBS_MERGE_STATISTICS_H

#include "common/buf.h"
#include "jobs/job_context.h"

/* What a job has counted, by its {"$job"}; the caller frees. */
MUST_CHECK struct status merge_statistics_read(const json_t *job,
                                               struct job_context *context,
                                               char **ret_bytes,
                                               size_t *ret_size);
/* An artifact of them, and the result of the job that says so. */
MUST_CHECK struct status merge_statistics_write(const struct buf *bytes,
                                                struct job_context *context,
                                                json_t **ret_result);

#endif
