#include "model/graph.h"

#include <assert.h>
#include <stdarg.h>

#include "common/memory.h"

struct graph *graph_new(size_t layers, size_t pixels)
{
    struct graph *g = xnew(struct graph);

    g->layers = layers;
    g->pixels = pixels;
    g->sections = 1;
    g->first_step = xcalloc(2, sizeof(*g->first_step));
    g->streams = xcalloc(1, sizeof(*g->streams));
    g->value_count = GRAPH_INPUT + 1;
    g->values = xcalloc(g->value_count, sizeof(*g->values));
    g->values[GRAPH_INPUT] =
        (struct graph_value){ .label = "pixels", .width = pixels };
    return g;
}

void graph_free(struct graph *g)
{
    if (g == NULL)
        return;
    free(g->parameters);
    free(g->values);
    free(g->steps);
    free(g->first_step);
    free(g->streams);
    free(g);
}

void graph_release(struct graph **g)
{
    graph_free(*g);
}

/* Room for one more, and where it is. */
static void *push(void **array, size_t *count, size_t size)
{
    *array = xrealloc(*array, (*count + 1) * size);
    memset((char *)*array + *count * size, 0, size);
    return (char *)*array + (*count)++ * size;
}

PRINTF_LIKE(2, 0)
static struct graph_parameter *new_parameter(struct graph *g,
                                             const char *format, va_list args)
{
    void *array = g->parameters;
    struct graph_parameter *p = push(&array, &g->parameter_count, sizeof(*p));

    g->parameters = array;
    (void)vsnprintf(p->name, sizeof(p->name), format, args);
    p->section = g->sections - 1;
    p->count = 1;
    return p;
}

static void set_shape(struct graph_parameter *p, uint32_t rank,
                      const size_t *shape)
{
    p->rank = rank;
    for (uint32_t i = 0; i < rank; i++) {
        p->shape[i] = shape[i];
        p->count *= shape[i];
    }
    p->inputs = p->count / shape[0];
}

int graph_parameter(struct graph *g, enum graph_role role, enum graph_init init,
                    size_t rows, size_t columns, const char *format, ...)
{
    const size_t shape[] = { rows, columns };
    struct graph_parameter *p;
    va_list args;

    va_start(args, format);
    p = new_parameter(g, format, args);
    va_end(args);
    p->role = role;
    p->init = init;
    set_shape(p, columns == 0 ? 1 : 2, shape);
    return GRAPH_PARAMETER(g->parameter_count - 1);
}

void graph_turned(struct graph *g, int parameter)
{
    struct graph_parameter *p = &g->parameters[-1 - parameter];

    p->turned = true;
    p->inputs = p->shape[0];
}

int graph_kernel(struct graph *g, size_t out, size_t in, size_t kernel,
                 const char *format, ...)
{
    const size_t shape[] = { out, in, kernel, kernel };
    struct graph_parameter *p;
    va_list args;

    va_start(args, format);
    p = new_parameter(g, format, args);
    va_end(args);
    p->role = ROLE_MATRIX;
    p->init = INIT_HE;
    set_shape(p, 4, shape);
    return GRAPH_PARAMETER(g->parameter_count - 1);
}

int graph_step(struct graph *g, const char *label, size_t width,
               const struct graph_step *step)
{
    void *steps = g->steps, *values = g->values;
    struct graph_step *s = push(&steps, &g->step_count, sizeof(*s));
    struct graph_value *v = push(&values, &g->value_count, sizeof(*v));

    g->steps = steps;
    g->values = values;
    *s = *step;
    s->section = g->sections - 1;
    s->out = (int)g->value_count - 1;
    if (s->shape.in == 0)
        s->shape.in = graph_width(g, s->in[0]);
    s->shape.out = width;
    *v = (struct graph_value){ .label = label,
                               .section = s->section,
                               .width = width,
                               .writer = g->step_count - 1 };
    g->first_step[g->sections] = g->step_count;
    return s->out;
}

void graph_end_section(struct graph *g, int value)
{
    g->streams[g->sections - 1] = value;
    g->sections++;
    g->first_step =
        xrealloc(g->first_step, (g->sections + 1) * sizeof(*g->first_step));
    g->first_step[g->sections] = g->step_count;
    g->streams = xrealloc(g->streams, g->sections * sizeof(*g->streams));
    g->streams[g->sections - 1] = 0;
}

void graph_finish(struct graph *g, int logits)
{
    const struct graph_step step = {
        .op = &op_cross_entropy,
        .in = { logits },
        .index = INDEX_LABELS,
    };

    g->logits = logits;
    g->losses = graph_step(g, "losses", 1, &step);
}

size_t graph_width(const struct graph *g, int value)
{
    assert(value > 0 && (size_t)value < g->value_count);
    return g->values[value].width;
}

const struct graph_parameter *graph_parameter_of(const struct graph *g,
                                                 int operand)
{
    return operand < 0 ? &g->parameters[-1 - operand] : NULL;
}

struct op_shape graph_shape(const struct graph *g, const struct graph_step *s,
                            size_t rows)
{
    struct op_shape shape = s->shape;

    if (g->values[s->out].fixed == 0)
        shape.rows = rows;
    return shape;
}

void graph_place(const struct graph *g, int value, char *text, size_t size)
{
    const struct graph_value *v = &g->values[value];

    if (v->section == 0)
        (void)snprintf(text, size, "%s in front of the layers", v->label);
    else if (v->section + 1 == g->sections)
        (void)snprintf(text, size, "%s behind the layers", v->label);
    else
        (void)snprintf(text, size, "%s of layer %zu", v->label, v->section - 1);
}

size_t graph_size(const struct graph *g)
{
    size_t size = 0;

    for (size_t i = 0; i < g->parameter_count; i++)
        size += g->parameters[i].count;
    return size;
}

size_t graph_find(const struct graph *g, const char *name)
{
    for (size_t i = 0; i < g->parameter_count; i++)
        if (strcmp(g->parameters[i].name, name) == 0)
            return i;
    return g->parameter_count;
}
