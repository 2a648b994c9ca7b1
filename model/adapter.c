#include "model/adapter.h"

#include <stdlib.h>

#include "common/memory.h"

/* Sources: as in op_adapter.c; lora_prune masks at the merge only. */
const struct adapter_row adapters[] = {
    { "lora", "w + alpha / rank B A; pruned places fill up", &op_lora, &op_lora,
      INIT_UNIFORM, INIT_ZEROS, true, false },
    { "lora_prune", "as lora, masked when it is merged", &op_lora,
      &op_mask_lora, INIT_UNIFORM, INIT_ZEROS, true, true },
    { "mask_lora", "w + alpha / rank B A where w is not pruned", &op_mask_lora,
      &op_mask_lora, INIT_UNIFORM, INIT_ZEROS, true, false },
    { "scale_lora", "w times B A, which begins as 1", &op_scale_lora,
      &op_scale_lora, INIT_EQUAL, INIT_EQUAL, false, false },
    { .name = NULL },
};

const struct adapter_row *adapter_find(const char *name)
{
    for (const struct adapter_row *r = adapters; r->name != NULL; r++)
        if (strcmp(r->name, name) == 0)
            return r;
    return NULL;
}

/* How often a parameter is read; `ret_step`: the last linear layer or
 * convolution that reads it as its weight, or NULL. */
static size_t count_readers(const struct graph *g, size_t parameter,
                            const struct graph_step **ret_step)
{
    size_t count = 0;

    *ret_step = NULL;
    for (size_t i = 0; i < g->step_count; i++)
        for (size_t k = 0; k < OP_INPUTS; k++) {
            const struct graph_step *s = &g->steps[i];

            if (s->in[k] != GRAPH_PARAMETER(parameter))
                continue;
            count++;
            if (k == 1 && (s->op == &op_linear || s->op == &op_conv))
                *ret_step = s;
        }
    return count;
}

static struct status check(const struct graph *g, const bool *chosen,
                           const struct adapter_settings *s)
{
    for (size_t i = 0; i < g->parameter_count; i++) {
        const struct graph_parameter *p = &g->parameters[i];
        const struct graph_step *reader;
        size_t readers = count_readers(g, i, &reader);

        if (!chosen[i])
            continue;
        if (reader == NULL)
            return FAIL(STATUS_INVALID,
                        "tensor \"%s\" is no matrix of a linear layer; it can "
                        "have no adapter",
                        p->name);
        if (readers > 1)
            return FAIL(STATUS_INVALID,
                        "tensor \"%s\" is used %zu times (a tied head); it "
                        "can have no adapter",
                        p->name, readers);
        if (s->rank < 1 || s->rank > p->shape[0] ||
            s->rank > p->count / p->shape[0])
            return FAIL(
                STATUS_INVALID,
                "rank %zu is not possible for tensor \"%s\" (%zux%zu); lower "
                "`lora.rank`",
                s->rank, p->name, p->shape[0], p->count / p->shape[0]);
    }
    return SUCCESS;
}

/* NAME.weight without its end. */
static int stem(const char *name)
{
    size_t size = strlen(name), end = strlen(".weight");

    return size > end && strcmp(name + size - end, ".weight") == 0
               ? (int)(size - end)
               : (int)size;
}

/* Random is what meets the inputs: B where the matrix lies [in][out]. */
static int add_factor(struct graph *g, size_t parameter, char letter,
                      const struct adapter_settings *s)
{
    const struct graph_parameter w = g->parameters[parameter];
    bool at_input = (letter == 'A') != w.turned;
    size_t rows = letter == 'A' ? s->rank : w.shape[0];
    size_t columns = letter == 'A' ? w.count / w.shape[0] : s->rank;
    int operand = graph_parameter(
        g, ROLE_ADAPTER, at_input ? s->row->a : s->row->b, rows, columns,
        "%.*s.lora_%c.weight", stem(w.name), w.name, letter);
    struct graph_parameter *p = &g->parameters[-1 - operand];

    p->inputs = w.inputs;
    p->equal = s->rank;
    p->section = w.section;
    return operand;
}

/* The step that makes the matrix. */
static struct graph_step maker_of(struct graph *g, size_t parameter,
                                  const struct adapter_settings *s)
{
    const struct graph_parameter w = g->parameters[parameter];
    struct graph_step step = {
        .op = s->row->train,
        .shape = { .rows = w.shape[0],
                   .in = w.count / w.shape[0],
                   .out = w.count / w.shape[0],
                   .rank = s->rank,
                   .factor = s->row->scaled
                                 ? (float)(s->alpha / (double)s->rank)
                                 : 1.0F },
    };

    step.in[0] = GRAPH_PARAMETER(parameter);
    step.in[1] = add_factor(g, parameter, 'A', s);
    step.in[2] = add_factor(g, parameter, 'B', s);
    return step;
}

/* Puts a step in front of `at`; its value is the last one. */
static void insert_step(struct graph *g, size_t at,
                        const struct graph_step *step, size_t fixed)
{
    struct graph_step *s;

    g->steps = xrealloc(g->steps, (g->step_count + 1) * sizeof(*g->steps));
    s = &g->steps[at];
    memmove(s + 1, s, (g->step_count - at) * sizeof(*s));
    g->step_count++;
    for (size_t i = 1; i < g->value_count; i++)
        g->values[i].writer += g->values[i].writer >= at;
    for (size_t i = 1; i <= g->sections; i++)
        g->first_step[i] += g->first_step[i] > at;
    g->values = xrealloc(g->values, (g->value_count + 1) * sizeof(*g->values));
    *s = *step;
    s->section = s[1].section;
    s->out = (int)g->value_count;
    g->values[g->value_count++] =
        (struct graph_value){ .label = "adapted weight",
                              .section = s->section,
                              .fixed = fixed,
                              .writer = at };
}

