#include "support/test.h"

#include "common/memory.h"
#include "model/model.h"
#include "support/tiny_models.h"

#include <math.h>

static void test_a_config_survives_writing_and_reading(void **state)
{
    (void)state;
    for (const struct tiny_model *t = tiny_models; t->name != NULL; t++) {
        struct model_config c = tiny_config(t), again;
        json_t *json = model_config_write(&c, "float32"), *twice;

        assert_ok(model_config_read(json, &again));
        twice = model_config_write(&again, "float32");
        if (!json_equal(json, twice) || model_size(&c) != model_size(&again))
            fail_msg("%s is another model when it was written", t->name);
        json_decref(json);
        json_decref(twice);
    }
}

static void test_a_config_is_written_as_it_would_be_by_hand(void **state)
{
    struct model_config c = tiny_config_of("llama");
    json_t *json = model_config_write(&c, "float32");
    AUTO(free_pointer) char *text = json_canonical(json);

    (void)state;
    assert_int_equal(c.hidden, 16);
    assert_int_equal(c.kv_heads, 2);
    assert_int_equal(c.head_dim, 4);
    assert_true(c.rope_theta == 10000.0);
    assert_non_null(strstr(text, "\"rms_norm_eps\":1e-05"));
    assert_non_null(strstr(text, "LlamaForCausalLM"));
    json_decref(json);
}

/* Each row: a key of a model's config.json made wrong, and what must be
 * said. */
static const struct {
    const char *model, *key, *value, *words;
} faults[] = {
    { "llama", "model_type", "\"gpt5\"", "known are: llama" },
    { "llama", "model_type", "3", "known are: llama" },
    { "llama", "hidden_size", "0", "\"hidden_size\" is 0" },
    { "llama", "hidden_size", "\"16\"", "hidden_size" },
    { "llama", "hidden_size", "18", "no multiple of 4" },
    { "llama", "num_hidden_layers", "100000", "\"num_hidden_layers\"" },
    { "llama", "num_key_value_heads", "3", "3 key-value heads" },
    { "llama", "head_dim", "5", "\"head_dim\" even" },
    { "llama", "hidden_act", "\"relu\"", "relu" },
    { "llama", "rope_scaling", "{\"type\":\"linear\"}", "rope_scaling" },
    { "llama", "rope_theta", "1", "rope_theta" },
    { "llama", "rms_norm_eps", "0", "rms_norm_eps" },
    { "mistral", "sliding_window", "0", "\"sliding_window\" is 0" },
    { "qwen2", "use_sliding_window", "true", "use_sliding_window" },
    { "opt", "do_layer_norm_before", "false", "do_layer_norm_before" },
    { "opt", "word_embed_proj_dim", "8", "word_embed_proj_dim" },
    { "opt", "activation_function", "\"swish\"", "known are: relu" },
    { "opt", "num_attention_heads", "3", "no multiple of 3" },
    { "gpt2", "scale_attn_by_inverse_layer_idx", "true",
      "scale_attn_by_inverse_layer_idx" },
    { "gpt2", "layer_norm_epsilon", "0", "layer_norm_epsilon" },
    { "gpt_neox", "rotary_pct", "0.05", "no even number" },
    { "gpt_neox", "rope_scaling", "{\"type\":\"linear\"}", "rope_scaling" },
    { "gpt_neox", "attention_bias", "false", "attention_bias" },
    { "mlp", "sizes", "[12]", "at least two" },
    { "mlp", "sizes", "[12,0]", "\"sizes\" is 0" },
    { "mlp", "sizes", "[]", "list of 1 to 16" },
    { "preresnet", "blocks", "[1,2]", "2 numbers in \"blocks\" for 3 stages" },
    { "preresnet", "height", "0", "\"height\" is 0" },
};

