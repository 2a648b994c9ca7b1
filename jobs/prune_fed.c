#include "jobs/prune_fed.h"

#include <stdlib.h>

#include "common/memory.h"
#include "jobs/recipe.h"
#include "tensor/safetensors.h"

MUST_CHECK static struct status take_norms(const struct tensor *t,
                                           const struct prune_target *target,
                                           const struct tensor_set *found,
                                           float **ret_norms)
{
    const struct tensor *norms = tensor_find(found, t->name);

    if (norms == NULL || norms->dtype != DTYPE_F32 ||
        norms->count != target->matrix.inputs)
        return FAIL(STATUS_CORRUPT, "there are no norms of \"%s\"", t->name);
    *ret_norms = xcalloc((size_t)norms->count + 1, sizeof(**ret_norms));
    dtype_to_f32(DTYPE_F32, norms->data, *ret_norms, (size_t)norms->count);
    return SUCCESS;
}

struct status prune_fed_open(const json_t *params, struct job_context *context,
                             const struct tensor_set *set,
                             const struct prune_target *targets,
                             struct prune_fed *ret_fed)
{
    const json_t *job = json_object_get(params, "inputs");
    AUTO(st_model_release) struct st_model *file = NULL;
    const char *path = NULL;

    *ret_fed = (struct prune_fed){ .count = 0 };
    if (job == NULL)
        return SUCCESS;
    TRY(recipe_path(job, context, &path), "inputs");
    TRY(st_model_open(path, &file), "inputs");
    ret_fed->norms = xcalloc(set->count + 1, sizeof(*ret_fed->norms));
    ret_fed->count = set->count;
    for (size_t i = 0; i < set->count; i++)
        if (targets[i].chosen)
            TRY_PLAIN(take_norms(&set->items[i], &targets[i],
                                 st_model_tensors(file), &ret_fed->norms[i]));
    return SUCCESS;
}

void prune_fed_release(struct prune_fed *f)
{
    for (size_t i = 0; i < f->count; i++)
        free(f->norms[i]);
    free(f->norms);
}

struct status prune_fed_factor(const struct tensor_set *seen, const char *name,
                               size_t inputs, struct prune_factor *ret_factor)
{
    AUTO(free_pointer) char *factor_name = xasprintf("%s.factor", name);
    AUTO(free_pointer) char *dead_name = xasprintf("%s.dead", name);
    const struct tensor *factor = tensor_find(seen, factor_name);
    const struct tensor *dead = tensor_find(seen, dead_name);

    if (dead == NULL || dead->dtype != DTYPE_U8 || dead->count != inputs ||
        (factor != NULL &&
         (factor->dtype != DTYPE_F32 ||
          tensor_bytes(factor) != prune_factor_packed(inputs))))
        return FAIL(STATUS_CORRUPT, "there is no factor of what \"%s\" reads",
                    name);
    if (factor == NULL)
        return prune_factor_nothing(inputs, dead->data, ret_factor);
    return prune_factor_unpack(inputs, factor->data, dead->data, ret_factor);
}
