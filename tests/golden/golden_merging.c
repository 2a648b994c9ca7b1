/* golden_merging.c -- merges against the numbers of other programs.
 *
 *     golden_merging DIR [METHOD...]
 *
 * DIR holds manifest.json and what it names (tests/golden/merging/README.md).
 * A METHOD is a name of the manifest, "name/variant" or a pattern with `*`.
 * One line a case; the status is 1 if any case fails, 2 if DIR is unusable. */
#include <fnmatch.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/merge/merge_run.h"
#include "tensor/reduce.h"
#include "tensor/safetensors.h"

enum { MANIFEST_LIMIT = 16 << 20, PATH = 1024 };

/* One case of the manifest, opened. */
struct example {
    const json_t *json;
    const char *directory;
    struct st_model *base, *tasks[LIMIT_MODELS], *draws[LIMIT_MODELS];
    const struct tensor_set *draw_sets[LIMIT_MODELS];
    size_t count;      /* of what is merged, ... */
    size_t first_task; /* ... of which this many are the base */
    struct merge_inputs inputs;
};

static json_t *param(const struct example *e, const char *name)
{
    return json_object_get(json_object_get(e->json, "params"), name);
}

/* The i-th number of a list, or the number for all. */
static double number_at(const json_t *value, size_t i)
{
    return json_number_value(json_is_array(value) ? json_array_get(value, i)
                                                  : value);
}

/* How the manifest's parameters are said in a merge configuration. */
struct form {
    const char *method, *variant; /* of the manifest; NULL: any variant */
    const char *ours, *our_variant;
    const char *rescale_rule; /* NULL: does not drop */
    unsigned flags;
};
enum {
    WEIGHTED = 1 << 0,   /* `weights`, or 1.0 of each */
    NORMALIZED = 1 << 1, /* even if the case does not say so */
    BASE_FIRST = 1 << 2, /* the base is the first of the models */
};

static const struct form forms[] = {
    { "task_arithmetic", NULL, "task_arithmetic", NULL, NULL, WEIGHTED },
    { "average", NULL, "average", NULL, NULL, 0 },
    { "linear", NULL, "linear", NULL, NULL, WEIGHTED },
    { "ties", "mergekit", "ties", "mergekit", NULL, WEIGHTED },
    { "ties", "mergelm", "ties", "mergelm", NULL, 0 },
    { "ties", "original", "ties", "original", NULL, 0 },
    { "dare+task_arithmetic", NULL, "dare_linear", NULL, "paper", WEIGHTED },
    { "dare+average", NULL, "dare_linear", NULL, "paper",
      WEIGHTED | NORMALIZED },
    { "dare+ties", "mergelm", "dare_ties", "mergelm", "paper", 0 },
    { "dare_linear", "mergekit", "dare_linear", NULL, "l1", WEIGHTED },
    { "dare_ties", "mergekit", "dare_ties", "mergekit", "l1", WEIGHTED },
    { "magnitude_prune+task_arithmetic", NULL, "magnitude_linear", NULL, NULL,
      WEIGHTED },
    { "pcb", "nlp", "pcb", "nlp", NULL, 0 },
    { "pcb", "root", "pcb", "root", NULL, 0 },
    { "pcb", "vision", "pcb", "vision", NULL, 0 },
    { "pcb", "es", "pcb", "es", NULL, 0 },
    { "dare+pcb", "nlp", "dare_pcb", "nlp", "paper", 0 },
    { "slerp", "mergekit", "slerp", NULL, NULL, BASE_FIRST },
    { "nuslerp", "mergekit", "nuslerp", NULL, NULL, 0 },
    { "nearswap", "mergekit", "nearswap", NULL, NULL, BASE_FIRST },
    { "della", "mergekit", "della", "mergekit", "l1", WEIGHTED },
    { "della_linear", "mergekit", "della_linear", "mergekit", "l1", WEIGHTED },
    { "della_linear", "authors", "della_linear", "authors", "paper", WEIGHTED },
    { "breadcrumbs", "mergekit", "breadcrumbs", "mergekit", NULL, WEIGHTED },
    { "breadcrumbs", "authors", "breadcrumbs", "authors", NULL, WEIGHTED },
    { "breadcrumbs_ties", "mergekit", "breadcrumbs_ties", NULL, NULL,
      WEIGHTED },
    { "model_stock", "mergekit", "model_stock", NULL, NULL, 0 },
    { "sce", "mergekit", "sce", NULL, NULL, 0 },
};

