/* arch_llama.c -- Llama: pre-normalised residual blocks with rotary places,
 * grouped query attention and a gated feed-forward layer. */
#include "model/arch.h"

enum {
    EMBED = 1,
    ATTENTION_NORM,
    Q,
    K,
    V,
    O,
    FEED_NORM,
    GATE,
    UP,
    DOWN,
    LAST_NORM,
    HEAD,
};

/* Tensors of the checkpoint, in the order of the parameter block. */
static const struct arch_parameter parameters[] = {
    [EMBED] = { .name = "model.embed_tokens.weight",
                .rows = WIDTH_VOCAB,
                .columns = WIDTH_HIDDEN,
                .init = INIT_EMBEDDING },
    [ATTENTION_NORM] = { .name = "input_layernorm.weight",
                         .of_layer = true,
                         .rows = WIDTH_HIDDEN },
    [Q] = { .name = "self_attn.q_proj.weight",
            .of_layer = true,
            .rows = WIDTH_QUERY,
            .columns = WIDTH_HIDDEN,
            .init = INIT_FAN_IN },
    [K] = { .name = "self_attn.k_proj.weight",
            .of_layer = true,
            .rows = WIDTH_KEY,
            .columns = WIDTH_HIDDEN,
            .init = INIT_FAN_IN },
    [V] = { .name = "self_attn.v_proj.weight",
            .of_layer = true,
            .rows = WIDTH_KEY,
            .columns = WIDTH_HIDDEN,
            .init = INIT_FAN_IN },
    [O] = { .name = "self_attn.o_proj.weight",
            .of_layer = true,
            .rows = WIDTH_HIDDEN,
            .columns = WIDTH_QUERY,
            .init = INIT_RESIDUAL },
    [FEED_NORM] = { .name = "post_attention_layernorm.weight",
                    .of_layer = true,
                    .rows = WIDTH_HIDDEN },
    [GATE] = { .name = "mlp.gate_proj.weight",
               .of_layer = true,
               .rows = WIDTH_INNER,
               .columns = WIDTH_HIDDEN,
               .init = INIT_FAN_IN },
    [UP] = { .name = "mlp.up_proj.weight",
             .of_layer = true,
             .rows = WIDTH_INNER,
             .columns = WIDTH_HIDDEN,
             .init = INIT_FAN_IN },
    [DOWN] = { .name = "mlp.down_proj.weight",
               .of_layer = true,
               .rows = WIDTH_HIDDEN,
               .columns = WIDTH_INNER,
               .init = INIT_RESIDUAL },
    [LAST_NORM] = { .name = "model.norm.weight", .rows = WIDTH_HIDDEN },
    [HEAD] = { .name = "lm_head.weight",
               .rows = WIDTH_VOCAB,
               .columns = WIDTH_HIDDEN,
               .init = INIT_FAN_IN,
               .tied = EMBED },
    [HEAD + 1] = { 0 },
};

/* Buffers that old checkpoints carry. */
static const char *const ignored[] = { "rotary_emb.inv_freq", NULL };

enum {
    NORMED = ARCH_OWN, /* also of the back section */
    QUERIES,
    KEYS,
    VALUES,
    TURNED_QUERIES,
    TURNED_KEYS,
    MIXED,
    BETWEEN, /* residual stream behind the attention */
    FEED_NORMED,
    GATES,
    UPS,
    GATED,
    SLOT_END,
};
_Static_assert((int)SLOT_END <= (int)ARCH_SLOTS, "slots of an architecture");

static const char *const slot_names[] = {
    [ARCH_IN] = "residual stream",
    [ARCH_OUT] = "residual stream",
    [ARCH_LOGITS] = "logits",
    [ARCH_LOSSES] = "losses",
    [NORMED] = "normalised stream",
    [QUERIES] = "queries",
    [KEYS] = "keys",
    [VALUES] = "values",
    [TURNED_QUERIES] = "rotated queries",
    [TURNED_KEYS] = "rotated keys",
    [MIXED] = "attention",
    [BETWEEN] = "residual stream behind the attention",
    [FEED_NORMED] = "normalised stream behind the attention",
    [GATES] = "gate projection",
    [UPS] = "up projection",
    [GATED] = "gated values",
};

static const enum arch_width slot_widths[ARCH_SLOTS] = {
    [ARCH_IN] = WIDTH_HIDDEN,
    [ARCH_OUT] = WIDTH_HIDDEN,
    [ARCH_LOGITS] = WIDTH_VOCAB,
    [ARCH_LOSSES] = WIDTH_ONE,
    [NORMED] = WIDTH_HIDDEN,
    [QUERIES] = WIDTH_QUERY,
    [KEYS] = WIDTH_KEY,
    [VALUES] = WIDTH_KEY,
    [TURNED_QUERIES] = WIDTH_QUERY,
    [TURNED_KEYS] = WIDTH_KEY,
    [MIXED] = WIDTH_QUERY,
    [BETWEEN] = WIDTH_HIDDEN,
    [FEED_NORMED] = WIDTH_HIDDEN,
    [GATES] = WIDTH_INNER,
    [UPS] = WIDTH_INNER,
    [GATED] = WIDTH_INNER,
};

static const struct arch_step front[] = {
    { &op_embedding, { WEIGHT(EMBED) }, ARCH_OUT, INDEX_TOKENS },
    { 0 },
};

