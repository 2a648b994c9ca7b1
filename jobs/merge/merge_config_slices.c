#include <string.h>

#include "jobs/merge/merge_config_parts.h"

enum { PATH = 128, LABEL = 128 };

/* ---- reading ----------------------------------------------------------- */

size_t merge_index_of(const struct merge_config *c, const json_t *model)
{
    for (size_t i = 0; i < c->count; i++) {
        if (json_equal(c->models[i], model))
            return i;
    }
    return SIZE_MAX;
}

static bool add_model(struct merge_reader *r, const json_t *model,
                      const char *path)
{
    if (merge_index_of(r->c, model) != SIZE_MAX)
        return true;
    if (r->c->count == LIMIT_MODELS)
        return catalog_refuse(r->problem, path, "", "more than %d models",
                              LIMIT_MODELS);
    r->c->models[r->c->count++] = model;
    return true;
}

/* Length 0: it hangs on a value that is not known yet. */
static bool read_range(const struct merge_reader *r, const json_t *source,
                       const char *path, uint64_t *ret_length)
{
    const json_t *range = json_object_get(source, "layer_range");
    const json_t *from = json_array_get(range, 0);
    const json_t *end = json_array_get(range, 1);
    json_int_t a = json_integer_value(from), b = json_integer_value(end);
    char place[PATH];

    if (range == NULL)
        return catalog_refuse(r->problem, path, "add `layer_range: [0, 32]`",
                              "a source of a slice needs a layer_range");
    merge_path(place, sizeof place, "%s/layer_range", path);
    *ret_length = 0;
    if (r->open && json_array_size(range) == 2 &&
        (depth_is_reference(from) || depth_is_reference(end)))
        return true;
    if (json_array_size(range) != 2 || !json_is_integer(from) ||
        !json_is_integer(end) || a < 0 || b > INT32_MAX)
        return catalog_refuse(r->problem, place, "as in [0, 16]",
                              "a layer_range is two whole numbers [from, to)");
    if (a >= b)
        return catalog_refuse(r->problem, place, "",
                              "layer_range [%d, %d] is empty: it goes from the "
                              "first number up to, but without, the second",
                              (int)a, (int)b);
    *ret_length = (uint64_t)(b - a);
    return true;
}

static bool read_source(struct merge_reader *r, const json_t *slice, size_t at,
                        const char *path, uint64_t *length)
{
    const json_t *sources = json_object_get(slice, "sources");
    const json_t *source = json_array_get(sources, at);
    const json_t *model = json_object_get(source, "model");
    uint64_t own = 0;
    char place[PATH], label[LABEL];

    if (model == NULL)
        return catalog_refuse(r->problem, path, "", "a source names no model");
    for (size_t i = 0; i < at; i++) {
        if (json_equal(json_object_get(json_array_get(sources, i), "model"),
                       model))
            return catalog_refuse(
                r->problem, path, "", "%s stands twice in one slice",
                merge_model_label(model, label, sizeof label));
    }
    if (!read_range(r, source, path, &own))
        return false;
    if (own > 0 && *length > 0 && own != *length) {
        merge_path(place, sizeof place, "%s/layer_range", path);
        return catalog_refuse(r->problem, place, "",
                              "this source has %d layers, the first one of the "
                              "slice has %d; they must be as many",
                              (int)own, (int)*length);
    }
    *length = own > 0 ? own : *length;
    if (merge_is_base(r->c, slice, model) && json_equal(model, r->c->base))
        return true;
    return add_model(r, model, path);
}

static bool has_source(const json_t *slice, const json_t *model)
{
    const json_t *sources = json_object_get(slice, "sources");

    for (size_t i = 0; i < json_array_size(sources); i++) {
        if (json_equal(json_object_get(json_array_get(sources, i), "model"),
                       model))
            return true;
    }
    return false;
}

