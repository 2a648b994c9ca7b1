#include <stdio.h>
#include <string.h>

#include "common/memory.h"
#include "sweep/compiled_parts.h"

static json_t *fixed_parameter(const char *name, json_t *value)
{
    if (value == NULL || json_is_null(value))
        return json_pack("{s:s, s:[i], s:s}", "name", name, "values", 0, "when",
                         "false");
    return json_pack("{s:s, s:[O]}", "name", name, "values", value);
}

/* Every name stays declared: templates and variants speak of it. */
static void fix_parameters(const struct compiled *c, const json_t *values,
                           json_t *document)
{
    json_t *parameters = json_array();
    json_t *chosen = json_object_get(values, "case");

    for (size_t i = 0; i < space_name_count(c->space); i++) {
        const char *name = space_name(c->space, i);

        if (strcmp(name, "case") != 0 && strcmp(name, "seed") != 0)
            (void)json_array_append_new(
                parameters,
                fixed_parameter(name, json_object_get(values, name)));
    }
    (void)json_object_set_new(document, "parameters", parameters);
    (void)json_object_del(document, "cases");
    if (json_is_string(chosen))
        (void)json_object_set_new(document, "cases",
                                  json_pack("[{s:O}]", "name", chosen));
}

/* A `seed` of the values is the trial's, whether replicates or a parameter
 * gave it. */
static void fix_seed(const json_t *values, json_t *document)
{
    json_t *seed = json_object_get(values, "seed");

    (void)json_object_del(document, "replicates");
    if (json_is_integer(seed))
        (void)json_object_set_new(
            document, "replicates",
            json_pack("{s:i, s:[O]}", "count", 1, "seeds", seed));
    else if (seed != NULL)
        (void)json_array_append_new(json_object_get(document, "parameters"),
                                    fixed_parameter("seed", seed));
}

static bool is_taken(const struct compiled *c, const char *name)
{
    for (size_t i = 0; i < c->stage_count; i++) {
        if (strcmp(c->stages[i].name, name) == 0)
            return true;
    }
    return false;
}

static void add_export(const struct compiled *c, int64_t shard_bytes,
                       json_t *document)
{
    const struct stage *last = &c->stages[c->stage_count - 1];
    json_t *params = json_pack("{s:{s:s}}", "model", "$stage", last->name);
    char name[LIMIT_NAME] = "export";

    for (int n = 2; is_taken(c, name); n++)
        (void)snprintf(name, sizeof name, "export-%d", n);
    if (shard_bytes > 0)
        (void)json_object_set_new(params, "shard_size",
                                  json_integer((json_int_t)shard_bytes));
    (void)json_array_append_new(json_object_get(document, "stages"),
                                json_pack("{s:s, s:s, s:s, s:[{s:{}, s:o}]}",
                                          "name", name, "kind", "export",
                                          "sort", "artifact", "variants",
                                          "when", "params", params));
}

static const char *const not_exported[] = {
    "derive", "constraints", "evaluate", "objective", "limits", "outputs",
};

struct status compiled_export_document(const struct compiled *c,
                                       const json_t *values,
                                       int64_t shard_bytes,
                                       json_t **ret_document)
{
    char name[LIMIT_NAME];
    json_t *document;

    if (c->stage_count == 0)
        return FAIL(STATUS_INVALID, "%s has no stage that makes a model",
                    c->name);
    document = json_deep_copy(c->document);
    for (size_t i = 0; i < COUNT_OF(not_exported); i++)
        (void)json_object_del(document, not_exported[i]);
    (void)snprintf(name, sizeof name, "%.*s-export", LIMIT_NAME - 8, c->name);
    (void)json_object_set_new(document, "name", json_string(name));
    (void)json_object_set_new(document, "hidden", json_true());
    (void)json_object_set_new(document, "strategy",
                              json_pack("{s:s}", "method", "grid"));
    fix_parameters(c, values, document);
    fix_seed(values, document);
    add_export(c, shard_bytes, document);
    *ret_document = document;
    return SUCCESS;
}
