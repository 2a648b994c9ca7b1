/* select_table.h -- all samples of a selection as rows of a table that
 * spreadsheets read: those that were chosen in their order, then the others. */
#ifndef SINTER_JOBS_SELECT_TABLE_H
#define SINTER_JOBS_SELECT_TABLE_H

#include "common/buf.h"
#include "common/json.h"

/* Names of the columns. */
MUST_CHECK struct status select_table_begin(struct buf *table);
/* A line of selection.jsonl or rejected.jsonl; what it has not is empty.
 * `place` from 1; 0: it was not chosen. */
MUST_CHECK struct status select_table_add(struct buf *table,
                                          const json_t *sample, size_t place);

#endif