static bool read_slice(struct merge_reader *r, const json_t *slice,
                       const char *path)
{
    struct merge_config *c = r->c;
    const json_t *sources = json_object_get(slice, "sources");
    const json_t *base = merge_base_of(c, slice);
    size_t count = json_array_size(sources);
    uint64_t length = 0;
    char place[PATH], label[LABEL];

    if (count == 0)
        return catalog_refuse(r->problem, path, "add `sources:`",
                              "a slice needs sources");
    for (size_t i = 0; i < count; i++) {
        merge_path(place, sizeof place, "%s/sources/%zu", path, i);
        if (!read_source(r, slice, i, place, &length))
            return false;
    }
    merge_path(place, sizeof place, "%s/sources", path);
    if (!c->deltas && !c->method->base_is_model)
        return merge_check_count(r, count, place);
    if (base == NULL)
        return merge_need_base(r, path);
    if (!has_source(slice, base))
        return catalog_refuse(
            r->problem, place,
            "add the base with its layer_range to the sources",
            "the base_model %s is not among the sources of "
            "the slice, so its layers are not known",
            merge_model_label(base, label, sizeof label));
    return merge_check_count(r, count - (c->deltas ? 1 : 0), place);
}

bool merge_read_slices(struct merge_reader *r, const json_t *slices)
{
    char path[PATH];

    r->c->slices = slices;
    if (json_array_size(slices) == 0 || json_array_size(slices) > MERGE_SLICES)
        return catalog_refuse(r->problem, "/slices", "",
                              "%zu slices; there can be 1 to %d",
                              json_array_size(slices), MERGE_SLICES);
    for (size_t i = 0; i < json_array_size(slices); i++) {
        merge_path(path, sizeof path, "/slices/%zu", i);
        if (!read_slice(r, json_array_get(slices, i), path))
            return false;
    }
    return true;
}

/* ---- slices as values -------------------------------------------------- */

size_t merge_config_slices(const struct merge_config *c)
{
    return c->slices == NULL ? 1 : json_array_size(c->slices);
}

static void whole_models(const struct merge_config *c, struct merge_slice *s)
{
    s->count = c->count;
    s->base.model = SIZE_MAX;
    for (size_t i = 0; i < c->count; i++)
        s->sources[i] = (struct merge_source){ .model = i, .own = c->own[i] };
}

static struct merge_source source_of(const struct merge_config *c,
                                     const json_t *source)
{
    const json_t *range = json_object_get(source, "layer_range");

    return (struct merge_source){
        .model = merge_index_of(c, json_object_get(source, "model")),
        .own = json_object_get(source, "parameters"),
        .from = (uint64_t)json_integer_value(json_array_get(range, 0)),
        .end = (uint64_t)json_integer_value(json_array_get(range, 1)),
    };
}

static void put_source(const struct merge_config *c, const json_t *slice,
                       const json_t *source, struct merge_slice *s)
{
    const json_t *model = json_object_get(source, "model");
    struct merge_source it = source_of(c, source);
    size_t at = s->count;

    if (merge_is_base(c, slice, model)) {
        s->base = it;
        if (json_equal(model, c->base))
            s->base.model = SIZE_MAX;
        return;
    }
    s->count++;
    if (!c->method->base_is_model ||
        !json_equal(model, merge_base_of(c, slice))) {
        s->sources[at] = it;
        return;
    }
    for (; at > 0; at--)
        s->sources[at] = s->sources[at - 1];
    s->sources[0] = it;
}

void merge_config_slice(const struct merge_config *c, size_t i,
                        struct merge_slice *ret_slice)
{
    const json_t *slice = json_array_get(c->slices, i);
    const json_t *sources = json_object_get(slice, "sources");

    *ret_slice = (struct merge_slice){ .count = 0 };
    if (c->slices == NULL) {
        whole_models(c, ret_slice);
        return;
    }
    ret_slice->parameters = json_object_get(slice, "parameters");
    for (size_t k = 0; k < json_array_size(sources); k++)
        put_source(c, slice, json_array_get(sources, k), ret_slice);
}
