/* arch_neox.c -- GPT-NeoX (Pythia): the heads' queries, keys and values lie
 * one behind the other, a part of each head is rotated, and both branches of
 * a block may read the same stream. */
#include "model/arch_rows.h"

/* Buffers that old checkpoints carry. */
static const char *const ignored[] = { "attention.bias",
                                       "attention.masked_bias",
                                       "rotary_emb.inv_freq", NULL };

/* x w^T + b + r, the weight and bias of "gpt_neox.layers.N.NAME". */
static int project(struct graph *g, const char *label, size_t layer,
                   const char *name, size_t out, int x, int r)
{
    int w = graph_parameter(
        g, ROLE_MATRIX, r == 0 ? INIT_FAN_IN : INIT_RESIDUAL, out,
        graph_width(g, x), "gpt_neox.layers.%zu.%s.weight", layer, name);
    int b = graph_parameter(g, ROLE_BIAS, INIT_ZEROS, out, 0,
                            "gpt_neox.layers.%zu.%s.bias", layer, name);

    return arch_linear(g, label, x, w, b, r);
}

static int norm(struct graph *g, const struct model_config *c,
                const char *label, size_t layer, const char *name, int x)
{
    char whole[96];

    (void)snprintf(whole, sizeof(whole), "gpt_neox.layers.%zu.%s", layer, name);
    return arch_layernorm(g, c, label, x, whole);
}

static int attend(struct graph *g, const struct model_config *c, size_t layer,
                  int x)
{
    size_t head = c->head_dim;
    int normed = norm(g, c, "normalised stream", layer, "input_layernorm", x);
    int all =
        project(g, "queries, keys and values", layer,
                "attention.query_key_value", 3 * (size_t)c->hidden, normed, 0);
    int q = arch_part(g, "queries", all, 0, head, 3 * head);
    int k = arch_part(g, "keys", all, head, head, 3 * head);
    int v = arch_part(g, "values", all, 2 * head, head, 3 * head);

    q = arch_rope(g, c, "rotated queries", q);
    k = arch_rope(g, c, "rotated keys", k);
    return project(g, "residual stream behind the attention", layer,
                   "attention.dense", c->hidden, arch_attention(g, c, q, k, v),
                   x);
}

/* In parallel, the feed-forward layer reads what the attention read. */
static int block(struct graph *g, const struct model_config *c, size_t layer,
                 int x)
{
    int between = attend(g, c, layer, x);
    int normed = norm(g, c, "normalised stream behind the attention", layer,
                      "post_attention_layernorm", c->parallel ? x : between);
    int inner = project(g, "first projection", layer, "mlp.dense_h_to_4h",
                        c->inner, normed, 0);

    inner = arch_curve(g, "curved values", c->curve, inner);
    return project(g, "residual stream", layer, "mlp.dense_4h_to_h", c->hidden,
                   inner, between);
}

static struct graph *build(const struct model_config *c)
{
    struct graph *g = graph_new(c->layers, 0);
    int table = graph_parameter(g, ROLE_EMBEDDING, INIT_EMBEDDING, c->vocab,
                                c->hidden, "gpt_neox.embed_in.weight");
    const struct graph_step embed = {
        .op = &op_embedding,
        .in = { table },
        .shape.in = c->vocab,
        .index = INDEX_TOKENS,
    };
    int x = graph_step(g, "residual stream", c->hidden, &embed);

    for (size_t layer = 0; layer < c->layers; layer++) {
        graph_end_section(g, x);
        x = block(g, c, layer, x);
    }
    graph_end_section(g, x);
    x = arch_layernorm(g, c, "normalised stream", x,
                       "gpt_neox.final_layer_norm");
    if (!c->tied)
        table = graph_parameter(g, ROLE_HEAD, INIT_FAN_IN, c->vocab, c->hidden,
                                "embed_out.weight");
    graph_finish(g, arch_linear(g, "logits", x, table, 0, 0));
    return g;
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

const struct arch arch_neox = {
    .model_type = "gpt_neox",
    .hf_class = "GPTNeoXForCausalLM",
    .ignored = ignored,
    .read = read_config,
    .write = write_config,
    .build = build,
};
