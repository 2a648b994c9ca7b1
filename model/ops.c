#include "model/op.h"

const struct op *const ops[] = {
    &op_embedding, &op_linear, &op_linear_add,    &op_rmsnorm, &op_rope,
    &op_attention, &op_swiglu, &op_cross_entropy, NULL,
};
