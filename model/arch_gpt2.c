/* arch_gpt2.c -- GPT-2: pre-normalised blocks whose weights lie [in][out],
 * queries, keys and values from one product, learned places. */
#include "model/arch_rows.h"

/* Buffers that old checkpoints carry. */
static const char *const ignored[] = { "attn.bias", "attn.masked_bias", NULL };

/* x w + b + r, the weight and bias of "transformer.h.N.NAME". */
static int project(struct graph *g, const char *label, size_t layer,
                   const char *name, size_t out, int x, int r)
{
    int w = graph_parameter(
        g, ROLE_MATRIX, r == 0 ? INIT_FAN_IN : INIT_RESIDUAL, graph_width(g, x),
        out, "transformer.h.%zu.%s.weight", layer, name);
    int b = graph_parameter(g, ROLE_BIAS, INIT_ZEROS, out, 0,
                            "transformer.h.%zu.%s.bias", layer, name);

    graph_turned(g, w);
    return arch_linear_turned(g, label, x, w, b, r);
}

static int norm(struct graph *g, const struct model_config *c,
                const char *label, size_t layer, const char *name, int x)
{
    char whole[96];

    (void)snprintf(whole, sizeof(whole), "transformer.h.%zu.%s", layer, name);
    return arch_layernorm(g, c, label, x, whole);
}

static int block(struct graph *g, const struct model_config *c, size_t layer,
                 int x)
{
    size_t width = c->hidden;
    int normed = norm(g, c, "normalised stream", layer, "ln_1", x);
    int all = project(g, "queries, keys and values", layer, "attn.c_attn",
                      3 * width, normed, 0);
    int q = arch_part(g, "queries", all, 0, width, 3 * width);
    int k = arch_part(g, "keys", all, width, width, 3 * width);
    int v = arch_part(g, "values", all, 2 * width, width, 3 * width);
    int mixed = arch_attention(g, c, q, k, v);
    int between = project(g, "residual stream behind the attention", layer,
                          "attn.c_proj", width, mixed, x);
    int inner;

    normed = norm(g, c, "normalised stream behind the attention", layer, "ln_2",
                  between);
    inner =
        project(g, "first projection", layer, "mlp.c_fc", c->inner, normed, 0);
    inner = arch_curve(g, "curved values", c->curve, inner);
    return project(g, "residual stream", layer, "mlp.c_proj", width, inner,
                   between);
}

static struct graph *build(const struct model_config *c)
{
    struct graph *g = graph_new(c->layers, 0);
    int table = graph_parameter(g, ROLE_EMBEDDING, INIT_EMBEDDING, c->vocab,
                                c->hidden, "transformer.wte.weight");
    int places = graph_parameter(g, ROLE_PLACES, INIT_EMBEDDING, c->positions,
                                 c->hidden, "transformer.wpe.weight");
    const struct graph_step embed = {
        .op = &op_embedding,
        .in = { table, places },
        .shape = { .in = c->vocab, .places = c->positions },
        .index = INDEX_TOKENS,
    };
    int x = graph_step(g, "residual stream", c->hidden, &embed);

    for (size_t layer = 0; layer < c->layers; layer++) {
        graph_end_section(g, x);
        x = block(g, c, layer, x);
    }
    graph_end_section(g, x);
    x = arch_layernorm(g, c, "normalised stream", x, "transformer.ln_f");
    if (!c->tied)
        table = graph_parameter(g, ROLE_HEAD, INIT_FAN_IN, c->vocab, c->hidden,
                                "lm_head.weight");
    graph_finish(g, arch_linear(g, "logits", x, table, 0, 0));
    return g;
}

static struct status read_config(const json_t *json, struct model_config *c)
{
    enum { MOST = 1 << 20, WIDEST = 4 << 20 };

    TRY_PLAIN(config_number(json, "n_embd", 0, MOST, &c->hidden));
    TRY_PLAIN(config_number(json, "n_layer", 0, 4096, &c->layers));
    TRY_PLAIN(config_number(json, "n_inner", (int64_t)4 * c->hidden, WIDEST,
                            &c->inner));
    TRY_PLAIN(config_number(json, "vocab_size", 0, 1 << 24, &c->vocab));
    TRY_PLAIN(config_heads(json, "n_head", NULL, c));
    TRY_PLAIN(config_number(json, "n_positions", 1024, 1 << 24, &c->positions));
    TRY_PLAIN(config_curve(json, "activation_function", "gelu_new", &c->curve));
    TRY_PLAIN(config_epsilon(json, "layer_norm_epsilon", 1e-5, &c->norm_eps));
    TRY_PLAIN(config_must_be(json, "scale_attn_weights", true));
    TRY_PLAIN(config_must_be(json, "scale_attn_by_inverse_layer_idx", false));
    c->tied = json_bool_or(json, "tie_word_embeddings", true);
    return SUCCESS;
}

static json_t *write_config(const struct model_config *c)
{
    return json_pack("{si si si si si si ss sf sb}", "n_embd", (int)c->hidden,
                     "n_inner", (int)c->inner, "n_layer", (int)c->layers,
                     "n_head", (int)c->heads, "vocab_size", (int)c->vocab,
                     "n_positions", (int)c->positions, "activation_function",
                     config_curve_name(c->curve), "layer_norm_epsilon",
                     config_decimal(c->norm_eps), "tie_word_embeddings",
                     (int)c->tied);
}

const struct arch arch_gpt2 = {
    .model_type = "gpt2",
    .hf_class = "GPT2LMHeadModel",
    .prefix = "transformer.",
    .ignored = ignored,
    .read = read_config,
    .write = write_config,
    .build = build,
};
