#include "jobs/recipe_merge.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/merge/merge_files.h"
#include "jobs/merge_family.h"
#include "jobs/merge_input.h"

enum {
    MOST_WISHES = 4 * MERGE_POINTS,
    TALLIES_SHARE = 4, /* of the memory */
};

/* ---- what siblings will ask for ---------------------------------------- */

struct wish {
    struct digest key;
    const json_t *params; /* of a merge; borrowed from the siblings */
    uint64_t count;       /* siblings that name it */
};

struct wishes {
    struct wish *items;
    size_t count;
};

static void wishes_release(struct wishes *w)
{
    free(w->items);
}

static void add_wish(struct wishes *w, const json_t *recipe)
{
    struct digest key = recipe_key(recipe);
    const json_t *params = json_object_get(recipe, "params");

    for (size_t i = 0; i < w->count; i++) {
        if (digest_equal(&w->items[i].key, &key)) {
            w->items[i].count++;
            return;
        }
    }
    if (w->count == MOST_WISHES || !json_is_object(params))
        return;
    w->items = xrealloc(w->items, (w->count + 1) * sizeof *w->items);
    w->items[w->count++] = (struct wish){ key, params, 1 };
}

/* Merges at any depth: a merge may read merges. */
static void find_wishes(struct wishes *w, const json_t *json)
{
    const json_t *recipe = json_object_get(json, "$recipe");
    const char *name;
    json_t *member;

    if (strcmp(json_text_or(recipe, "kind", ""), "merge") == 0)
        add_wish(w, recipe);
    json_object_foreach((json_t *)(uintptr_t)json, name, member)
    {
        find_wishes(w, member);
    }
    for (size_t i = 0; i < json_array_size(json); i++)
        find_wishes(w, json_array_get(json, i));
}

/* Models there already are kept for those who want them. */
static void keep_wanted(struct recipe_cache *cache, const struct wishes *w)
{
    recipe_cache_unwant(cache);
    for (size_t i = 0; i < w->count; i++) {
        struct recipe_entry *e = recipe_cache_find(cache, &w->items[i].key);

        if (e != NULL)
            e->wanted = w->items[i].count;
    }
}

/* ---- one pass ----------------------------------------------------------- */

/* Points of one pass; the first is the recipe that is asked for. */
struct fusion {
    struct job_context *context;
    struct merge_input in;
    struct merge_config own;      /* of the first */
    struct merge_config *configs; /* a copy of it, then the others */
    struct recipe_entry **entries;
    const struct wish **wishes;
    size_t chosen;   /* points there are configs for */
    size_t points;   /* those there are entries for */
    uint64_t wanted; /* siblings that will ask for the first as well */
};

static void fusion_release(struct fusion *f)
{
    for (size_t i = 0; i < f->points; i++)
        recipe_entry_free(f->entries[i]);
    free(f->configs);
    free(f->entries);
    free(f->wishes);
    merge_input_release(&f->in);
}

static void merge_release(struct merge **m)
{
    merge_free(*m);
}

/* The pass is given up for this point. */
static void remove_point(struct fusion *f, size_t i)
{
    size_t after = f->points - i - 1;

    recipe_entry_free(f->entries[i]);
    memmove(&f->configs[i], &f->configs[i + 1], after * sizeof *f->configs);
    memmove(&f->entries[i], &f->entries[i + 1], after * sizeof(void *));
    memmove(&f->wishes[i], &f->wishes[i + 1], after * sizeof(void *));
    f->points--;
}

MUST_CHECK static struct status check_memory(const struct tensor_set *layout,
                                             const struct job_context *context)
{
    uint64_t size = recipe_entry_size(layout);

    if (context->memory_bytes > 0 && size > (uint64_t)context->memory_bytes)
        return FAIL(STATUS_NO_MEMORY,
                    "the merged model takes %" PRIu64 " bytes, the slot has "
                    "%" PRId64 "; give the worker more --memory or fewer slots",
                    size, context->memory_bytes);
    return SUCCESS;
}

/* Points whose recipes can share the pass. One that cannot be read will say
 * why when its own turn comes. */
static void choose_points(struct fusion *f, const json_t *params,
                          const struct digest *key, const struct wishes *w)
{
    struct digest family = merge_family_of(params);

    f->configs = xcalloc(w->count + 1, sizeof *f->configs);
    f->configs[0] = f->own;
    f->wishes = xcalloc(w->count + 1, sizeof(void *));
    f->chosen = 1;
    for (size_t i = 0; i < w->count && f->chosen < MERGE_POINTS; i++) {
        const struct wish *wish = &w->items[i];
        struct digest other = merge_family_of(wish->params);
        struct status st;

        if (digest_equal(&wish->key, key)) {
            f->wanted = wish->count;
            continue;
        }
        /* What other jobs counted is of one point. */
        if (f->own.statistics != NULL || !digest_equal(&other, &family) ||
            recipe_cache_find(f->context->cache, &wish->key) != NULL)
            continue;
        st = merge_config_read(wish->params, &f->configs[f->chosen]);
        if (!status_failed(&st))
            f->wishes[f->chosen++] = wish;
    }
}

