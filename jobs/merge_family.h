/* merge_family.h -- which merges can be made in one pass over their inputs:
 * those whose parameters differ only in fusable numbers (merge_method.h). */
#ifndef SINTER_JOBS_MERGE_FAMILY_H
#define SINTER_JOBS_MERGE_FAMILY_H

#include "common/digest.h"
#include "common/json.h"

/* Of parameters without their fusable numbers: merges of one digest can be
 * points of one merge_run(). */
struct digest merge_family_of(const json_t *params);

#endif
