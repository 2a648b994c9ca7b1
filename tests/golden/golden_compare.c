/* golden_compare.c -- how alike models are: CKA of outputs, connectivity of
 * curves. */
#include "tests/golden/golden.h"

#include "model/similarity.h"

static const struct {
    const char *name;
    enum cka_form form;
} forms[] = {
    { "feature", CKA_FEATURE },
    { "gram", CKA_GRAM },
    { "debiased", CKA_DEBIASED },
};

struct outputs {
    struct cka_pair pair;
    float *x, *y;
};

static void outputs_release(struct outputs *o)
{
    free(o->x);
    free(o->y);
}

/* NAME/x and NAME/y. */
static struct status take_outputs(const struct tensor_set *set,
                                  const char *name, struct outputs *o)
{
    AUTO(free_pointer) char *x_name = xasprintf("%s/x", name);
    AUTO(free_pointer) char *y_name = xasprintf("%s/y", name);
    const struct tensor *x, *y;

    TRY_PLAIN(golden_need(set, x_name, &x));
    TRY_PLAIN(golden_need(set, y_name, &y));
    o->x = golden_floats(x);
    o->y = golden_floats(y);
    o->pair =
        (struct cka_pair){ x->shape[0], o->x, o->y, x->shape[1], y->shape[1] };
    return SUCCESS;
}

/* A text in place of a number: not defined. */
static struct status compare_form(const struct outputs *o, const char *name,
                                  enum cka_form form, const json_t *expected,
                                  struct tolerance t, struct verdict *v)
{
    double found;
    struct status st = cka(&o->pair, form, &found);

    if (json_is_string(expected) && st.code == STATUS_FAILED)
        return SUCCESS;
    if (json_is_string(expected))
        return FAIL(STATUS_FAILED, "%s should not be defined", name);
    TRY_PLAIN(st);
    golden_compare(v, name, (size_t)form, found, json_number_value(expected),
                   t);
    return SUCCESS;
}

static struct status compare_outputs(const struct tensor_set *set,
                                     const char *name, const json_t *expected,
                                     struct tolerance t, struct verdict *v)
{
    AUTO(outputs_release) struct outputs o = { .x = NULL };

    TRY_PLAIN(take_outputs(set, name, &o));
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        const json_t *one = json_object_get(expected, forms[i].name);

        if (one != NULL)
            TRY_PLAIN(compare_form(&o, name, forms[i].form, one, t, v));
    }
    return SUCCESS;
}

static json_t *values_of(const json_t *entry)
{
    return json_object_get(json_object_get(entry, "params"), "values");
}

/* Each value of the entry against what the file says. */
static struct status compare_values(
    const char *directory, const json_t *entry, struct verdict *v,
    struct status (*compare)(const struct tensor_set *set, const char *name,
                             const json_t *expected, struct tolerance t,
                             struct verdict *v))
{
    AUTO(golden_close) struct st_model *file = NULL;
    struct tolerance t = golden_tolerance(entry, NULL);
    const char *name;
    json_t *expected;

    TRY_PLAIN(golden_open(directory, json_text_or(entry, "file", ""), &file));
    json_object_foreach(values_of(entry), name, expected)
    {
        TRY_PLAIN(compare(st_model_tensors(file), name, expected, t, v));
    }
    return SUCCESS;
}

struct status golden_cka(const char *directory, const json_t *entry,
                         struct verdict *v)
{
    return compare_values(directory, entry, v, compare_outputs);
}

static struct status compare_curve(const struct tensor_set *set,
                                   const char *name, const json_t *expected,
                                   struct tolerance t, struct verdict *v)
{
    const struct tensor *curve;
    AUTO(free_pointer) double *values = NULL;
    size_t at;

    TRY_PLAIN(golden_need(set, name, &curve));
    values = xcalloc(curve->count, sizeof(*values));
    for (size_t i = 0; i < curve->count; i++)
        values[i] = golden_element(curve, i);
    golden_compare(v, name, 0, connectivity(values, curve->count, &at),
                   json_real_or(expected, "lmc", 0.0), t);
    if ((int64_t)at != json_int_or(expected, "argmax", -1))
        return FAIL(STATUS_FAILED, "%s: the place is %zu", name, at);
    return SUCCESS;
}

struct status golden_lmc(const char *directory, const json_t *entry,
                         struct verdict *v)
{
    return compare_values(directory, entry, v, compare_curve);
}
