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

/* Seeds of the two replicates that are compared, in order; NULL: none are. */
static json_t *pair_of(const struct compiled *c, json_t *seed)
{
    uint64_t replicate = space_replicate_of(c->space, seed);
    struct space_twin twin;

    if (!c->has_pairs || replicate == space_replicates(c->space))
        return NULL;
    twin = space_twin(c->space, replicate);
    return twin.comes_first ? json_pack("[O, O]", twin.seed.json, seed)
                            : json_pack("[O, O]", seed, twin.seed.json);
}

/* A `seed` of the values is the trial's, whether replicates or a parameter
 * gave it. */
static void fix_seed(const struct compiled *c, const json_t *values,
                     json_t *document)
{
    json_t *seed = json_object_get(values, "seed");

    (void)json_object_del(document, "replicates");
    if (json_is_integer(seed))
        (void)json_object_set_new(document, "replicates",
                                  json_pack("{s:i, s:[O], s:o*}", "count", 1,
                                            "seeds", seed, "pair",
                                            pair_of(c, seed)));
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

/* The document of one trial: its values fixed, called NAME-`end`. */
static json_t *fixed_document(const struct compiled *c, const json_t *values,
                              const char *end)
{
    char name[LIMIT_NAME];
    json_t *document = json_deep_copy(c->document);

    for (size_t i = 0; i < COUNT_OF(not_exported); i++)
        (void)json_object_del(document, not_exported[i]);
    (void)snprintf(name, sizeof name, "%.*s-%s", LIMIT_NAME - 8, c->name, end);
    (void)json_object_set_new(document, "name", json_string(name));
    (void)json_object_set_new(document, "hidden", json_true());
    (void)json_object_set_new(document, "strategy",
                              json_pack("{s:s}", "method", "grid"));
    fix_parameters(c, values, document);
    fix_seed(c, values, document);
    return document;
}

struct status compiled_export_document(const struct compiled *c,
                                       const json_t *values,
                                       int64_t shard_bytes,
                                       json_t **ret_document)
{
    const json_t *last;

    if (c->stage_count == 0)
        return FAIL(STATUS_INVALID, "%s has no stage that makes a model",
                    c->name);
    last = json_array_get(json_object_get(c->document, "stages"),
                          c->stage_count - 1);
    if (strcmp(json_text_or(last, "gives", ""), "data") == 0)
        return FAIL(STATUS_INVALID,
                    "the last stage of %s, \"%s\", gives data and no model",
                    c->name, json_text_or(last, "name", ""));
    *ret_document = fixed_document(c, values, "export");
    add_export(c, shard_bytes, *ret_document);
    return SUCCESS;
}

/* ---- computed again ---------------------------------------------------- */

static const char verify_kind[] = "evaluate.verify";

/* An evaluator that runs `job` (a stage or evaluator of the document) for
 * its own sake, as often as there are nonces. */
static json_t *job_again(const json_t *job, const char *name, const char *nonce)
{
    static const char *const kept[] = { "memory", "cpus", "labels", "stall_ms",
                                        "limit_ms" };
    const json_t *variants = json_object_get(job, "variants");
    json_t *again = json_array();
    json_t *evaluator;

    for (size_t i = 0; i < json_array_size(variants); i++) {
        const json_t *v = json_array_get(variants, i);
        json_t *when = json_object_get(v, "when");
        json_t *one = json_pack("{s:{s:O, s:O, s:O, s:s}}", "params", "stage",
                                json_object_get(job, "name"), "kind",
                                json_object_get(job, "kind"), "params",
                                json_object_get(v, "params"), "nonce", nonce);

        if (when != NULL)
            (void)json_object_set(one, "when", when);
        (void)json_array_append_new(again, one);
    }
    evaluator = json_pack("{s:s, s:s, s:[], s:o}", "name", name, "kind",
                          verify_kind, "metrics", "variants", again);
    for (size_t i = 0; i < COUNT_OF(kept); i++) {
        json_t *value = json_object_get(job, kept[i]);

        if (value != NULL)
            (void)json_object_set(evaluator, kept[i], value);
    }
    return evaluator;
}

/* The digest of a lazy stage's model. */
static json_t *model_again(const char *stage, const char *name,
                           const char *nonce)
{
    return json_pack("{s:s, s:s, s:[], s:[{s:{s:s, s:{s:s}, s:s}}]}", "name",
                     name, "kind", verify_kind, "metrics", "variants", "params",
                     "stage", stage, "model", "$stage", stage, "nonce", nonce);
}

static bool is_among(const json_t *names, const char *name)
{
    for (size_t i = 0; i < json_array_size(names); i++) {
        if (strcmp(json_string_value(json_array_get(names, i)), name) == 0)
            return true;
    }
    return false;
}

/* Those of the list whose names are among `names`. */
static void add_again(const json_t *list, const json_t *names,
                      const char *nonce, json_t *evaluators)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *job = json_array_get(list, i);
        const char *stage = json_text_or(job, "name", "");
        bool lazy = strcmp(json_text_or(job, "sort", ""), "lazy") == 0;
        char name[LIMIT_NAME];

        if (!is_among(names, stage))
            continue;
        (void)snprintf(name, sizeof name, "again-%zu",
                       json_array_size(evaluators) + 1);
        (void)json_array_append_new(evaluators,
                                    lazy ? model_again(stage, name, nonce)
                                         : job_again(job, name, nonce));
    }
}

json_t *compiled_verify_document(const struct compiled *c, const json_t *values,
                                 const json_t *names, const char *nonce)
{
    json_t *document = fixed_document(c, values, "verify");
    json_t *evaluators = json_array();

    add_again(json_object_get(c->document, "stages"), names, nonce, evaluators);
    add_again(json_object_get(c->document, "evaluate"), names, nonce,
              evaluators);
    (void)json_object_set_new(document, "evaluate", evaluators);
    return document;
}
