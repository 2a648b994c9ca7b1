/* golden_prune.c -- which weights go: magnitudes, norms of activations. */
#include "tests/golden/golden.h"

#include "jobs/prune_sparsegpt.h"

#include <math.h>

/* Scores of tensors that are looked at as one. */
struct scores {
    struct prune_matrix matrix;
    float *items;
    uint8_t *keep;
};

static void scores_release(struct scores *s)
{
    free(s->items);
    free(s->keep);
}

static void scores_of(struct scores *s, const struct tensor *t)
{
    s->matrix = (struct prune_matrix){ t->shape[0], t->shape[1], false };
    s->items = golden_floats(t);
    s->keep = xcalloc(t->count + 1, 1);
    for (size_t i = 0; i < t->count; i++)
        s->items[i] = fabsf(s->items[i]);
}

static const struct tolerance exact = { 0.0, 0.0 };

static void compare_mask(struct verdict *v, const struct tensor *expected,
                         const uint8_t *keep)
{
    for (size_t i = 0; i < expected->count; i++)
        golden_compare(v, expected->name, i, (double)keep[i],
                       (double)golden_whole(expected, i), exact);
}

/* "2:4": so many of so many. */
static void read_pattern(const char *text, struct prune_how *how)
{
    char *end;

    how->go = (size_t)strtoul(text, &end, 10);
    how->of = (size_t)strtoul(end + 1, NULL, 10);
}

/* "mask_RULE" or "mask_SCOPE" of a case. */
struct mask_row {
    const char *prefix;
    struct prune_how how;
};
static const struct mask_row mask_rows[] = {
    { "exact", { .rule = PRUNE_EXACT } },
    { "lte", { .rule = PRUNE_LTE } },
    { "topk_gt", { .rule = PRUNE_TOPK_GT } },
    { "torch_round", { .rule = PRUNE_ROUND } },
    { "row", { .rule = PRUNE_EXACT, .scope = PRUNE_ROW } },
    { "layer_lte", { .rule = PRUNE_LTE } },
    { "nm", { .rule = PRUNE_EXACT } },
};

/* What "mask_RULE/VALUE" or "mask_RULE/VALUE/TENSOR" asks for; false: it is
 * no such name. `ret_tensor` NULL: it names none. */
static bool read_name(const char *name, struct prune_how *how,
                      const char **ret_tensor)
{
    const char *value = strchr(name, '/');
    const char *tensor;

    if (strncmp(name, "mask_", 5) != 0 || value == NULL)
        return false;
    tensor = strchr(value + 1, '/');
    *ret_tensor = tensor == NULL ? NULL : tensor + 1;
    for (size_t i = 0; i < COUNT_OF(mask_rows); i++) {
        const char *prefix = mask_rows[i].prefix;

        if (strlen(prefix) != (size_t)(value - name) - 5 ||
            strncmp(name + 5, prefix, strlen(prefix)) != 0)
            continue;
        *how = mask_rows[i].how;
        if (strcmp(prefix, "nm") == 0)
            read_pattern(value + 1, how);
        else
            how->sparsity = strtod(value + 1, NULL);
        return true;
    }
    return false;
}

/* ---- magnitude --------------------------------------------------------------- */

static struct status run_mask(const struct tensor_set *set,
                              const struct tensor *expected, size_t *ran,
                              struct verdict *v)
{
    AUTO(scores_release) struct scores s = { .items = NULL };
    const struct tensor *weight;
    struct prune_how how;
    const char *name = NULL;

    if (!read_name(expected->name, &how, &name) || name == NULL)
        return SUCCESS;
    TRY_PLAIN(golden_need(set, name, &weight));
    scores_of(&s, weight);
    prune_choose(&how, &s.matrix, s.items, s.keep);
    compare_mask(v, expected, s.keep);
    ++*ran;
    return SUCCESS;
}

/* All tensors one behind the other, as one row. */
static struct status run_global(const struct tensor_set *set,
                                const json_t *order, const char *key,
                                struct verdict *v)
{
    AUTO(scores_release) struct scores s = { .items = NULL };
    struct prune_how how = { .sparsity = strtod(key, NULL) };
    size_t at = 0;

    for (size_t i = 0; i < json_array_size(order); i++) {
        const struct tensor *t;
        AUTO(scores_release) struct scores one = { .items = NULL };

        TRY_PLAIN(
            golden_need(set, json_string_value(json_array_get(order, i)), &t));
        scores_of(&one, t);
        s.items = xrealloc(s.items, (at + t->count) * sizeof(float));
        memcpy(s.items + at, one.items, t->count * sizeof(float));
        at += t->count;
    }
    s.matrix = (struct prune_matrix){ 1, at, false };
    s.keep = xcalloc(at + 1, 1);
    prune_choose(&how, &s.matrix, s.items, s.keep);
    at = 0;
    for (size_t i = 0; i < json_array_size(order); i++) {
        AUTO(free_pointer)
        char *name = xasprintf("mask_global/%s/%s", key,
                               json_string_value(json_array_get(order, i)));
        const struct tensor *expected;

        TRY_PLAIN(golden_need(set, name, &expected));
        compare_mask(v, expected, s.keep + at);
        at += expected->count;
    }
    return SUCCESS;
}