static void test_wrong_configs_are_refused_by_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        struct model_config c = tiny_config_of(faults[i].model);
        json_t *json = model_config_write(&c, "float32");

        (void)json_object_del(json, "head_dim");
        (void)json_object_set_new(
            json, faults[i].key,
            json_loads(faults[i].value, JSON_DECODE_ANY, NULL));
        assert_fails(model_config_read(json, &c), STATUS_INVALID,
                     faults[i].words);
        json_decref(json);
    }
}

/* Names as published checkpoints have them. */
static const struct {
    const char *model, *tensor, *shape;
} tensors[] = {
    { "qwen2", "model.layers.1.self_attn.k_proj.bias", "8" },
    { "opt", "model.decoder.embed_positions.weight", "34x16" },
    { "gpt2", "transformer.h.1.attn.c_attn.weight", "16x48" },
    { "gpt_neox", "gpt_neox.layers.1.attention.query_key_value.weight",
      "48x16" },
    { "gpt_neox", "embed_out.weight", "29x16" },
    { "mlp", "bn1.running_var", "7" },
    { "preresnet", "b1.down.weight", "6x4x1x1" },
};

static void test_parameters_are_named_as_in_checkpoints(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(tensors); i++) {
        struct model_config c = tiny_config_of(tensors[i].model);
        struct tensor t;
        struct model *m;
        char text[64];
        size_t at;

        assert_ok(model_new(&c, 1, &m));
        at = graph_find(m->graph, tensors[i].tensor);
        if (at == m->parameter_count)
            fail_msg("%s has no %s", tensors[i].model, tensors[i].tensor);
        t = model_tensor(m, at);
        assert_string_equal(tensor_shape_text(&t, text, sizeof(text)),
                            tensors[i].shape);
        model_free(m);
    }
}

enum { MOST_TENSORS = 64 };

/* The parameters of a model as a checkpoint would hold them; names lose the
 * first `cut` characters. */
static size_t list_tensors(const struct model *m, size_t cut,
                           struct tensor *items)
{
    assert_true(m->parameter_count <= MOST_TENSORS);
    for (size_t i = 0; i < m->parameter_count; i++) {
        const char *name = m->parameters[i].name + cut;
        size_t at = i;

        for (; at > 0 && strcmp(items[at - 1].name, name) > 0; at--)
            items[at] = items[at - 1];
        items[at] = model_tensor(m, i);
        items[at].name = name;
    }
    return m->parameter_count;
}

static void test_a_checkpoint_is_loaded_by_name(void **state)
{
    (void)state;
    for (const struct tiny_model *t = tiny_models; t->name != NULL; t++) {
        struct model_config c = tiny_config(t);
        struct model *m, *copy, *view;
        struct tensor items[MOST_TENSORS];
        struct tensor_set set = { .items = items };

        assert_ok(model_new(&c, 1, &m));
        set.count = list_tensors(m, 0, items);
        assert_ok(model_load(&c, &set, MODEL_COPY, &copy));
        assert_memory_equal(copy->block, m->block, m->size * sizeof(float));
        assert_ok(model_load(&c, &set, MODEL_BORROW, &view));
        assert_null(view->block);
        assert_int_equal(model_size(&c), m->size);
        assert_null(view->extra[0]);
        model_free(view);
        model_free(copy);
        model_free(m);
    }
}

static void test_names_may_lack_the_prefix_of_the_architecture(void **state)
{
    struct model_config c = tiny_config_of("gpt2");
    struct model *m, *copy;
    struct tensor items[MOST_TENSORS];
    struct tensor_set set = { .items = items };

    (void)state;
    assert_ok(model_new(&c, 1, &m));
    set.count = list_tensors(m, strlen("transformer."), items);
    assert_ok(model_load(&c, &set, MODEL_COPY, &copy));
    assert_memory_equal(copy->block, m->block, m->size * sizeof(float));
    assert_null(copy->extra[0]);
    model_free(copy);
    model_free(m);
}

