#include "jobs/merge/depth.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

int64_t depth_layer(const char *name, size_t *ret_at, size_t *ret_end)
{
    static const char *const markers[] = { "layers.", "h.", "layer.", "blocks.",
                                           "block." };

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
            if (*end != '.' || number >= INT32_MAX)
                continue;
            *ret_at = (size_t)(at - name) + size;
            *ret_end = (size_t)(end - name);
            return number;
        }
    }
    return -1;
}

static int64_t layer_of(const char *name)
{
    size_t at, end;

    return depth_layer(name, &at, &end);
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

static bool is_everything(const json_t *item)
{
    const char *filter = json_text_or(item, "filter", "*");

    return strcmp(filter, "*") == 0;
}

static bool fits(const json_t *item, const char *tensor)
{
    return is_everything(item) ||
           strstr(tensor, json_text_or(item, "filter", "")) != NULL;
}

bool depth_is_reference(const json_t *value)
{
    return json_object_get(value, "$param") != NULL ||
           json_object_get(value, "$text") != NULL;
}

static bool is_filters(const json_t *value)
{
    const json_t *first = json_array_get(value, 0);

    return json_is_object(first) && !depth_is_reference(first);
}

/* The scalar or list over depth that counts for a name; NULL: none fits. */
static const json_t *filtered(const json_t *value, const char *tensor)
{
    if (!is_filters(value))
        return value;
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);

        if (fits(item, tensor))
            return json_object_get(item, "value");
    }
    return NULL;
}

bool depth_at(const json_t *value, struct depth_place place, double *ret_number)
{
    value = filtered(value, place.tensor);
    if (value == NULL)
        return false;
    *ret_number = json_is_array(value) ? gradient(value, place.t)
                                       : json_number_value(value);
    return true;
}

bool depth_flag_at(const json_t *value, struct depth_place place,
                   bool *ret_flag)
{
    value = filtered(value, place.tensor);
    if (value == NULL)
        return false;
    if (json_is_array(value))
        value = json_array_get(
            value,
            (size_t)floor(place.t * (double)(json_array_size(value) - 1)));
    *ret_flag = json_is_true(value);
    return true;
}

bool depth_is_total(const json_t *value)
{
    if (!is_filters(value))
        return value != NULL;
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (is_everything(json_array_get(value, i)))
            return true;
    }
    return false;
}

static bool visit_scalar(const json_t *value, const char *path,
                         const struct depth_visitor *visitor)
{
    return (visitor->open && depth_is_reference(value)) ||
           visitor->scalar(visitor->self, path, value);
}

static bool visit_list(const json_t *value, const char *path,
                       const struct depth_visitor *visitor)
{
    char place[64];

    if (!json_is_array(value))
        return visit_scalar(value, path, visitor);
    for (size_t i = 0; i < json_array_size(value); i++) {
        (void)snprintf(place, sizeof place, "%s/%zu", path, i);
        if (!visit_scalar(json_array_get(value, i), place, visitor))
            return false;
    }
    if (json_array_size(value) == 0)
        visitor->wrong(visitor->self, path, "the list is empty");
    return json_array_size(value) > 0;
}

bool depth_visit(const json_t *value, const struct depth_visitor *visitor)
{
    char place[64];

    if (!is_filters(value))
        return visit_list(value, "", visitor);
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
        if (!visit_list(json_object_get(item, "value"), place, visitor))
            return false;
    }
    return true;
}

/* [0.5] is 0.5. */
static json_t *plain(const json_t *value)
{
    if (json_is_array(value) && json_array_size(value) == 1)
        value = json_array_get(value, 0);
    return json_deep_copy(value);
}

/* Items up to the one that fits everything. */
static void add_items(json_t *list, const json_t *value)
{
    if (!is_filters(value)) {
        (void)json_array_append_new(list,
                                    json_pack("{s:o}", "value", plain(value)));
        return;
    }
    for (size_t i = 0; i < json_array_size(value); i++) {
        const json_t *item = json_array_get(value, i);
        json_t *copy =
            json_pack("{s:o}", "value", plain(json_object_get(item, "value")));

        (void)json_array_append_new(list, copy);
        if (is_everything(item))
            return;
        (void)json_object_set(copy, "filter", json_object_get(item, "filter"));
    }
}

json_t *depth_chain(const json_t *first, const json_t *second)
{
    json_t *list;
    json_t *only;

    if (first == NULL && second == NULL)
        return NULL;
    list = json_array();
    if (first != NULL)
        add_items(list, first);
    if (second != NULL && !depth_is_total(first))
        add_items(list, second);
    if (!is_everything(json_array_get(list, 0)))
        return list;
    only = json_incref(json_object_get(json_array_get(list, 0), "value"));
    json_decref(list);
    return only;
}