struct status golden_magnitude(const char *directory, const json_t *entry,
                               struct verdict *v)
{
    AUTO(golden_close) struct st_model *file = NULL;
    const json_t *params = json_object_get(entry, "params");
    const json_t *keys = json_object_get(params, "sparsity_keys");
    const struct tensor_set *set;
    size_t ran = 0;

    TRY_PLAIN(golden_open(directory, json_text_or(entry, "file", ""), &file));
    set = st_model_tensors(file);
    for (size_t i = 0; i < set->count; i++)
        TRY_PLAIN(run_mask(set, &set->items[i], &ran, v));
    for (size_t i = 0; i < json_array_size(keys); i++)
        TRY_PLAIN(run_global(set, json_object_get(params, "global_order"),
                             json_string_value(json_array_get(keys, i)), v));
    return ran > 0 ? SUCCESS : FAIL(STATUS_CORRUPT, "no mask of a known rule");
}

/* ---- norms of activations ---------------------------------------------------- */

/* x0, x1 ... as long as there is one: samples x rows x inputs each. */
static const struct tensor *sample_of(const struct tensor_set *set, size_t i)
{
    AUTO(free_pointer) char *name = xasprintf("x%zu", i);

    return tensor_find(set, name);
}

static struct status compare_scores(const struct tensor_set *set,
                                    const json_t *entry,
                                    const struct prune_norms *n,
                                    const struct scores *s, struct verdict *v)
{
    const struct tensor *expected;

    TRY_PLAIN(golden_need(set, "scaler_row", &expected));
    for (size_t i = 0; i < expected->count; i++)
        golden_compare(v, expected->name, i, n->squares[i],
                       golden_element(expected, i),
                       golden_tolerance(entry, "scaler_row"));
    TRY_PLAIN(golden_need(set, "score", &expected));
    golden_compare_all(v, expected, s->items, golden_tolerance(entry, "score"));
    return SUCCESS;
}

static void score_weights(struct scores *s, const float *norms)
{
    size_t count = s->matrix.outputs * s->matrix.inputs;

    prune_norms_score(&s->matrix, norms, s->items, 0, count, s->items);
}

struct status golden_wanda(const char *directory, const json_t *entry,
                           struct verdict *v)
{
    AUTO(golden_close) struct st_model *file = NULL;
    AUTO(prune_norms_release) struct prune_norms n = { .inputs = 0 };
    AUTO(scores_release) struct scores s = { .items = NULL };
    AUTO(free_pointer) float *norms = NULL;
    const struct tensor *weight, *x;
    const struct tensor_set *set;

    TRY_PLAIN(golden_open(directory, json_text_or(entry, "file", ""), &file));
    set = st_model_tensors(file);
    TRY_PLAIN(golden_need(set, "weight", &weight));
    scores_of(&s, weight);
    prune_norms_init(&n, s.matrix.inputs);
    for (size_t i = 0; (x = sample_of(set, i)) != NULL; i++) {
        AUTO(free_pointer) float *rows = golden_floats(x);

        prune_norms_add(&n, rows, x->shape[0] * x->shape[1], x->shape[0]);
    }
    norms = xcalloc(s.matrix.inputs + 1, sizeof(*norms));
    prune_norms_roots(&n, norms);
    score_weights(&s, norms);
    TRY_PLAIN(compare_scores(set, entry, &n, &s, v));
    for (size_t i = 0; i < set->count; i++) {
        const char *tensor;
        struct prune_how how;

        if (!read_name(set->items[i].name, &how, &tensor))
            continue;
        prune_choose(&how, &s.matrix, s.items, s.keep);
        compare_mask(v, &set->items[i], s.keep);
    }
    return SUCCESS;
}

/* The highest scores of each row go: "harm_mask/RATIO", "weight_out/RATIO". */
struct status golden_antidote(const char *directory, const json_t *entry,
                              struct verdict *v)
{
    static const char part[] = "harm_mask/";
    AUTO(golden_close) struct st_model *file = NULL;
    AUTO(scores_release) struct scores s = { .items = NULL };
    AUTO(free_pointer) float *norms = NULL, *w = NULL;
    const struct tensor *weight, *squares;
    const struct tensor_set *set;

