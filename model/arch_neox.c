/* arch_neox.c -- GPT-NeoX (Pythia): the heads' queries, keys and values lie
 * one behind the other, a part of each head is rotated, and both branches of
 * a block may read the same stream. */
#include "model/arch_text.h"

/* Buffers that old checkpoints carry. */
static const char *const ignored[] = { "attention.bias",
                                       "attention.masked_bias",
                                       "rotary_emb.inv_freq", NULL };

static int attend(const struct text_layer *l, int x)
{
    size_t head = l->c->head_dim;
    int normed = text_norm(l, "normalised stream", "input_layernorm", x);
    int all =
        text_linear(l, "queries, keys and values", "attention.query_key_value",
                    3 * (size_t)l->c->hidden, normed, 0);
    int q = arch_part(l->g, "queries", all, 0, head, 3 * head);
    int k = arch_part(l->g, "keys", all, head, head, 3 * head);
    int v = arch_part(l->g, "values", all, 2 * head, head, 3 * head);

    q = arch_rope(l->g, l->c, "rotated queries", q);
    k = arch_rope(l->g, l->c, "rotated keys", k);
    return text_linear(l, "residual stream behind the attention",
                       "attention.dense", l->c->hidden,
                       arch_attention(l->g, l->c, q, k, v), x);
}

/* In parallel, the feed-forward layer reads what the attention read. */
static int layer(const struct text_layer *l, int x)
{
    int between = attend(l, x);
    int normed =
        text_norm(l, "normalised stream behind the attention",
                  "post_attention_layernorm", l->c->parallel ? x : between);

    return text_feed(l, "mlp.dense_h_to_4h", "mlp.dense_4h_to_h", normed,
                     between);
}

static struct graph *build(const struct model_config *c)
{
    static const struct arch_text names = {
        .table = "gpt_neox.embed_in.weight",
        .layers = "gpt_neox.layers",
        .norm = "gpt_neox.final_layer_norm",
        .head = "embed_out.weight",
        .normalise = arch_layernorm,
        .layer = layer,
    };

    return arch_text_build(c, &names);
}

static struct status read_rotary(const json_t *json, struct model_config *c)
{
    double share = json_real_or(json, "rotary_pct", 0.25);
    const json_t *scaling = json_object_get(json, "rope_scaling");

    c->rope_theta = json_real_or(json, "rotary_emb_base", 10000.0);
    c->rotary = (uint32_t)(share * c->head_dim);
    if (!(share > 0.0 && share <= 1.0) || c->rotary % 2 != 0 || c->rotary == 0)
        return FAIL(STATUS_INVALID,
                    "config.json: \"rotary_pct\" %g of heads of %u numbers is "
                    "no even number of them",
                    share, c->head_dim);
    if (!(c->rope_theta > 1.0))
        return FAIL(STATUS_INVALID,
                    "config.json: \"rotary_emb_base\" is %g; it is above 1",
                    c->rope_theta);
    if (scaling != NULL && !json_is_null(scaling))
        return FAIL(STATUS_INVALID,
                    "config.json: \"rope_scaling\" cannot be computed; use a "
                    "model without it");
    return SUCCESS;
}

static struct status read_config(const json_t *json, struct model_config *c)
{
    enum { MOST = 1 << 20, WIDEST = 4 << 20 };

    TRY_PLAIN(config_number(json, "hidden_size", 0, MOST, &c->hidden));
    TRY_PLAIN(config_number(json, "num_hidden_layers", 0, 4096, &c->layers));
    TRY_PLAIN(config_number(json, "intermediate_size", (int64_t)4 * c->hidden,
                            WIDEST, &c->inner));
    TRY_PLAIN(config_number(json, "vocab_size", 0, 1 << 24, &c->vocab));
    TRY_PLAIN(config_heads(json, "num_attention_heads", NULL, c));
    TRY_PLAIN(config_number(json, "max_position_embeddings", 2048, 1 << 30,
                            &c->positions));
    TRY_PLAIN(config_curve(json, "hidden_act", "gelu", &c->curve));
    TRY_PLAIN(config_epsilon(json, "layer_norm_eps", 1e-5, &c->norm_eps));
    TRY_PLAIN(config_must_be(json, "attention_bias", true));
    c->parallel = json_bool_or(json, "use_parallel_residual", true);
    c->tied = json_bool_or(json, "tie_word_embeddings", false);
    return read_rotary(json, c);
}

static json_t *write_config(const struct model_config *c)
{
    return json_pack("{si si si si si si ss sf sf sf sb sb}", "hidden_size",
                     (int)c->hidden, "intermediate_size", (int)c->inner,
                     "num_hidden_layers", (int)c->layers, "num_attention_heads",
                     (int)c->heads, "vocab_size", (int)c->vocab,
                     "max_position_embeddings", (int)c->positions, "hidden_act",
                     config_curve_name(c->curve), "layer_norm_eps",
                     config_decimal(c->norm_eps), "rotary_pct",
                     (double)c->rotary / (double)c->head_dim, "rotary_emb_base",
                     c->rope_theta, "use_parallel_residual", (int)c->parallel,
                     "tie_word_embeddings", (int)c->tied);
}

static const struct arch_init init[] = {
    ARCH_TEXT_INIT,         { "rope_theta", "10000.0" },
    { "rotary", "0.25" },   { "activation", "\"gelu\"" },
    { "norm_eps", "1e-5" }, { NULL, NULL },
};

const struct arch arch_neox = {
    .model_type = "gpt_neox",
    .hf_class = "GPTNeoXForCausalLM",
    .ignored = ignored,
    .init = init,
    .inner = 4,
    .read = read_config,
    .write = write_config,
    .build = build,
};
