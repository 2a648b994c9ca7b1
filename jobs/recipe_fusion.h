/* recipe_fusion.h -- recipes realised in one pass with those that the slot
 * will be asked for next. For recipe_*.c.
 *
 * Points of a pass: the first is what is asked for; the others are what the
 * context's siblings read, as far as they may share the pass and fit the
 * cache, where they wait for their turn. */
#ifndef SINTER_JOBS_RECIPE_FUSION_H
#define SINTER_JOBS_RECIPE_FUSION_H

#include "jobs/recipe_cache.h"

enum { FUSION_POINTS = 64 };

struct recipe_wish; /* a recipe that siblings name */

struct recipe_fusion {
    struct job_context *context;
    struct recipe_wish *wishes;
    size_t wish_count;
    uint64_t wanted; /* siblings that will ask for the first as well */

    size_t points;
    const json_t *params[FUSION_POINTS]; /* borrowed */
    const struct recipe_wish *of[FUSION_POINTS];
    struct recipe_entry *entries[FUSION_POINTS]; /* after .._take() */
};

/* Chooses points of this kind; `family` says by equal digests who may share a
 * pass, NULL: nobody. To be released. */
void recipe_fusion_init(struct recipe_fusion *f, struct job_context *context,
                        const char *kind, const json_t *params,
                        const struct digest *key,
                        struct digest (*family)(const json_t *params));
/* The pass is given up for a point that is not the first. */
void recipe_fusion_remove(struct recipe_fusion *f, size_t point);
/* NO_MEMORY if one model does not fit the job's budget. */
MUST_CHECK struct status recipe_fusion_check(const struct tensor_set *layout,
                                             uint64_t extra,
                                             const struct job_context *context);
/* Entries for the first, which must be, and as many others as fit; the rest
 * are removed. `extra`: as of recipe_entry_new(). */
MUST_CHECK struct status recipe_fusion_take(struct recipe_fusion *f,
                                            const struct tensor_set *layout,
                                            uint64_t extra);
/* The first is the caller's, the others wait in the cache. */
struct recipe_entry *recipe_fusion_end(struct recipe_fusion *f,
                                       const struct merge_files *files);
void recipe_fusion_release(struct recipe_fusion *f);

#endif
