/* select_part.h -- numbers for each sample of a range, computed block by block
 * and written as they come: a job that is killed goes on behind the last block
 * that is on the disk.
 *
 * Blocks have the same bounds however many parts there are, and a block is
 * computed by itself; so numbers do not depend on the parts. */
#ifndef SINTER_JOBS_SELECT_PART_H
#define SINTER_JOBS_SELECT_PART_H

#include "jobs/select/samples.h"
#include "jobs/select_store.h"

enum {
    SELECT_BLOCK = 32, /* samples */
    SELECT_PARTS = 16, /* parts at most */
    SELECT_COLUMNS = 5,
};

struct select_column {
    const char *name; /* in this order */
    enum dtype dtype;
    size_t width;
    bool by_row; /* as many rows as part.starts says; else one a sample */
};

struct select_part {
    /* Given. */
    struct job_context *context;
    const json_t *params; /* of the job: "part", "parts" and all else */
    const struct select_column *columns;
    size_t column_count;

    size_t first, end; /* places of the samples that are kept */
    size_t *starts;    /* [end - first + 1] rows before each; may be NULL */

    size_t block, last_block; /* the next, and the one behind all */
    size_t skip;              /* columns of the next that are there */
    bool whole;               /* an attempt before this one wrote it all */
    char *directory;
    struct st_writer *writer;
};

/* Finds first and end. INVALID if there is no such part. */
MUST_CHECK struct status select_part_range(struct select_part *p, size_t kept);
/* Once the caller knows `starts`, which are the part's to free. */
MUST_CHECK struct status select_part_open(struct select_part *p);
void select_part_release(struct select_part *p);
/* The next block, as places [first, first + count). False: all are there. */
bool select_part_next(const struct select_part *p, size_t *ret_first,
                      size_t *ret_count);
/* Its columns. CANCELLED. */
MUST_CHECK struct status select_part_add(
    struct select_part *p, const void *const columns[SELECT_COLUMNS]);
MUST_CHECK struct status select_part_finish(struct select_part *p,
                                            const json_t *notes,
                                            char ret_artifact[DIGEST_TEXT]);

/* A column of all parts, in the order of the samples; the caller frees. `list`
 * are the jobs of the parts. */
MUST_CHECK struct status select_parts_take(const json_t *list,
                                           struct job_context *context,
                                           const struct select_column *column,
                                           void **ret_data, size_t *ret_rows);
/* A block's column as it lies in the file of its part; aligned to nothing. */
MUST_CHECK struct status select_part_block(const struct select_opened *o,
                                           size_t first,
                                           const struct select_column *column,
                                           const struct tensor **ret_tensor);

#endif