/* Parameters that only have another name, if that. */
static const struct {
    const char *theirs, *ours;
} of_models[] = {
    { "density", "density" },  { "K", "density" },   { "keep_top", "density" },
    { "epsilon", "epsilon" },  { "gamma", "gamma" }, { "remove_top", "gamma" },
}, of_merges[] = {
    { "normalize", "normalize" },
    { "ratio", "ratio" },
    { "clamp_quantile", "clamp_quantile" },
    { "t", "t" },
    { "filter_wise", "filter_wise" },
    { "select_topk", "select_topk" },
    { "merge", "elect" },
};

static const struct form *form_of(const struct example *e)
{
    const char *method = json_text_or(e->json, "method", "");
    const char *variant = json_text_or(e->json, "variant", "");

    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        if (strcmp(forms[i].method, method) == 0 &&
            (forms[i].variant == NULL ||
             strcmp(forms[i].variant, variant) == 0))
            return &forms[i];
    }
    return NULL;
}

static void set_number(json_t *object, const char *name, double value)
{
    (void)json_object_set_new(object, name, json_real(value));
}

/* `t` of nuslerp is the second one's share. */
static double weight_of(const struct example *e, const struct form *form,
                        size_t i)
{
    const json_t *weights = param(e, "weights");
    double t = json_number_value(param(e, "t"));

    if (strcmp(form->ours, "nuslerp") == 0)
        return i == 0 ? 1.0 - t : t;
    return weights != NULL ? number_at(weights, i) : 1.0;
}

static json_t *model_parameters(const struct example *e,
                                const struct form *form, size_t i)
{
    const json_t *rate =
        form->rescale_rule != NULL ? param(e, "p") : param(e, "drop_rate");
    json_t *own = json_object();

    if ((form->flags & WEIGHTED) != 0 || strcmp(form->ours, "nuslerp") == 0)
        set_number(own, "weight", weight_of(e, form, i));
    if (rate != NULL)
        set_number(own, "density", 1.0 - number_at(rate, i));
    for (size_t k = 0; k < COUNT_OF(of_models); k++) {
        const json_t *value = param(e, of_models[k].theirs);

        if (value != NULL)
            set_number(own, of_models[k].ours, number_at(value, i));
    }
    if (strstr(form->ours, "pcb") != NULL)
        set_number(own, "lambda", number_at(param(e, "lambda"), i));
    return own;
}

static void set_word(json_t *object, const char *name, const char *word)
{
    (void)json_object_set_new(object, name, json_string(word));
}

static void set_bool(json_t *object, const char *name, bool value)
{
    (void)json_object_set_new(object, name, json_boolean(value));
}

/* What a merge looks at: the manifest's words for it. */
static void add_scope(const struct example *e, const struct form *form,
                      json_t *top)
{
    const char *mode =
        json_text_or(json_object_get(e->json, "params"), "mode", NULL);
    const char *scope =
        json_text_or(json_object_get(e->json, "params"), "scope", "");

    if (strcmp(form->ours, "pcb") == 0)
        set_word(top, "scope", strcmp(scope, "tensor") == 0 ? scope : "model");
    if (mode == NULL)
        return;
    (void)json_object_del(top, "t");
    set_bool(top, "nuslerp_flatten", strcmp(mode, "flatten") == 0);
    set_bool(top, "nuslerp_row_wise", strcmp(mode, "rows") == 0);
}

static void add_rescale(const struct example *e, const struct form *form,
                        json_t *top)
{
    const json_t *rescale = param(e, "rescale");

    if (form->rescale_rule == NULL)
        return;
    if (rescale != NULL)
        set_bool(top, "rescale", !json_is_false(rescale));
    set_word(top, "rescale_rule", form->rescale_rule);
    if (param(e, "p") != NULL && param(e, "drop_rate") != NULL)
        set_number(top, "trim_density",
                   1.0 - json_number_value(param(e, "drop_rate")));
}

