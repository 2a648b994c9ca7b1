/* arch_preresnet.c -- residual networks whose blocks normalise first:
 *
 *     {"model_type": "preresnet", "widths": [16, 32, 64], "blocks": [3, 3, 3],
 *      "channels": 3, "height": 32, "width": 32, "classes": 10}
 *
 * is PreResNet-20; blocks [1, 1, 1] PreResNet-8. The first block of every
 * stage but the first halves the image.
 *
 * Source: He et al., "Identity mappings in deep residual networks", 2016. */
#include "model/arch_rows.h"

static const char *const ignored[] = { "num_batches_tracked", NULL };

/* An image on its way. */
struct image {
    int value;
    size_t channels, height, width;
};

/* A convolution NAME.weight with something added; `r` may be 0. */
static struct image convolve(struct graph *g, const char *name, struct image x,
                             size_t channels, size_t kernel, size_t stride,
                             int r)
{
    struct image y = {
        .channels = channels,
        .height = (x.height - 1) / stride + 1,
        .width = (x.width - 1) / stride + 1,
    };
    const struct graph_step step = {
        .op = &op_conv,
        .in = { x.value,
                graph_kernel(g, channels, x.channels, kernel, "%s.weight",
                             name),
                r },
        .shape = { .channels = x.channels,
                   .height = x.height,
                   .width = x.width,
                   .kernel = kernel,
                   .stride = stride },
    };

    y.value = graph_step(g, r == 0 ? "convolution" : "residual stream",
                         y.channels * y.height * y.width, &step);
    return y;
}

/* relu(norm(x)) */
static struct image activate(struct graph *g, const struct model_config *c,
                             const char *name, struct image x)
{
    x.value = arch_batch_norm(g, c, x.value, x.channels, name);
    x.value = arch_curve(g, "curved values", &op_relu, x.value);
    return x;
}

/* The way past the block is the stream itself, or a convolution of it where
 * the block changes its shape. */
static struct image block(struct graph *g, const struct model_config *c,
                          size_t number, struct image x, size_t channels,
                          size_t stride)
{
    struct image y, past = x;
    char name[32];

    (void)snprintf(name, sizeof(name), "b%zu.bn1", number);
    y = activate(g, c, name, x);
    (void)snprintf(name, sizeof(name), "b%zu.conv1", number);
    y = convolve(g, name, y, channels, 3, stride, 0);
    (void)snprintf(name, sizeof(name), "b%zu.bn2", number);
    y = activate(g, c, name, y);
    if (stride != 1 || channels != x.channels) {
        (void)snprintf(name, sizeof(name), "b%zu.down", number);
        past = convolve(g, name, x, channels, 1, stride, 0);
    }
    (void)snprintf(name, sizeof(name), "b%zu.conv2", number);
    return convolve(g, name, y, channels, 3, 1, past.value);
}

static void classify(struct graph *g, const struct model_config *c,
                     struct image x)
{
    const struct graph_step pool = {
        .op = &op_pool,
        .in = { activate(g, c, "bn", x).value },
        .shape.channels = x.channels,
    };
    int y = graph_step(g, "pooled values", x.channels, &pool);
    int w = graph_parameter(g, ROLE_HEAD, INIT_HE, c->classes, x.channels,
                            "fc.weight");
    int b = graph_parameter(g, ROLE_BIAS, INIT_ZEROS, c->classes, 0, "fc.bias");

    graph_finish(g, arch_linear(g, "logits", y, w, b, 0));
}

static struct graph *build(const struct model_config *c)
{
    struct graph *g =
        graph_new(c->layers, (size_t)c->channels * c->height * c->width);
    struct image x = { GRAPH_INPUT, c->channels, c->height, c->width };
    size_t number = 0;

    x = convolve(g, "conv0", x, c->sizes[0], 3, 1, 0);
    for (uint32_t stage = 0; stage < c->size_count; stage++)
        for (uint32_t i = 0; i < c->blocks[stage]; i++) {
            graph_end_section(g, x.value);
            x = block(g, c, number++, x, c->sizes[stage],
                      stage > 0 && i == 0 ? 2 : 1);
        }
    graph_end_section(g, x.value);
    classify(g, c, x);
    return g;
}

static struct status read_config(const json_t *json, struct model_config *c)
{
    enum { SIDE = 4096, WIDE = 65536, BLOCKS = 1024 };
    uint32_t stages;

    TRY_PLAIN(config_list(json, "widths", WIDE, &c->size_count, c->sizes));
    TRY_PLAIN(config_list(json, "blocks", BLOCKS, &stages, c->blocks));
    TRY_PLAIN(config_number(json, "channels", 3, WIDE, &c->channels));
    TRY_PLAIN(config_number(json, "height", 32, SIDE, &c->height));
    TRY_PLAIN(config_number(json, "width", 32, SIDE, &c->width));
    TRY_PLAIN(config_number(json, "classes", 10, WIDE, &c->classes));
    TRY_PLAIN(config_epsilon(json, "norm_eps", 1e-5, &c->norm_eps));
    if (stages != c->size_count)
        return FAIL(STATUS_INVALID,
                    "config.json: %u numbers in \"blocks\" for %u stages in "
                    "\"widths\"",
                    stages, c->size_count);
    for (uint32_t i = 0; i < stages; i++)
        c->layers += c->blocks[i];
    c->vocab = c->classes;
    return SUCCESS;
}

static json_t *write_config(const struct model_config *c)
{
    json_t *json = json_pack(
        "{s[] s[] si si si si sf}", "widths", "blocks", "channels",
        (int)c->channels, "height", (int)c->height, "width", (int)c->width,
        "classes", (int)c->classes, "norm_eps", config_decimal(c->norm_eps));

    for (uint32_t i = 0; i < c->size_count; i++) {
        (void)json_array_append_new(json_object_get(json, "widths"),
                                    json_integer(c->sizes[i]));
        (void)json_array_append_new(json_object_get(json, "blocks"),
                                    json_integer(c->blocks[i]));
    }
    return json;
}

static const struct arch_init init[] = {
    { "widths", "[16, 32, 64]" },
    { "blocks", "[3, 3, 3]" },
    { "channels", "3" },
    { "height", "32" },
    { "width", "32" },
    { "classes", "10" },
    { "norm_eps", "1e-5" },
    { NULL, NULL },
};

const struct arch arch_preresnet = {
    .model_type = "preresnet",
    .hf_class = "PreResNet",
    .ignored = ignored,
    .init = init,
    .read = read_config,
    .write = write_config,
    .build = build,
};