static void adapt(struct graph *g, size_t parameter,
                  const struct adapter_settings *s)
{
    const struct graph_step *reader;
    struct graph_step maker;
    size_t at;

    (void)count_readers(g, parameter, &reader);
    at = (size_t)(reader - g->steps);
    maker = maker_of(g, parameter, s);
    insert_step(g, at, &maker, g->parameters[parameter].count);
    g->steps[at + 1].in[1] = g->steps[at].out;
}

/* The model's parameters follow the graph's, which may have moved. */
static struct status follow(struct model *m, uint32_t seed)
{
    size_t old = m->parameter_count;

    m->parameters = xrealloc(m->parameters, m->graph->parameter_count *
                                                sizeof(*m->parameters));
    m->parameter_count = m->graph->parameter_count;
    for (size_t i = 0; i < m->parameter_count; i++) {
        const struct graph_parameter *p = &m->graph->parameters[i];

        if (i >= old) {
            m->parameters[i] = (struct model_parameter){ .role = p->role,
                                                         .count = p->count,
                                                         .at = m->size };
            m->size += p->count;
        }
        m->parameters[i].name = p->name;
    }
    for (size_t i = old; i < m->parameter_count; i++) {
        TRY_PLAIN(model_own(m, i));
        model_draw(m, i, seed);
    }
    return SUCCESS;
}

struct status adapter_add(struct model *m, const bool *chosen,
                          const struct adapter_settings *s)
{
    size_t count = m->parameter_count;

    TRY_PLAIN(check(m->graph, chosen, s));
    for (size_t i = 0; i < count; i++)
        if (chosen[i])
            adapt(m->graph, i, s);
    return follow(m, s->seed);
}

/* Matrices that only `row` trains are merged as it says; others, of another
 * variant, as they are trained. */
static const struct adapter_row *row_of(const struct graph_step *s,
                                        const struct adapter_row *row)
{
    if (s->op == row->train)
        return row;
    for (const struct adapter_row *r = adapters; r->name != NULL; r++)
        if (s->op == r->train)
            return r;
    abort(); /* adapter_add() takes rows of the table */
}

size_t adapter_list(const struct model *m, const struct adapter_row *row,
                    struct adapter_made **ret_list)
{
    const struct graph *g = m->graph;
    struct adapter_made *list = xcalloc(g->step_count, sizeof(*list));
    size_t count = 0;

    for (size_t i = 0; i < g->step_count; i++) {
        const struct graph_step *s = &g->steps[i];

        if (g->values[s->out].fixed == 0)
            continue;
        list[count++] = (struct adapter_made){
            .matrix = (size_t)(-1 - s->in[0]),
            .row = row_of(s, row),
            .rows = s->shape.rows,
            .columns = s->shape.in,
            .rank = s->shape.rank,
            .factor = s->shape.factor,
            .a = m->parameters[-1 - s->in[1]].data,
            .b = m->parameters[-1 - s->in[2]].data,
        };
    }
    *ret_list = list;
    return count;
}

struct status adapter_make(const struct adapter_made *a, const float *w,
                           const uint8_t *keep, float *ret_w)
{
    AUTO(free_pointer)
    float *room = malloc(a->rows * a->columns * sizeof(*room));
    const struct op_call call = {
        .shape = { .rows = a->rows,
                   .in = a->columns,
                   .out = a->columns,
                   .rank = a->rank,
                   .factor = a->factor },
        .in = { w, a->a, a->b },
        .saved = room,
        .keep = keep,
        .out = ret_w,
    };

    if (room == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory to merge %zux%zu numbers",
                    a->rows, a->columns);
    a->row->merge->forward(&call);
    return SUCCESS;
}

static struct status merge_one(struct model *m, const struct adapter_made *a)
{
    struct model_parameter *p = &m->parameters[a->matrix];
    float *made = malloc(p->count * sizeof(*made));
    struct status st;

    if (made == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory to merge \"%s\"", p->name);
    st = adapter_make(a, p->data, p->keep, made);
    if (!status_failed(&st))
        st = model_own(m, a->matrix);
    if (!status_failed(&st))
        memcpy(p->own, made, p->count * sizeof(*made));
    free(made);
    return st;
}

static void drop_adapters(struct model *m)
{
    size_t count = 0;

    graph_free(m->graph);
    m->graph = m->config.arch->build(&m->config);
    count = m->graph->parameter_count;
    while (m->parameter_count > count) {
        struct model_parameter *p = &m->parameters[--m->parameter_count];

        m->size -= p->count;
        free(p->keep);
        free(p->own);
    }
    for (size_t i = 0; i < count; i++)
        m->parameters[i].name = m->graph->parameters[i].name;
}

struct status adapter_merge(struct model *m, const struct adapter_row *row)
{
    AUTO(free_pointer) struct adapter_made *list = NULL;
    size_t count = adapter_list(m, row, &list);

    for (size_t i = 0; i < count; i++)
        TRY_PLAIN(merge_one(m, &list[i]));
    drop_adapters(m);
    return SUCCESS;
}