static json_t *merge_parameters_of(const struct example *e,
                                   const struct form *form)
{
    const json_t *lambda = param(e, "lambda");
    json_t *top = json_object();

    for (size_t k = 0; k < COUNT_OF(of_merges); k++) {
        json_t *value = param(e, of_merges[k].theirs);

        if (value != NULL)
            (void)json_object_set(top, of_merges[k].ours, value);
    }
    if ((form->flags & NORMALIZED) != 0)
        set_bool(top, "normalize", true);
    if (json_is_number(lambda))
        set_number(top, "lambda", json_number_value(lambda));
    add_scope(e, form, top);
    add_rescale(e, form, top);
    return top;
}

/* What is merged: the base before the tasks where the form says so. */
static json_t *model_at(const struct example *e, size_t i)
{
    const json_t *tasks = json_object_get(e->json, "tasks");

    if (i < e->first_task)
        return json_object_get(e->json, "base");
    return json_array_get(tasks, i - e->first_task);
}

static json_t *config_of(const struct example *e, const struct form *form,
                         const char *dtype)
{
    json_t *config =
        json_pack("{s:s, s:O, s:s}", "merge_method", form->ours, "base_model",
                  json_object_get(e->json, "base"), "dtype", dtype);
    json_t *models = json_array();
    json_t *rule = param(e, "on_shape_mismatch");

    for (size_t i = 0; i < e->count; i++)
        (void)json_array_append_new(
            models, json_pack("{s:O, s:o}", "model", model_at(e, i),
                              "parameters", model_parameters(e, form, i)));
    (void)json_object_set_new(config, "models", models);
    (void)json_object_set_new(config, "parameters",
                              merge_parameters_of(e, form));
    if (form->our_variant != NULL)
        set_word(config, "variant", form->our_variant);
    if (rule != NULL)
        (void)json_object_set(config, "on_shape_mismatch", rule);
    /* What a case leaves out may have any shape. */
    if (param(e, "only_tensors") != NULL)
        set_word(config, "on_shape_mismatch", "submatrix");
    return config;
}

static struct status open_at(const char *directory, const json_t *name,
                             struct st_model **ret_model)
{
    char path[PATH];

    (void)snprintf(path, sizeof path, "%s/%s", directory,
                   json_string_value(name));
    return st_model_open(path, ret_model);
}

static struct status example_open(struct example *e, const struct form *form)
{
    const json_t *tasks = json_object_get(e->json, "tasks");
    const json_t *draws = json_object_get(e->json, "draws");
    const char *rule = json_text_or(e->json, "draw_rule", "");

    TRY_PLAIN(
        open_at(e->directory, json_object_get(e->json, "base"), &e->base));
    e->inputs.base = st_model_tensors(e->base);
    e->first_task = (form->flags & BASE_FIRST) != 0 ? 1 : 0;
    e->count = e->first_task + json_array_size(tasks);
    for (size_t i = 0; i < e->count; i++) {
        TRY_PLAIN(open_at(e->directory, model_at(e, i), &e->tasks[i]));
        e->inputs.tasks[i] = st_model_tensors(e->tasks[i]);
    }
    for (size_t i = 0; i < json_array_size(draws); i++) {
        TRY_PLAIN(
            open_at(e->directory, json_array_get(draws, i), &e->draws[i]));
        e->draw_sets[i] = st_model_tensors(e->draws[i]);
        e->inputs.draws = e->draw_sets;
    }
    e->inputs.draw_rule = strncmp(rule, "drop", strlen("drop")) == 0
                              ? MERGE_DROP_BELOW_RATE
                              : MERGE_KEEP_BELOW_DENSITY;
    return SUCCESS;
}

static void example_release(struct example *e)
{
    st_model_close(e->base);
    for (size_t i = 0; i < LIMIT_MODELS; i++) {
        st_model_close(e->tasks[i]);
        st_model_close(e->draws[i]);
    }
}

/* A merged model. */
struct result {
    struct merge *merge;
    const struct tensor_set *layout;
    void **targets;
};

