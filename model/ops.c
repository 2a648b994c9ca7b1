#include "model/op.h"

const struct op *const ops[] = {
    &op_embedding,
    &op_linear,
    &op_rmsnorm,
    &op_layernorm,
    &op_rope,
    &op_attention,
    &op_joint_attention,
    &op_swiglu,
    &op_relu,
    &op_gelu,
    &op_gelu_tanh,
    &op_part,
    &op_batch_norm,
    &op_conv,
    &op_pool,
    &op_cross_entropy,
    &op_lora,
    &op_mask_lora,
    &op_scale_lora,
    NULL,
};
