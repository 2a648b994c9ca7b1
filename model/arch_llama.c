/* arch_llama.c -- Llama and its family: pre-normalised residual blocks with
 * rotary places, grouped query attention and a gated feed-forward layer.
 * Mistral sees a window of the text; Qwen2 has biases at queries, keys and
 * values. */
#include "model/arch_text.h"

/* Buffers that old checkpoints carry. */
static const char *const ignored[] = { "rotary_emb.inv_freq", NULL };

static int linear(const struct text_layer *l, bool biased, const char *label,
                  const char *name, size_t out, int x, int r)
{
    return biased ? text_linear(l, label, name, out, x, r)
                  : text_linear_plain(l, label, name, out, x, r);
}

/* One of queries, keys, values. */
static int project(const struct text_layer *l, const char *label,
                   const char *name, size_t heads, int x)
{
    return linear(l, l->c->attention_bias, label, name, heads * l->c->head_dim,
                  x, 0);
}

static int attend(const struct text_layer *l, int x)
{
    int normed = text_norm(l, "normalised stream", "input_layernorm", x);
    int q = project(l, "queries", "self_attn.q_proj", l->c->heads, normed);
    int k = project(l, "keys", "self_attn.k_proj", l->c->kv_heads, normed);
    int v = project(l, "values", "self_attn.v_proj", l->c->kv_heads, normed);

    q = arch_rope(l->g, l->c, "rotated queries", q);
    k = arch_rope(l->g, l->c, "rotated keys", k);
    return linear(l, l->c->output_bias, "residual stream behind the attention",
                  "self_attn.o_proj", l->c->hidden,
                  arch_attention(l->g, l->c, q, k, v), x);
}

static int layer(const struct text_layer *l, int x)
{
    const struct model_config *c = l->c;
    int between = attend(l, x);
    int normed = text_norm(l, "normalised stream behind the attention",
                           "post_attention_layernorm", between);
    int gate = linear(l, c->mlp_bias, "gate projection", "mlp.gate_proj",
                      c->inner, normed, 0);
    int up = linear(l, c->mlp_bias, "up projection", "mlp.up_proj", c->inner,
                    normed, 0);
    const struct graph_step swiglu = { .op = &op_swiglu, .in = { gate, up } };

    return linear(l, c->mlp_bias, "residual stream", "mlp.down_proj", c->hidden,
                  graph_step(l->g, "gated values", c->inner, &swiglu), between);
}

static struct graph *build(const struct model_config *c)
{
    static const struct arch_text names = {
        .table = "model.embed_tokens.weight",
        .layers = "model.layers",
        .norm = "model.norm",
        .head = "lm_head.weight",
        .normalise = arch_rmsnorm,
        .layer = layer,
    };

    return arch_text_build(c, &names);
}

/* Variants of the family that compute something else. */
static struct status refuse_variants(const json_t *json)
{
    const char *act = json_text_or(json, "hidden_act", "silu");
    const json_t *scaling = json_object_get(json, "rope_scaling");

    if (strcmp(act, "silu") != 0)
        return FAIL(STATUS_INVALID,
                    "config.json: \"hidden_act\" is \"%.40s\"; a llama model "
                    "has \"silu\"",
                    act);
    if (scaling != NULL && !json_is_null(scaling))
        return FAIL(STATUS_INVALID,
                    "config.json: \"rope_scaling\" cannot be computed; use a "
                    "model without it");
    return SUCCESS;
}

/* What the family has in common. */
static struct status read_family(const json_t *json, struct model_config *c)
{
    enum { MOST = 1 << 20 };

    TRY_PLAIN(refuse_variants(json));
    TRY_PLAIN(config_number(json, "hidden_size", 0, MOST, &c->hidden));
    TRY_PLAIN(config_number(json, "num_hidden_layers", 0, 4096, &c->layers));
    TRY_PLAIN(config_number(json, "intermediate_size", 0, MOST, &c->inner));
    TRY_PLAIN(config_number(json, "vocab_size", 0, 1 << 24, &c->vocab));
    TRY_PLAIN(
        config_heads(json, "num_attention_heads", "num_key_value_heads", c));
    TRY_PLAIN(config_number(json, "max_position_embeddings", 2048, 1 << 30,
                            &c->positions));
    TRY_PLAIN(config_epsilon(json, "rms_norm_eps", 1e-6, &c->norm_eps));
    c->rope_theta = json_real_or(json, "rope_theta", 10000.0);
    c->tied = json_bool_or(json, "tie_word_embeddings", false);
    c->rotary = c->head_dim;
    if (!(c->rope_theta > 1.0))
        return FAIL(STATUS_INVALID,
                    "config.json: \"rope_theta\" is %g; it is above 1",
                    c->rope_theta);
    if (c->head_dim % 2 != 0)
        return FAIL(STATUS_INVALID,
                    "config.json: heads of %u numbers cannot be rotated in "
                    "pairs; make \"head_dim\" even",
                    c->head_dim);
    return SUCCESS;
}

