/* golden_optim.c -- optimisers, schedules, and the matrices of adapters. */
#include "tests/golden/golden.h"

#include "model/adapter.h"
#include "model/optim.h"

#include <math.h>

enum { MOST = 256 }; /* elements of a small case */

/* --- optimisers ------------------------------------------------------------ */

static struct optim optim_of(const json_t *entry, const char *name)
{
    const json_t *params = json_object_get(entry, "params");
    const json_t *k = json_object_get(params, name);
    const json_t *betas = json_object_get(k, "betas");

    return (struct optim){
        .row = optim_find(name),
        .rate = json_real_or(k, "lr", 0.0),
        .decay = json_real_or(k, "weight_decay", 0.0),
        .beta1 = betas == NULL ? json_real_or(k, "momentum", 0.0)
                               : json_number_value(json_array_get(betas, 0)),
        .beta2 = json_number_value(json_array_get(betas, 1)),
        .eps = json_real_or(k, "eps", 0.0),
    };
}

/* A run over the gradients of the file; `mask` NULL: nothing is pruned. */
static struct status run_path(const json_t *entry, const struct tensor_set *set,
                              const char *tensor, const char *name,
                              const struct tensor *mask, struct verdict *v)
{
    const struct optim o = optim_of(entry, name);
    const struct tensor *start, *grads, *path;
    float x[MOST], g[MOST], moments[OPTIM_MOMENTS][MOST] = { { 0.0F } };

    TRY_PLAIN(golden_need(set, "param0", &start));
    TRY_PLAIN(golden_need(set, "grads", &grads));
    TRY_PLAIN(golden_need(set, tensor, &path));
    if (start->count > MOST)
        return FAIL(STATUS_TOO_BIG, "param0 has %zu elements",
                    (size_t)start->count);
    for (size_t i = 0; i < start->count; i++)
        x[i] = mask != NULL && golden_whole(mask, i) == 0
                   ? 0.0F
                   : (float)golden_element(start, i);
    for (size_t step = 0; step < path->shape[0]; step++) {
        const struct optim_call call = {
            .rate = o.rate,
            .step = step + 1,
            .parameters = x,
            .gradients = g,
            .moments = { moments[0], moments[1] },
            .count = start->count,
        };
        size_t at = step * start->count;

        for (size_t i = 0; i < start->count; i++)
            g[i] = mask != NULL && golden_whole(mask, i) == 0
                       ? 0.0F
                       : (float)golden_element(grads, at + i);
        o.row->step(&o, &call);
        for (size_t i = 0; i < start->count; i++)
            golden_compare(v, tensor, at + i, (double)x[i],
                           golden_element(path, at + i),
                           golden_tolerance(entry, "traj"));
    }
    return SUCCESS;
}

/* The gradient of 0.5 w^T Q w. */
static void slope_of(const struct tensor *q, const float *w, size_t count,
                     float *ret_slope)
{
    for (size_t i = 0; i < count; i++) {
        double sum = 0.0;

        for (size_t k = 0; k < count; k++)
            sum += (golden_element(q, i * count + k) +
                    golden_element(q, k * count + i)) /
                   2.0 * (double)w[k];
        ret_slope[i] = (float)sum;
    }
}

static double length_of(const float *x, size_t count)
{
    double sum = 0.0;

    for (size_t i = 0; i < count; i++)
        sum += (double)x[i] * (double)x[i];
    return sqrt(sum);
}

/* One step up, the gradient there, and an SGD step from below with it. */
static struct status run_sam(const json_t *entry, const struct tensor_set *set,
                             struct verdict *v)
{
    const json_t *params = json_object_get(entry, "params");
    const struct optim o = optim_of(entry, "sgd");
    const double rho = json_real_or(params, "sam_rho", 0.0);
    const struct tensor *q, *start, *path;
    float x[MOST], g[MOST], up[MOST], velocity[MOST] = { 0.0F };

