/* arch_opt.c -- OPT: pre-normalised blocks with biases everywhere and learned
 * places, the first of which stands in row 2 of their table. */
#include "model/arch_text.h"

static const char *const ignored[] = { NULL };

static int layer(const struct text_layer *l, int x)
{
    size_t width = l->c->hidden;
    int normed = text_norm(l, "normalised stream", "self_attn_layer_norm", x);
    int q = text_linear(l, "queries", "self_attn.q_proj", width, normed, 0);
    int k = text_linear(l, "keys", "self_attn.k_proj", width, normed, 0);
    int v = text_linear(l, "values", "self_attn.v_proj", width, normed, 0);
    int between = text_linear(l, "residual stream behind the attention",
                              "self_attn.out_proj", width,
                              arch_attention(l->g, l->c, q, k, v), x);

    normed = text_norm(l, "normalised stream behind the attention",
                       "final_layer_norm", between);
    return text_feed(l, "fc1", "fc2", normed, between);
}

static struct graph *build(const struct model_config *c)
{
    static const struct arch_text names = {
        .table = "model.decoder.embed_tokens.weight",
        .places = "model.decoder.embed_positions.weight",
        .first_place = 2,
        .layers = "model.decoder.layers",
        .norm = "model.decoder.final_layer_norm",
        .head = "lm_head.weight",
        .normalise = arch_layernorm,
        .layer = layer,
    };

    return arch_text_build(c, &names);
}

static struct status read_config(const json_t *json, struct model_config *c)
{
    enum { MOST = 1 << 20 };
    uint32_t projected;

    TRY_PLAIN(config_number(json, "hidden_size", 0, MOST, &c->hidden));
    TRY_PLAIN(config_number(json, "num_hidden_layers", 0, 4096, &c->layers));
    TRY_PLAIN(config_number(json, "ffn_dim", 0, MOST, &c->inner));
    TRY_PLAIN(config_number(json, "vocab_size", 0, 1 << 24, &c->vocab));
    TRY_PLAIN(config_heads(json, "num_attention_heads", NULL, c));
    TRY_PLAIN(config_number(json, "max_position_embeddings", 2048, 1 << 24,
                            &c->positions));
    TRY_PLAIN(config_number(json, "word_embed_proj_dim", c->hidden, MOST,
                            &projected));
    TRY_PLAIN(config_curve(json, "activation_function", "relu", &c->curve));
    TRY_PLAIN(config_must_be(json, "do_layer_norm_before", true));
    TRY_PLAIN(config_must_be(json, "enable_bias", true));
    TRY_PLAIN(config_must_be(json, "layer_norm_elementwise_affine", true));
    TRY_PLAIN(config_must_be(json, "_remove_final_layer_norm", false));
    if (projected != c->hidden)
        return FAIL(STATUS_INVALID,
                    "config.json: \"word_embed_proj_dim\" %u is not "
                    "\"hidden_size\" %u, which cannot be computed",
                    projected, c->hidden);
    c->tied = json_bool_or(json, "tie_word_embeddings", true);
    c->norm_eps = 1e-5F;
    return SUCCESS;
}

static json_t *write_config(const struct model_config *c)
{
    return json_pack(
        "{si si si si si si si ss sb sb}", "hidden_size", (int)c->hidden,
        "ffn_dim", (int)c->inner, "num_hidden_layers", (int)c->layers,
        "num_attention_heads", (int)c->heads, "vocab_size", (int)c->vocab,
        "max_position_embeddings", (int)c->positions, "word_embed_proj_dim",
        (int)c->hidden, "activation_function", config_curve_name(c->curve),
        "tie_word_embeddings", (int)c->tied, "do_layer_norm_before", 1);
}

static const struct arch_init init[] = {
    ARCH_TEXT_INIT,
    { "activation", "\"relu\"" },
    { NULL, NULL },
};

const struct arch arch_opt = {
    .model_type = "opt",
    .hf_class = "OPTForCausalLM",
    .prefix = "model.",
    .ignored = ignored,
    .init = init,
    .inner = 4,
    .read = read_config,
    .write = write_config,
    .build = build,
};