/* Siblings whose points have room beside the first. */
static size_t find_room(const struct fusion *f, uint64_t size)
{
    const struct job_context *context = f->context;
    size_t kept = f->wanted > 0; /* the first will need room of its own */
    size_t more =
        recipe_cache_make_room(context->cache, size, f->chosen - 1 + kept);

    more -= more < kept ? more : kept;
    if (context->memory_bytes > 0 &&
        more > (uint64_t)context->memory_bytes / size - 1)
        more = (size_t)((uint64_t)context->memory_bytes / size - 1);
    return more;
}

/* Memory for the first, which must be, and as many others as possible. */
MUST_CHECK static struct status take_memory(struct fusion *f, size_t more,
                                            const struct tensor_set *layout)
{
    struct status st = SUCCESS;

    f->entries = xcalloc(more + 1, sizeof(void *));
    while (f->points <= more && !status_failed(&st)) {
        st =
            recipe_entry_new(f->context->cache, layout, &f->entries[f->points]);
        f->points += !status_failed(&st);
    }
    return f->points == 0 ? st : SUCCESS;
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
        targets[i] = recipe_entry_targets(f->entries[i]);
    st = merge_run(m, &runtime, (void *const *const *)targets);
    for (size_t i = 0; i < points; i++)
        free(targets[i]);
    context->facts.bytes_read += merge_counts_of(m).bytes_read;
    return st;
}

/* Points that cannot even be planned do not hold up the others. */
static void remove_broken(struct fusion *f)
{
    for (size_t i = f->points; i-- > 1;) {
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
    struct status st = merge_new(f->configs, f->points, &f->in.inputs, &m);

    if (status_failed(&st)) {
        remove_broken(f);
        TRY_PLAIN(merge_new(f->configs, f->points, &f->in.inputs, &m));
    }
    return run(f, m, f->points);
}

MUST_CHECK static struct status run_all(struct fusion *f, struct merge *alone)
{
    struct status st = SUCCESS;

    if (f->points > 1) {
        st = run_together(f);
        if (!status_failed(&st) || st.code == STATUS_CANCELLED)
            return st;
    }
    while (f->points > 1)
        remove_point(f, f->points - 1);
    return run(f, alone, 1);
}

/* The first is the caller's, the others wait in the cache. */
static struct recipe_entry *hand_over(struct fusion *f,
                                      const struct merge_files *files)
{
    struct recipe_entry *first = f->entries[0];

    first->files = merge_files_copy(files);
    first->wanted = f->wanted + 1; /* by this very job */
    for (size_t i = 1; i < f->points; i++) {
        struct recipe_entry *e = f->entries[i];

        e->files = merge_files_copy(files);
        e->key = f->wishes[i]->key;
        e->wanted = f->wishes[i]->count;
        e->fresh = true;
        recipe_cache_add(f->context->cache, e);
    }
    f->points = 0;
    return first;
}

struct status recipe_merge_realise(const json_t *params,
                                   const struct digest *key,
                                   struct job_context *context,
                                   struct recipe_entry **ret_entry)
{
    AUTO(fusion_release) struct fusion f = { .context = context };
    AUTO(merge_release) struct merge *alone = NULL;
    AUTO(wishes_release) struct wishes wishes = { .count = 0 };
    size_t more = 0;
    AUTO(merge_files_release) struct merge_files files = { .count = 0 };

    TRY_PLAIN(merge_config_read(params, &f.own));
    TRY_PLAIN(merge_input_open(&f.in, &f.own, context));
    TRY_PLAIN(merge_new(&f.own, 1, &f.in.inputs, &alone));
    merge_input_know(&f.in, alone);
    TRY_PLAIN(check_memory(merge_layout(alone), context));
    if (context->cache != NULL && context->siblings != NULL) {
        find_wishes(&wishes, context->siblings(context->self));
        keep_wanted(context->cache, &wishes);
        choose_points(&f, params, key, &wishes);
        more = find_room(&f, recipe_entry_size(merge_layout(alone)));
    }
    TRY_PLAIN(take_memory(&f, more, merge_layout(alone)));
    TRY_PLAIN(run_all(&f, alone));
    TRY_PLAIN(merge_files_of(alone, &files));
    TRY_PLAIN(merge_files_load(&files)); /* the cache may drop the models */
    *ret_entry = hand_over(&f, &files);
    return SUCCESS;
}