    TRY_PLAIN(golden_need(set, "sam_Q", &q));
    TRY_PLAIN(golden_need(set, "sam_w0", &start));
    TRY_PLAIN(golden_need(set, "traj/sam_sgd", &path));
    for (size_t i = 0; i < start->count; i++)
        x[i] = (float)golden_element(start, i);
    for (size_t step = 0; step < path->shape[0]; step++) {
        const struct optim_call call = {
            .rate = o.rate,
            .step = step + 1,
            .parameters = x,
            .gradients = g,
            .moments = { velocity },
            .count = start->count,
        };
        float by;

        slope_of(q, x, start->count, g);
        by = (float)(rho / (length_of(g, start->count) + 1e-12));
        for (size_t i = 0; i < start->count; i++)
            up[i] = x[i] + by * g[i];
        slope_of(q, up, start->count, g);
        o.row->step(&o, &call);
        for (size_t i = 0; i < start->count; i++)
            golden_compare(v, path->name, step * start->count + i, (double)x[i],
                           golden_element(path, step * start->count + i),
                           golden_tolerance(entry, "traj"));
    }
    return SUCCESS;
}

static struct status run_schedule(const json_t *entry,
                                  const struct tensor_set *set,
                                  const char *tensor, const char *name,
                                  bool warmup, struct verdict *v)
{
    const json_t *params = json_object_get(entry, "params");
    const json_t *k = json_object_get(params, "sched");
    const json_t *milestones = json_object_get(k, "milestones");
    const struct tensor *expected;
    struct schedule s = {
        .row = schedule_find(name),
        .steps = (uint64_t)json_int_or(k, "steps", 0),
        .warmup = warmup ? (uint64_t)json_int_or(k, "warmup", 0) : 0,
        .gamma = json_real_or(k, "gamma", 0.0),
    };

    for (size_t i = 0; i < json_array_size(milestones); i++)
        s.milestones[i] =
            (uint64_t)json_integer_value(json_array_get(milestones, i));
    TRY_PLAIN(golden_need(set, tensor, &expected));
    for (size_t i = 0; i < expected->count; i++)
        golden_compare(v, tensor, i, schedule_factor(&s, i),
                       golden_element(expected, i),
                       golden_tolerance(entry, "sched"));
    return SUCCESS;
}

struct status golden_optim(const char *directory, const json_t *entry,
                           struct verdict *v)
{
    AUTO(golden_close) struct st_model *file = NULL;
    const struct tensor *mask;
    const struct tensor_set *set;

    TRY_PLAIN(golden_open(directory, json_text_or(entry, "file", ""), &file));
    set = st_model_tensors(file);
    TRY_PLAIN(golden_need(set, "mask", &mask));
    TRY_PLAIN(run_path(entry, set, "traj/adamw", "adamw", NULL, v));
    TRY_PLAIN(run_path(entry, set, "traj/sgd", "sgd", NULL, v));
    TRY_PLAIN(run_path(entry, set, "traj/sgd_masked", "sgd", mask, v));
    TRY_PLAIN(run_sam(entry, set, v));
    TRY_PLAIN(
        run_schedule(entry, set, "sched/linear_warmup", "linear", true, v));
    return run_schedule(entry, set, "sched/multistep", "multistep", false, v);
}

/* --- adapters -------------------------------------------------------------- */

/* One layer of the file and everything that is made of it. */
struct layer {
    const struct tensor *x, *bias, *mask, *weight;
    float *w, *a, *b, *slope; /* dL/d(made weight) */
    uint8_t *keep;
    float *made, *d_a, *d_b, *saved, *y;
    struct op_shape shape;
};

static void layer_release(struct layer *l)
{
    free(l->w);
    free(l->a);
    free(l->b);
    free(l->slope);
    free(l->keep);
    free(l->made);
    free(l->d_a);
    free(l->d_b);
    free(l->saved);
    free(l->y);
}

static struct status copy_of(const struct tensor_set *set, const char *name,
                             float **ret_floats)
{
    const struct tensor *t;

    TRY_PLAIN(golden_need(set, name, &t));
    *ret_floats = golden_floats(t);
    return SUCCESS;
}

