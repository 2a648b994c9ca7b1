#include "jobs/merge/depth.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The block number in a name, or -1. */
static int64_t layer_of(const char *name)
{
    static const char *const markers[] = { "layers.", "h.", "layer." };

    for (size_t i = 0; i < COUNT_OF(markers); i++) {
        size_t size = strlen(markers[i]);

        for (const char *at = strstr(name, markers[i]); at != NULL;
             at = strstr(at + 1, markers[i])) {
            char *end;
            long number;

            if ((at != name && at[-1] != '.') || at[size] < '0' ||
                at[size] > '9')
                continue;
            number = strtol(at + size, &end, 10);
            if (*end == '.' && number < INT32_MAX)
                return number;
        }
    }
    return -1;
}

uint64_t depth_layers(const struct tensor_set *set)
{
    int64_t last = -1;

    for (size_t i = 0; i < set->count; i++) {
        int64_t layer = layer_of(set->items[i].name);

        last = layer > last ? layer : last;
    }
    return (uint64_t)(last + 1);
}

struct depth_place depth_place(const char *tensor, uint64_t layers)
{
    int64_t layer = layer_of(tensor);
    struct depth_place place = { .tensor = tensor, .t = 0.0 };

    if (layer >= 0)
        place.t = layers > 1 ? (double)layer / (double)(layers - 1) : 1.0;
    return place;
}

static double gradient(const json_t *list, double t)
{
    size_t count = json_array_size(list);
    double scaled = t * (double)(count - 1);
    size_t left = (size_t)floor(scaled);
    size_t right = left + 1 < count ? left + 1 : count - 1;
    double share = scaled - (double)left;

    return (1.0 - share) * json_number_value(json_array_get(list, left)) +
           share * json_number_value(json_array_get(list, right));
}

static bool fits(const json_t *item, const char *tensor)
{
    const char *filter = json_text_or(item, "filter", "*");

    return strcmp(filter, "*") == 0 || strstr(tensor, filter) != NULL;
}

bool depth_at(const json_t *value, struct depth_place place, double *ret_number)
{
    for (size_t i = 0; json_is_object(json_array_get(value, i)); i++) {
        const json_t *item = json_array_get(value, i);

        if (!fits(item, place.tensor))
            continue;
        value = json_object_get(item, "value");
        break;
    }
    if (json_is_object(json_array_get(value, 0)))
        return false;
    *ret_number = json_is_array(value) ? gradient(value, place.t)
                                       : json_number_value(value);
    return true;
}

static bool is_reference(const json_t *value)
{
    return json_object_get(value, "$param") != NULL ||
           json_object_get(value, "$text") != NULL;
}

static bool visit_number(const json_t *value, const char *path,
                         const struct depth_visitor *visitor)
{
    if (is_reference(value))
        return true;
    if (json_is_number(value))
        return visitor->number(visitor->self, path, json_number_value(value));
    visitor->wrong(visitor->self, path, "a number is needed here");
    return false;
}

static bool visit_gradient(const json_t *value, const char *path,
                           const struct depth_visitor *visitor)
{
    char place[64];

    if (!json_is_array(value))
        return visit_number(value, path, visitor);
    for (size_t i = 0; i < json_array_size(value); i++) {
        (void)snprintf(place, sizeof place, "%s/%zu", path, i);
        if (!visit_number(json_array_get(value, i), place, visitor))
            return false;
    }
    if (json_array_size(value) == 0)
        visitor->wrong(visitor->self, path, "the list is empty");
    return json_array_size(value) > 0;
}

bool depth_visit(const json_t *value, const struct depth_visitor *visitor)
{
    const json_t *first = json_array_get(value, 0);
    char place[64];

    if (!json_is_object(first) || is_reference(first))
        return visit_gradient(value, "", visitor);
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        const json_t *filter = json_object_get(item, "filter");

        (void)snprintf(place, sizeof place, "/%zu", i);
        if (json_object_get(item, "value") == NULL ||
            (filter != NULL && !json_is_string(filter) &&
             !json_is_null(filter))) {
            visitor->wrong(visitor->self, place,
                           "{filter: text, value: number} is needed here");
            return false;
        }
        (void)snprintf(place, sizeof place, "/%zu/value", i);
        if (!visit_gradient(json_object_get(item, "value"), place, visitor))
            return false;
    }
    return true;
}
