#include "jobs/compare.h"

#include "jobs/data.h"

#include <stdio.h>
#include <string.h>

const struct catalog_key compare_row[] = {
    { .name = "*", .type = KEY_MODEL, .help = "one of the two" },
    { .name = NULL },
};

bool compare_normalise(json_t *body, struct catalog_problem *ret_problem)
{
    const json_t *models = json_object_get(body, "models");

    if (json_array_size(models) == 2)
        return data_normalise(body, "train", ret_problem);
    return catalog_refuse(
        ret_problem, models == NULL ? "" : "/models",
        "models: [$stages.a.model, $stages.b.model], or across: replicates",
        "two models are compared, here %s %zu",
        json_array_size(models) == 1 ? "is" : "are", json_array_size(models));
}

static struct status open_one(const json_t *models, size_t i,
                              struct job_context *context,
                              struct model_input *ret_input)
{
    AUTO(json_release)
    json_t *params = json_pack("{sO}", "model", json_array_get(models, i));

    return model_input_open(params, context, MODEL_BORROW, ret_input);
}

static struct status check_alike(const struct model *a, const struct model *b)
{
    if (a->parameter_count != b->parameter_count)
        return FAIL(STATUS_INVALID,
                    "the models cannot be compared: one has %zu tensors, the "
                    "other %zu",
                    a->parameter_count, b->parameter_count);
    for (size_t i = 0; i < a->parameter_count; i++) {
        const struct graph_parameter *p = &a->graph->parameters[i];
        const struct graph_parameter *q = &b->graph->parameters[i];

        if (strcmp(p->name, q->name) != 0)
            return FAIL(STATUS_INVALID,
                        "the models cannot be compared: one has \"%s\" where "
                        "the other has \"%s\"",
                        p->name, q->name);
        if (p->rank != q->rank ||
            memcmp(p->shape, q->shape, p->rank * sizeof(*p->shape)) != 0)
            return FAIL(STATUS_INVALID,
                        "the models cannot be compared: their \"%s\" have "
                        "different shapes",
                        p->name);
    }
    return SUCCESS;
}

static struct status open_both(const json_t *params,
                               struct job_context *context,
                               struct compare *pair)
{
    json_t *models;

    TRY_PLAIN(json_member_array(params, "models", &models));
    if (json_array_size(models) != 2)
        return FAIL(STATUS_INVALID, "two models are compared, here are %zu",
                    json_array_size(models));
    TRY(open_one(models, 0, context, &pair->first), "first");
    TRY(open_one(models, 1, context, &pair->second), "second");
    return check_alike(pair->first.model, pair->second.model);
}

struct status compare_open(const json_t *params, struct job_context *context,
                           struct compare *ret_pair)
{
    struct compare pair = { .first = { .recipe = NULL } };
    struct status st = open_both(params, context, &pair);

    if (status_failed(&st))
        compare_release(&pair);
    else
        *ret_pair = pair;
    return st;
}

void compare_release(struct compare *pair)
{
    model_input_release(&pair->first);
    model_input_release(&pair->second);
}