static struct status layer_init(struct layer *l, const json_t *entry,
                                const struct tensor_set *set,
                                const struct adapter_row *row)
{
    const json_t *params = json_object_get(entry, "params");
    bool scale = !row->scaled;
    size_t count;

    TRY_PLAIN(golden_need(set, "x", &l->x));
    TRY_PLAIN(golden_need(set, "bias", &l->bias));
    TRY_PLAIN(golden_need(set, "mask", &l->mask));
    TRY_PLAIN(golden_need(set, "weight", &l->weight));
    TRY_PLAIN(copy_of(set, "weight", &l->w));
    TRY_PLAIN(copy_of(set, scale ? "scale_A" : "lora_A", &l->a));
    TRY_PLAIN(copy_of(set, scale ? "scale_B" : "lora_B", &l->b));
    TRY_PLAIN(copy_of(set, "grad_weff", &l->slope));
    count = l->weight->count;
    l->shape = (struct op_shape){
        .rows = l->weight->shape[0],
        .in = l->weight->shape[1],
        .rank = (size_t)json_int_or(params, "rank", 0),
        .factor = scale ? 1.0F : (float)json_real_or(params, "scaling", 0.0),
    };
    l->keep = xcalloc(count, 1);
    for (size_t i = 0; i < count; i++)
        l->keep[i] = golden_whole(l->mask, i) != 0;
    l->made = xcalloc(count, sizeof(float));
    l->saved = xcalloc(count, sizeof(float));
    l->d_a = xcalloc(count, sizeof(float));
    l->d_b = xcalloc(count, sizeof(float));
    l->y = xcalloc(l->x->shape[0] * l->shape.rows, sizeof(float));
    return SUCCESS;
}

static struct op_call call_of(const struct layer *l)
{
    return (struct op_call){
        .shape = l->shape,
        .in = { l->w, l->a, l->b },
        .out = l->made,
        .saved = l->saved,
        .keep = l->keep,
        .d_in = { NULL, l->d_a, l->d_b },
        .fresh = { false, true, true },
        .d_out = l->slope,
    };
}

/* PART/NAME of the file; what is not there is not compared. */
static void compare_part(const struct tensor_set *set, const json_t *entry,
                         const char *part, const char *name, const float *found,
                         struct verdict *v)
{
    AUTO(free_pointer) char *whole = xasprintf("%s/%s", part, name);
    const struct tensor *expected = tensor_find(set, whole);

    if (expected != NULL)
        golden_compare_all(v, expected, found, golden_tolerance(entry, NULL));
}

static void compare_forward(const struct layer *l, const struct tensor_set *set,
                            const json_t *entry, const char *name,
                            struct verdict *v)
{
    AUTO(free_pointer) float *x = golden_floats(l->x);
    AUTO(free_pointer) float *bias = golden_floats(l->bias);
    const struct op_call call = {
        .shape = { .rows = l->x->shape[0],
                   .in = l->shape.in,
                   .out = l->shape.rows },
        .in = { x, l->made, bias },
        .out = l->y,
    };

    op_linear.forward(&call);
    compare_part(set, entry, "forward", name, l->y, v);
}

static struct status run_variant(const json_t *entry,
                                 const struct tensor_set *set,
                                 const struct adapter_row *row,
                                 struct verdict *v)
{
    AUTO(layer_release) struct layer l = { .x = NULL };
    struct op_call call;

    TRY_PLAIN(layer_init(&l, entry, set, row));
    call = call_of(&l);
    row->train->forward(&call);
    compare_forward(&l, set, entry, row->name, v);
    row->train->backward(&call);
    compare_part(set, entry, "grad_A", row->name, l.d_a, v);
    compare_part(set, entry, "grad_B", row->name, l.d_b, v);
    row->merge->forward(&call);
    compare_part(set, entry, "merged", row->name, l.made, v);
    for (size_t i = 0; i < l.weight->count; i++)
        if (row->merge != &op_lora && l.keep[i] == 0 && l.made[i] != 0.0F)
            return FAIL(STATUS_FAILED, "%s fills up a pruned place", row->name);
    return SUCCESS;
}

struct status golden_lora(const char *directory, const json_t *entry,
                          struct verdict *v)
{
    AUTO(golden_close) struct st_model *file = NULL;

    TRY_PLAIN(golden_open(directory, json_text_or(entry, "file", ""), &file));
    for (const struct adapter_row *r = adapters; r->name != NULL; r++)
        TRY_PLAIN(run_variant(entry, st_model_tensors(file), r, v));
    return SUCCESS;
}
