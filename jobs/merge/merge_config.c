#include "jobs/merge/merge_config.h"

#include <math.h>
#include <string.h>

#include "common/memory.h"
#include "common/philox.h"

const char *merge_model_label(const json_t *model, char *text, size_t size)
{
    const json_t *source = json_object_get(model, "$source");
    const json_t *recipe = json_object_get(model, "$recipe");
    const char *job = json_text_or(model, "$job", NULL);

    if (json_is_string(model))
        (void)snprintf(text, size, "%s", json_string_value(model));
    else if (source != NULL)
        (void)snprintf(text, size, "%s", json_text_or(source, "url", "?"));
    else if (job != NULL)
        (void)snprintf(text, size, "job %.8s", job);
    else
        (void)snprintf(text, size, "a %s",
                       json_text_or(recipe, "kind", "model"));
    return text;
}

static bool in_range(const struct merge_use *use, double number)
{
    return number <= use->most &&
           (use->above_least ? number > use->least : number >= use->least);
}

static struct status out_of_range(const struct merge_config *c,
                                  const struct merge_use *use, double number)
{
    return FAIL(STATUS_INVALID, "%s: %s is %g, it must be in %c%g, %g]",
                c->method->name, merge_parameters[use->parameter].name, number,
                use->above_least ? '(' : '[', use->least, use->most);
}

/* What the checks of one number need to know. */
struct check {
    const struct merge_config *config;
    const struct merge_use *use;
    struct status status;
};

static bool check_number(void *self, const char *path, double number)
{
    struct check *check = self;

    (void)path;
    if (in_range(check->use, number))
        return true;
    check->status = out_of_range(check->config, check->use, number);
    return false;
}

static void check_wrong(void *self, const char *path, const char *why)
{
    struct check *check = self;

    check->status = FAIL(
        STATUS_INVALID, "%s: parameter %s%s: %s", check->config->method->name,
        merge_parameters[check->use->parameter].name, path, why);
}

static struct status check_value(const struct merge_config *c,
                                 const struct merge_use *use,
                                 const json_t *value)
{
    struct check check = { .config = c, .use = use, .status = SUCCESS };
    const struct depth_visitor visitor = { .self = &check,
                                           .number = check_number,
                                           .wrong = check_wrong };

    if (value == NULL)
        return SUCCESS;
    if (use->plain && !json_is_number(value))
        return FAIL(STATUS_INVALID,
                    "%s looks at the model as a whole: its %s is one number, "
                    "not a list",
                    c->method->name, merge_parameters[use->parameter].name);
    if (!depth_visit(value, &visitor))
        return check.status;
    return SUCCESS;
}

static struct status read_use(struct merge_config *c,
                              const struct merge_use *use, const json_t *top,
                              const json_t *const *own)
{
    const char *name = merge_parameters[use->parameter].name;
    const json_t *shared = json_object_get(top, name);
    char label[128];

    for (size_t i = 0; i < (use->per_model ? c->count : 1); i++) {
        const json_t *value = json_object_get(own[i], name);

        value = use->per_model && value != NULL ? value : shared;
        if (value == NULL && use->required)
            return FAIL(STATUS_INVALID,
                        "%s: model %s has no %s; add "
                        "`%s: 1.0` to its parameters",
                        c->method->name,
                        merge_model_label(c->models[i], label, sizeof label),
                        name, name);
        TRY_PLAIN(check_value(c, use, value));
        c->numbers[use->parameter][i] = value;
    }
    return SUCCESS;
}

static struct status read_numbers(struct merge_config *c, const json_t *params,
                                  const json_t *const *own)
{
    const json_t *top = json_object_get(params, "parameters");

    for (const struct merge_use *use = c->method->uses; use->most > 0.0; use++)
        TRY_PLAIN(read_use(c, use, top, own));
    c->normalize = json_bool_or(top, "normalize",
                                c->method->normalize == MERGE_NORMALIZED);
    return SUCCESS;
}

static struct status read_rescale(struct merge_config *c, const json_t *top)
{
    static const char *const rules[] = {
        [MERGE_RESCALE_NONE] = "none",
        [MERGE_RESCALE_PAPER] = "paper",
        [MERGE_RESCALE_L1] = "l1",
    };
    const char *rule = json_text_or(top, "rescale_rule", "paper");

    c->rescale = MERGE_RESCALE_NONE;
    if (!c->method->draws || !json_bool_or(top, "rescale", true))
        return SUCCESS;
    for (size_t i = 0; i < COUNT_OF(rules); i++) {
        if (strcmp(rules[i], rule) == 0)
            c->rescale = (enum merge_rescale)i;
    }
    if (strcmp(rules[c->rescale], rule) != 0)
        return FAIL(STATUS_INVALID,
                    "%s: rescale_rule is \"%s\"; known: paper, l1, none",
                    c->method->name, rule);
    if (c->rescale == MERGE_RESCALE_L1 && c->method->survey != NULL)
        return FAIL(STATUS_INVALID,
                    "%s/%s has no rescale_rule l1: its reference divides by "
                    "the density; use paper or none",
                    c->method->name, c->method->variant);
    return SUCCESS;
}

static struct status read_draws(struct merge_config *c, const json_t *params)
{
    int64_t seed = json_int_or(params, "seed", 0);

    TRY_PLAIN(read_rescale(c, json_object_get(params, "parameters")));
    if (!c->method->draws)
        return SUCCESS;
    if (seed < 0 || seed > UINT32_MAX)
        return FAIL(STATUS_INVALID, "seed is %lld, it must be in 0 ... %u",
                    (long long)seed, UINT32_MAX);
    c->seed = (uint32_t)seed;
    for (size_t i = 0; i < c->count; i++) {
        AUTO(free_pointer) char *identity = json_canonical(c->models[i]);

        c->streams[i] = philox_hash(identity);
    }
    return SUCCESS;
}

