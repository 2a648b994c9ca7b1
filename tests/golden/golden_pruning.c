/* golden_pruning.c -- compares with numbers of an independent implementation:
 *
 *     golden_pruning DIR [CASE...]
 *
 * reads DIR/manifest.json, which says of each case how it was made, runs those
 * it covers, prints a line for each and fails if one of them does. */
#include "common/file.h"
#include "common/json.h"
#include "common/memory.h"
#include "model/optim.h"
#include "model/pass.h"
#include "tensor/blas.h"
#include "tensor/safetensors.h"

#include <math.h>

/* What a case has seen so far. */
struct verdict {
    double worst; /* largest error in units of its tolerance; > 1 fails */
    char where[160];
};

struct tolerance {
    double absolute, relative;
};

static struct tolerance tolerance_of(const json_t *entry, const char *name)
{
    const json_t *all = json_object_get(entry, "tolerance");
    const json_t *one = json_object_get(all, name);

    return (struct tolerance){ json_real_or(one, "abs", 0.0),
                               json_real_or(one, "rel", 0.0) };
}

static void compare(struct verdict *v, const char *name, size_t i, double is,
                    double should, struct tolerance t)
{
    double error =
        fabs(is - should) / (t.absolute + t.relative * fabs(should) + 1e-300);

    if (!isfinite(is))
        error = HUGE_VAL;
    if (error <= v->worst)
        return;
    v->worst = error;
    (void)snprintf(v->where, sizeof(v->where), "%.80s[%zu] is %.9g not %.9g",
                   name, i, is, should);
}

/* Tensors of a file may begin at any byte. */
static double element(const struct tensor *t, size_t i)
{
    const char *at = (const char *)t->data + i * dtype_size(t->dtype);
    double wide;
    float x;

    if (t->dtype == DTYPE_F64) {
        memcpy(&wide, at, sizeof(wide));
        return wide;
    }
    dtype_to_f32(t->dtype, at, &x, 1);
    return (double)x;
}

static int64_t whole(const struct tensor *t, size_t i)
{
    int64_t value;

    memcpy(&value, (const char *)t->data + i * sizeof(value), sizeof(value));
    return value;
}

static void compare_all(struct verdict *v, const struct tensor *expected,
                        const float *found, struct tolerance t)
{
    for (size_t i = 0; i < expected->count; i++)
        compare(v, expected->name, i, (double)found[i], element(expected, i),
                t);
}

static struct status need(const struct tensor_set *set, const char *name,
                          const struct tensor **ret_tensor)
{
    *ret_tensor = tensor_find(set, name);
    if (*ret_tensor == NULL)
        return FAIL(STATUS_CORRUPT, "there is no tensor \"%s\"", name);
    return SUCCESS;
}

static void close_model(struct st_model **m)
{
    st_model_close(*m);
}

static struct status open_file(const char *directory, const char *name,
                               struct st_model **ret_model)
{
    AUTO(free_pointer) char *path = xasprintf("%s/%s", directory, name);

    return st_model_open(path, ret_model);
}

/* --- a model: logits, loss, streams and every gradient ------------------ */

struct fixture {
    struct model *model;
    struct pass *pass;
    uint32_t *starts;
    int32_t *tokens, *labels;
    struct pass_batch batch;
};

static void fixture_release(struct fixture *f)
{
    pass_free(f->pass);
    model_free(f->model);
    free(f->starts);
    free(f->tokens);
    free(f->labels);
}

/* Labels of the file stand at the token itself and are shifted here. */
static struct status build_batch(struct fixture *f,
                                 const struct tensor_set *set)
{
    const struct tensor *ids, *labels;
    size_t length;

    TRY_PLAIN(need(set, "input_ids", &ids));
    TRY_PLAIN(need(set, "labels", &labels));
    length = ids->shape[1];
    f->starts = xcalloc(ids->shape[0] + 1, sizeof(*f->starts));
    f->tokens = xcalloc(ids->count, sizeof(*f->tokens));
    f->labels = xcalloc(ids->count, sizeof(*f->labels));
    for (size_t i = 0; i < ids->count; i++) {
        bool last = i % length == length - 1;
        int64_t next = last ? -100 : whole(labels, i + 1);

        f->tokens[i] = (int32_t)whole(ids, i);
        f->labels[i] = next == -100 ? OP_NO_LABEL : (int32_t)next;
    }
    for (size_t i = 0; i <= ids->shape[0]; i++)
        f->starts[i] = (uint32_t)(i * length);
    f->batch = (struct pass_batch){ .segments = ids->shape[0],
                                    .starts = f->starts,
                                    .tokens = f->tokens,
                                    .labels = f->labels };
    return SUCCESS;
}

