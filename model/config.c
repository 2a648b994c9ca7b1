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

static struct status whole_number(int64_t value, const char *key, int64_t most,
                                  uint32_t *ret_value)
{
    if (value < 1 || value > most)
        return FAIL(STATUS_INVALID,
                    "config.json: \"%s\" is %lld, allowed are 1 to %lld", key,
                    (long long)value, (long long)most);
    *ret_value = (uint32_t)value;
    return SUCCESS;
}

struct status config_number(const json_t *json, const char *key,
                            int64_t otherwise, int64_t most,
                            uint32_t *ret_value)
{
    const json_t *found = json_object_get(json, key);
    int64_t value = otherwise;

    if (found != NULL && !json_is_null(found))
        TRY(json_member_int(json, key, &value), "config.json");
    else if (otherwise < 1)
        return FAIL(STATUS_INVALID, "config.json: \"%s\" is missing", key);
    return whole_number(value, key, most, ret_value);
}

struct status config_epsilon(const json_t *json, const char *key,
                             double otherwise, float *ret_value)
{
    double eps = json_real_or(json, key, otherwise);

    if (!(eps > 0.0 && eps < 1.0))
        return FAIL(STATUS_INVALID,
                    "config.json: \"%s\" is %g; it is above 0 and below 1", key,
                    eps);
    *ret_value = (float)eps;
    return SUCCESS;
}

/* As checkpoints name them; the first of an operation is what is written. */
static const struct {
    const char *name;
    const struct op *op;
} curves[] = {
    { "relu", &op_relu },           { "gelu", &op_gelu },
    { "gelu_new", &op_gelu_tanh },  { "gelu_pytorch_tanh", &op_gelu_tanh },
    { "gelu_fast", &op_gelu_tanh },
};

struct status config_curve(const json_t *json, const char *key,
                           const char *otherwise, const struct op **ret_curve)
{
    const char *name = json_text_or(json, key, otherwise);

    for (size_t i = 0; i < COUNT_OF(curves); i++)
        if (strcmp(curves[i].name, name) == 0) {
            *ret_curve = curves[i].op;
            return SUCCESS;
        }
    return FAIL(STATUS_INVALID,
                "config.json: \"%s\" is \"%.40s\"; known are: relu, gelu, "
                "gelu_new, gelu_pytorch_tanh, gelu_fast",
                key, name);
}

const char *config_curve_name(const struct op *curve)
{
    for (size_t i = 0; i < COUNT_OF(curves); i++)
        if (curves[i].op == curve)
            return curves[i].name;
    abort(); /* a config has a curve of the table */
}

struct status config_must_be(const json_t *json, const char *key, bool value)
{
    if (json_bool_or(json, key, value) != value)
        return FAIL(STATUS_INVALID,
                    "config.json: \"%s\" is %s, which cannot be computed; use "
                    "a model where it is %s",
                    key, value ? "false" : "true", value ? "true" : "false");
    return SUCCESS;
}

struct status config_list(const json_t *json, const char *key, int64_t most,
                          uint32_t *ret_count, uint32_t *ret_values)
{
    const json_t *list = json_object_get(json, key);
    size_t count = json_array_size(list);

    if (count < 1 || count > CONFIG_SIZES)
        return FAIL(STATUS_INVALID,
                    "config.json: \"%s\" is a list of 1 to %d whole numbers",
                    key, CONFIG_SIZES);
    for (size_t i = 0; i < count; i++)
        TRY_PLAIN(whole_number(json_integer_value(json_array_get(list, i)), key,
                               most, &ret_values[i]));
    *ret_count = (uint32_t)count;
    return SUCCESS;
}

struct status config_heads(const json_t *json, const char *key,
                           const char *kv_key, struct model_config *c)
{
    TRY_PLAIN(config_number(json, key, 0, 4096, &c->heads));
    c->kv_heads = c->heads;
    if (kv_key != NULL)
        TRY_PLAIN(config_number(json, kv_key, c->heads, 4096, &c->kv_heads));
    if (json_object_get(json, "head_dim") == NULL && c->hidden % c->heads != 0)
        return FAIL(STATUS_INVALID,
                    "config.json: width %u is no multiple of %u attention "
                    "heads",
                    c->hidden, c->heads);
    if (c->heads % c->kv_heads != 0)
        return FAIL(STATUS_INVALID,
                    "config.json: %u attention heads cannot share %u "
                    "key-value heads; one must divide the other",
                    c->heads, c->kv_heads);
    return config_number(json, "head_dim", c->hidden / c->heads, 1 << 20,
                         &c->head_dim);
}

double config_decimal(float value)
{
    char text[32];

    (void)snprintf(text, sizeof(text), "%.6g", (double)value);
    return strtod(text, NULL);
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
