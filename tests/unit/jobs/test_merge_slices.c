/* Slices of models of other architectures than the Llama's of the recipes. */
#include "support/test.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/merge/merge_run.h"
#include "support/small_model.h"

enum { TENSORS = 8 };

/* Two layers, and what comes before or behind them. */
static const struct architecture {
    const char *layers; /* the name with a number in it */
    struct {
        const char *name;
        bool before;
    } ends[4];
} architectures[] = {
    {
        "transformer.h.%d.attn.c_attn.weight",
        { { "transformer.ln_f.weight", false },
          { "transformer.wpe.weight", true },
          { "transformer.wte.weight", true } },
    },
    {
        "h.%d.attn.c_attn.weight",
        { { "ln_f.weight", false },
          { "wpe.weight", true },
          { "wte.weight", true } },
    },
    {
        "gpt_neox.layers.%d.mlp.weight",
        { { "embed_out.weight", false },
          { "gpt_neox.embed_in.weight", true },
          { "gpt_neox.final_layer_norm.weight", false } },
    },
    {
        "model.decoder.layers.%d.fc1.weight",
        { { "model.decoder.embed_positions.weight", true },
          { "model.decoder.embed_tokens.weight", true },
          { "model.decoder.final_layer_norm.weight", false } },
    },
    { "transformer.blocks.%d.ffn.weight",
      { { "transformer.norm_f.weight", false },
        { "transformer.wte.weight", true } } },
};

static char names[2][80];

static int by_name(const void *a, const void *b)
{
    const struct small_row *x = a, *y = b;

    return strcmp(x->name, y->name);
}

static struct small_model model_of(const struct architecture *a, uint32_t seed)
{
    struct small_row rows[TENSORS + 1] = { { .name = NULL } };
    size_t count = 0;

    for (int i = 0; i < 2; i++) {
        AUTO(free_pointer) char *copy = xstrdup(a->layers);
        char *mark = strstr(copy, "%d");

        *mark = '\0';
        (void)snprintf(names[i], sizeof names[i], "%s%d%s", copy, i, mark + 2);
        rows[count++] = (struct small_row){ names[i], DTYPE_F32, 2, { 2, 3 } };
    }
    for (size_t i = 0; i < 4 && a->ends[i].name != NULL; i++)
        rows[count++] =
            (struct small_row){ a->ends[i].name, DTYPE_F32, 1, { 5 } };
    qsort(rows, count, sizeof *rows, by_name);
    return small_model_new(rows, seed, 1.0);
}

/* Layer 1 of the first model, then both of the second. */
static const char text[] =
    "{\"merge_method\": \"passthrough\", \"slices\": [{\"sources\": "
    "[{\"model\": \"a\", \"layer_range\": [1, 2]}]}, {\"sources\": "
    "[{\"model\": \"b\", \"layer_range\": [0, 2]}]}]}";

static void assert_from(const struct tensor *t, const void *bytes,
                        const struct small_model *m, const char *name)
{
    const struct tensor *from = tensor_find(&m->set, name);

    assert_non_null(from);
    assert_memory_equal(bytes, from->data, (size_t)tensor_bytes(t));
}

static char *layer_name(const struct architecture *a, int layer)
{
    const char *mark = strstr(a->layers, "%d");

    return xasprintf("%.*s%d%s", (int)(mark - a->layers), a->layers, layer,
                     mark + 2);
}

static void check(const struct architecture *a, const struct tensor_set *layout,
                  void *const *bytes, const struct small_model *models)
{
    size_t seen = 0;

    for (int i = 0; i < 3; i++, seen++) {
        AUTO(free_pointer) char *name = layer_name(a, i);
        AUTO(free_pointer) char *own = layer_name(a, i == 0 ? 1 : i - 1);
        const struct tensor *t = tensor_find(layout, name);

        if (t == NULL)
            fail_msg("there is no %s", name);
        assert_from(t, bytes[t - layout->items], &models[i > 0], own);
    }
    for (size_t i = 0; i < 4 && a->ends[i].name != NULL; i++, seen++) {
        const struct tensor *t = tensor_find(layout, a->ends[i].name);

        assert_non_null(t);
        assert_from(t, bytes[t - layout->items],
                    &models[a->ends[i].before ? 0 : 1], t->name);
    }
    assert_int_equal(layout->count, seen);
}

static void run_on(const struct architecture *a)
{
    static const struct merge_runtime runtime = { .threads = 1 };
    struct small_model models[] = { model_of(a, 1), model_of(a, 2) };
    const struct merge_inputs inputs = { .tasks = { &models[0].set,
                                                    &models[1].set } };
    void *targets[TENSORS] = { NULL };
    void *const *const points[] = { targets };
    const struct tensor_set *layout;
    struct merge_config config;
    struct merge *m;
    json_t *json;

    assert_ok(json_parse(text, strlen(text), "config", &json));
    assert_ok(merge_config_read(json, &config));
    assert_ok(merge_new(&config, 1, &inputs, &m));
    layout = merge_layout(m);
    assert_true(layout->count <= TENSORS);
    for (size_t i = 0; i < layout->count; i++)
        targets[i] = xcalloc(1, (size_t)tensor_bytes(&layout->items[i]));
    assert_ok(merge_run(m, &runtime, points));
    check(a, layout, targets, models);
    for (size_t i = 0; i < layout->count; i++)
        free(targets[i]);
    merge_free(m);
    json_decref(json);
    small_model_release(&models[0]);
    small_model_release(&models[1]);
}

static void test_layers_are_stacked_in_every_architecture(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(architectures); i++)
        run_on(&architectures[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers_are_stacked_in_every_architecture),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
