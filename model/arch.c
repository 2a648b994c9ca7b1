#include "model/arch.h"

#include "model/arch_rows.h"

const struct arch *const archs[] = {
    &arch_llama, &arch_mistral, &arch_qwen2,     &arch_opt, &arch_gpt2,
    &arch_neox,  &arch_mlp,     &arch_preresnet, NULL,
};

static int linear(struct graph *g, const char *label, bool turned,
                  const int in[4])
{
    const struct graph_parameter *w = graph_parameter_of(g, in[1]);
    const struct graph_step step = {
        .op = &op_linear,
        .in = { in[0], in[1], in[2], in[3] },
        .shape.transposed = turned,
    };

    return graph_step(g, label, w->shape[turned ? 1 : 0], &step);
}

int arch_linear(struct graph *g, const char *label, int x, int w, int b, int r)
{
    return linear(g, label, false, (const int[]){ x, w, b, r });
}

int arch_linear_turned(struct graph *g, const char *label, int x, int w, int b,
                       int r)
{
    return linear(g, label, true, (const int[]){ x, w, b, r });
}

int arch_curve(struct graph *g, const char *label, const struct op *curve,
               int x)
{
    const struct graph_step step = { .op = curve, .in = { x } };

    return graph_step(g, label, graph_width(g, x), &step);
}

int arch_layernorm(struct graph *g, const struct model_config *c,
                   const char *label, int x, const char *name)
{
    size_t width = graph_width(g, x);
    const struct graph_step step = {
        .op = &op_layernorm,
        .in = { x,
                graph_parameter(g, ROLE_NORM, INIT_ONES, width, 0, "%s.weight",
                                name),
                graph_parameter(g, ROLE_SHIFT, INIT_ZEROS, width, 0, "%s.bias",
                                name) },
        .shape.eps = c->norm_eps,
    };

    return graph_step(g, label, width, &step);
}

int arch_rmsnorm(struct graph *g, const struct model_config *c,
                 const char *label, int x, const char *name)
{
    size_t width = graph_width(g, x);
    const struct graph_step step = {
        .op = &op_rmsnorm,
        .in = { x, graph_parameter(g, ROLE_NORM, INIT_ONES, width, 0,
                                   "%s.weight", name) },
        .shape.eps = c->norm_eps,
    };

    return graph_step(g, label, width, &step);
}

int arch_batch_norm(struct graph *g, const struct model_config *c, int x,
                    size_t channels, const char *name)
{
    const struct graph_step step = {
        .op = &op_batch_norm,
        .in = { x,
                graph_parameter(g, ROLE_NORM, INIT_ONES, channels, 0,
                                "%s.weight", name),
                graph_parameter(g, ROLE_SHIFT, INIT_ZEROS, channels, 0,
                                "%s.bias", name),
                graph_parameter(g, ROLE_STATISTIC, INIT_ZEROS, channels, 0,
                                "%s.running_mean", name),
                graph_parameter(g, ROLE_STATISTIC, INIT_ONES, channels, 0,
                                "%s.running_var", name) },
        .shape = { .channels = channels, .eps = c->norm_eps },
    };

    return graph_step(g, "normalised values", graph_width(g, x), &step);
}

int arch_rope(struct graph *g, const struct model_config *c, const char *label,
              int x)
{
    const struct graph_step step = {
        .op = &op_rope,
        .in = { x },
        .shape = { .head_dim = c->head_dim, .rotary = c->rotary },
    };

    return graph_step(g, label, graph_width(g, x), &step);
}

static int attention(struct graph *g, const struct model_config *c,
                     struct graph_step step)
{
    step.shape = (struct op_shape){ .heads = c->heads,
                                    .kv_heads = c->kv_heads,
                                    .head_dim = c->head_dim,
                                    .window = c->window };
    return graph_step(g, "attention", (size_t)c->heads * c->head_dim, &step);
}

int arch_attention(struct graph *g, const struct model_config *c, int q, int k,
                   int v)
{
    return attention(
        g, c, (struct graph_step){ .op = &op_attention, .in = { q, k, v } });
}

int arch_joint_attention(struct graph *g, const struct model_config *c, int all)
{
    return attention(
        g, c, (struct graph_step){ .op = &op_joint_attention, .in = { all } });
}

int arch_part(struct graph *g, const char *label, int x, size_t offset,
              size_t run, size_t pitch)
{
    const struct graph_step step = {
        .op = &op_part,
        .in = { x },
        .shape = { .offset = offset, .run = run, .pitch = pitch },
    };

    return graph_step(g, label, graph_width(g, x) / pitch * run, &step);
}
