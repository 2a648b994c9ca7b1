/* outputs.h -- which models a finished sweep leaves, and where. Pure. */
#ifndef SINTER_CLI_OUTPUTS_H
#define SINTER_CLI_OUTPUTS_H

#include "common/json.h"
#include "common/status.h"

#include <stddef.h>
#include <stdint.h>

struct outputs {
    char **directories; /* of the first, second ... point */
    size_t count;       /* 0: none is kept */
    int64_t shard_bytes;
};

/* `outputs` of a compiled document: keep none, best, top (with count) or all;
 * to: a directory, "${rank}" in it is the place; without `to` NAME-best or
 * NAME-top-1 ... . INVALID for places that are no directories. */
MUST_CHECK struct status outputs_read(const json_t *document,
                                      struct outputs *ret_outputs);
void outputs_release(struct outputs *o);

#endif
