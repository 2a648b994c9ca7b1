/* follow.h -- wait until a sweep ends, showing how it goes. */
#ifndef SINTER_CLI_FOLLOW_H
#define SINTER_CLI_FOLLOW_H

#include "cli/session.h"

enum follow_show {
    FOLLOW_SILENT,
    FOLLOW_PROGRESS, /* on stderr */
    FOLLOW_JSON,     /* a line of JSON on stdout for every change */
};

/* The last status document; the caller decrefs. CANCELLED on Ctrl-C: then
 * `ret_status` may be set as well (else NULL). */
MUST_CHECK struct status follow_sweep(struct cli *cli, struct session *s,
                                      const char *sweep, enum follow_show show,
                                      json_t **ret_status);

/* Tells people, if that is so, that the store is away: what is shown rests on it. */
void follow_store(const struct cli *cli, const json_t *status);

/* "status" of a sweep. */
MUST_CHECK struct status follow_status(struct session *s, const char *sweep,
                                       json_t **ret_status);

bool follow_has_ended(const json_t *status);

/* Sets cli->exit by how the sweep ended and says why it is not good. */
void follow_verdict(struct cli *cli, const json_t *status);

/* The same for a sweep of the farm, which goes on after Ctrl-C, and then its
 * verdict. */
MUST_CHECK struct status follow_to_verdict(struct cli *cli, struct session *s,
                                           const char *sweep,
                                           enum follow_show show,
                                           json_t **ret_status);

#endif