static void result_release(struct result *r)
{
    for (size_t i = 0; r->targets != NULL && i < r->layout->count; i++)
        free(r->targets[i]);
    free(r->targets);
    merge_free(r->merge);
}

static void **new_targets(const struct tensor_set *layout)
{
    void **targets = xcalloc(layout->count + 1, sizeof *targets);

    for (size_t i = 0; i < layout->count; i++)
        targets[i] = xcalloc(1, (size_t)tensor_bytes(&layout->items[i]) + 1);
    return targets;
}

/* Threads and chunks must not change a byte. */
static struct status compare_runs(struct result *r)
{
    const struct merge_runtime runtime = { .threads = 3,
                                           .chunk = 2 * REDUCE_CHUNK };
    struct result other = { .layout = r->layout,
                            .targets = new_targets(r->layout) };
    void *const *const points[] = { other.targets };
    struct status s = merge_run(r->merge, &runtime, points);

    for (size_t i = 0; i < r->layout->count && !status_failed(&s); i++) {
        const struct tensor *t = &r->layout->items[i];

        if (memcmp(r->targets[i], other.targets[i], (size_t)tensor_bytes(t)) !=
            0)
            s = FAIL(STATUS_FAILED, "%s differs with three threads", t->name);
    }
    result_release(&other);
    return s;
}

static struct status merge_example(const struct example *e,
                                   const struct form *form, const char *dtype,
                                   struct result *ret_result)
{
    AUTO(json_release) json_t *json = config_of(e, form, dtype);
    const struct merge_runtime runtime = { .threads = 1 };
    void *const *points[1];
    struct merge_config config;

    TRY_PLAIN(merge_config_read(json, &config));
    TRY_PLAIN(merge_new(&config, 1, &e->inputs, &ret_result->merge));
    ret_result->layout = merge_layout(ret_result->merge);
    ret_result->targets = new_targets(ret_result->layout);
    points[0] = ret_result->targets;
    TRY_PLAIN(merge_run(ret_result->merge, &runtime, points));
    return compare_runs(ret_result);
}

static struct status find_target(const struct result *r,
                                 const struct tensor *expected,
                                 const void **ret_data)
{
    const struct tensor *t = tensor_find(r->layout, expected->name);

    if (t == NULL)
        return FAIL(STATUS_FAILED, "tensor %s is absent", expected->name);
    if (t->dtype != expected->dtype || !tensor_same_shape(t, expected))
        return FAIL(STATUS_FAILED, "tensor %s has another form", t->name);
    *ret_data = r->targets[t - r->layout->items];
    return SUCCESS;
}

static struct status compare_f32(const struct tensor *expected,
                                 const void *data, const json_t *tolerance,
                                 double *worst)
{
    double absolute = json_real_or(tolerance, "atol", 0.0);
    double relative = json_real_or(tolerance, "rtol", 0.0);

    for (uint64_t i = 0; i < expected->count; i++) {
        float want, got;
        double off;

        memcpy(&want, (const char *)expected->data + i * sizeof want,
               sizeof want);
        memcpy(&got, (const char *)data + i * sizeof got, sizeof got);
        off = fabs((double)got - (double)want);
        if (!(off <= absolute + relative * fabs((double)want)))
            return FAIL(STATUS_FAILED,
                        "%s[%" PRIu64 "] is %.9g, not %.9g: off by %.3g, "
                        "allowed %.3g",
                        expected->name, i, (double)got, (double)want, off,
                        absolute);
        *worst = off > *worst ? off : *worst;
    }
    return SUCCESS;
}

static int ordered(uint16_t bits)
{
    return (bits & 0x8000) != 0 ? -(bits & 0x7fff) : bits;
}

static struct status compare_rounded(const struct tensor *expected,
                                     const void *data, int max_ulp)
{
    for (uint64_t i = 0; i < expected->count; i++) {
        uint16_t want, got;

        memcpy(&want, (const char *)expected->data + i * sizeof want,
               sizeof want);
        memcpy(&got, (const char *)data + i * sizeof got, sizeof got);
        if (abs(ordered(want) - ordered(got)) > max_ulp)
            return FAIL(STATUS_FAILED,
                        "%s[%" PRIu64 "] is 0x%04x, not "
                        "0x%04x",
                        expected->name, i, got, want);
    }
    return SUCCESS;
}

