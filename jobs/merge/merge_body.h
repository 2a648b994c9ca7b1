/* merge_body.h -- the body of the kind `merge` brought to one form, so that
 * equal merges have equal keys. The form is again a mergekit configuration:
 * every number stands where it belongs, with nothing that has no meaning. */
#ifndef SINTER_JOBS_MERGE_BODY_H
#define SINTER_JOBS_MERGE_BODY_H

#include "sweep/catalog.h"

/* Of the kind `merge`: jobs/merge.c. */
extern const struct catalog_key merge_keys[];

/* As catalog_kind.normalise, .check and .fusable. */
bool merge_body_normalise(json_t *body, struct catalog_problem *ret_problem);
bool merge_body_check(const json_t *params,
                      struct catalog_problem *ret_problem);
json_t *merge_body_fusable(const json_t *body);
/* As catalog_kind.before: with `statistics: {parts: N}` a round of counting is
 * N stages "merge_count" and one "merge_settle" each. Numbers that do not
 * matter to a round are not in its parameters, so that merges which differ in
 * nothing else share it. */
json_t *merge_body_before(json_t *body, const char *stage);

#endif
