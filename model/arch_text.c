#include "model/arch_text.h"

int text_norm(const struct text_layer *l, const char *label, const char *name,
              int x)
{
    char whole[96];

    (void)snprintf(whole, sizeof(whole), "%s.%zu.%s", l->names->layers,
                   l->index, name);
    return l->names->normalise(l->g, l->c, label, x, whole);
}

static int matrix(const struct text_layer *l, const char *name, size_t out,
                  size_t in, enum graph_init init)
{
    bool turned = l->names->turned;
    int w = graph_parameter(l->g, ROLE_MATRIX, init, turned ? in : out,
                            turned ? out : in, "%s.%zu.%s.weight",
                            l->names->layers, l->index, name);

    if (turned)
        graph_turned(l->g, w);
    return w;
}

static int multiply(const struct text_layer *l, const char *label,
                    const int in[4])
{
    return l->names->turned
               ? arch_linear_turned(l->g, label, in[0], in[1], in[2], in[3])
               : arch_linear(l->g, label, in[0], in[1], in[2], in[3]);
}

int text_linear_plain(const struct text_layer *l, const char *label,
                      const char *name, size_t out, int x, int r)
{
    int w = matrix(l, name, out, graph_width(l->g, x),
                   r == 0 ? INIT_FAN_IN : INIT_RESIDUAL);

    return multiply(l, label, (const int[]){ x, w, 0, r });
}

int text_linear(const struct text_layer *l, const char *label, const char *name,
                size_t out, int x, int r)
{
    int w = matrix(l, name, out, graph_width(l->g, x),
                   r == 0 ? INIT_FAN_IN : INIT_RESIDUAL);
    int b = graph_parameter(l->g, ROLE_BIAS, INIT_ZEROS, out, 0,
                            "%s.%zu.%s.bias", l->names->layers, l->index, name);

    return multiply(l, label, (const int[]){ x, w, b, r });
}

int text_feed(const struct text_layer *l, const char *first, const char *last,
              int x, int r)
{
    int inner = text_linear(l, "first projection", first, l->c->inner, x, 0);

    inner = arch_curve(l->g, "curved values", l->c->curve, inner);
    return text_linear(l, "residual stream", last, l->c->hidden, inner, r);
}

/* `ret_table`: the embedding, which may be the head as well. */
static int embed(struct graph *g, const struct model_config *c,
                 const struct arch_text *names, int *ret_table)
{
    struct graph_step step = { .op = &op_embedding,
                               .shape.in = c->vocab,
                               .index = INDEX_TOKENS };

    *ret_table = step.in[0] =
        graph_parameter(g, ROLE_EMBEDDING, INIT_EMBEDDING, c->vocab, c->hidden,
                        "%s", names->table);
    if (names->places != NULL) {
        step.shape.offset = names->first_place;
        step.shape.places = c->positions + names->first_place;
        step.in[1] =
            graph_parameter(g, ROLE_PLACES, INIT_EMBEDDING, step.shape.places,
                            c->hidden, "%s", names->places);
    }
    return graph_step(g, "residual stream", c->hidden, &step);
}

struct graph *arch_text_build(const struct model_config *c,
                              const struct arch_text *names)
{
    struct graph *g = graph_new(c->layers, 0);
    int table;
    int x = embed(g, c, names, &table);

    for (size_t i = 0; i < c->layers; i++) {
        const struct text_layer l = { g, c, names, i };

        graph_end_section(g, x);
        x = names->layer(&l, x);
    }
    graph_end_section(g, x);
    x = names->normalise(g, c, "normalised stream", x, names->norm);
    if (!c->tied)
        table = graph_parameter(g, ROLE_HEAD, INIT_FAN_IN, c->vocab, c->hidden,
                                "%s", names->head);
    graph_finish(g, arch_linear(g, "logits", x, table, 0, 0));
    return g;
}
