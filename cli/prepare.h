/* prepare.h -- what the CLI learns before a sweep is sent. */
#ifndef SINTER_CLI_PREPARE_H
#define SINTER_CLI_PREPARE_H

#include "cli/cli.h"
#include "cli/sweep_file.h"
#include "sources/source.h"

/* For short looks at sources: gives up soon, ends on Ctrl-C, caches nothing. */
struct source_store *prepare_store(void);

/* Give every source of the document a version, and local scripts of commands
 * their digest, so that changed inputs are new work; what is out of reach is
 * warned of. A file that is not on this machine is an error if the jobs run
 * here. */
MUST_CHECK struct status prepare_sources(struct cli *cli,
                                         struct sweep_file *file,
                                         bool runs_here);

/* Programs that the document's external evaluators start, NULL-terminated;
 * the caller frees the array, the texts are the document's. */
const char **prepare_commands(const json_t *document);

#endif