    TRY_PLAIN(golden_open(directory, json_text_or(entry, "file", ""), &file));
    set = st_model_tensors(file);
    TRY_PLAIN(golden_need(set, "weight", &weight));
    TRY_PLAIN(golden_need(set, "scaler_row", &squares));
    scores_of(&s, weight);
    norms = golden_floats(squares);
    for (size_t i = 0; i < squares->count; i++)
        norms[i] = sqrtf(norms[i]);
    score_weights(&s, norms);
    for (size_t i = 0; i < set->count; i++) {
        const struct tensor *t = &set->items[i];
        const char *ratio = t->name + strlen(part);
        struct prune_how how = { .scope = PRUNE_ROW, .highest = true };
        AUTO(free_pointer) char *out = NULL;
        const struct tensor *expected;

        if (strncmp(t->name, part, strlen(part)) != 0)
            continue;
        how.sparsity = strtod(ratio, NULL);
        prune_choose(&how, &s.matrix, s.items, s.keep);
        for (size_t e = 0; e < t->count; e++)
            golden_compare(v, t->name, e, (double)(s.keep[e] == 0),
                           (double)golden_whole(t, e), exact);
        out = xasprintf("weight_out/%s", ratio);
        TRY_PLAIN(golden_need(set, out, &expected));
        free(w);
        w = golden_floats(weight);
        prune_zero(DTYPE_F32, w, s.keep, t->count);
        golden_compare_all(v, expected, w, exact);
    }
    return SUCCESS;
}

/* ---- SparseGPT ----------------------------------------------------------------- */

struct status golden_hessian(const char *directory, const json_t *entry,
                             struct verdict *v)
{
    AUTO(golden_close) struct st_model *file = NULL;
    AUTO(prune_hessian_release) struct prune_hessian h = { .inputs = 0 };
    const struct tensor *expected, *x;
    const struct tensor_set *set;

    TRY_PLAIN(golden_open(directory, json_text_or(entry, "file", ""), &file));
    set = st_model_tensors(file);
    TRY_PLAIN(golden_need(set, "hessian", &expected));
    TRY_PLAIN(prune_hessian_init(&h, expected->shape[0]));
    for (size_t i = 0; (x = sample_of(set, i)) != NULL; i++) {
        AUTO(free_pointer) float *rows = golden_floats(x);

        prune_hessian_add(&h, rows, x->shape[0] * x->shape[1], x->shape[0]);
    }
    for (size_t r = 0; r < h.inputs; r++)
        for (size_t c = r; c < h.inputs; c++)
            golden_compare(v, "hessian", r * h.inputs + c,
                           (double)h.h[r * h.inputs + c],
                           golden_element(expected, r * h.inputs + c),
                           golden_tolerance(entry, NULL));
    return SUCCESS;
}

static struct status run_sparsegpt(const struct tensor_set *set,
                                   const json_t *entry, const json_t *run,
                                   struct verdict *v)
{
    const char *key = json_text_or(run, "key", "");
    AUTO(free_pointer) char *out = xasprintf("out/%s", key);
    AUTO(free_pointer) char *mask = xasprintf("mask/%s", key);
    AUTO(free_pointer) float *w = NULL;
    AUTO(free_pointer) uint8_t *keep = NULL;
    AUTO(prune_factor_release) struct prune_factor f = { .inputs = 0 };
    const struct prune_how how = {
        .rule = PRUNE_LTE,
        .sparsity = json_real_or(run, "sparsity", 0.0),
        .go = (size_t)json_int_or(run, "prune_n", 0),
        .of = (size_t)json_int_or(run, "prune_m", 0),
    };
    const struct tensor *weight, *hessian, *expected;
    struct prune_hessian h;
    double loss;

    TRY_PLAIN(golden_need(set, "weight", &weight));
    TRY_PLAIN(golden_need(set, "hessian", &hessian));
    h = (struct prune_hessian){ .inputs = hessian->shape[0],
                                .h = golden_floats(hessian) };
    prune_factor_init(&f, &h, json_real_or(run, "percdamp", 0.0));
    w = golden_floats(weight);
    keep = xcalloc(weight->count + 1, 1);
    memset(keep, 1, weight->count);
    TRY_PLAIN(prune_sparsegpt(
        &f, &how, (size_t)json_int_or(run, "blocksize", 1),
        &(struct prune_weights){ weight->shape[0], w, keep, 1 }, &loss));
    golden_compare(v, key, 0, loss, json_real_or(run, "loss", 0.0),
                   golden_tolerance(entry, "loss"));
    TRY_PLAIN(golden_need(set, mask, &expected));
    compare_mask(v, expected, keep);
    TRY_PLAIN(golden_need(set, out, &expected));
    golden_compare_all(v, expected, w, golden_tolerance(entry, "out"));
    return SUCCESS;
}

struct status golden_sparsegpt(const char *directory, const json_t *entry,
                               struct verdict *v)
{
    AUTO(golden_close) struct st_model *file = NULL;
    const json_t *params = json_object_get(entry, "params");
    const json_t *runs = json_object_get(params, "runs");

    TRY_PLAIN(golden_open(directory, json_text_or(entry, "file", ""), &file));
    for (size_t i = 0; i < json_array_size(runs); i++)
        TRY_PLAIN(run_sparsegpt(st_model_tensors(file), entry,
                                json_array_get(runs, i), v));
    return json_array_size(runs) > 0 ? SUCCESS
                                     : FAIL(STATUS_CORRUPT, "no runs");
}
