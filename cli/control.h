/* control.h -- what the commands that order something about sweeps share. */
#ifndef SINTER_CLI_CONTROL_H
#define SINTER_CLI_CONTROL_H

#include "cli/cli.h"

struct session;

struct control {
    const char *verb;  /* of the broker */
    const char *doing; /* "paused": for who names a trial by mistake */
    json_t *arguments; /* beside "sweep"; borrowed; NULL: none */
    /* One line on stderr, when it is done. */
    void (*tell)(const struct cli *cli, const char *sweep,
                 const json_t *answer);
};

/* The order for each sweep among the operands. */
MUST_CHECK struct status control_sweeps(struct cli *cli,
                                        const struct control *control);
/* The same for one, over a session that is open. */
MUST_CHECK struct status control_sweep(struct cli *cli, struct session *session,
                                       const struct control *control,
                                       const char *sweep);
/* The sweep an operand names; a trial is a mistake. */
MUST_CHECK struct status control_operand(struct cli *cli,
                                         const struct control *control,
                                         const char *operand, char *ret_sweep,
                                         size_t room);

#endif
