#include "jobs/recipe_prune.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/parallel.h"
#include "jobs/prune_bits.h"
#include "jobs/prune_fed.h"
#include "jobs/recipe_fusion.h"
#include "jobs/recipe_mask.h"

/* A pass over the model. */
struct realisation {
    struct job_context *context;
    struct recipe_model *base;
    struct prune_target *targets;
    const uint8_t **masks; /* of the base */
    struct prune_fed fed;
    struct recipe_fusion points;
    struct prune_config configs[FUSION_POINTS];
    struct prune_pass pass;

    atomic_uint_fast64_t done; /* bytes */
    uint64_t total;
    pthread_t main;      /* the one that may ask the context */
    atomic_bool stopped; /* cancelled */
};

static void realisation_free(struct realisation **realisation)
{
    struct realisation *r = *realisation;

    prune_end(&r->pass);
    recipe_fusion_release(&r->points);
    recipe_close(r->base);
    prune_fed_release(&r->fed);
    free(r->targets);
    free(r->masks);
    free(r);
}

/* ---- memory ------------------------------------------------------------------ */

static bool has_mask(const struct realisation *r, size_t tensor)
{
    return r->targets[tensor].chosen || r->masks[tensor] != NULL;
}

static uint64_t all_masks(const struct realisation *r)
{
    const struct tensor_set *set = recipe_tensors(r->base);
    uint64_t bytes = 0;

    for (size_t i = 0; i < set->count; i++)
        bytes += has_mask(r, i) ? recipe_mask_bytes(&set->items[i]) : 0;
    return bytes;
}

static void lay_masks(const struct realisation *r, struct recipe_entry *e)
{
    uint8_t *at = e->extra;

    for (size_t i = 0; i < e->set.count; i++) {
        size_t bytes = recipe_mask_bytes(&e->set.items[i]);

        if (!has_mask(r, i))
            continue;
        e->masks[i] = at;
        if (r->masks[i] != NULL)
            memcpy(at, r->masks[i], (size_t)(e->set.items[i].count + 7) / 8);
        else
            memset(at, 0, bytes);
        at += bytes;
    }
}

static char *data_of(const struct recipe_entry *e, size_t tensor)
{
    return (char *)(uintptr_t)e->set.items[tensor].data;
}

/* ---- one tensor --------------------------------------------------------------- */

static struct status put(void *self, size_t point, size_t tensor,
                         uint64_t first, const uint8_t *keep, size_t count)
{
    struct realisation *r = self;
    struct recipe_entry *e = r->points.entries[point];
    enum dtype dtype = e->set.items[tensor].dtype;
    char *data = data_of(e, tensor) + first * dtype_size(dtype);

    prune_zero(dtype, data, keep, count);
    prune_put_bits(e->masks[tensor], first, keep, count);
    return SUCCESS;
}

MUST_CHECK static struct status make_tensor(struct realisation *r,
                                            size_t tensor)
{
    const struct tensor *t = &recipe_tensors(r->base)->items[tensor];
    size_t bytes = (size_t)tensor_bytes(t);

    if (r->pass.cancelled(r))
        return FAIL(STATUS_CANCELLED, "cancelled while pruning");
    for (size_t i = 0; i < r->points.points; i++) {
        struct recipe_entry *e = r->points.entries[i];

        if (bytes > 0)
            memcpy(data_of(e, tensor), t->data, bytes);
        if (r->targets[tensor].chosen)
            memset(e->masks[tensor], 0, recipe_mask_bytes(t));
    }
    (void)atomic_fetch_add(&r->done, bytes);
    return r->targets[tensor].chosen ? prune_tensor(&r->pass, tensor) : SUCCESS;
}

/* ---- all of them, by threads ------------------------------------------------- */

static bool is_main(const struct realisation *r)
{
    return pthread_equal(r->main, pthread_self()) != 0;
}

static bool cancelled(void *self)
{
    struct realisation *r = self;

    if (is_main(r) && r->context->cancelled(r->context->self))
        atomic_store(&r->stopped, true);
    return atomic_load(&r->stopped);
}

static struct status work(void *self, size_t hand, size_t tensor)
{
    struct realisation *r = self;

    TRY_PLAIN(make_tensor(r, tensor));
    if (hand == 0)
        r->context->progress(r->context->self, atomic_load(&r->done), r->total,
                             "byte");
    return SUCCESS;
}

/* ---- all of it ------------------------------------------------------------------ */

static void take_base(struct realisation *r)
{
    const struct tensor_set *set = recipe_tensors(r->base);

    r->masks = xcalloc(set->count + 1, sizeof(*r->masks));
    for (size_t i = 0; i < set->count; i++) {
        r->masks[i] = recipe_mask(r->base, set->items[i].name);
        r->total += tensor_bytes(&set->items[i]);
    }
}

/* Points that can be read; others say why when their turn comes. */
static void choose_points(struct realisation *r, const json_t *params,
                          const struct digest *key)
{
    recipe_fusion_init(&r->points, r->context, "prune", params, key,
                       prune_family_of);
    for (size_t i = 1; i < r->points.points;) {
        struct status st =
            prune_config_read(r->points.params[i], &r->configs[i]);

        if (status_failed(&st))
            recipe_fusion_remove(&r->points, i);
        else
            i++;
    }
}

MUST_CHECK static struct status make(struct realisation *r)
{
    const struct tensor_set *set = recipe_tensors(r->base);

    TRY_PLAIN(recipe_fusion_take(&r->points, set, all_masks(r)));
    for (size_t i = 0; i < r->points.points; i++)
        lay_masks(r, r->points.entries[i]);
    r->pass = (struct prune_pass){
        .set = set,
        .targets = r->targets,
        .points = r->configs,
        .count = r->points.points,
        .masks = r->masks,
        .norms = r->fed.norms,
        .threads = prune_threads(r->context),
        .self = r,
        .put = put,
        .cancelled = cancelled,
    };
    r->main = pthread_self();
    TRY_PLAIN(prune_begin(&r->pass));
    TRY_PLAIN(parallel_run(parallel_hands(r->context->threads, set->count),
                           set->count, work, r));
    prune_warn(&r->pass, r->context);
    if (recipe_is_mapped(r->base))
        r->context->facts.bytes_read += r->total;
    return SUCCESS;
}

struct status recipe_prune_realise(const json_t *params,
                                   const struct digest *key,
                                   struct job_context *context,
                                   struct recipe_entry **ret_entry)
{
    AUTO(realisation_free) struct realisation *r = xnew(struct realisation);
    AUTO(merge_files_release) struct merge_files files = { .count = 0 };
    json_t *model;

    r->context = context;
    TRY_PLAIN(prune_config_read_lazy(params, &r->configs[0]));
    TRY(json_member_object(params, "model", &model), "prune");
    TRY(recipe_open(model, context, &r->base), "model");
    TRY_PLAIN(prune_targets_of(&r->configs[0], recipe_config(r->base),
                               recipe_tensors(r->base), &r->targets));
    TRY_PLAIN(prune_fed_open(params, context, recipe_tensors(r->base),
                             r->targets, &r->fed));
    take_base(r);
    TRY_PLAIN(
        recipe_fusion_check(recipe_tensors(r->base), all_masks(r), context));
    choose_points(r, params, key);
    TRY_PLAIN(make(r));
    TRY_PLAIN(recipe_files(r->base, &files));
    TRY_PLAIN(merge_files_load(&files)); /* the cache may drop the model */
    *ret_entry = recipe_fusion_end(&r->points, &files);
    return SUCCESS;
}
