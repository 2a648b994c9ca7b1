#include "jobs/recipe_mask.h"

#include <stdlib.h>

#include "common/memory.h"
#include "jobs/prune_bits.h"
#include "jobs/prune_body.h"

MUST_CHECK static struct status mask_one(struct model *model, size_t parameter,
                                         const uint8_t *mask)
{
    size_t count = model->parameters[parameter].count;
    AUTO(free_pointer) uint8_t *keep = xcalloc_large(count, 1);

    if (keep == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory for the mask of \"%s\"",
                    model->parameters[parameter].name);
    prune_take_bits(mask, 0, count, keep);
    return model_mask(model, parameter, keep);
}

struct status recipe_mask_model(const struct recipe_model *m,
                                struct model *model)
{
    for (size_t i = 0; i < model->parameter_count; i++) {
        const struct tensor *t = prune_find_tensor(
            recipe_tensors(m), model->config.arch, model->parameters[i].name);
        const uint8_t *mask = t == NULL ? NULL : recipe_mask(m, t->name);

        if (mask != NULL)
            TRY_PLAIN(mask_one(model, i, mask));
    }
    return SUCCESS;
}

size_t recipe_mask_bytes(const struct tensor *t)
{
    return (size_t)((t->count + 511) / 512 * 64);
}
