/* arch_opt.c -- OPT: pre-normalised blocks with biases everywhere and learned
 * places, the first of which stands in row 2 of their table. */
#include "model/arch_rows.h"

enum { FIRST_PLACE = 2 };

static const char *const ignored[] = { NULL };

/* x w^T + b + r, the weight and bias of "model.decoder.layers.N.NAME". */
static int project(struct graph *g, const char *label, size_t layer,
                   const char *name, size_t out, int x, int r)
{
    int w = graph_parameter(
        g, ROLE_MATRIX, r == 0 ? INIT_FAN_IN : INIT_RESIDUAL, out,
        graph_width(g, x), "model.decoder.layers.%zu.%s.weight", layer, name);
    int b = graph_parameter(g, ROLE_BIAS, INIT_ZEROS, out, 0,
                            "model.decoder.layers.%zu.%s.bias", layer, name);

    return arch_linear(g, label, x, w, b, r);
}

static int norm(struct graph *g, const struct model_config *c,
                const char *label, size_t layer, const char *name, int x)
{
    char whole[96];

    (void)snprintf(whole, sizeof(whole), "model.decoder.layers.%zu.%s", layer,
                   name);
    return arch_layernorm(g, c, label, x, whole);
}

static int block(struct graph *g, const struct model_config *c, size_t layer,
                 int x)
{
    size_t width = c->hidden;
    int normed =
        norm(g, c, "normalised stream", layer, "self_attn_layer_norm", x);
    int q = project(g, "queries", layer, "self_attn.q_proj", width, normed, 0);
    int k = project(g, "keys", layer, "self_attn.k_proj", width, normed, 0);
    int v = project(g, "values", layer, "self_attn.v_proj", width, normed, 0);
    int mixed = arch_attention(g, c, q, k, v);
    int between = project(g, "residual stream behind the attention", layer,
                          "self_attn.out_proj", width, mixed, x);
    int inner;

    normed = norm(g, c, "normalised stream behind the attention", layer,
                  "final_layer_norm", between);
    inner = project(g, "first projection", layer, "fc1", c->inner, normed, 0);
    inner = arch_curve(g, "curved values", c->curve, inner);
    return project(g, "residual stream", layer, "fc2", width, inner, between);
}

static struct graph *build(const struct model_config *c)
{
    struct graph *g = graph_new(c->layers, 0);
    int table = graph_parameter(g, ROLE_EMBEDDING, INIT_EMBEDDING, c->vocab,
                                c->hidden, "model.decoder.embed_tokens.weight");
    int places = graph_parameter(g, ROLE_PLACES, INIT_EMBEDDING,
                                 (size_t)c->positions + FIRST_PLACE, c->hidden,
                                 "model.decoder.embed_positions.weight");
    const struct graph_step embed = {
        .op = &op_embedding,
        .in = { table, places },
        .shape = { .in = c->vocab,
                   .places = (size_t)c->positions + FIRST_PLACE,
                   .offset = FIRST_PLACE },
        .index = INDEX_TOKENS,
    };
    int x = graph_step(g, "residual stream", c->hidden, &embed);

    for (size_t layer = 0; layer < c->layers; layer++) {
        graph_end_section(g, x);
        x = block(g, c, layer, x);
    }
    graph_end_section(g, x);
    x = arch_layernorm(g, c, "normalised stream", x,
                       "model.decoder.final_layer_norm");
    if (!c->tied)
        table = graph_parameter(g, ROLE_HEAD, INIT_FAN_IN, c->vocab, c->hidden,
                                "lm_head.weight");
    graph_finish(g, arch_linear(g, "logits", x, table, 0, 0));
    return g;
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

const struct arch arch_opt = {
    .model_type = "opt",
    .hf_class = "OPTForCausalLM",
    .prefix = "model.",
    .ignored = ignored,
    .read = read_config,
    .write = write_config,
    .build = build,
};
