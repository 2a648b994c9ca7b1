/* select_stages.h -- the stages before a selection: each knows no more of the
 * body than it depends on, so that sweeps share them. */
#ifndef SINTER_JOBS_SELECT_STAGES_H
#define SINTER_JOBS_SELECT_STAGES_H

#include "common/json.h"

/* What a method reads. */
struct select_method {
    const char *name;
    bool clusters, jsd, ifd, lengths, seed;
};
/* Of a normalised body; NULL: there is no such method. */
const struct select_method *select_method_of(const json_t *body);
extern const char *const select_method_words[];

/* catalog_kind.before() of `select`. */
json_t *select_stages(json_t *body, const char *stage);

#endif
