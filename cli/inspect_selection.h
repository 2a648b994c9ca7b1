/* inspect_selection.h -- what was selected to heal a model by, and why: the
 * directory that a stage `select` leaves. */
#ifndef SINTER_CLI_INSPECT_SELECTION_H
#define SINTER_CLI_INSPECT_SELECTION_H

#include "cli/cli.h"

/* Does it hold a selection? */
bool inspect_selection_is(const char *directory);

/* selection.json, with "pairs": which concepts stood in the way most often,
 * [{"pair", "samples"}]. CORRUPT names the file. */
MUST_CHECK struct status inspect_selection_load(const char *directory,
                                                json_t **ret_report);
/* For people on cli->out. */
void inspect_selection_print(const struct cli *cli, const json_t *report);
/* The plane of its samples, drawn to a file. INVALID if the method made no
 * clusters. */
MUST_CHECK struct status inspect_selection_draw(const char *directory,
                                                const json_t *report,
                                                const char *path);

#endif