static struct status build(struct fixture *f, const json_t *entry,
                           const struct tensor_set *weights,
                           const struct tensor_set *set)
{
    struct model_config config;
    struct pass_room room = { .gradients = true };
    json_t *json;

    TRY_PLAIN(json_member_object(entry, "config", &json));
    TRY_PLAIN(model_config_read(json, &config));
    TRY_PLAIN(model_load(&config, weights, MODEL_BORROW, &f->model));
    TRY_PLAIN(build_batch(f, set));
    room.longest = f->starts[1];
    room.rows = f->starts[f->batch.segments];
    return pass_new(f->model, &room, &f->pass);
}

static struct status compare_gradients(const struct fixture *f,
                                       const struct tensor_set *set,
                                       struct tolerance t, struct verdict *v)
{
    const float *gradients = pass_gradients(f->pass);
    size_t at = 0;

    for (size_t i = 0; i < f->model->parameter_count; i++) {
        const struct model_parameter *p = &f->model->parameters[i];
        AUTO(free_pointer) char *name = xasprintf("grad/%s", p->name);
        const struct tensor *expected;

        TRY_PLAIN(need(set, name, &expected));
        compare_all(v, expected, gradients + at, t);
        at += p->count;
    }
    return SUCCESS;
}

static struct status compare_model(struct fixture *f, const json_t *entry,
                                   const struct tensor_set *set,
                                   struct verdict *v)
{
    const struct tensor *expected;
    double loss;

    TRY_PLAIN(pass_forward(f->pass, &f->batch, &loss));
    pass_backward(f->pass);
    TRY_PLAIN(need(set, "loss", &expected));
    compare(v, "loss", 0, loss, element(expected, 0),
            tolerance_of(entry, "loss"));
    TRY_PLAIN(need(set, "logits", &expected));
    compare_all(v, expected, pass_logits(f->pass),
                tolerance_of(entry, "logits"));
    for (uint32_t i = 0; i <= f->model->config.layers; i++) {
        AUTO(free_pointer) char *name = xasprintf("hidden/%u", i);

        TRY_PLAIN(need(set, name, &expected));
        compare_all(v, expected, pass_stream(f->pass, i),
                    tolerance_of(entry, "hidden"));
    }
    return compare_gradients(f, set, tolerance_of(entry, "grad"), v);
}

static struct status run_model(const char *directory, const json_t *entry,
                               struct verdict *v)
{
    AUTO(close_model) struct st_model *weights = NULL;
    AUTO(close_model) struct st_model *set = NULL;
    AUTO(fixture_release) struct fixture f = { 0 };
    const json_t *inputs = json_object_get(entry, "input");
    const char *file = json_string_value(json_array_get(inputs, 0));

    TRY_PLAIN(open_file(directory, file == NULL ? "" : file, &weights));
    TRY_PLAIN(open_file(directory, json_text_or(entry, "file", ""), &set));
    TRY_PLAIN(
        build(&f, entry, st_model_tensors(weights), st_model_tensors(set)));
    return compare_model(&f, entry, st_model_tensors(set), v);
}

/* --- optimisers and schedules ------------------------------------------- */

