#include "common/memory.h"
#include "jobs/merge/merge_body.h"
#include "jobs/merge/merge_method.h"

/* Places of an item's fusable numbers: of models, or of what is shared. */
static void add_places(const struct merge_method *method, bool per_model,
                       const json_t *item, const char *path, json_t *places)
{
    const json_t *parameters = json_object_get(item, "parameters");

    for (const struct merge_use *use = method->uses; use->most > 0.0; use++) {
        const char *name = merge_parameters[use->parameter].name;
        AUTO(free_pointer)
        char *place = xasprintf("%s/parameters/%s", path, name);

        if (use->fusable && use->per_model == per_model &&
            json_object_get(parameters, name) != NULL)
            (void)json_array_append_new(places, json_string(place));
    }
}

static void add_list(const struct merge_method *method, const json_t *item,
                     const char *path, const char *key, json_t *places)
{
    const json_t *list = json_object_get(item, key);

    for (size_t i = 0; i < json_array_size(list); i++) {
        AUTO(free_pointer) char *own = xasprintf("%s/%s/%zu", path, key, i);

        add_places(method, true, json_array_get(list, i), own, places);
    }
}

json_t *merge_body_fusable(const json_t *body)
{
    const struct merge_method *method =
        merge_method_find(json_text_or(body, "merge_method", ""),
                          json_text_or(body, "variant", NULL));
    const json_t *slices = json_object_get(body, "slices");
    json_t *places = json_array();

    if (method == NULL)
        return places;
    add_places(method, false, body, "", places);
    add_list(method, body, "", "models", places);
    for (size_t i = 0; i < json_array_size(slices); i++) {
        AUTO(free_pointer) char *own = xasprintf("/slices/%zu", i);

        add_places(method, false, json_array_get(slices, i), own, places);
        add_list(method, json_array_get(slices, i), own, "sources", places);
    }
    return places;
}
