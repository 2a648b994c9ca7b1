#include "model/arch.h"

const struct arch *const archs[] = { &arch_llama, NULL };

size_t arch_width(const struct model_config *c, enum arch_width width)
{
    const size_t widths[] = {
        [WIDTH_NONE] = 0,
        [WIDTH_ONE] = 1,
        [WIDTH_HIDDEN] = c->hidden,
        [WIDTH_QUERY] = (size_t)c->heads * c->head_dim,
        [WIDTH_KEY] = (size_t)c->kv_heads * c->head_dim,
        [WIDTH_INNER] = c->inner,
        [WIDTH_VOCAB] = c->vocab,
    };

    return widths[width];
}
