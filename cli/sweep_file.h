/* sweep_file.h -- a sweep file as the commands need it: read, compiled, its
 * problems shown. */
#ifndef SINTER_CLI_SWEEP_FILE_H
#define SINTER_CLI_SWEEP_FILE_H

#include "cli/cli.h"
#include "common/digest.h"
#include "common/option.h"
#include "sweep/compiled.h"
#include "sweep/spec.h"

struct sweep_file {
    char *text;
    char *directory;
    struct spec_override *overrides;
    struct spec_input input;
    struct spec_problems problems;
    json_t *document;          /* NULL when the file has errors */
    struct compiled *compiled; /* of `document`; see sweep_file_refresh() */
};

/* Read and compile; `path` "-" is standard input. With errors in the file it
 * succeeds and `document` is NULL: see sweep_file_report(). */
MUST_CHECK struct status sweep_file_read(struct cli *cli, const char *path,
                                         const struct option_list *overrides,
                                         struct sweep_file *ret_file);
/* The same for commands that want a good file: problems are printed, errors
 * fail with CLI_SPEC. */
MUST_CHECK struct status sweep_file_load(struct cli *cli, const char *path,
                                         const struct option_list *overrides,
                                         struct sweep_file *ret_file);
/* The same for a file that is the body of one stage of a kind, in which models
 * are paths (from the file's directory, or from here), URLs or the hub's
 * org/name. `document` is the parameters; `compiled` is NULL. */
MUST_CHECK struct status sweep_file_body(struct cli *cli, const char *path,
                                         const char *kind,
                                         const struct option_list *overrides,
                                         struct sweep_file *ret_file);
void sweep_file_release(struct sweep_file *f);

/* The row of --set for the option table of a command that reads a sweep file;
 * `at` is the offset of its struct option_list. */
#define SWEEP_FILE_SET(at)                                   \
    {                                                        \
        .name = "set", .type = OPTION_LIST, .offset = (at),  \
        .value = "NAME=VALUE",                               \
        .help = "Override a variable, parameter or key path" \
    }

/* Problems on stderr, each with place and caret. */
void sweep_file_report(const struct cli *cli, const struct sweep_file *f);
size_t sweep_file_errors(const struct sweep_file *f);

/* After `document` was changed: parse `compiled` anew. */
MUST_CHECK struct status sweep_file_refresh(struct sweep_file *f);

/* The text under which a document is submitted: equal documents are one
 * sweep. */
void sweep_file_idempotency(const json_t *document, char ret_text[DIGEST_TEXT]);

#endif
