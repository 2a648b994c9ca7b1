/* cli.h -- what every command is given, and how it ends. */
#ifndef SINTER_CLI_CLI_H
#define SINTER_CLI_CLI_H

#include "cli/terminal.h"
#include "common/json.h"
#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

/* What the shell sees; docs/cli.md explains them. */
enum cli_exit {
    CLI_DONE = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_SPEC = 3, /* the sweep file has errors */
    CLI_DENIED = 4,
    CLI_NOT_FOUND = 5, /* no such sweep, trial, worker */
    CLI_BROKER = 6,    /* unreachable or timed out */
    CLI_SWEEP = 7,     /* the sweep ended with too many failures */
    CLI_REFUSED = 8,   /* over a limit */
    CLI_DIFFERS = 9,   /* verify: not what it was */
    CLI_WORK = 10,     /* plan --detailed-exitcode: there is work to do */
    CLI_INTERRUPTED = 130,
    CLI_TERMINATED = 143,
};

/* Options that every command takes. */
struct cli_options {
    const char *broker;  /* NULL: a local farm, the current context or the
                           default endpoint */
    const char *context; /* of context.h; NULL: the current one */
    const char *state;   /* directory of the local farm */
    /* Paths, for a broker elsewhere; NULL or "": none. */
    const char *key, *broker_key, *http_token_file;
    bool plaintext;
    int64_t timeout_ms; /* of one request */
    const char *color;
    bool json, quiet, help, version;
};

struct cli {
    const struct command *command;
    const struct cli_options *options;
    void *settings; /* as the command's option table says */
    const char *const *operands;
    size_t operand_count;
    struct terminal out, err;
    enum cli_exit exit;         /* when the command succeeds */
    enum cli_exit failure_exit; /* when it fails; 0: by the status code */
    bool reported;              /* the failure was printed already */
};

/* The program: parse, run, report; the exit code. */
int cli_main(int argc, char **argv);

/* One line on stderr, unless --quiet. */
void cli_note(const struct cli *cli, const char *format, ...) PRINTF_LIKE(2, 3);
/* The same, also when quiet: something is wrong but the command goes on. */
void cli_warn(const struct cli *cli, const char *format, ...) PRINTF_LIKE(2, 3);
/* A failure that exits with CLI_USAGE. */
struct status cli_usage(struct cli *cli, const char *format, ...)
    PRINTF_LIKE(2, 3);
/* A failure of this machine (disk, files): always CLI_FAILED. */
struct status cli_here(struct cli *cli, struct status st);

/* The one document of --json: {"schema": "sinter.NAME/1", body...}. */
void cli_print_document(const struct cli *cli, const char *name,
                        const json_t *body);
/* The same on one line, for streams. */
void cli_print_line(const struct cli *cli, const char *name,
                    const json_t *body);

#endif
