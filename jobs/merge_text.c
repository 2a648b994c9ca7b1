#include "jobs/merge_text.h"

#include <ctype.h>
#include <string.h>

#include "common/memory.h"

enum { INDENT = 2 };

/* Names that mean the same in mergekit. Of our variants only its own does. */
static const char *const methods[] = {
    "linear",      "task_arithmetic",
    "ties",        "dare_linear",
    "dare_ties",   "slerp",
    "nuslerp",     "nearswap",
    "della",       "della_linear",
    "breadcrumbs", "breadcrumbs_ties",
    "model_stock", "sce",
    "passthrough",
};

/* The order in which people write them; others follow. */
static const char *const key_order[] = {
    "merge_method", "base_model", "model",   "layer_range", "sources",
    "models",       "slices",     "modules", "parameters",
};

static const char use_json[] = "use --format json, which holds every recipe";

static struct status check_method(const json_t *params)
{
    const char *method = json_text_or(params, "merge_method", "?");
    const char *variant = json_text_or(params, "variant", "mergekit");

    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        if (strcmp(methods[i], method) != 0)
            continue;
        if (strcmp(variant, "mergekit") == 0)
            return SUCCESS;
        return FAIL(STATUS_INVALID, "mergekit has no variant \"%s\" of %s; %s",
                    variant, method, use_json);
    }
    return FAIL(STATUS_INVALID, "mergekit has no method \"%s\"; %s", method,
                use_json);
}

/* --- YAML -----------------------------------------------------------------
 */

/* Texts that YAML, of whatever version, takes for something else. */
static bool is_special(const char *text)
{
    static const char *const words[] = { "true", "false", "null", "yes",
                                         "no",   "on",    "off",  "y",
                                         "n",    "nan",   "inf" };

    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (strcasecmp(text, words[i]) == 0)
            return true;
    }
    return false;
}

static bool is_plain(const char *text)
{
    static const char inside[] = "abcdefghijklmnopqrstuvwxyz"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "0123456789_-./@";

    return (isalpha((unsigned char)*text) || *text == '/' || *text == '_') &&
           text[strspn(text, inside)] == '\0' && !is_special(text);
}

MUST_CHECK static struct status add_text(struct buf *out, const char *text)
{
    AUTO(json_release) json_t *json = json_string(text);
    AUTO(free_pointer) char *quoted = NULL;

    if (is_plain(text))
        return buf_add_text(out, text);
    quoted = json_canonical(json); /* a JSON text is a YAML text */
    return buf_add_text(out, quoted);
}

/* A real has a point, for readers that know no 1e-5. */
MUST_CHECK static struct status add_real(struct buf *out, double value)
{
    char text[64];
    const char *power = NULL;
    int size = 0;

    json_format_real(value, text, sizeof text);
    power = strpbrk(text, "eE");
    size = power == NULL ? (int)strlen(text) : (int)(power - text);
    return buf_print(out, "%.*s%s%s", size, text,
                     memchr(text, '.', (size_t)size) == NULL ? ".0" : "",
                     power == NULL ? "" : power);
}

MUST_CHECK static struct status add_scalar(struct buf *out, const json_t *value)
{
    if (json_is_string(value))
        return add_text(out, json_string_value(value));
    if (json_is_integer(value))
        return buf_print(out, "%lld", (long long)json_integer_value(value));
    if (json_is_real(value))
        return add_real(out, json_real_value(value));
    return buf_add_text(out, json_is_true(value)    ? "true"
                             : json_is_false(value) ? "false"
                                                    : "null");
}

static bool is_scalar(const json_t *value)
{
    return !json_is_object(value) && !json_is_array(value);
}

/* As the file of the sweep, and mergekit, would have it. */
MUST_CHECK static struct status add_source(struct buf *out,
                                           const json_t *source)
{
    static const char file[] = "file://", hub[] = "hf://";
    const char *url = json_text_or(source, "url", "");
    const char *name = url + strlen(hub);
    const char *slash = NULL;

    /* an escaped path can only be read as a URL */
    if (strncmp(url, file, strlen(file)) == 0 && strchr(url, '%') == NULL)
        return add_text(out, url + strlen(file));
    if (strncmp(url, hub, strlen(hub)) != 0)
        return add_text(out, url);
    slash = strchr(name, '/');
    if (slash != NULL && strchr(slash + 1, '/') == NULL)
        return add_text(out, name); /* org/name@revision */
    return add_text(out, url);
}

MUST_CHECK static struct status add_model(struct buf *out, const json_t *model)
{
    const json_t *source = json_object_get(model, "$source");

    if (json_is_object(source))
        return add_source(out, source);
    return FAIL(STATUS_INVALID,
                "a model of this merge is made by the sweep itself (%s), so "
                "no configuration can name it; %s",
                json_object_get(model, "$job") != NULL ? "trained" : "merged",
                use_json);
}

