/* inspect_stage.h -- `sinter inspect` of what a stage left in the depot: a
 * selection. */
#ifndef SINTER_CLI_INSPECT_STAGE_H
#define SINTER_CLI_INSPECT_STAGE_H

#include "cli/cli.h"

struct inspect_stage {
    const char *name;   /* of the stage; NULL: the only one that selects */
    const char *output; /* directory that keeps its files; NULL: none */
    const char *svg;    /* file of the picture; NULL: none */
};

/* Does the operand name a trial, or the directory of a selection? */
bool inspect_stage_is(const struct cli *cli, const struct inspect_stage *stage);
MUST_CHECK struct status inspect_stage(struct cli *cli,
                                       const struct inspect_stage *stage);

#endif
