/* evaluate_footprint.c -- how large a model is. */
#include "jobs/job_kind.h"
#include "jobs/recipe.h"

enum { BLOCK = 4096 }; /* elements looked at between two polls */

static const struct catalog_key keys[] = {
    { .name = "model",
      .type = KEY_MODEL,
      .help = "what is measured; the trial's model if not given" },
    { .name = NULL },
};

static json_t *metrics(const json_t *body)
{
    (void)body;
    return json_pack("[ssssss]", "bytes", "parameters", "nonzero", "zeros",
                     "nonzero_share", "trainable_share");
}

static uint64_t nonzero_floats(enum dtype d, const void *data, size_t count)
{
    float x[BLOCK];
    uint64_t found = 0;

    dtype_to_f32(d, data, x, count);
    for (size_t i = 0; i < count; i++)
        found += x[i] != 0.0F;
    return found;
}

static uint64_t nonzero_others(const unsigned char *data, size_t count,
                               size_t size)
{
    uint64_t found = 0;

    for (size_t i = 0; i < count; i++) {
        bool any = false;

        for (size_t k = 0; k < size; k++)
            any = any || data[i * size + k] != 0;
        found += any;
    }
    return found;
}

static struct status count_tensor(const struct tensor *t,
                                  struct job_context *context,
                                  uint64_t *nonzero)
{
    size_t size = dtype_size(t->dtype);
    const unsigned char *data = t->data;

    for (uint64_t at = 0; at < t->count; at += BLOCK) {
        size_t count = t->count - at < BLOCK ? (size_t)(t->count - at) : BLOCK;

        if (context->cancelled(context->self))
            return FAIL(STATUS_CANCELLED, "footprint cancelled");
        *nonzero += dtype_is_float(t->dtype)
                        ? nonzero_floats(t->dtype, data + at * size, count)
                        : nonzero_others(data + at * size, count, size);
    }
    return SUCCESS;
}

/* Of the job that made the model: what it says it trained, or all. A model
 * that no training made: 0. */
static struct status trained_share(const json_t *model,
                                   struct job_context *context,
                                   double *ret_share)
{
    const char *key = json_text_or(model, "$job", NULL);
    const json_t *result, *metrics;

    if (key == NULL)
        return SUCCESS;
    TRY_PLAIN(context->input(context->self, key, &result));
    metrics = json_object_get(result, "metrics");
    *ret_share =
        json_real_or(metrics, "fraction",
                     json_object_get(metrics, "steps") != NULL ? 1.0 : 0.0);
    return SUCCESS;
}

static void close_model(struct recipe_model **m)
{
    recipe_close(*m);
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    AUTO(close_model) struct recipe_model *m = NULL;
    const struct tensor_set *set;
    uint64_t bytes = 0, parameters = 0, nonzero = 0;
    double share = 0.0;
    json_t *model;

    TRY(json_member_object(params, "model", &model), "footprint");
    TRY(recipe_open(model, context, &m), "footprint");
    set = recipe_tensors(m);
    for (size_t i = 0; i < set->count; i++) {
        bytes += tensor_bytes(&set->items[i]);
        parameters += set->items[i].count;
        TRY_PLAIN(count_tensor(&set->items[i], context, &nonzero));
        context->progress(context->self, i + 1, set->count, "tensor");
    }
    TRY(trained_share(model, context, &share), "footprint");
    *ret_result = json_pack(
        "{s{sI sI sI sI sf sf}}", "metrics", "bytes", (json_int_t)bytes,
        "parameters", (json_int_t)parameters, "nonzero", (json_int_t)nonzero,
        "zeros", (json_int_t)(parameters - nonzero), "nonzero_share",
        parameters == 0 ? 0.0 : (double)nonzero / (double)parameters,
        "trainable_share", share);
    return SUCCESS;
}

extern const struct job_kind job_evaluate_footprint;
const struct job_kind job_evaluate_footprint = {
    .catalog = { .name = "evaluate.footprint",
                 .summary = "bytes, parameters and how many are not zero",
                 .example = "{}\n",
                 .sort = STAGE_VALUE,
                 .keys = keys,
                 .metrics = metrics },
    .run = run,
};