static struct status read_llama(const json_t *json, struct model_config *c)
{
    c->attention_bias = json_bool_or(json, "attention_bias", false);
    c->output_bias = c->attention_bias;
    c->mlp_bias = json_bool_or(json, "mlp_bias", false);
    return read_family(json, c);
}

/* A window of null is none; absent, the published one. */
static struct status read_mistral(const json_t *json, struct model_config *c)
{
    const json_t *window = json_object_get(json, "sliding_window");

    TRY_PLAIN(read_family(json, c));
    if (window != NULL && json_is_null(window))
        return SUCCESS;
    return config_number(json, "sliding_window", 4096, 1 << 30, &c->window);
}

static struct status read_qwen2(const json_t *json, struct model_config *c)
{
    c->attention_bias = true;
    TRY_PLAIN(config_must_be(json, "use_sliding_window", false));
    return read_family(json, c);
}

static json_t *write_family(const struct model_config *c)
{
    return json_pack("{si si si si si si si si sf sf sb ss}", "hidden_size",
                     (int)c->hidden, "intermediate_size", (int)c->inner,
                     "num_hidden_layers", (int)c->layers, "num_attention_heads",
                     (int)c->heads, "num_key_value_heads", (int)c->kv_heads,
                     "head_dim", (int)c->head_dim, "vocab_size", (int)c->vocab,
                     "max_position_embeddings", (int)c->positions,
                     "rms_norm_eps", config_decimal(c->norm_eps), "rope_theta",
                     c->rope_theta, "tie_word_embeddings", (int)c->tied,
                     "hidden_act", "silu");
}

static json_t *write_llama(const struct model_config *c)
{
    json_t *json = write_family(c);

    (void)json_object_set_new(json, "attention_bias",
                              json_boolean(c->attention_bias));
    (void)json_object_set_new(json, "mlp_bias", json_boolean(c->mlp_bias));
    return json;
}

static json_t *write_mistral(const struct model_config *c)
{
    json_t *json = write_family(c);

    (void)json_object_set_new(json, "sliding_window",
                              c->window == 0 ? json_null()
                                             : json_integer(c->window));
    return json;
}

static json_t *write_qwen2(const struct model_config *c)
{
    json_t *json = write_family(c);

    (void)json_object_set_new(json, "use_sliding_window", json_false());
    return json;
}

static const struct arch_init init[] = {
    ARCH_TEXT_INIT,         { "kv_heads", NULL }, { "rope_theta", "10000.0" },
    { "norm_eps", "1e-5" }, { NULL, NULL },
};

const struct arch arch_llama = {
    .model_type = "llama",
    .hf_class = "LlamaForCausalLM",
    .ignored = ignored,
    .init = init,
    .inner = 3,
    .read = read_llama,
    .write = write_llama,
    .build = build,
};

static const struct arch_init windowed_init[] = {
    ARCH_TEXT_INIT,         { "kv_heads", NULL }, { "rope_theta", "10000.0" },
    { "norm_eps", "1e-5" }, { "window", NULL },   { NULL, NULL },
};

const struct arch arch_mistral = {
    .model_type = "mistral",
    .hf_class = "MistralForCausalLM",
    .ignored = ignored,
    .init = windowed_init,
    .inner = 3,
    .read = read_mistral,
    .write = write_mistral,
    .build = build,
};

const struct arch arch_qwen2 = {
    .model_type = "qwen2",
    .hf_class = "Qwen2ForCausalLM",
    .ignored = ignored,
    .init = init,
    .inner = 3,
    .read = read_qwen2,
    .write = write_qwen2,
    .build = build,
};
