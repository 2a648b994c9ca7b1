/* merge_text.h -- a merge as a mergekit configuration: YAML that mergekit and
 * the body of `merge` both read. Pure. */
#ifndef SINTER_JOBS_MERGE_TEXT_H
#define SINTER_JOBS_MERGE_TEXT_H

#include "common/buf.h"
#include "common/json.h"

/* `model` is a trial's model; it must be {"$recipe": {"kind": "merge", ...}}
 * of models that are sources. INVALID names what mergekit has no words for: a
 * method or variant of ours, models made by the sweep itself. */
MUST_CHECK struct status merge_text(const json_t *model, struct buf *ret_text);

#endif
