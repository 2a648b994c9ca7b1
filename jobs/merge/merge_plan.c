#include "jobs/merge/merge_plan.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/merge/merge_survey.h"

enum { LABEL = 128 };

/* Heads that may be tied to an embedding and then be absent from a file. */
static const struct {
    const char *head, *embedding;
} ties[] = {
    { "lm_head.weight", "model.embed_tokens.weight" },
    { "lm_head.weight", "transformer.wte.weight" },
    { "lm_head.weight", "wte.weight" },
    { "lm_head.weight", "model.decoder.embed_tokens.weight" },
    { "embed_out.weight", "gpt_neox.embed_in.weight" },
};

static const char *task_label(const struct merge_plan *p, size_t i,
                              char text[LABEL])
{
    return merge_model_label(p->config->models[i], text, LABEL);
}

static const char *base_label(const struct merge_plan *p, char text[LABEL])
{
    const struct merge_config *c = p->config;

    return merge_model_label(c->base != NULL ? c->base : c->models[0], text,
                             LABEL);
}

/* A tied head is its embedding under another name. */
static const struct tensor *tied(const struct tensor_set *set, const char *name)
{
    for (size_t i = 0; i < COUNT_OF(ties); i++) {
        const struct tensor *t = NULL;

        if (strcmp(ties[i].head, name) == 0)
            t = tensor_find(set, ties[i].embedding);
        if (t != NULL)
            return t;
    }
    return NULL;
}

static struct status mismatch(const struct merge_plan *p, size_t i,
                              const struct tensor *base,
                              const struct tensor *task)
{
    char model[LABEL], other[LABEL], a[64], b[64];

    return FAIL(STATUS_INVALID,
                "tensor %s is %s in %s but %s in %s; merge models of one "
                "architecture, or cut added rows with "
                "`on_shape_mismatch: submatrix`",
                base->name, tensor_shape_text(task, b, sizeof b),
                task_label(p, i, model), tensor_shape_text(base, a, sizeof a),
                base_label(p, other));
}

/* More rows of the same length, as an extended vocabulary has: the elements
 * of the base's rows come first. */
static bool has_more_rows(const struct tensor *base, const struct tensor *task)
{
    if (base->rank == 0 || base->rank != task->rank ||
        task->shape[0] < base->shape[0])
        return false;
    for (uint32_t i = 1; i < base->rank; i++) {
        if (base->shape[i] != task->shape[i])
            return false;
    }
    return true;
}

static struct status find_task(const struct merge_plan *p, size_t i,
                               const struct tensor *base,
                               const struct tensor **ret_task)
{
    const struct tensor_set *set = p->inputs->tasks[i];
    const struct tensor *task = tensor_find(set, base->name);
    char model[LABEL], other[LABEL], shape[64];

    if (task == NULL)
        task = tied(set, base->name);
    if (task == NULL)
        return FAIL(STATUS_INVALID,
                    "tensor %s (%s) of %s is missing in %s; merge fine-tunes "
                    "of one base, whole models and not adapters",
                    base->name, tensor_shape_text(base, shape, sizeof shape),
                    base_label(p, other), task_label(p, i, model));
    if (!dtype_is_float(task->dtype) ||
        (!tensor_same_shape(base, task) &&
         !(p->config->submatrix && has_more_rows(base, task))))
        return mismatch(p, i, base, task);
    *ret_task = task;
    return SUCCESS;
}

static struct status find_draws(const struct merge_plan *p, size_t i,
                                const struct tensor *base,
                                const struct tensor **ret_draws)
{
    const struct tensor *t;

    if (p->inputs->draws == NULL)
        return SUCCESS;
    t = tensor_find(p->inputs->draws[i], base->name);
    if (t == NULL || t->dtype != DTYPE_F32 || t->count != base->count)
        return FAIL(STATUS_INVALID, "no draws of model %zu for tensor %s",
                    i + 1, base->name);
    *ret_draws = t;
    return SUCCESS;
}

