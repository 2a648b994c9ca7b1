/* arch_llama.c -- Llama and its family: pre-normalised residual blocks with
 * rotary places, grouped query attention and a gated feed-forward layer.
 * Mistral sees a window of the text; Qwen2 has biases at queries, keys and
 * values. */
#include "model/arch_rows.h"

/* Buffers that old checkpoints carry. */
static const char *const ignored[] = { "rotary_emb.inv_freq", NULL };

/* "model.layers.N.NAME.weight", and its bias if there is one. */
static int projection(struct graph *g, size_t layer, const char *name,
                      size_t out, size_t in, enum graph_init init)
{
    return graph_parameter(g, ROLE_MATRIX, init, out, in,
                           "model.layers.%zu.%s.weight", layer, name);
}

static int bias(struct graph *g, bool there, size_t layer, const char *name,
                size_t out)
{
    return there ? graph_parameter(g, ROLE_BIAS, INIT_ZEROS, out, 0,
                                   "model.layers.%zu.%s.bias", layer, name)
                 : 0;
}

static int norm(struct graph *g, const struct model_config *c,
                const char *label, size_t layer, const char *name, int x)
{
    char whole[96];

    (void)snprintf(whole, sizeof(whole), "model.layers.%zu.%s", layer, name);
    return arch_rmsnorm(g, c, label, x, whole);
}

/* One of queries, keys, values. */
static int project(struct graph *g, const struct model_config *c,
                   const char *label, size_t layer, const char *name,
                   size_t heads, int x)
{
    size_t width = heads * c->head_dim;

    return arch_linear(
        g, label, x, projection(g, layer, name, width, c->hidden, INIT_FAN_IN),
        bias(g, c->attention_bias, layer, name, width), 0);
}

static int attend(struct graph *g, const struct model_config *c, size_t layer,
                  int x)
{
    int normed = norm(g, c, "normalised stream", layer, "input_layernorm", x);
    int q =
        project(g, c, "queries", layer, "self_attn.q_proj", c->heads, normed);
    int k =
        project(g, c, "keys", layer, "self_attn.k_proj", c->kv_heads, normed);
    int v =
        project(g, c, "values", layer, "self_attn.v_proj", c->kv_heads, normed);
    int mixed;

    q = arch_rope(g, c, "rotated queries", q);
    k = arch_rope(g, c, "rotated keys", k);
    mixed = arch_attention(g, c, q, k, v);
    return arch_linear(
        g, "residual stream behind the attention", mixed,
        projection(g, layer, "self_attn.o_proj", c->hidden,
                   (size_t)c->heads * c->head_dim, INIT_RESIDUAL),
        bias(g, c->output_bias, layer, "self_attn.o_proj", c->hidden), x);
}

static int feed(struct graph *g, const struct model_config *c, size_t layer,
                int x)
{
    int normed = norm(g, c, "normalised stream behind the attention", layer,
                      "post_attention_layernorm", x);
    int gate = arch_linear(
        g, "gate projection", normed,
        projection(g, layer, "mlp.gate_proj", c->inner, c->hidden, INIT_FAN_IN),
        bias(g, c->mlp_bias, layer, "mlp.gate_proj", c->inner), 0);
    int up = arch_linear(
        g, "up projection", normed,
        projection(g, layer, "mlp.up_proj", c->inner, c->hidden, INIT_FAN_IN),
        bias(g, c->mlp_bias, layer, "mlp.up_proj", c->inner), 0);
    const struct graph_step swiglu = { .op = &op_swiglu, .in = { gate, up } };
    int gated = graph_step(g, "gated values", c->inner, &swiglu);

    return arch_linear(g, "residual stream", gated,
                       projection(g, layer, "mlp.down_proj", c->hidden,
                                  c->inner, INIT_RESIDUAL),
                       bias(g, c->mlp_bias, layer, "mlp.down_proj", c->hidden),
                       x);
}

static struct graph *build(const struct model_config *c)
{
    struct graph *g = graph_new(c->layers, 0);
    int table = graph_parameter(g, ROLE_EMBEDDING, INIT_EMBEDDING, c->vocab,
                                c->hidden, "model.embed_tokens.weight");
    const struct graph_step embed = {
        .op = &op_embedding,
        .in = { table },
        .shape.in = c->vocab,
        .index = INDEX_TOKENS,
    };
    int x = graph_step(g, "residual stream", c->hidden, &embed);

    for (size_t layer = 0; layer < c->layers; layer++) {
        graph_end_section(g, x);
        x = feed(g, c, layer, attend(g, c, layer, x));
    }
    graph_end_section(g, x);
    x = arch_rmsnorm(g, c, "normalised stream", x, "model.norm");
    if (!c->tied)
        table = graph_parameter(g, ROLE_HEAD, INIT_FAN_IN, c->vocab, c->hidden,
                                "lm_head.weight");
    graph_finish(g, arch_linear(g, "logits", x, table, 0, 0));
    return g;
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

const struct arch arch_llama = {
    .model_type = "llama",
    .hf_class = "LlamaForCausalLM",
    .ignored = ignored,
    .read = read_llama,
    .write = write_llama,
    .build = build,
};

const struct arch arch_mistral = {
    .model_type = "mistral",
    .hf_class = "MistralForCausalLM",
    .ignored = ignored,
    .read = read_mistral,
    .write = write_mistral,
    .build = build,
};

const struct arch arch_qwen2 = {
    .model_type = "qwen2",
    .hf_class = "Qwen2ForCausalLM",
    .ignored = ignored,
    .read = read_qwen2,
    .write = write_qwen2,
    .build = build,
};
