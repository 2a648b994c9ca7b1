/* golden_prune.c -- which weights go: magnitudes, norms of activations. */
#include "tests/golden/golden.h"

#include "jobs/prune_mask.h"

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
