#include "jobs/merge_family.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/merge/merge_body.h"

/* What stands at a JSON pointer is null from now on. */
static void blank(json_t *json, const char *pointer)
{
    size_t length = strcspn(pointer + 1, "/");
    AUTO(free_pointer) char *name = xstrndup(pointer + 1, length);
    const char *rest = pointer + 1 + length;

    if (*rest == '\0')
        (void)json_object_set_new(json, name, json_null());
    else if (json_is_array(json))
        blank(json_array_get(json, (size_t)strtoul(name, NULL, 10)), rest);
    else
        blank(json_object_get(json, name), rest);
}

struct digest merge_family_of(const json_t *params)
{
    AUTO(json_release) json_t *copy = json_deep_copy(params);
    AUTO(json_release) json_t *places = merge_body_fusable(params);
    AUTO(free_pointer) char *text = NULL;

    for (size_t i = 0; i < json_array_size(places); i++)
        blank(copy, json_string_value(json_array_get(places, i)));
    text = json_canonical(copy);
    return digest_of(text, strlen(text));
}
