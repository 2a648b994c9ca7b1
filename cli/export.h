/* export.h -- the model of a trial as a directory. */
#ifndef SINTER_CLI_EXPORT_H
#define SINTER_CLI_EXPORT_H

#include "cli/session.h"

#include <stdint.h>

struct export_wish {
    const char *sweep; /* id or name */
    uint64_t trial;    /* from 1 */
    const char *directory;
    int64_t shard_bytes; /* 0: one file */
};

struct export_outcome {
    char digest[65]; /* of the artifact */
    bool present;    /* the directory held it already */
};

/* A hidden sweep makes the files (once: its key is what they are made of),
 * then they are fetched. Needs a worker. */
MUST_CHECK struct status export_trial(struct cli *cli, struct session *s,
                                      const struct export_wish *wish,
                                      struct export_outcome *ret_outcome);

/* The files of a directory artifact of the depot; see artifact_download(). */
MUST_CHECK struct status export_artifact(struct cli *cli, struct session *s,
                                         const char *digest,
                                         const char *directory,
                                         bool *ret_present);

/* Before anything is computed: can `directory` be made where it shall be? */
MUST_CHECK struct status export_check(const char *directory);

#endif