static struct status plan_tensor(struct merge_plan *p, size_t at,
                                 const struct tensor *base)
{
    struct merge_entry *e = &p->entries[at];
    struct merge_values values;

    p->tensors[at] = *base;
    p->tensors[at].data = NULL;
    e->base = base;
    e->hash = philox_hash64(base->name);
    e->merged = dtype_is_float(base->dtype) && base->count > 0;
    if (dtype_is_float(base->dtype) && p->config->has_dtype)
        p->tensors[at].dtype = p->config->dtype;
    if (!e->merged)
        return SUCCESS;
    p->elements += base->count;
    for (size_t i = 0; i < p->config->count; i++) {
        TRY_PLAIN(find_task(p, i, base, &e->tasks[i]));
        TRY_PLAIN(find_draws(p, i, base, &e->draws[i]));
    }
    return merge_config_values(p->config, depth_place(base->name, p->layers),
                               &values);
}

/* A head of its own would be lost if the base shares it with the embedding. */
static struct status check_heads(const struct merge_plan *p, size_t i)
{
    const struct tensor_set *set = p->inputs->tasks[i];
    char model[LABEL], other[LABEL];

    for (size_t k = 0; k < COUNT_OF(ties); k++) {
        const struct tensor *head = tensor_find(set, ties[k].head);
        const struct tensor *embedding = tensor_find(set, ties[k].embedding);

        if (head == NULL || embedding == NULL ||
            tensor_find(&p->layout, head->name) != NULL ||
            tensor_find(&p->layout, embedding->name) == NULL)
            continue;
        if (head->dtype != embedding->dtype ||
            !tensor_same_shape(head, embedding) ||
            memcmp(head->data, embedding->data, tensor_bytes(head)) != 0)
            return FAIL(STATUS_INVALID,
                        "%s has a %s of its own, in %s it is tied to %s; "
                        "merge models that agree on it",
                        task_label(p, i, model), head->name,
                        base_label(p, other), embedding->name);
    }
    return SUCCESS;
}

struct status merge_plan_init(struct merge_plan *p,
                              const struct merge_config *config,
                              const struct merge_inputs *inputs)
{
    const struct tensor_set *base =
        inputs->base != NULL ? inputs->base : inputs->tasks[0];
    struct merge_values values;

    *p = (struct merge_plan){ .config = config, .inputs = inputs };
    p->tensors = xcalloc(base->count + 1, sizeof *p->tensors);
    p->entries = xcalloc(base->count + 1, sizeof *p->entries);
    p->layout = (struct tensor_set){ base->count, p->tensors };
    p->layers = depth_layers(base);
    if (config->method->survey != NULL && config->method->survey->global)
        TRY_PLAIN(merge_config_values(config, depth_place("", 0), &values));
    for (size_t i = 0; i < base->count; i++)
        TRY_PLAIN(plan_tensor(p, i, &base->items[i]));
    for (size_t i = 0; i < config->count; i++)
        TRY_PLAIN(check_heads(p, i));
    return SUCCESS;
}

void merge_plan_release(struct merge_plan *p)
{
    free(p->tensors);
    free(p->entries);
}

static double scale_of(const struct merge_step *step, double density)
{
    if (!step->method->draws || step->rescale != MERGE_RESCALE_PAPER ||
        density <= 0.0)
        return 1.0;
    return 1.0 / density;
}

void merge_plan_step(const struct merge_plan *p, size_t tensor,
                     struct merge_step *ret_step)
{
    const struct merge_config *c = p->config;
    const char *name = tensor == SIZE_MAX ? "" : p->tensors[tensor].name;
    struct status s;

    *ret_step = (struct merge_step){ .method = c->method,
                                     .models = c->count,
                                     .normalize = c->normalize,
                                     .rescale = c->rescale };
    s = merge_config_values(c, depth_place(name, p->layers), &ret_step->values);
    assert(!status_failed(&s)); /* asked before, in merge_plan_init() */
    for (size_t i = 0; i < c->count; i++)
        ret_step->scale[i] = scale_of(ret_step, ret_step->values.density[i]);
}

struct status merge_plan_not_finite(const struct merge_plan *p,
                                    const char *tensor, size_t model,
                                    uint64_t element)
{
    char label[LABEL];

    return FAIL(STATUS_CORRUPT,
                "tensor %s of %s is NaN or infinite at element %" PRIu64
                "; the model is broken, fetch or train it again",
                tensor,
                model == 0 ? base_label(p, label)
                           : task_label(p, model - 1, label),
                element);
}
