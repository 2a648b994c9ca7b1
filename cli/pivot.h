/* pivot.h -- the table of `report.table`: parameters in rows and columns, in
 * each cell the best point that is left. Pure. */
#ifndef SINTER_CLI_PIVOT_H
#define SINTER_CLI_PIVOT_H

#include "cli/table.h"
#include "common/json.h"
#include "common/status.h"

#include <stddef.h>

struct pivot; /* opaque */

/* `spec`: a compiled document with `report.table`; `trials` as the verb
 * "trials" gives them. INVALID when the sweep has no such table; TOO_BIG
 * beyond some thousand cells. */
MUST_CHECK struct status pivot_make(const json_t *spec, const json_t *trials,
                                    struct pivot **ret_pivot);
void pivot_free(struct pivot *p); /* NULL is fine */

/* What the cells are, in one line; borrowed. */
const char *pivot_caption(const struct pivot *p);
/* With errors and shares in the cells for people, else in columns of their
 * own; table_free() when done. */
struct table *pivot_table(const struct pivot *p, bool people, bool utf8);
json_t *pivot_json(const struct pivot *p);
/* A file: .md, .csv or .tex by its name. */
MUST_CHECK struct status pivot_write(const struct pivot *p, const char *path);

#endif
