#include "support/test.h"

#include "common/memory.h"
#include "model/batch.h"
#include "model/optim.h"
#include "tensor/blas.h"

#include <math.h>

static const char config_text[] =
    "{\"model_type\":\"llama\",\"hidden_size\":16,\"intermediate_size\":24,"
    "\"num_hidden_layers\":2,\"num_attention_heads\":4,"
    "\"num_key_value_heads\":2,\"vocab_size\":29,"
    "\"max_position_embeddings\":32,\"rms_norm_eps\":1e-05,"
    "\"tie_word_embeddings\":true,\"hidden_act\":\"silu\"}";

static json_t *config_json(void)
{
    json_t *json;

    assert_ok(json_parse(config_text, strlen(config_text), "config", &json));
    return json;
}

static struct model_config config_of(bool tied)
{
    json_t *json = config_json();
    struct model_config c;

    (void)json_object_set_new(json, "tie_word_embeddings", json_boolean(tied));
    assert_ok(model_config_read(json, &c));
    json_decref(json);
    return c;
}

static void test_a_config_survives_writing_and_reading(void **state)
{
    struct model_config c = config_of(false), again;
    json_t *json = model_config_write(&c, "float32");
    AUTO(free_pointer) char *text = json_canonical(json);

    (void)state;
    assert_ok(model_config_read(json, &again));
    assert_int_equal(again.hidden, 16);
    assert_int_equal(again.kv_heads, 2);
    assert_int_equal(again.head_dim, 4);
    assert_true(again.norm_eps == c.norm_eps && again.tied == c.tied);
    assert_true(again.rope_theta == 10000.0);
    assert_non_null(strstr(text, "\"rms_norm_eps\":1e-05"));
    assert_non_null(strstr(text, "LlamaForCausalLM"));
    json_decref(json);
}

/* Each row: a key of config.json made wrong, and what must be said. */
static const struct {
    const char *key, *value, *words;
} faults[] = {
    { "model_type", "\"gpt5\"", "known are: llama" },
    { "model_type", "3", "known are: llama" },
    { "hidden_size", "0", "\"hidden_size\" is 0" },
    { "hidden_size", "\"16\"", "hidden_size" },
    { "hidden_size", "18", "no multiple of 4" },
    { "num_hidden_layers", "100000", "\"num_hidden_layers\"" },
    { "num_key_value_heads", "3", "3 key-value heads" },
    { "head_dim", "5", "\"head_dim\" even" },
    { "hidden_act", "\"relu\"", "relu" },
    { "rope_scaling", "{\"type\":\"linear\"}", "rope_scaling" },
    { "attention_bias", "true", "attention_bias" },
    { "rms_norm_eps", "0", "rms_norm_eps" },
};

static void test_wrong_configs_are_refused_by_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        json_t *json = config_json();
        struct model_config c;

        (void)json_object_set_new(
            json, faults[i].key,
            json_loads(faults[i].value, JSON_DECODE_ANY, NULL));
        assert_fails(model_config_read(json, &c), STATUS_INVALID,
                     faults[i].words);
        json_decref(json);
    }
}

/* The parameters of a model as a checkpoint would hold them. */
static size_t list_tensors(const struct model *m, struct tensor *items)
{
    for (size_t i = 0; i < m->parameter_count; i++) {
        size_t at = i;

        for (; at > 0 && strcmp(items[at - 1].name, m->parameters[i].name) > 0;
             at--)
            items[at] = items[at - 1];
        items[at] = model_tensor(&m->parameters[i]);
        items[at].data = m->parameters[i].data;
    }
    return m->parameter_count;
}

