/* session.h -- a command's connection: to the broker it was told, to the
 * broker a `sinter run` has in this directory, or to one of its own that ends
 * with the command. */
#ifndef SINTER_CLI_SESSION_H
#define SINTER_CLI_SESSION_H

#include "cli/cli.h"
#include "cli/context.h"
#include "cli/local.h"
#include "client/sinter.h"

#include <stddef.h>

struct session {
    struct cli *cli;
    struct sinter *client;
    struct local *local;    /* NULL: somebody else's broker */
    struct context context; /* whose broker it is; all zero: none's */
    const char *token_file; /* for the depot; NULL: none */
    int64_t busy_ms;        /* that a call waits for a busy broker */
    struct status trouble;  /* of the local farm, found while waiting */
    const char *missing;    /* the home directory, when there was none and the
                              default endpoint is a guess; else NULL */
};

/* Without --broker and --context: the home directory's, if there is one, else
 * the current context's, else the default endpoint. The struct must stay where it is until the release. */
MUST_CHECK struct status session_open(struct cli *cli, struct session *s);
/* The same, but never a broker of our own: for what only makes sense with
 * workers that outlive the command. */
MUST_CHECK struct status session_open_farm(struct cli *cli, struct session *s);
/* To the broker of `local`, which from now on belongs to the session. */
MUST_CHECK struct status session_open_local(struct cli *cli,
                                            struct local *local,
                                            struct session *s);
void session_release(struct session *s);

/* sinter_query(); what ails a local farm is told rather than the time-out it
 * led to. `arguments` is consumed; NULL: none. */
MUST_CHECK struct status session_ask(struct session *s, const char *verb,
                                     json_t *arguments, json_t **ret_answer);

/* The document `json` as a sweep; its id. */
MUST_CHECK struct status session_submit(struct session *s,
                                        const json_t *document,
                                        char ret_sweep[SINTER_ID],
                                        bool *ret_duplicate);

/* Sleep; true if interrupted or the local farm is in trouble. */
bool session_sleep(struct session *s, int64_t ms);

#endif
