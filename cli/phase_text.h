/* phase_text.h -- a phase diagram for people and programs. */
#ifndef SINTER_CLI_PHASE_TEXT_H
#define SINTER_CLI_PHASE_TEXT_H

#include "cli/cli.h"
#include "cli/phase.h"
#include "common/buf.h"

/* The maps, and for each load which way to turn the temperature and what
 * would have chosen the best model. */
void phase_print(const struct cli *cli, const struct phase *p,
                 const char *title);
json_t *phase_json(const struct phase *p);
/* A picture (.svg .pdf .png), a row for each cell (.csv), or tables (.md). */
MUST_CHECK struct status phase_write(const struct phase *p, const char *title,
                                     const char *path);

#endif
