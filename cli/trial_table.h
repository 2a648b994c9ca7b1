/* trial_table.h -- trials as rows: which columns, in which order. Pure. */
#ifndef SINTER_CLI_TRIAL_TABLE_H
#define SINTER_CLI_TRIAL_TABLE_H

#include "cli/table.h"
#include "common/json.h"
#include "common/status.h"

#include <stddef.h>

/* Names of the columns to show: `wanted` (comma-separated names and patterns
 * such as "lambda.*", NULL: the usual ones) out of what the sweep has. INVALID
 * names what matches nothing and lists what there is. */
MUST_CHECK struct status trial_columns(const json_t *spec, const char *wanted,
                                       json_t **ret_names);

/* Columns of the table; `trials` decides which are text. */
void trial_table_columns(struct table *t, const json_t *spec,
                         const json_t *names, const json_t *trials);
void trial_table_rows(struct table *t, const json_t *names,
                      const json_t *trials);

/* Sort by "NAME" or "NAME:desc"; trials without the value come last. INVALID
 * if the sweep has no such column. */
MUST_CHECK struct status trial_sort(const json_t *spec, const char *key,
                                    json_t *trials);

/* Keep the trials whose state is in the comma-separated list. */
MUST_CHECK struct status trial_filter(const char *states, json_t *trials);

#endif
