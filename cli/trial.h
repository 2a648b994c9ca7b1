/* trial.h -- one trial of a sweep, with all that is known of it. */
#ifndef SINTER_CLI_TRIAL_H
#define SINTER_CLI_TRIAL_H

#include "cli/session.h"
#include "sweep/compiled.h"

struct trial {
    uint64_t number; /* from 1 */
    const char *id;  /* of its sweep; borrowed from `status` */
    const char *name;
    json_t *status, *spec; /* of the sweep */
    json_t *json;          /* as the broker's "trial" */
    json_t *values;
    struct compiled *compiled;
};

/* `text` as in "SWEEP/12". */
MUST_CHECK struct status trial_load(struct session *s, const char *text,
                                    struct trial *ret_trial);
void trial_release(struct trial *t);

/* The digest of its model, which is known if it was exported; else NULL. The
 * caller frees. */
MUST_CHECK struct status trial_digest(struct session *s, const struct trial *t,
                                      char **ret_digest);

#endif
