/* programs.h -- files beside the sweep file that its `command:` evaluators
 * start or read. */
#ifndef SINTER_CLI_PROGRAMS_H
#define SINTER_CLI_PROGRAMS_H

#include "cli/cli.h"
#include "common/json.h"

/* Words of commands that begin with ./ or ../ become absolute, from
 * `directory` on, and the digests of these files go into the parameters, so
 * that a changed script is new work. One that is not there, or a bare word
 * that names a file, is warned of. */
void programs_complete(const struct cli *cli, const char *directory,
                       json_t *document);

#endif
