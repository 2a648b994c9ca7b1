/* arch_bert.c -- blocks that are normalised behind each sum, learned places,
 * one of two kinds of tokens. */
#include "model/arch_bert.h"

#include "model/arch_text.h"

/* What stands behind the states, and a buffer of old checkpoints. */
static const char *const ignored[] = {
    "embeddings.position_ids",
    "pooler.dense.weight",
    "pooler.dense.bias",
    NULL,
};

static int embed(struct graph *g, const struct model_config *c)
{
    struct graph_step step = {
        .op = &op_embedding,
        .shape = { .in = c->vocab, .places = c->positions, .kinds = c->kinds },
        .index = INDEX_TOKENS,
    };

    step.in[0] =
        graph_parameter(g, ROLE_EMBEDDING, INIT_EMBEDDING, c->vocab, c->hidden,
                        "bert.embeddings.word_embeddings.weight");
    step.in[1] =
        graph_parameter(g, ROLE_PLACES, INIT_EMBEDDING, c->positions, c->hidden,
                        "bert.embeddings.position_embeddings.weight");
    step.in[2] =
        graph_parameter(g, ROLE_PLACES, INIT_EMBEDDING, c->kinds, c->hidden,
                        "bert.embeddings.token_type_embeddings.weight");
    return arch_layernorm(g, c, "residual stream",
                          graph_step(g, "embedded tokens", c->hidden, &step),
                          "bert.embeddings.LayerNorm");
}

static int layer(const struct text_layer *l, int x)
{
    size_t width = l->c->hidden;
    const struct graph_step attend = {
        .op = &op_attention,
        .in = { text_linear(l, "queries", "attention.self.query", width, x, 0),
                text_linear(l, "keys", "attention.self.key", width, x, 0),
                text_linear(l, "values", "attention.self.value", width, x, 0) },
        .shape = { .heads = l->c->heads,
                   .kv_heads = l->c->heads,
                   .head_dim = l->c->head_dim,
                   .both_ways = true },
    };
    int between =
        text_linear(l, "sum behind the attention", "attention.output.dense",
                    width, graph_step(l->g, "attention", width, &attend), x);

    between = text_norm(l, "residual stream behind the attention",
                        "attention.output.LayerNorm", between);
    x = text_feed(l, "intermediate.dense", "output.dense", between, between);
    return text_norm(l, "residual stream", "output.LayerNorm", x);
}

static struct graph *build(const struct model_config *c)
{
    static const struct arch_text names = {
        .layers = "bert.encoder.layer",
        .normalise = arch_layernorm,
    };
    struct graph *g = graph_new(c->layers, 0);
    int x = embed(g, c);

    for (size_t i = 0; i < c->layers; i++) {
        const struct text_layer l = { g, c, &names, i };

        graph_end_section(g, x);
        x = layer(&l, x);
    }
    graph_end_section(g, x);
    graph_finish(g, x);
    return g;
}

static struct status read_config(const json_t *json, struct model_config *c)
{
    enum { MOST = 1 << 20 };
    const char *places =
        json_text_or(json, "position_embedding_type", "absolute");

    TRY_PLAIN(config_number(json, "hidden_size", 0, MOST, &c->hidden));
    TRY_PLAIN(config_number(json, "num_hidden_layers", 0, 4096, &c->layers));
    TRY_PLAIN(config_number(json, "intermediate_size", 0, MOST, &c->inner));
    TRY_PLAIN(config_number(json, "vocab_size", 0, 1 << 24, &c->vocab));
    TRY_PLAIN(config_number(json, "type_vocab_size", 2, 1 << 16, &c->kinds));
    TRY_PLAIN(config_heads(json, "num_attention_heads", NULL, c));
    TRY_PLAIN(config_number(json, "max_position_embeddings", 512, 1 << 24,
                            &c->positions));
    TRY_PLAIN(config_curve(json, "hidden_act", "gelu", &c->curve));
    TRY_PLAIN(config_epsilon(json, "layer_norm_eps", 1e-12, &c->norm_eps));
    TRY_PLAIN(config_must_be(json, "is_decoder", false));
    if (c->heads * c->head_dim != c->hidden)
        return FAIL(STATUS_INVALID,
                    "config.json: %u heads of %u are not the \"hidden_size\" "
                    "%u, which cannot be computed",
                    c->heads, c->head_dim, c->hidden);
    if (strcmp(places, "absolute") != 0)
        return FAIL(STATUS_INVALID,
                    "config.json: \"position_embedding_type\" is \"%.40s\"; "
                    "known is: absolute",
                    places);
    return SUCCESS;
}

struct status arch_bert_config(const json_t *json,
                               struct model_config *ret_config)
{
    struct model_config c = { .arch = &arch_bert };
    const char *type = json_text_or(json, "model_type", "");

    if (strcmp(type, arch_bert.model_type) != 0)
        return FAIL(STATUS_INVALID,
                    "config.json: \"model_type\" is \"%.60s\"; known encoders "
                    "are: %s",
                    type, arch_bert.model_type);
    TRY_PLAIN(read_config(json, &c));
    *ret_config = c;
    return SUCCESS;
}

const struct arch arch_bert = {
    .model_type = "bert",
    .hf_class = "BertModel",
    .prefix = "bert.",
    .ignored = ignored,
    .read = read_config,
    .build = build,
};
