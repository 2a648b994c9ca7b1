#include "model/config.h"

#include "model/arch.h"

#include <assert.h>

/* "llama, opt" for messages. */
static void list_known(char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (const struct arch *const *a = archs; *a != NULL; a++) {
        int n = snprintf(text + used, size - used, "%s%s",
                         a == archs ? "" : ", ", (*a)->model_type);

        if (n < 0 || (size_t)n >= size - used)
            return;
        used += (size_t)n;
    }
}

const struct arch *arch_find(const char *model_type)
{
    for (const struct arch *const *a = archs; *a != NULL; a++)
        if (strcmp((*a)->model_type, model_type) == 0)
            return *a;
    return NULL;
}

MUST_CHECK struct status arch_number(const json_t *json, const char *key,
                                     int64_t otherwise, int64_t most,
                                     uint32_t *ret_value)
{
    const json_t *found = json_object_get(json, key);
    int64_t value = otherwise;

    if (found != NULL && !json_is_null(found))
        TRY(json_member_int(json, key, &value), "config.json");
    if (value < 1 || value > most)
        return FAIL(STATUS_INVALID,
                    "config.json: \"%s\" is %lld, allowed are 1 to %lld", key,
                    (long long)value, (long long)most);
    *ret_value = (uint32_t)value;
    return SUCCESS;
}

struct status model_config_read(const json_t *json,
                                struct model_config *ret_config)
{
    struct model_config c = { 0 };
    const char *type = json_text_or(json, "model_type", NULL);
    char known[256];

    list_known(known, sizeof(known));
    if (type == NULL)
        return FAIL(STATUS_INVALID,
                    "config.json has no \"model_type\"; known are: %s", known);
    c.arch = arch_find(type);
    if (c.arch == NULL)
        return FAIL(STATUS_INVALID,
                    "architecture \"%.60s\" is not known; known are: %s", type,
                    known);
    TRY_PLAIN(c.arch->read(json, &c));
    *ret_config = c;
    return SUCCESS;
}

json_t *model_config_write(const struct model_config *c, const char *dtype)
{
    json_t *json = c->arch->write(c);

    assert(json != NULL);
    (void)json_object_set_new(json, "model_type",
                              json_string(c->arch->model_type));
    (void)json_object_set_new(json, "architectures",
                              json_pack("[s]", c->arch->hf_class));
    (void)json_object_set_new(json, "torch_dtype", json_string(dtype));
    return json;
}
