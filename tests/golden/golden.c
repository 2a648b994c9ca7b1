#include "tests/golden/golden.h"

#include <math.h>

struct tolerance golden_tolerance(const json_t *entry, const char *name)
{
    const json_t *all = json_object_get(entry, "tolerance");
    const json_t *one = name == NULL ? all : json_object_get(all, name);

    return (struct tolerance){ json_real_or(one, "abs", 0.0),
                               json_real_or(one, "rel", 0.0) };
}

void golden_compare(struct verdict *v, const char *name, size_t i, double is,
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

double golden_element(const struct tensor *t, size_t i)
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

int64_t golden_whole(const struct tensor *t, size_t i)
{
    int64_t value;

    if (t->dtype == DTYPE_U8)
        return ((const uint8_t *)t->data)[i];
    memcpy(&value, (const char *)t->data + i * sizeof(value), sizeof(value));
    return value;
}

void golden_compare_all(struct verdict *v, const struct tensor *expected,
                        const float *found, struct tolerance t)
{
    for (size_t i = 0; i < expected->count; i++)
        golden_compare(v, expected->name, i, (double)found[i],
                       golden_element(expected, i), t);
}

struct status golden_need(const struct tensor_set *set, const char *name,
                          const struct tensor **ret_tensor)
{
    *ret_tensor = tensor_find(set, name);
    if (*ret_tensor == NULL)
        return FAIL(STATUS_CORRUPT, "there is no tensor \"%s\"", name);
    return SUCCESS;
}

float *golden_floats(const struct tensor *t)
{
    float *copy = xcalloc(t->count + 1, sizeof(*copy));

    dtype_to_f32(t->dtype, t->data, copy, t->count);
    return copy;
}

void golden_close(struct st_model **m)
{
    st_model_close(*m);
}

struct status golden_open(const char *directory, const char *name,
                          struct st_model **ret_model)
{
    AUTO(free_pointer) char *path = xasprintf("%s/%s", directory, name);

    return st_model_open(path, ret_model);
}