static void test_a_checkpoint_is_loaded_by_name(void **state)
{
    struct model_config c = config_of(false);
    struct model *m, *copy, *view;
    struct tensor items[32];
    struct tensor_set set = { .items = items };

    (void)state;
    assert_ok(model_new(&c, 1, &m));
    set.count = list_tensors(m, items);
    assert_ok(model_load(&c, &set, MODEL_COPY, &copy));
    assert_memory_equal(copy->block, m->block, m->size * sizeof(float));
    assert_ok(model_load(&c, &set, MODEL_BORROW, &view));
    assert_null(view->block);
    assert_int_equal(model_size(&c), m->size);
    assert_non_null(model_find(view, "model.layers.1.mlp.up_proj.weight"));
    assert_null(view->extra[0]);
    model_free(view);
    model_free(copy);
    model_free(m);
}

static void test_faults_of_a_checkpoint_name_the_tensor(void **state)
{
    struct model_config c = config_of(true);
    struct model *m, *loaded;
    struct tensor items[32], extra[33];
    struct tensor_set set = { .items = items };
    float bad[16 * 24];

    (void)state;
    assert_ok(model_new(&c, 1, &m));
    set.count = list_tensors(m, items);
    set.items = items + 1; /* the first in order of name */
    set.count--;
    assert_fails(model_load(&c, &set, MODEL_COPY, &loaded), STATUS_INVALID,
                 "\"model.embed_tokens.weight\" is missing");
    set.items = items;
    set.count++;
    items[2].shape[0] = 23;
    items[2].shape[1] = 24;
    assert_fails(model_load(&c, &set, MODEL_COPY, &loaded), STATUS_INVALID,
                 "\"model.layers.0.mlp.down_proj.weight\" is 23x24; "
                 "config.json asks for 16x24");
    items[2].shape[0] = 16;
    memcpy(bad, items[2].data, sizeof(bad));
    bad[77] = NAN;
    items[2].data = bad;
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

/* --- passes --------------------------------------------------------------- */

static void fill_batch(struct batch *b, uint32_t vocab, int number)
{
    int32_t tokens[32];

    batch_clear(b);
    for (int s = 0; s < 3; s++) {
        for (int i = 0; i < 12; i++)
            tokens[i] = (int32_t)((unsigned)(i * i + 7 * s + number) % vocab);
        assert_true(batch_add(b, tokens, (size_t)(5 + 3 * s), 2));
    }
}

static void test_labels_are_the_tokens_that_follow(void **state)
{
    struct batch b;
    const int32_t tokens[] = { 5, 6, 7, 8 };

    (void)state;
    batch_init(&b, 2, 6);
    assert_true(batch_add(&b, tokens, 4, 2));
    assert_int_equal(b.labels[0], OP_NO_LABEL);
    assert_int_equal(b.labels[1], 7);
    assert_int_equal(b.labels[2], 8);
    assert_int_equal(b.labels[3], OP_NO_LABEL);
    assert_false(batch_add(&b, tokens, 3, 0));
    assert_true(batch_add(&b, tokens, 2, 0));
    assert_int_equal(b.labels[4], 6);
    assert_false(batch_add(&b, tokens, 0, 0));
    batch_release(&b);
}

static void test_a_lean_pass_gives_the_same_logits_in_less_memory(void **state)
{
    struct model_config c = config_of(true);
    struct pass_room full = { 64, 16, true }, lean = { 64, 16, false };
    struct model *m;
    struct pass *a, *b;
    struct batch batch;
    struct pass_batch view;
    double loss[2];

    (void)state;
    assert_ok(model_new(&c, 3, &m));
    assert_ok(pass_new(m, &full, &a));
    assert_ok(pass_new(m, &lean, &b));
    batch_init(&batch, 4, 64);
    fill_batch(&batch, c.vocab, 0);
    view = batch_view(&batch);
    assert_ok(pass_forward(a, &view, &loss[0]));
    assert_ok(pass_forward(b, &view, &loss[1]));
    assert_true(loss[0] == loss[1] && loss[0] > 2.0);
    assert_memory_equal(pass_logits(a), pass_logits(b),
                        batch.rows * c.vocab * sizeof(float));
    assert_true(pass_bytes(&c, &lean) * 2 < pass_bytes(&c, &full));
    pass_free(a);
    pass_free(b);
    batch_release(&batch);
    model_free(m);
}

/* A sequence alone gives what it gives behind another one. */
static void test_sequences_of_a_batch_do_not_see_each_other(void **state)
{
    struct model_config c = config_of(true);
    struct pass_room room = { 64, 16, false };
    struct model *m;
    struct pass *p;
    struct batch batch;
    struct pass_batch view;
    const int32_t tokens[] = { 3, 1, 4, 1, 5, 9, 2, 6 };
    float alone[8 * 29];
    double loss;

    (void)state;
    assert_ok(model_new(&c, 3, &m));
    assert_ok(pass_new(m, &room, &p));
    batch_init(&batch, 4, 64);
    assert_true(batch_add(&batch, tokens, 8, 0));
    view = batch_view(&batch);
    assert_ok(pass_forward(p, &view, &loss));
    memcpy(alone, pass_logits(p), sizeof(alone));
    fill_batch(&batch, c.vocab, 1);
    assert_true(batch_add(&batch, tokens, 8, 0));
    view = batch_view(&batch);
    assert_ok(pass_forward(p, &view, &loss));
    for (size_t i = 0; i < COUNT_OF(alone); i++)
        assert_true(
            fabsf(alone[i] - pass_logits(p)[(batch.rows - 8) * c.vocab + i]) <
            1e-5F);
    pass_free(p);
    batch_release(&batch);
    model_free(m);
}

static void check_loss_slope(bool tied)
{
    struct model_config c = config_of(tied);
    struct pass_room room = { 64, 16, true };
    struct model *m;
    struct pass *p;
    struct batch batch;
    struct pass_batch view;
    double up, down, loss;

    assert_ok(model_new(&c, 3, &m));
    assert_ok(pass_new(m, &room, &p));
    batch_init(&batch, 4, 64);
    fill_batch(&batch, c.vocab, 0);
    view = batch_view(&batch);
    assert_ok(pass_forward(p, &view, &loss));
    pass_backward(p);
    for (size_t i = 0; i < m->size; i += 97) {
        float saved = m->block[i], h = 2e-3F;
        double wanted, is = (double)pass_gradients(p)[i];

        m->block[i] = saved + h;
        assert_ok(pass_forward(p, &view, &up));
        m->block[i] = saved - h;
        assert_ok(pass_forward(p, &view, &down));
        m->block[i] = saved;
        wanted = (up - down) / (2.0 * (double)h);
        if (!(fabs(is - wanted) < 2e-3 * (0.05 + fabs(wanted))))
            fail_msg("parameter %zu: %.9g is not %.9g", i, is, wanted);
    }
    pass_free(p);
    batch_release(&batch);
    model_free(m);
}

static void test_the_whole_model_has_the_gradient_of_its_loss(void **state)
{
    (void)state;
    check_loss_slope(true);
    check_loss_slope(false);
}

static void train(struct model *m, int steps)
{
    struct pass_room room = { 64, 16, true };
    struct adamw a = {
        .rate = 1e-2, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .decay = 0.01
    };
    struct pass *p;
    struct batch batch;
    double loss;

    assert_ok(pass_new(m, &room, &p));
    assert_ok(adamw_init(&a, m->size));
    batch_init(&batch, 4, 64);
    for (int i = 0; i < steps; i++) {
        struct pass_batch view;

        fill_batch(&batch, m->config.vocab, i % 5);
        view = batch_view(&batch);
        pass_clear_gradients(p);
        assert_ok(pass_forward(p, &view, &loss));
        pass_backward(p);
        (void)optim_clip(pass_gradients(p), m->size, 1.0);
        adamw_step(&a, 1.0, m->block, pass_gradients(p));
    }
    assert_true(loss < 1.5);
    adamw_release(&a);
    batch_release(&batch);
    pass_free(p);
}

static void test_training_twice_gives_the_same_bytes(void **state)
{
    struct model_config c = config_of(true);
    struct model *a, *b, *other;

    (void)state;
    assert_ok(model_new(&c, 5, &a));
    assert_ok(model_new(&c, 5, &b));
    assert_ok(model_new(&c, 6, &other));
    assert_memory_not_equal(a->block, other->block, a->size * sizeof(float));
    train(a, 60);
    train(b, 60);
    assert_memory_equal(a->block, b->block, a->size * sizeof(float));
    model_free(a);
    model_free(b);
    model_free(other);
}

static void test_batches_that_do_not_fit_are_refused(void **state)
{
    struct model_config c = config_of(true);
    struct pass_room room = { 16, 8, false };
    struct model *m;
    struct pass *p;
    uint32_t starts[] = { 0, 9 };
    int32_t tokens[20] = { 0 }, labels[20] = { 0 };
    struct pass_batch b = { 1, starts, tokens, labels };
    double loss;

    (void)state;
    assert_ok(model_new(&c, 5, &m));
    assert_ok(pass_new(m, &room, &p));
    assert_fails(pass_forward(p, &b, &loss), STATUS_INVALID, "9 tokens");
    starts[1] = 17;
    assert_fails(pass_forward(p, &b, &loss), STATUS_INVALID, "room for 16");
    starts[1] = 0;
    assert_fails(pass_forward(p, &b, &loss), STATUS_INVALID, "empty");
    starts[1] = 4;
    tokens[2] = 29;
    assert_fails(pass_forward(p, &b, &loss), STATUS_INVALID,
                 "token 29 is outside the model's vocabulary of 29");
    tokens[2] = 0;
    labels[3] = 31;
    assert_fails(pass_forward(p, &b, &loss), STATUS_INVALID, "label 31");
    pass_free(p);
    room.longest = 33;
    room.rows = 64;
    assert_fails(pass_new(m, &room, &p), STATUS_INVALID, "too long");
    room.rows = 8;
    assert_fails(pass_new(m, &room, &p), STATUS_INVALID, "cannot hold");
    model_free(m);
}

static void test_the_place_of_the_first_nan_is_told(void **state)
{
    struct model_config c = config_of(true);
    struct pass_room room = { 64, 16, true };
    struct model *m;
    struct pass *p;
    struct batch batch;
    struct pass_batch view;
    char where[128];
    double loss;

    (void)state;
    assert_ok(model_new(&c, 5, &m));
    assert_ok(pass_new(m, &room, &p));
    batch_init(&batch, 4, 64);
    fill_batch(&batch, c.vocab, 0);
    view = batch_view(&batch);
    assert_ok(pass_forward(p, &view, &loss));
    assert_false(pass_not_finite(p, where, sizeof(where)));
    m->block[model_find(m, "model.layers.1.mlp.up_proj.weight")->at + 3] =
        INFINITY;
    assert_ok(pass_forward(p, &view, &loss));
    assert_true(!isfinite(loss));
    assert_true(pass_not_finite(p, where, sizeof(where)));
    assert_string_equal(where, "up projection of layer 1");
    pass_free(p);
    batch_release(&batch);
    model_free(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_config_survives_writing_and_reading),
        cmocka_unit_test(test_wrong_configs_are_refused_by_key),
        cmocka_unit_test(test_a_checkpoint_is_loaded_by_name),
        cmocka_unit_test(test_faults_of_a_checkpoint_name_the_tensor),
        cmocka_unit_test(test_labels_are_the_tokens_that_follow),
        cmocka_unit_test(test_a_lean_pass_gives_the_same_logits_in_less_memory),
        cmocka_unit_test(test_sequences_of_a_batch_do_not_see_each_other),
        cmocka_unit_test(test_the_whole_model_has_the_gradient_of_its_loss),
        cmocka_unit_test(test_training_twice_gives_the_same_bytes),
        cmocka_unit_test(test_batches_that_do_not_fit_are_refused),
        cmocka_unit_test(test_the_place_of_the_first_nan_is_told),
    };

    blas_set_threads(1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