static struct status compare_all(const struct example *e,
                                 const struct result *r,
                                 const struct tensor_set *expected,
                                 double *worst)
{
    int max_ulp = (int)json_int_or(json_object_get(e->json, "expected_rounded"),
                                   "max_ulp", 0);

    for (size_t i = 0; i < expected->count; i++) {
        const struct tensor *t = &expected->items[i];
        const void *data = NULL;

        TRY_PLAIN(find_target(r, t, &data));
        if (t->dtype == DTYPE_F32)
            TRY_PLAIN(compare_f32(
                t, data, json_object_get(e->json, "tolerance"), worst));
        else if (dtype_is_float(t->dtype))
            TRY_PLAIN(compare_rounded(t, data, max_ulp));
        else if (memcmp(t->data, data, (size_t)tensor_bytes(t)) != 0)
            return FAIL(STATUS_FAILED, "tensor %s is not a copy", t->name);
    }
    return SUCCESS;
}

static void model_release(struct st_model **m)
{
    st_model_close(*m);
}

/* Merge to `dtype` and compare with a file of the manifest. */
static struct status check(const struct example *e, const struct form *form,
                           const char *dtype, const json_t *file, double *worst)
{
    AUTO(result_release) struct result r = { .merge = NULL };
    AUTO(model_release) struct st_model *expected = NULL;

    TRY_PLAIN(open_at(e->directory, file, &expected));
    TRY_PLAIN(merge_example(e, form, dtype, &r));
    return compare_all(e, &r, st_model_tensors(expected), worst);
}

static struct status check_both(const struct example *e,
                                const struct form *form, double *worst)
{
    const json_t *rounded = json_object_get(e->json, "expected_rounded");

    TRY_PLAIN(
        check(e, form, "float32", json_object_get(e->json, "expected"), worst));
    if (rounded == NULL)
        return SUCCESS;
    return check(e, form, json_text_or(rounded, "dtype", ""),
                 json_object_get(rounded, "file"), worst);
}

/* True unless it fails. */
static bool run_example(const char *directory, const json_t *json)
{
    AUTO(example_release)
    struct example e = { .json = json, .directory = directory };
    const char *id = json_text_or(json, "id", "?");
    const struct form *form = form_of(&e);
    double worst = 0.0;
    struct status s;

    if (form == NULL) {
        printf("FAIL %-28s no such method\n", id);
        return false;
    }
    s = example_open(&e, form);
    if (!status_failed(&s))
        s = check_both(&e, form, &worst);
    if (status_failed(&s))
        printf("FAIL %-28s %s\n", id, s.message);
    else
        printf("pass %-28s %.3g\n", id, worst);
    return !status_failed(&s);
}

static bool is_asked(const json_t *json, char *const *patterns)
{
    char name[128];

    (void)snprintf(name, sizeof name, "%s/%s", json_text_or(json, "method", ""),
                   json_text_or(json, "variant", ""));
    if (*patterns == NULL)
        return true;
    for (; *patterns != NULL; patterns++) {
        if (fnmatch(*patterns, name, 0) == 0 ||
            fnmatch(*patterns, json_text_or(json, "method", ""), 0) == 0)
            return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    AUTO(json_release) json_t *manifest = NULL;
    char path[PATH];
    json_t *cases;
    struct status s;
    bool fine = true;

    if (argc < 2) {
        (void)fprintf(stderr, "usage: golden_merging DIR [METHOD...]\n");
        return 2;
    }
    (void)snprintf(path, sizeof path, "%s/manifest.json", argv[1]);
    s = json_parse_file(path, MANIFEST_LIMIT, &manifest);
    if (!status_failed(&s))
        s = json_member_array(manifest, "cases", &cases);
    if (status_failed(&s)) {
        (void)fprintf(stderr, "golden_merging: %s\n", s.message);
        return 2;
    }
    for (size_t i = 0; i < json_array_size(cases); i++) {
        const json_t *json = json_array_get(cases, i);

        if (is_asked(json, argv + 2))
            fine = run_example(argv[1], json) && fine;
    }
    return fine ? 0 : 1;
}