static struct status read_models(struct merge_config *c, const json_t *params,
                                 const json_t **own)
{
    json_t *models;

    TRY(json_member_array(params, "models", &models), "merge");
    for (size_t i = 0; i < json_array_size(models); i++) {
        const json_t *item = json_array_get(models, i);
        const json_t *model = json_object_get(item, "model");

        if (model == NULL)
            return FAIL(STATUS_INVALID, "merge: models[%zu] names no model", i);
        /* mergekit files list the base among the models, without meaning. */
        if (c->method->base && c->base != NULL && json_equal(model, c->base))
            continue;
        if (c->count == LIMIT_MODELS)
            return FAIL(STATUS_TOO_BIG, "merge: more than %d models",
                        LIMIT_MODELS);
        own[c->count] = json_object_get(item, "parameters");
        c->models[c->count++] = model;
    }
    if (c->count < c->method->least_models)
        return FAIL(STATUS_INVALID,
                    "%s: %zu models beside the base, it needs "
                    "at least %zu",
                    c->method->name, c->count, c->method->least_models);
    return SUCCESS;
}

static struct status read_method(struct merge_config *c, const json_t *params)
{
    const char *name;
    const char *variant = json_text_or(params, "variant", NULL);

    TRY(json_member_text(params, "merge_method", &name), "merge");
    c->method = merge_method_find(name, NULL);
    if (c->method == NULL)
        return FAIL(STATUS_INVALID, "unknown merge_method \"%s\"", name);
    if (variant != NULL)
        c->method = merge_method_find(name, variant);
    if (c->method == NULL)
        return FAIL(STATUS_INVALID, "%s has no variant \"%s\"", name, variant);
    c->base = json_object_get(params, "base_model");
    if (c->method->base && c->base == NULL)
        return FAIL(STATUS_INVALID, "%s needs a base_model", name);
    return SUCCESS;
}

struct status merge_config_read(const json_t *params,
                                struct merge_config *ret_config)
{
    struct merge_config c = { .method = NULL };
    const json_t *own[LIMIT_MODELS] = { NULL };
    const char *dtype =
        json_text_or(params, "out_dtype", json_text_or(params, "dtype", NULL));

    TRY_PLAIN(read_method(&c, params));
    TRY_PLAIN(read_models(&c, params, own));
    TRY_PLAIN(read_numbers(&c, params, own));
    TRY_PLAIN(read_draws(&c, params));
    c.submatrix = strcmp(json_text_or(params, "on_shape_mismatch", "error"),
                         "submatrix") == 0;
    c.has_dtype = dtype != NULL;
    if (dtype != NULL && (!dtype_find(dtype, strlen(dtype), &c.dtype) ||
                          !dtype_is_float(c.dtype)))
        return FAIL(STATUS_INVALID,
                    "merge: dtype \"%s\" is not one of "
                    "float32, float16, bfloat16",
                    dtype);
    *ret_config = c;
    return SUCCESS;
}

static struct status value_of(const struct merge_config *c,
                              const struct merge_use *use, size_t model,
                              struct depth_place place, double *ret_number)
{
    const json_t *value = c->numbers[use->parameter][model];

    *ret_number = use->otherwise;
    if (value == NULL)
        return SUCCESS;
    if (!depth_at(value, place, ret_number) && use->required)
        return FAIL(STATUS_INVALID,
                    "%s: no filter of %s fits tensor %s; add "
                    "an item without filter",
                    c->method->name, merge_parameters[use->parameter].name,
                    place.tensor);
    if (!in_range(use, *ret_number))
        return out_of_range(c, use, *ret_number);
    return SUCCESS;
}

static double *slot_of(struct merge_values *v, enum merge_parameter parameter)
{
    double *const slots[MERGE_PARAMETERS] = {
        [MERGE_WEIGHT] = v->weight, [MERGE_DENSITY] = v->density,
        [MERGE_LAMBDA] = v->lambda, [MERGE_TRIM_DENSITY] = &v->trim_density,
        [MERGE_RATIO] = &v->ratio,  [MERGE_CLAMP_QUANTILE] = &v->clamp_quantile,
    };

    return slots[parameter];
}

static struct status check_weights(const struct merge_config *c,
                                   const struct merge_values *v)
{
    double sum = 0.0;

    for (size_t i = 0; i < c->count; i++)
        sum += v->weight[i];
    if (c->method->base || c->method->normalize == MERGE_NO_NORMALIZE ||
        !c->normalize || fabs(sum) >= 1e-8)
        return SUCCESS;
    return FAIL(STATUS_INVALID,
                "%s: the weights add up to 0 and cannot be "
                "normalized; set normalize: false or other weights",
                c->method->name);
}

struct status merge_config_values(const struct merge_config *c,
                                  struct depth_place place,
                                  struct merge_values *ret_values)
{
    *ret_values = (struct merge_values){ .ratio = 0.0 };
    for (size_t i = 0; i < c->count; i++)
        ret_values->weight[i] = ret_values->density[i] = 1.0;
    for (const struct merge_use *use = c->method->uses; use->most > 0.0;
         use++) {
        double *slots = slot_of(ret_values, use->parameter);

        for (size_t i = 0; i < (use->per_model ? c->count : 1); i++)
            TRY_PLAIN(value_of(c, use, i, place, &slots[i]));
    }
    return check_weights(c, ret_values);
}
