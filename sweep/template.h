/* template.h -- parameters of a stage with holes in them, prepared so that a
 * trial's canonical text is written in one pass. Pure.
 *
 * {"$param": name}, {"$text": [parts]}, {"$stage": name}, {"$lower": name} and
 * {"$higher": name} are holes, {"$source": {...}} is left as it is; no other
 * name may begin with '$'. An object member or list item whose hole has no
 * value is left out. */
#ifndef SINTER_SWEEP_TEMPLATE_H
#define SINTER_SWEEP_TEMPLATE_H

#include "common/buf.h"
#include "common/json.h"
#include "common/status.h"

struct template; /* opaque, immutable */

/* Whose stage it is: the trial's own, or that of the first or the second of
 * the two replicates that are compared (docs/compiled.md). */
enum template_whose { WHOSE_OWN, WHOSE_LOWER, WHOSE_HIGHER };
struct template_ref {
    int stage;
    enum template_whose whose;
};

/* How names become numbers; negative: there is no such name. */
struct template_names {
    int (*param)(const void *self, const char *name);
    int (*stage)(const void *self, const char *name);
    const void *self;
};

/* Copies what it needs. INVALID or TOO_BIG (deeper than LIMIT_DEPTH). */
MUST_CHECK struct status template_new(const json_t *json,
                                      const struct template_names *names,
                                      struct template **ret_template);
void template_free(struct template *t); /* NULL is fine */

/* What stands at this JSON pointer ("/models/0/parameters/weight") is left
 * blank in the blanked text. INVALID if nothing stands there. */
MUST_CHECK struct status template_blank(struct template *t,
                                        const char *pointer);

/* Stages it refers to, each once for each it is of. */
size_t template_stage_count(const struct template *t);
struct template_ref template_stage(const struct template *t, size_t i);

struct template_values {
    /* Canonical text by number of the parameter; NULL: absent. */
    const char *const *texts;
    const json_t *const *values; /* the same as JSON */
    /* Append what stands for a stage. */
    struct status (*stage)(void *self, struct template_ref ref,
                           struct buf *out);
    void *self;
    bool blanked; /* null stands where template_blank() said so */
};

/* Append canonical JSON text. */
MUST_CHECK struct status template_write(const struct template *t,
                                        const struct template_values *values,
                                        struct buf *out);

#endif