static const struct arch_step layer[] = {
    { &op_rmsnorm, { ARCH_IN, WEIGHT(ATTENTION_NORM) }, NORMED, 0 },
    { &op_linear, { NORMED, WEIGHT(Q) }, QUERIES, 0 },
    { &op_linear, { NORMED, WEIGHT(K) }, KEYS, 0 },
    { &op_linear, { NORMED, WEIGHT(V) }, VALUES, 0 },
    { &op_rope, { QUERIES }, TURNED_QUERIES, 0 },
    { &op_rope, { KEYS }, TURNED_KEYS, 0 },
    { &op_attention, { TURNED_QUERIES, TURNED_KEYS, VALUES }, MIXED, 0 },
    { &op_linear_add, { MIXED, WEIGHT(O), ARCH_IN }, BETWEEN, 0 },
    { &op_rmsnorm, { BETWEEN, WEIGHT(FEED_NORM) }, FEED_NORMED, 0 },
    { &op_linear, { FEED_NORMED, WEIGHT(GATE) }, GATES, 0 },
    { &op_linear, { FEED_NORMED, WEIGHT(UP) }, UPS, 0 },
    { &op_swiglu, { GATES, UPS }, GATED, 0 },
    { &op_linear_add, { GATED, WEIGHT(DOWN), BETWEEN }, ARCH_OUT, 0 },
    { 0 },
};

static const struct arch_step back[] = {
    { &op_rmsnorm, { ARCH_IN, WEIGHT(LAST_NORM) }, NORMED, 0 },
    { &op_linear, { NORMED, WEIGHT(HEAD) }, ARCH_LOGITS, 0 },
    { &op_cross_entropy, { ARCH_LOGITS }, ARCH_LOSSES, INDEX_LABELS },
    { 0 },
};

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
    if (json_bool_or(json, "attention_bias", false) ||
        json_bool_or(json, "mlp_bias", false))
        return FAIL(STATUS_INVALID,
                    "config.json: \"attention_bias\" and \"mlp_bias\" cannot "
                    "be computed; use a model without biases");
    return SUCCESS;
}

static struct status check_heads(const struct model_config *c)
{
    if (c->heads % c->kv_heads != 0)
        return FAIL(STATUS_INVALID,
                    "config.json: %u attention heads cannot share %u "
                    "key-value heads; one must divide the other",
                    c->heads, c->kv_heads);
    if (c->head_dim % 2 != 0)
        return FAIL(STATUS_INVALID,
                    "config.json: heads of %u numbers cannot be rotated in "
                    "pairs; make \"head_dim\" even",
                    c->head_dim);
    return SUCCESS;
}

static struct status read_config(const json_t *json, struct model_config *c)
{
    enum { MOST = 1 << 20 };
    double eps = json_real_or(json, "rms_norm_eps", 1e-6);

    TRY_PLAIN(refuse_variants(json));
    TRY_PLAIN(arch_number(json, "hidden_size", 0, MOST, &c->hidden));
    TRY_PLAIN(arch_number(json, "num_hidden_layers", 0, 4096, &c->layers));
    TRY_PLAIN(arch_number(json, "intermediate_size", 0, MOST, &c->inner));
    TRY_PLAIN(arch_number(json, "vocab_size", 0, 1 << 24, &c->vocab));
    TRY_PLAIN(arch_number(json, "num_attention_heads", 0, 4096, &c->heads));
    TRY_PLAIN(
        arch_number(json, "num_key_value_heads", c->heads, 4096, &c->kv_heads));
    if (json_object_get(json, "head_dim") == NULL && c->hidden % c->heads != 0)
        return FAIL(STATUS_INVALID,
                    "config.json: \"hidden_size\" %u is no multiple of %u "
                    "attention heads",
                    c->hidden, c->heads);
    TRY_PLAIN(arch_number(json, "head_dim", c->hidden / c->heads, MOST,
                          &c->head_dim));
    TRY_PLAIN(arch_number(json, "max_position_embeddings", 2048, 1 << 30,
                          &c->positions));
    c->rope_theta = json_real_or(json, "rope_theta", 10000.0);
    c->tied = json_bool_or(json, "tie_word_embeddings", false);
    c->norm_eps = (float)eps;
    if (!(eps > 0.0 && eps < 1.0) || !(c->rope_theta > 1.0))
        return FAIL(STATUS_INVALID,
                    "config.json: \"rms_norm_eps\" %g or \"rope_theta\" %g "
                    "makes no sense",
                    eps, c->rope_theta);
    return check_heads(c);
}

static json_t *write_config(const struct model_config *c)
{
    /* Decimal first: 1e-05 must not become 9.999999747378752e-06. */
    char eps[32];
    json_t *json;

    (void)snprintf(eps, sizeof(eps), "%.6g", (double)c->norm_eps);
    json = json_pack(
        "{si si si si si si si si sf sf sb ss}", "hidden_size", (int)c->hidden,
        "intermediate_size", (int)c->inner, "num_hidden_layers", (int)c->layers,
        "num_attention_heads", (int)c->heads, "num_key_value_heads",
        (int)c->kv_heads, "head_dim", (int)c->head_dim, "vocab_size",
        (int)c->vocab, "max_position_embeddings", (int)c->positions,
        "rms_norm_eps", strtod(eps, NULL), "rope_theta", c->rope_theta,
        "tie_word_embeddings", (int)c->tied, "hidden_act", "silu");
    return json;
}

const struct arch arch_llama = {
    .model_type = "llama",
    .hf_class = "LlamaForCausalLM",
    .prefix = "model.layers",
    .parameters = parameters,
    .ignored = ignored,
    .slot_names = slot_names,
    .slot_widths = slot_widths,
    .front = front,
    .layer = layer,
    .back = back,
    .read = read_config,
    .write = write_config,
};