static void test_faults_of_a_checkpoint_name_the_tensor(void **state)
{
    struct model_config c = tiny_config_of("llama-tied-biased");
    struct model *m, *loaded;
    struct tensor items[MOST_TENSORS], extra[MOST_TENSORS + 2];
    struct tensor_set set = { .items = items };
    float bad[16 * 24];
    size_t at = 0;

    (void)state;
    assert_ok(model_new(&c, 1, &m));
    set.count = list_tensors(m, 0, items);
    set.items = items + 1; /* the first in order of name */
    set.count--;
    assert_fails(model_load(&c, &set, MODEL_COPY, &loaded), STATUS_INVALID,
                 "\"model.embed_tokens.weight\" is missing");
    set.items = items;
    set.count++;
    while (strcmp(items[at].name, "model.layers.0.mlp.down_proj.weight") != 0)
        at++;
    items[at].shape[0] = 23;
    assert_fails(model_load(&c, &set, MODEL_COPY, &loaded), STATUS_INVALID,
                 "\"model.layers.0.mlp.down_proj.weight\" is 23x24; "
                 "config.json asks for 16x24");
    items[at].shape[0] = 16;
    memcpy(bad, items[at].data, sizeof(bad));
    bad[77] = NAN;
    items[at].data = bad;
    assert_fails(model_load(&c, &set, MODEL_BORROW, &loaded), STATUS_CORRUPT,
                 "\"model.layers.0.mlp.down_proj.weight\" has a NaN or "
                 "infinity at element 77");
    bad[77] = 0.0F;
    /* A tied head that was stored all the same is nothing to report. */
    extra[0] = items[0];
    extra[0].name = "lm_head.weight";
    extra[1] = items[0];
    extra[1].name = "model.adapter.weight";
    memcpy(extra + 2, items, set.count * sizeof(*items));
    set.items = extra;
    set.count += 2;
    assert_ok(model_load(&c, &set, MODEL_COPY, &loaded));
    assert_string_equal(loaded->extra[0], "model.adapter.weight");
    assert_null(loaded->extra[1]);
    model_free(loaded);
    model_free(m);
}

static void test_a_mask_prunes_and_a_borrowed_tensor_is_copied(void **state)
{
    struct model_config c = tiny_config_of("mlp");
    struct model *m, *view;
    struct tensor items[MOST_TENSORS];
    struct tensor_set set = { .items = items };
    uint8_t keep[9 * 12];
    size_t at;

    (void)state;
    assert_ok(model_new(&c, 1, &m));
    set.count = list_tensors(m, 0, items);
    assert_ok(model_load(&c, &set, MODEL_BORROW, &view));
    at = graph_find(view->graph, "fc0.weight");
    for (size_t i = 0; i < sizeof(keep); i++)
        keep[i] = i % 3 == 0;
    assert_ok(model_mask(view, at, keep));
    for (size_t i = 0; i < sizeof(keep); i++)
        assert_true(view->parameters[at].data[i] ==
                    (i % 3 == 0 ? m->parameters[at].data[i] : 0.0F));
    free(view->parameters[at].keep);
    view->parameters[at].keep = NULL;
    assert_ok(model_mask(view, at, NULL));
    assert_memory_equal(view->parameters[at].keep, keep, sizeof(keep));
    model_free(view);
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_config_survives_writing_and_reading),
        cmocka_unit_test(test_a_config_is_written_as_it_would_be_by_hand),
        cmocka_unit_test(test_wrong_configs_are_refused_by_key),
        cmocka_unit_test(test_parameters_are_named_as_in_checkpoints),
        cmocka_unit_test(test_a_checkpoint_is_loaded_by_name),
        cmocka_unit_test(test_names_may_lack_the_prefix_of_the_architecture),
        cmocka_unit_test(test_faults_of_a_checkpoint_name_the_tensor),
        cmocka_unit_test(test_a_mask_prunes_and_a_borrowed_tensor_is_copied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
