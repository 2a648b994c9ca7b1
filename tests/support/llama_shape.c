#include "support/llama_shape.h"

#include <stdio.h>

#include "common/macros.h"

/* In order of name. */
static const struct {
    const char *name;
    uint32_t rank;
    uint64_t shape[2];
} parts[] = {
    { "input_layernorm.weight", 1, { LLAMA_WIDTH, 0 } },
    { "mlp.down_proj.weight", 2, { LLAMA_WIDTH, 12 } },
    { "mlp.gate_proj.weight", 2, { 12, LLAMA_WIDTH } },
    { "mlp.up_proj.weight", 2, { 12, LLAMA_WIDTH } },
    { "post_attention_layernorm.weight", 1, { LLAMA_WIDTH, 0 } },
    { "self_attn.k_proj.weight", 2, { LLAMA_WIDTH, LLAMA_WIDTH } },
    { "self_attn.o_proj.weight", 2, { LLAMA_WIDTH, LLAMA_WIDTH } },
    { "self_attn.q_proj.weight", 2, { LLAMA_WIDTH, LLAMA_WIDTH } },
    { "self_attn.v_proj.weight", 2, { LLAMA_WIDTH, LLAMA_WIDTH } },
};

/* Models keep the names, so these live on. */
static char names[LLAMA_LAYERS][COUNT_OF(parts)][80];

struct small_model llama_shape_new(uint64_t rows, uint32_t seed)
{
    struct small_row all[4 + LLAMA_LAYERS * COUNT_OF(parts)] = {
        { "lm_head.weight", DTYPE_F32, 2, { rows, LLAMA_WIDTH } },
        { "model.embed_tokens.weight", DTYPE_F32, 2, { rows, LLAMA_WIDTH } },
    };
    size_t count = 2;

    for (size_t l = 0; l < LLAMA_LAYERS; l++) {
        for (size_t i = 0; i < COUNT_OF(parts); i++) {
            (void)snprintf(names[l][i], sizeof names[l][i],
                           "model.layers.%zu.%s", l, parts[i].name);
            all[count++] = (struct small_row){
                names[l][i],
                DTYPE_F32,
                parts[i].rank,
                { parts[i].shape[0], parts[i].shape[1] },
            };
        }
    }
    all[count++] = (struct small_row){
        "model.norm.weight", DTYPE_F32, 1, { LLAMA_WIDTH }
    };
    all[count] = (struct small_row){ .name = NULL };
    return small_model_new(all, seed, 0.1);
}
