#include "support/tiny_files.h"

#include "common/memory.h"
#include "support/test.h"
#include "support/tiny_llama.h"

#include <stdlib.h>

static int by_name(const void *a, const void *b)
{
    const struct tensor *x = a, *y = b;

    return strcmp(x->name, y->name);
}

static void fill(struct tiny_files *t, const struct model_config *c,
                 enum dtype dtype, uint32_t seed)
{
    assert_ok(model_new(c, seed, &t->model));
    t->items = xcalloc(t->model->parameter_count, sizeof(*t->items));
    t->set = (struct tensor_set){ t->model->parameter_count, t->items };
    for (size_t i = 0; i < t->set.count; i++) {
        struct tensor one = model_tensor(t->model, i);
        void *data = xcalloc(one.count + 1, dtype_size(dtype));

        dtype_from_f32(dtype, one.data, data, one.count);
        one.dtype = dtype;
        one.data = data;
        t->items[i] = one;
    }
    qsort(t->items, t->set.count, sizeof(*t->items), by_name);
}

void tiny_files_init(struct tiny_files *t, const char *name, enum dtype dtype,
                     uint32_t seed)
{
    const struct model_config c = tiny_config_of(name);

    fill(t, &c, dtype, seed);
}

void tiny_files_of(struct tiny_files *t, const char *config, enum dtype dtype,
                   uint32_t seed)
{
    const struct tiny_model one = { .name = "test", .config = config };
    const struct model_config c = tiny_config(&one);

    fill(t, &c, dtype, seed);
}

void tiny_files_release(struct tiny_files *t)
{
    for (size_t i = 0; i < t->set.count; i++)
        free((void *)(uintptr_t)t->items[i].data);
    free(t->items);
    model_free(t->model);
}

void tiny_files_put(struct tiny_files *t, const char *name, uint64_t element,
                    float value)
{
    const struct tensor *one = tensor_find(&t->set, name);

    assert_non_null(one);
    dtype_from_f32(
        one->dtype, &value,
        (char *)(uintptr_t)one->data + element * dtype_size(one->dtype), 1);
}

void tiny_files_write(const struct tiny_files *t, struct fake_context *f,
                      const char *directory)
{
    json_t *config = model_config_write(&t->model->config, "float32");
    char *text = json_pretty(config);

    fake_context_write_model(f, directory, &t->set, text);
    free(text);
    json_decref(config);
}

void tiny_files_make(struct fake_context *f, const char *directory,
                     const char *config, enum dtype dtype)
{
    struct tiny_files t;

    tiny_files_of(&t, config, dtype, 5);
    tiny_files_write(&t, f, directory);
    tiny_files_release(&t);
}

json_t *tiny_files_params(struct fake_context *f, const char *directory,
                          const char *params)
{
    json_t *json = tiny_json("%s", params);

    (void)json_object_set_new(json, "model", fake_context_source(f, directory));
    return json;
}
