#include "support/one_tensor.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

/* A model of the one tensor. */
struct view {
    struct tensor tensor;
    struct tensor_set set;
};

static void view_set(struct view *v, const struct one_tensor *t,
                     const float *data)
{
    v->tensor = (struct tensor){ .name = "w",
                                 .dtype = DTYPE_F32,
                                 .rank = t->rank,
                                 .count = 1,
                                 .data = data };
    for (uint32_t i = 0; i < t->rank; i++) {
        v->tensor.shape[i] = t->shape[i];
        v->tensor.count *= t->shape[i];
    }
    v->set = (struct tensor_set){ 1, &v->tensor };
}

struct inputs {
    struct view base, tasks[ONE_MODELS + 1], draws[ONE_MODELS];
    const struct tensor_set *draw_sets[ONE_MODELS];
    struct merge_inputs inputs;
    size_t count;
};

static void inputs_init(struct inputs *in, const struct one_tensor *t)
{
    *in = (struct inputs){ .count = 0 };
    view_set(&in->base, t, t->base);
    in->inputs.base = t->base == NULL ? NULL : &in->base.set;
    if (t->base_first)
        view_set(&in->tasks[in->count++], t, t->base);
    for (size_t i = 0; t->tasks[i] != NULL; i++)
        view_set(&in->tasks[in->count++], t, t->tasks[i]);
    for (size_t i = 0; i < in->count; i++)
        in->inputs.tasks[i] = &in->tasks[i].set;
    for (size_t i = 0; i < in->count && t->draws[i] != NULL; i++) {
        view_set(&in->draws[i], t, t->draws[i]);
        in->draw_sets[i] = &in->draws[i].set;
        in->inputs.draws = in->draw_sets;
    }
    in->inputs.draw_rule = MERGE_KEEP_BELOW_DENSITY;
}

static json_t *body_of(const struct one_tensor *t, const char *method,
                       const char *parameters, size_t count)
{
    AUTO(free_pointer)
    char *text = xasprintf("{%s, \"parameters\": {%s}, \"models\": []}", method,
                           parameters);
    json_t *body = NULL;
    struct status s = json_parse(text, strlen(text), "body", &body);

    assert(!status_failed(&s));
    if (t->base != NULL)
        (void)json_object_set_new(body, "base_model", json_string("base"));
    for (size_t i = 0; i < count; i++) {
        AUTO(free_pointer) char *name = xasprintf("task%zu", i);

        (void)json_array_append_new(
            json_object_get(body, "models"),
            json_pack("{s:s}", "model",
                      t->base_first && i == 0 ? "base" : name));
    }
    return body;
}

static struct status run(const struct one_tensor *t,
                         const struct merge_config *configs, size_t points,
                         const struct inputs *in, float *const *ret_outs)
{
    const struct merge_runtime runtime = { .threads = t->threads,
                                           .chunk = t->chunk };
    void *targets[ONE_POINTS];
    void *const *rows[ONE_POINTS];
    struct merge *merge = NULL;
    struct status s;

    for (size_t p = 0; p < points; p++) {
        targets[p] = ret_outs[p];
        rows[p] = &targets[p];
    }
    s = merge_new(configs, points, &in->inputs, &merge);
    if (!status_failed(&s))
        s = merge_run(merge, &runtime, rows);
    merge_free(merge);
    return s;
}

struct status one_tensor_points(const struct one_tensor *t, const char *method,
                                const char *const *parameters, size_t points,
                                float *const *ret_outs)
{
    json_t *bodies[ONE_POINTS] = { NULL };
    struct merge_config *configs = xcalloc(points, sizeof *configs);
    struct inputs in;
    struct status s = SUCCESS;

    assert(points <= ONE_POINTS);
    inputs_init(&in, t);
    for (size_t p = 0; p < points && !status_failed(&s); p++) {
        bodies[p] = body_of(t, method, parameters[p], in.count);
        s = merge_config_read(bodies[p], &configs[p]);
    }
    if (!status_failed(&s))
        s = run(t, configs, points, &in, ret_outs);
    for (size_t p = 0; p < points; p++)
        json_decref(bodies[p]);
    free(configs);
    return s;
}

struct status one_tensor_merge(const struct one_tensor *t, const char *method,
                               const char *parameters, float *ret_out)
{
    return one_tensor_points(t, method, &parameters, 1, &ret_out);
}