static bool is_model(const json_t *value)
{
    return json_object_get(value, "$source") != NULL ||
           json_object_get(value, "$job") != NULL ||
           json_object_get(value, "$recipe") != NULL;
}

/* Names of an object in the order they are written in. */
static json_t *ordered(const json_t *object)
{
    json_t *names = json_array();
    json_t *seen = json_object();
    const char *name = NULL;
    json_t *value = NULL;

    for (size_t i = 0; i < COUNT_OF(key_order); i++) {
        if (json_object_get(object, key_order[i]) != NULL) {
            (void)json_array_append_new(names, json_string(key_order[i]));
            (void)json_object_set_new(seen, key_order[i], json_true());
        }
    }
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        if (json_object_get(seen, name) == NULL)
            (void)json_array_append_new(names, json_string(name));
    }
    json_decref(seen);
    return names;
}

MUST_CHECK static struct status add_value(struct buf *out, const json_t *value,
                                          int indent);

/* Members below each other; the first follows what is on the line already
 * where `inside` (behind a dash). */
MUST_CHECK static struct status add_map(struct buf *out, const json_t *map,
                                        int indent, bool inside)
{
    AUTO(json_release) json_t *names = ordered(map);

    for (size_t i = 0; i < json_array_size(names); i++) {
        const char *name = json_string_value(json_array_get(names, i));

        if (i > 0 || !inside)
            TRY_PLAIN(buf_print(out, "\n%*s", indent, ""));
        TRY_PLAIN(add_text(out, name));
        TRY_PLAIN(buf_add_text(out, ":"));
        TRY_PLAIN(add_value(out, json_object_get(map, name), indent));
    }
    return SUCCESS;
}

MUST_CHECK static struct status add_list(struct buf *out, const json_t *list,
                                         int indent)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);

        TRY_PLAIN(buf_print(out, "\n%*s-", indent, ""));
        if (json_is_object(item) && !is_model(item)) {
            TRY_PLAIN(buf_add_text(out, " "));
            TRY_PLAIN(add_map(out, item, indent + INDENT, true));
        } else {
            TRY_PLAIN(add_value(out, item, indent));
        }
    }
    return SUCCESS;
}

/* Lists of numbers on one line. */
MUST_CHECK static struct status add_row(struct buf *out, const json_t *list)
{
    TRY_PLAIN(buf_add_text(out, " ["));
    for (size_t i = 0; i < json_array_size(list); i++) {
        TRY_PLAIN(buf_add_text(out, i == 0 ? "" : ", "));
        TRY_PLAIN(add_scalar(out, json_array_get(list, i)));
    }
    return buf_add_text(out, "]");
}

static bool is_row(const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (!is_scalar(json_array_get(list, i)))
            return false;
    }
    return true;
}

/* What stands behind a colon or a dash. Resolved parameters are no deeper
 * than LIMIT_DEPTH. */
MUST_CHECK static struct status add_value(struct buf *out, const json_t *value,
                                          int indent)
{
    if (is_scalar(value)) {
        TRY_PLAIN(buf_add_text(out, " "));
        return add_scalar(out, value);
    }
    if (is_model(value)) {
        TRY_PLAIN(buf_add_text(out, " "));
        return add_model(out, value);
    }
    if (json_is_array(value))
        return is_row(value) ? add_row(out, value)
                             : add_list(out, value, indent + INDENT);
    if (json_object_size(value) == 0)
        return buf_add_text(out, " {}");
    return add_map(out, value, indent + INDENT, false);
}

/* What mergekit does otherwise although the words are the same. */
MUST_CHECK static struct status add_remarks(struct buf *out,
                                            const json_t *params)
{
    const json_t *parameters = json_object_get(params, "parameters");
    const char *rule = json_text_or(parameters, "rescale_rule", NULL);

    if (json_object_get(params, "seed") != NULL)
        TRY_PLAIN(buf_add_text(out, "# mergekit draws its own numbers: it does "
                                    "not know `seed`\n"));
    if (rule != NULL && strcmp(rule, "paper") == 0)
        TRY_PLAIN(buf_add_text(out, "# mergekit rescales by the L1 norm: it "
                                    "does not know `rescale_rule: paper`\n"));
    return SUCCESS;
}

struct status merge_text(const json_t *model, struct buf *ret_text)
{
    const json_t *recipe = json_object_get(model, "$recipe");
    AUTO(json_release) json_t *params = NULL;

    if (recipe == NULL ||
        strcmp(json_text_or(recipe, "kind", ""), "merge") != 0)
        return FAIL(STATUS_INVALID, "the model is not a merge; %s", use_json);
    params = json_copy(json_object_get(recipe, "params"));
    TRY_PLAIN(check_method(params));
    (void)json_object_del(params, "variant");
    TRY_PLAIN(add_remarks(ret_text, params));
    TRY_PLAIN(add_map(ret_text, params, 0, true));
    return buf_add_text(ret_text, "\n");
}
