/* command.h -- what a command of `sinter` must provide. One command is one
 * file with a const entry and one line in cli/commands.c; help, tests and
 * docs/cli.md come from the rows. */
#ifndef SINTER_CLI_COMMAND_H
#define SINTER_CLI_COMMAND_H

#include "cli/cli.h"
#include "common/option.h"

enum command_group {
    COMMAND_START,
    COMMAND_WATCH,
    COMMAND_RESULTS,
    COMMAND_CONTROL,
    COMMAND_FARM,
    COMMAND_HELP,
    COMMAND_GROUPS
};

struct command {
    const char *name;
    const char *summary; /* one line, no full stop */
    const char *usage;   /* operands as in the synopsis; "" for none */
    const char *details; /* further help text; NULL: none */
    enum command_group group;
    const struct option *options; /* ends with a NULL name; NULL: none */
    size_t settings_size;         /* of the struct `options` points into */
    size_t least, most;           /* number of operands */

    /* Prints data on cli->out.stream; everything else is cli_note(). On
     * failure nothing was printed unless cli->reported. */
    MUST_CHECK struct status (*run)(struct cli *cli);
};

/* NULL-terminated. */
extern const struct command *const commands[];
const struct command *command_find(const char *name);
/* What was probably meant: a name, perhaps with an option; or NULL. */
const char *command_suggest(const char *name);
extern const struct option cli_global_options[];

void command_help(const struct command *command, FILE *out);
void command_help_all(FILE *out); /* every command with every option */
void command_overview(FILE *out);

#endif
