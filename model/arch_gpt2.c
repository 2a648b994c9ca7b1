/* arch_gpt2.c -- GPT-2: pre-normalised blocks whose weights lie [in][out],
 * queries, keys and values from one product, learned places. */
#include "model/arch_text.h"

/* Buffers that old checkpoints carry. */
static const char *const ignored[] = { "attn.bias", "attn.masked_bias", NULL };

static int layer(const struct text_layer *l, int x)
{
    size_t width = l->c->hidden;
    int normed = text_norm(l, "normalised stream", "ln_1", x);
    int all = text_linear(l, "queries, keys and values", "attn.c_attn",
                          3 * width, normed, 0);
    int between =
        text_linear(l, "residual stream behind the attention", "attn.c_proj",
                    width, arch_joint_attention(l->g, l->c, all), x);

    normed =
        text_norm(l, "normalised stream behind the attention", "ln_2", between);
    return text_feed(l, "mlp.c_fc", "mlp.c_proj", normed, between);
}

static struct graph *build(const struct model_config *c)
{
    static const struct arch_text names = {
        .table = "transformer.wte.weight",
        .places = "transformer.wpe.weight",
        .layers = "transformer.h",
        .norm = "transformer.ln_f",
        .head = "lm_head.weight",
        .turned = true,
        .normalise = arch_layernorm,
        .layer = layer,
    };

    return arch_text_build(c, &names);
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

static const struct arch_init init[] = {
    ARCH_TEXT_INIT,
    { "activation", "\"gelu_new\"" },
    { "norm_eps", "1e-5" },
    { NULL, NULL },
};

const struct arch arch_gpt2 = {
    .model_type = "gpt2",
    .hf_class = "GPT2LMHeadModel",
    .prefix = "transformer.",
    .ignored = ignored,
    .init = init,
    .inner = 4,
    .read = read_config,
    .write = write_config,
    .build = build,
};
