/* arch_mlp.c -- images through fully connected layers, each but the last
 * without bias and with a norm over the batch:
 *
 *     {"model_type": "mlp", "sizes": [64, 64, 64, 10]}
 */
#include "model/arch_rows.h"

static const char *const ignored[] = { "num_batches_tracked", NULL };

static struct graph *build(const struct model_config *c)
{
    struct graph *g = graph_new(c->layers, c->sizes[0]);
    int x = GRAPH_INPUT, w, b;
    uint32_t last = c->size_count - 2;

    for (uint32_t i = 0; i < last; i++) {
        char name[16];

        w = graph_parameter(g, ROLE_MATRIX, INIT_HE, c->sizes[i + 1],
                            c->sizes[i], "fc%u.weight", i);
        x = arch_linear(g, "product", x, w, 0, 0);
        (void)snprintf(name, sizeof(name), "bn%u", i);
        x = arch_batch_norm(g, c, x, c->sizes[i + 1], name);
        x = arch_curve(g, "curved values", &op_relu, x);
        graph_end_section(g, x);
    }
    w = graph_parameter(g, ROLE_HEAD, INIT_HE, c->sizes[last + 1],
                        c->sizes[last], "fc%u.weight", last);
    b = graph_parameter(g, ROLE_BIAS, INIT_ZEROS, c->sizes[last + 1], 0,
                        "fc%u.bias", last);
    graph_finish(g, arch_linear(g, "logits", x, w, b, 0));
    return g;
}

static struct status read_config(const json_t *json, struct model_config *c)
{
    TRY_PLAIN(config_list(json, "sizes", 1 << 20, &c->size_count, c->sizes));
    if (c->size_count < 2)
        return FAIL(STATUS_INVALID,
                    "config.json: \"sizes\" goes from pixels to classes: at "
                    "least two numbers");
    TRY_PLAIN(config_epsilon(json, "norm_eps", 1e-5, &c->norm_eps));
    c->layers = c->size_count - 1;
    c->vocab = c->classes = c->sizes[c->size_count - 1];
    return SUCCESS;
}

static json_t *write_config(const struct model_config *c)
{
    json_t *json =
        json_pack("{s[] sf}", "sizes", "norm_eps", config_decimal(c->norm_eps));

    for (uint32_t i = 0; i < c->size_count; i++)
        (void)json_array_append_new(json_object_get(json, "sizes"),
                                    json_integer(c->sizes[i]));
    return json;
}

static const struct arch_init init[] = {
    { "sizes", NULL },
    { "norm_eps", "1e-5" },
    { NULL, NULL },
};

const struct arch arch_mlp = {
    .model_type = "mlp",
    .hf_class = "MLP",
    .ignored = ignored,
    .init = init,
    .read = read_config,
    .write = write_config,
    .build = build,
};
