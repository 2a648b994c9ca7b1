#include "jobs/recipe_merge.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/merge/merge_files.h"
#include "jobs/merge_family.h"
#include "jobs/merge_input.h"
#include "jobs/recipe_fusion.h"

enum { TALLIES_SHARE = 4 /* of the memory */ };
_Static_assert((int)FUSION_POINTS <= (int)MERGE_POINTS,
               "a pass makes all points");

/* The configurations beside the points. */
struct fusion {
    struct job_context *context;
    struct merge_input in;
    struct recipe_fusion points;
    struct merge_config configs[FUSION_POINTS];
};

static void fusion_free(struct fusion **fusion)
{
    struct fusion *f = *fusion;

    recipe_fusion_release(&f->points);
    merge_input_release(&f->in);
    free(f);
}

static void merge_release(struct merge **m)
{
    merge_free(*m);
}

/* The pass is given up for this point. */
static void remove_point(struct fusion *f, size_t i)
{
    memmove(&f->configs[i], &f->configs[i + 1],
            (f->points.points - i - 1) * sizeof(*f->configs));
    recipe_fusion_remove(&f->points, i);
}

/* Points whose recipes can share the pass. One that cannot be read will say
 * why when its own turn comes. */
static void choose_points(struct fusion *f, const json_t *params,
                          const struct digest *key)
{
    /* What other jobs counted is of one point. */
    recipe_fusion_init(&f->points, f->context, "merge", params, key,
                       f->configs[0].statistics == NULL ? merge_family_of
                                                        : NULL);
    for (size_t i = f->points.points; i-- > 1;) {
        struct status st =
            merge_config_read(f->points.params[i], &f->configs[i]);

        if (status_failed(&st))
            remove_point(f, i);
    }
}

MUST_CHECK static struct status run(struct fusion *f, struct merge *m,
                                    size_t points)
{
    struct job_context *context = f->context;
    const uint64_t budget =
        context->memory_bytes > 0 ? (uint64_t)context->memory_bytes : 0;
    const struct merge_runtime runtime = { .threads = context->threads,
                                           .tallies = budget / TALLIES_SHARE,
                                           .self = context->self,
                                           .cancelled = context->cancelled,
                                           .progress = context->progress };
    void **targets[MERGE_POINTS];
    struct status st;

    for (size_t i = 0; i < points; i++)
        targets[i] = recipe_entry_targets(f->points.entries[i]);
    st = merge_run(m, &runtime, (void *const *const *)targets);
    for (size_t i = 0; i < points; i++)
        free(targets[i]);
    context->facts.bytes_read += merge_counts_of(m).bytes_read;
    return st;
}

/* Points that cannot even be planned do not hold up the others. */
static void remove_broken(struct fusion *f)
{
    for (size_t i = f->points.points; i-- > 1;) {
        AUTO(merge_release) struct merge *m = NULL;
        struct status st = merge_new(&f->configs[i], 1, &f->in.inputs, &m);

        if (status_failed(&st))
            remove_point(f, i);
    }
}

/* A failure says nothing about the first point. */
MUST_CHECK static struct status run_together(struct fusion *f)
{
    AUTO(merge_release) struct merge *m = NULL;
    struct status st =
        merge_new(f->configs, f->points.points, &f->in.inputs, &m);

    if (status_failed(&st)) {
        remove_broken(f);
        TRY_PLAIN(merge_new(f->configs, f->points.points, &f->in.inputs, &m));
    }
    return run(f, m, f->points.points);
}

MUST_CHECK static struct status run_all(struct fusion *f, struct merge *alone)
{
    struct status st = SUCCESS;

    if (f->points.points > 1) {
        st = run_together(f);
        if (!status_failed(&st) || st.code == STATUS_CANCELLED)
            return st;
    }
    while (f->points.points > 1)
        remove_point(f, f->points.points - 1);
    return run(f, alone, 1);
}

struct status recipe_merge_realise(const json_t *params,
                                   const struct digest *key,
                                   struct job_context *context,
                                   struct recipe_entry **ret_entry)
{
    AUTO(fusion_free) struct fusion *f = xnew(struct fusion);
    AUTO(merge_release) struct merge *alone = NULL;
    AUTO(merge_files_release) struct merge_files files = { .count = 0 };

    f->context = context;
    TRY_PLAIN(merge_config_read(params, &f->configs[0]));
    TRY_PLAIN(merge_input_open(&f->in, &f->configs[0], context));
    TRY_PLAIN(merge_new(&f->configs[0], 1, &f->in.inputs, &alone));
    merge_input_know(&f->in, alone);
    TRY_PLAIN(recipe_fusion_check(merge_layout(alone), 0, context));
    choose_points(f, params, key);
    TRY_PLAIN(recipe_fusion_take(&f->points, merge_layout(alone), 0));
    TRY_PLAIN(run_all(f, alone));
    TRY_PLAIN(merge_files_of(alone, &files));
    TRY_PLAIN(merge_files_load(&files)); /* the cache may drop the models */
    *ret_entry = recipe_fusion_end(&f->points, &files);
    return SUCCESS;
}