static struct status run_adamw(const json_t *entry,
                               const struct tensor_set *set, struct verdict *v)
{
    const json_t *params = json_object_get(entry, "params");
    const json_t *k = json_object_get(params, "adamw");
    const json_t *betas = json_object_get(k, "betas");
    const struct tensor *start, *grads, *path;
    struct tolerance t = tolerance_of(entry, "traj");
    AUTO(adamw_release)
    struct adamw a = {
        .rate = json_real_or(k, "lr", 0.0),
        .beta1 = json_number_value(json_array_get(betas, 0)),
        .beta2 = json_number_value(json_array_get(betas, 1)),
        .eps = json_real_or(k, "eps", 0.0),
        .decay = json_real_or(k, "weight_decay", 0.0),
    };
    float x[256], g[256];

    TRY_PLAIN(need(set, "param0", &start));
    TRY_PLAIN(need(set, "grads", &grads));
    TRY_PLAIN(need(set, "traj/adamw", &path));
    if (start->count > COUNT_OF(x))
        return FAIL(STATUS_TOO_BIG, "param0 has %zu elements",
                    (size_t)start->count);
    memcpy(x, start->data, start->count * sizeof(*x));
    TRY_PLAIN(adamw_init(&a, start->count));
    for (size_t step = 0; step < path->shape[0]; step++) {
        size_t at = step * start->count;

        memcpy(g, (const char *)grads->data + at * sizeof(*g),
               start->count * sizeof(*g));
        adamw_step(&a, 1.0, x, g);
        for (size_t i = 0; i < start->count; i++)
            compare(v, path->name, at + i, (double)x[i], element(path, at + i),
                    t);
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
    TRY_PLAIN(need(set, tensor, &expected));
    for (size_t i = 0; i < expected->count; i++)
        compare(v, tensor, i, schedule_factor(&s, i), element(expected, i),
                tolerance_of(entry, "sched"));
    return SUCCESS;
}

static struct status run_optim(const char *directory, const json_t *entry,
                               struct verdict *v)
{
    AUTO(close_model) struct st_model *file = NULL;
    const struct tensor_set *set;

    TRY_PLAIN(open_file(directory, json_text_or(entry, "file", ""), &file));
    set = st_model_tensors(file);
    TRY_PLAIN(run_adamw(entry, set, v));
    TRY_PLAIN(
        run_schedule(entry, set, "sched/linear_warmup", "linear", true, v));
    return run_schedule(entry, set, "sched/multistep", "multistep", false, v);
}

/* --- the table ----------------------------------------------------------- */

struct golden_case {
    const char *name;
    const char *part; /* what of it is compared; "": all */
    struct status (*run)(const char *directory, const json_t *entry,
                         struct verdict *v);
};

static const struct golden_case cases[] = {
    { "llama_tiny_gradcheck", "", run_model },
    { "optim", " (AdamW, linear and multistep schedules)", run_optim },
};

static const struct golden_case *find_case(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (strcmp(cases[i].name, name) == 0)
            return &cases[i];
    return NULL;
}

static bool wanted(const char *name, char *const *names)
{
    if (*names == NULL)
        return true;
    for (; *names != NULL; names++)
        if (strcmp(*names, name) == 0)
            return true;
    return false;
}

/* False: it failed. */
static bool run_case(const char *directory, const json_t *entry)
{
    const char *name = json_text_or(entry, "case", "?");
    const struct golden_case *c = find_case(name);
    struct verdict v = { .where = "exact" };
    struct status st;

    if (c == NULL) {
        printf("skip %s: this program computes nothing of it\n", name);
        return true;
    }
    st = c->run(directory, entry, &v);
    if (status_failed(&st)) {
        printf("fail %s%s: %s\n", name, c->part, st.message);
        return false;
    }
    printf("%s %s%s: largest error %.3g of its tolerance: %s\n",
           v.worst <= 1.0 ? "pass" : "fail", name, c->part, v.worst, v.where);
    return v.worst <= 1.0;
}

static int run_manifest(const char *directory, const json_t *manifest,
                        char *const *names)
{
    const json_t *all = json_object_get(manifest, "cases");
    size_t ran = 0, failed = 0;

    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *entry = json_array_get(all, i);

        if (!wanted(json_text_or(entry, "case", ""), names))
            continue;
        ran++;
        failed += !run_case(directory, entry);
    }
    printf("%zu cases, %zu failed\n", ran, failed);
    return ran == 0 || failed > 0 ? 1 : 0;
}

int main(int argc, char **argv)
{
    AUTO(free_pointer) char *path = NULL;
    AUTO(json_release) json_t *manifest = NULL;
    struct status st;

    if (argc < 2) {
        fprintf(stderr, "usage: golden_pruning DIR [CASE...]\n");
        return 2;
    }
    blas_set_threads(1);
    path = xasprintf("%s/manifest.json", argv[1]);
    st = json_parse_file(path, 1 << 20, &manifest);
    if (status_failed(&st)) {
        fprintf(stderr, "%s\n", st.message);
        return 2;
    }
    return run_manifest(argv[1], manifest, argv + 2);
}
