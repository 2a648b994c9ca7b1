#include "jobs/recipe_fusion.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

enum { MOST_WISHES = 4 * FUSION_POINTS };

/* ---- what siblings will ask for ---------------------------------------- */

struct recipe_wish {
    struct digest key;
    const char *kind;
    const json_t *params; /* as `kind`, borrowed from the siblings */
    uint64_t count;       /* siblings that name it */
};

static void add_wish(struct recipe_fusion *f, const json_t *recipe)
{
    struct digest key = recipe_key(recipe);
    const char *kind = json_text_or(recipe, "kind", "");
    const json_t *params = json_object_get(recipe, "params");

    for (size_t i = 0; i < f->wish_count; i++) {
        if (digest_equal(&f->wishes[i].key, &key)) {
            f->wishes[i].count++;
            return;
        }
    }
    if (f->wish_count == MOST_WISHES || !json_is_object(params))
        return;
    f->wishes = xrealloc(f->wishes, (f->wish_count + 1) * sizeof(*f->wishes));
    f->wishes[f->wish_count++] = (struct recipe_wish){ key, kind, params, 1 };
}

/* Recipes at any depth: a merge may read merges. */
static void find_wishes(struct recipe_fusion *f, const json_t *json)
{
    const json_t *recipe = json_object_get(json, "$recipe");
    const char *name;
    json_t *member;

    if (recipe != NULL)
        add_wish(f, recipe);
    json_object_foreach((json_t *)(uintptr_t)json, name, member)
    {
        find_wishes(f, member);
    }
    for (size_t i = 0; i < json_array_size(json); i++)
        find_wishes(f, json_array_get(json, i));
}

/* Models there already are kept for those who want them. */
static void keep_wanted(const struct recipe_fusion *f)
{
    recipe_cache_unwant(f->context->cache);
    for (size_t i = 0; i < f->wish_count; i++) {
        struct recipe_entry *e =
            recipe_cache_find(f->context->cache, &f->wishes[i].key);

        if (e != NULL)
            e->wanted = f->wishes[i].count;
    }
}

/* ---- points --------------------------------------------------------------- */

static void choose_points(struct recipe_fusion *f, const char *kind,
                          const struct digest *key,
                          struct digest (*family)(const json_t *params))
{
    for (size_t i = 0; i < f->wish_count; i++) {
        const struct recipe_wish *wish = &f->wishes[i];
        struct digest own, other;

        if (digest_equal(&wish->key, key)) {
            f->wanted = wish->count;
            continue;
        }
        if (family == NULL || f->points == FUSION_POINTS ||
            strcmp(wish->kind, kind) != 0 ||
            recipe_cache_find(f->context->cache, &wish->key) != NULL)
            continue;
        own = family(f->params[0]);
        other = family(wish->params);
        if (!digest_equal(&own, &other))
            continue;
        f->params[f->points] = wish->params;
        f->of[f->points++] = wish;
    }
}

void recipe_fusion_init(struct recipe_fusion *f, struct job_context *context,
                        const char *kind, const json_t *params,
                        const struct digest *key,
                        struct digest (*family)(const json_t *params))
{
    *f = (struct recipe_fusion){ .context = context, .points = 1 };
    f->params[0] = params;
    if (context->cache == NULL || context->siblings == NULL)
        return;
    find_wishes(f, context->siblings(context->self));
    keep_wanted(f);
    choose_points(f, kind, key, family);
}

void recipe_fusion_remove(struct recipe_fusion *f, size_t point)
{
    size_t after = f->points - point - 1;

    recipe_entry_free(f->entries[point]);
    memmove(&f->params[point], &f->params[point + 1], after * sizeof(void *));
    memmove(&f->of[point], &f->of[point + 1], after * sizeof(void *));
    memmove(&f->entries[point], &f->entries[point + 1], after * sizeof(void *));
    f->entries[--f->points] = NULL;
}

void recipe_fusion_release(struct recipe_fusion *f)
{
    for (size_t i = 0; i < f->points; i++)
        recipe_entry_free(f->entries[i]);
    free(f->wishes);
}

/* ---- memory ---------------------------------------------------------------- */

struct status recipe_fusion_check(const struct tensor_set *layout,
                                  uint64_t extra,
                                  const struct job_context *context)
{
    uint64_t size = recipe_entry_size(layout, extra);

    if (context->memory_bytes > 0 && size > (uint64_t)context->memory_bytes)
        return FAIL(STATUS_NO_MEMORY,
                    "the realised model takes %" PRIu64 " bytes, the slot has "
                    "%" PRId64 "; give the worker more --memory or fewer slots",
                    size, context->memory_bytes);
    return SUCCESS;
}

/* Points that have room beside the first. */
static size_t find_room(const struct recipe_fusion *f, uint64_t size)
{
    const struct job_context *context = f->context;
    size_t kept = f->wanted > 0; /* the first will need room of its own */
    size_t more;

    if (context->cache == NULL || context->siblings == NULL)
        return 0;
    more = recipe_cache_make_room(context->cache, size, f->points - 1 + kept);
    more -= more < kept ? more : kept;
    if (context->memory_bytes > 0 &&
        more > (uint64_t)context->memory_bytes / size - 1)
        more = (size_t)((uint64_t)context->memory_bytes / size - 1);
    return more;
}

struct status recipe_fusion_take(struct recipe_fusion *f,
                                 const struct tensor_set *layout,
                                 uint64_t extra)
{
    size_t most = find_room(f, recipe_entry_size(layout, extra)) + 1;
    size_t taken = 0;
    struct status st = SUCCESS;

    while (taken < f->points && taken < most && !status_failed(&st)) {
        st = recipe_entry_new(f->context->cache, layout, extra,
                              &f->entries[taken]);
        taken += !status_failed(&st);
    }
    if (taken == 0)
        return st;
    while (f->points > taken)
        recipe_fusion_remove(f, f->points - 1);
    return SUCCESS;
}

struct recipe_entry *recipe_fusion_end(struct recipe_fusion *f,
                                       const struct merge_files *files)
{
    struct recipe_entry *first = f->entries[0];

    first->files = merge_files_copy(files);
    first->wanted = f->wanted + 1; /* by this very job */
    for (size_t i = 1; i < f->points; i++) {
        struct recipe_entry *e = f->entries[i];

        e->files = merge_files_copy(files);
        e->key = f->of[i]->key;
        e->wanted = f->of[i]->count;
        e->fresh = true;
        recipe_cache_add(f->context->cache, e);
    }
    f->points = 0;
    return first;
}
