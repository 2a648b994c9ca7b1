#include "jobs/prune_fit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/prune_body.h"
#include "jobs/prune_fed.h"

/* ---- which matrices, and what they read ------------------------------------------ */

static bool is_sparsegpt(const struct fit_config *c)
{
    return c->prune.method == PRUNE_SPARSEGPT;
}

/* The tensor of the matrix that a step multiplies by, if it is pruned. */
static const struct tensor *target_of(const struct model *m,
                                      const struct graph_step *s,
                                      const struct prune_target *targets,
                                      const struct tensor_set *set)
{
    const struct graph_parameter *p = graph_parameter_of(m->graph, s->in[1]);
    const struct tensor *t;

    if (p == NULL || (s->op != &op_linear && s->op != &op_conv))
        return NULL;
    t = prune_find_tensor(set, m->config.arch, p->name);
    return t != NULL && targets[t - set->items].chosen ? t : NULL;
}

static size_t find_inputs(struct fit *f, size_t step, size_t inputs)
{
    const struct graph_step *s = &f->model->graph->steps[step];
    size_t i = 0;

    /* A convolution sees its input in its own way. */
    while (i < f->input_count &&
           (f->inputs[i].value != s->in[0] || s->op == &op_conv))
        i++;
    if (i < f->input_count)
        return i;
    f->inputs = xrealloc(f->inputs, (f->input_count + 1) * sizeof(*f->inputs));
    f->inputs[f->input_count++] = (struct fit_inputs){
        .value = s->in[0],
        .step = step,
        .first = f->matrix_count,
        .inputs = inputs,
    };
    return i;
}

static void add_matrix(struct fit *f, size_t step, const struct tensor *t,
                       const struct prune_target *target)
{
    const struct graph_step *s = &f->model->graph->steps[step];
    size_t from = find_inputs(f, step, target->matrix.inputs);

    f->matrices =
        xrealloc(f->matrices, (f->matrix_count + 1) * sizeof(*f->matrices));
    f->matrices[f->matrix_count++] = (struct fit_matrix){
        .parameter = (size_t)(-1 - s->in[1]),
        .tensor = t,
        .shape = target->matrix,
        .from = from,
    };
}

static void find_matrices(struct fit *f, const struct prune_target *targets,
                          const struct tensor_set *set)
{
    const struct graph *g = f->model->graph;

    for (size_t i = g->first_step[f->section];
         i < g->first_step[f->section + 1]; i++) {
        const struct tensor *t =
            target_of(f->model, &g->steps[i], targets, set);

        if (t != NULL)
            add_matrix(f, i, t, &targets[t - set->items]);
    }
}

/* ---- memory ---------------------------------------------------------------------- */

/* Of the patches of one image, both ways round. */
static size_t patches_of(const struct fit *f)
{
    const struct graph *g = f->model->graph;
    size_t most = 0;

    for (size_t i = 0; i < f->input_count; i++) {
        const struct graph_step *s = &g->steps[f->inputs[i].step];
        struct op_shape shape = graph_shape(g, s, 1);
        struct op_sizes sizes = { 0 };

        if (s->op != &op_conv)
            continue;
        s->op->sizes(&shape, &sizes);
        most = sizes.saved > most ? sizes.saved : most;
    }
    return 2 * most;
}

/* Of what is known of all that is fed. */
static size_t inputs_bytes(const struct fit *f)
{
    size_t bytes = 0;

    for (size_t i = 0; i < f->input_count; i++) {
        size_t n = f->inputs[i].inputs;

        bytes += is_sparsegpt(f->config) ? n * n * sizeof(float) + n
                                         : 2 * n * sizeof(double);
    }
    return bytes;
}

/* Of what goes into the delta, and waits there for all of the section. */
static size_t found_bytes(const struct fit *f)
{
    size_t bytes = 0;

    for (size_t i = 0; i < f->input_count && f->config->looks; i++) {
        size_t n = f->inputs[i].inputs;

        bytes += is_sparsegpt(f->config) ? prune_factor_packed(n) + n
                                         : n * sizeof(float);
    }
    for (size_t i = 0; i < f->matrix_count && !f->config->looks; i++) {
        const struct tensor *t = f->matrices[i].tensor;

        bytes += (size_t)(t->count + 7) / 8 +
                 (is_sparsegpt(f->config) ? (size_t)tensor_bytes(t) : 0);
    }
    return bytes;
}

/* Of work on one matrix: a byte for each weight says what is kept, the rest
 * follows fit_choose(), and what it calls. */
static size_t work_bytes(const struct fit *f, const struct fit_matrix *m)
{
    size_t count = m->shape.outputs * m->shape.inputs;
    size_t block =
        f->config->block < m->shape.inputs ? f->config->block : m->shape.inputs;
    size_t bytes = count, turned = m->shape.turned ? count * 5 : 0;
    size_t rounded = (size_t)tensor_bytes(m->tensor);

    if (f->config->looks)
        return is_sparsegpt(f->config)
                   ? prune_factor_packed(f->inputs[m->from].inputs)
                   : 0;
    if (is_sparsegpt(f->config)) {
        turned += prune_sparsegpt_bytes(&f->config->prune.how, m->shape.outputs,
                                        block, f->context->threads);
        return bytes + (turned > rounded ? turned : rounded);
    }
    if (f->config->prune.how.rule == PRUNE_ALPHA)
        bytes += count * (sizeof(float) + sizeof(double));
    return bytes + count * (sizeof(float) + 1);
}

size_t fit_bytes(const struct fit_config *c, const struct model *m,
                 const struct prune_target *targets,
                 const struct tensor_set *set, size_t section,
                 struct job_context *context)
{
    AUTO(fit_release)
    struct fit f = { .config = c,
                     .model = (struct model *)(uintptr_t)m,
                     .context = context,
                     .section = section };
    size_t most = 0;

    find_matrices(&f, targets, set);
    for (size_t i = 0; i < f.matrix_count; i++) {
        size_t bytes = work_bytes(&f, &f.matrices[i]);

        most = bytes > most ? bytes : most;
    }
    return inputs_bytes(&f) + found_bytes(&f) + patches_of(&f) * sizeof(float) +
           most;
}

MUST_CHECK static struct status take_inputs(struct fit *f)
{
    size_t patches = patches_of(f);

    for (size_t i = 0; i < f->input_count && f->seen == NULL; i++) {
        struct fit_inputs *in = &f->inputs[i];

        if (is_sparsegpt(f->config))
            TRY_PLAIN(prune_hessian_init(&in->hessian, in->inputs));
        else
            prune_norms_init(&in->norms, in->inputs);
    }
    f->patches = patches == 0 ? NULL : alloc_large(patches * sizeof(float));
    if (patches > 0 && f->patches == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory for patches of an image");
    return SUCCESS;
}

struct status fit_init(struct fit *f, const struct fit_config *c,
                       struct model *m, const struct prune_target *targets,
                       const struct tensor_set *set, size_t section,
                       const struct tensor_set *seen,
                       struct job_context *context)
{
    *f = (struct fit){ .config = c,
                       .model = m,
                       .context = context,
                       .seen = seen,
                       .section = section };
    find_matrices(f, targets, set);
    return take_inputs(f);
}

void fit_release(struct fit *f)
{
    for (size_t i = 0; i < f->input_count; i++) {
        prune_norms_release(&f->inputs[i].norms);
        prune_hessian_release(&f->inputs[i].hessian);
        prune_factor_release(&f->inputs[i].factor);
    }
    free(f->inputs);
    free(f->matrices);
    free(f->patches);
}

/* ---- what passes by ---------------------------------------------------------------- */

static void see(const struct fit *f, struct fit_inputs *in, const float *x,
                size_t rows, size_t samples)
{
    if (is_sparsegpt(f->config))
        prune_hessian_add(&in->hessian, x, rows, samples);
    else
        prune_norms_add(&in->norms, x, rows, samples);
}

/* What the kernel sees at each place of an image is a row. */
static void see_image(const struct fit *f, struct fit_inputs *in,
                      const struct op_shape *shape, const float *image)
{
    size_t places = op_conv_patches(shape, image, f->patches);
    float *rows = f->patches + in->inputs * places;

    for (size_t p = 0; p < places; p++)
        for (size_t i = 0; i < in->inputs; i++)
            rows[p * in->inputs + i] = f->patches[i * places + p];
    see(f, in, rows, places, 1);
}

struct status fit_look(void *self, const struct pass *pass, size_t rows,
                       size_t samples)
{
    struct fit *f = self;
    const struct graph *g = f->model->graph;

    for (size_t i = 0; i < f->input_count; i++) {
        struct fit_inputs *in = &f->inputs[i];
        const struct graph_step *s = &g->steps[in->step];
        const struct op_shape shape = graph_shape(g, s, rows);
        const float *x = pass_operand(pass, in->value);

        if (s->op == &op_linear)
            see(f, in, x, rows, samples);
        for (size_t t = 0; t < rows && s->op == &op_conv; t++)
            see_image(f, in, &shape, x + t * shape.in);
    }
    return SUCCESS;
}

/* ---- what goes ----------------------------------------------------------------------- */

/* [outputs][inputs] from how it lies, or back. */
static void turn(const struct prune_matrix *m, const float *from, float *to,
                 bool back)
{
    for (size_t o = 0; o < m->outputs; o++)
        for (size_t i = 0; i < m->inputs; i++) {
            size_t lies = i * m->outputs + o, row = o * m->inputs + i;

            to[back ? lies : row] = from[back ? row : lies];
        }
}

static void turn_keep(const struct prune_matrix *m, const uint8_t *from,
                      uint8_t *to, bool back)
{
    for (size_t o = 0; o < m->outputs; o++)
        for (size_t i = 0; i < m->inputs; i++) {
            size_t lies = i * m->outputs + o, row = o * m->inputs + i;

            to[back ? lies : row] = from[back ? row : lies];
        }
}

MUST_CHECK static struct status choose_by_norms(const struct fit *f,
                                                const struct fit_matrix *m,
                                                uint8_t *keep)
{
    const struct fit_inputs *in = &f->inputs[m->from];
    size_t count = m->shape.outputs * m->shape.inputs;
    AUTO(free_pointer) float *norms = xcalloc(in->inputs + 1, sizeof(float));
    AUTO(free_pointer) float *scores = alloc_large((count + 1) * sizeof(float));
    AUTO(free_pointer) uint8_t *chosen = alloc_large(count + 1);
    float *w = f->model->parameters[m->parameter].own;

    if (scores == NULL || chosen == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory for scores of \"%s\"",
                    m->tensor->name);
    prune_norms_roots(&in->norms, norms);
    prune_norms_score(&m->shape, norms, w, 0, count, scores);
    prune_choose(&f->config->prune.how, &m->shape, scores, chosen);
    for (size_t i = 0; i < count; i++)
        keep[i] &= chosen[i];
    prune_zero(DTYPE_F32, w, keep, count);
    return SUCCESS;
}

static void warn_identity(const struct fit *f, const char *name)
{
    char line[256];

    (void)snprintf(line, sizeof(line),
                   "warning: what \"%.150s\" reads says too little; it is "
                   "pruned by magnitude (more samples, or more damping)",
                   name);
    f->context->log(f->context->self, line);
}

struct status fit_need_factor(const struct fit *f, struct fit_inputs *in)
{
    const char *name = f->matrices[in->first].tensor->name;

    if (in->factor.upper != NULL)
        return SUCCESS;
    if (f->seen != NULL)
        TRY_PLAIN(prune_fed_factor(f->seen, name, in->inputs, &in->factor));
    else
        prune_factor_init(&in->factor, &in->hessian, f->config->damping);
    if (!in->factor.damped)
        warn_identity(f, name);
    return SUCCESS;
}

MUST_CHECK static struct status make_up(struct fit *f,
                                        const struct fit_matrix *m,
                                        uint8_t *keep)
{
    const struct fit_config *c = f->config;
    size_t count = m->shape.outputs * m->shape.inputs;
    bool turned = m->shape.turned;
    size_t room = turned ? count + 1 : 1;
    AUTO(free_pointer) float *w = alloc_large(room * sizeof(float));
    AUTO(free_pointer) uint8_t *kept = alloc_large(room);
    float *own = f->model->parameters[m->parameter].own;
    double loss = 0.0;

    TRY_PLAIN(fit_need_factor(f, &f->inputs[m->from]));
    if (w == NULL || kept == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory for weights of \"%s\"",
                    m->tensor->name);
    if (turned) {
        turn(&m->shape, own, w, false);
        turn_keep(&m->shape, keep, kept, false);
    }
    TRY_PLAIN(prune_sparsegpt(
        &f->inputs[m->from].factor, &c->prune.how, c->block,
        &(struct prune_weights){ .outputs = m->shape.outputs,
                                 .w = turned ? w : own,
                                 .keep = turned ? kept : keep,
                                 .threads = f->context->threads },
        &loss));
    if (turned) {
        turn(&m->shape, w, own, true);
        turn_keep(&m->shape, kept, keep, true);
    }
    f->loss += loss;
    return SUCCESS;
}

/* As it will be read again. */
static void round_weights(const struct fit *f, const struct fit_matrix *m,
                          void *spare)
{
    float *w = f->model->parameters[m->parameter].own;
    size_t count = (size_t)m->tensor->count;

    dtype_from_f32(m->tensor->dtype, w, spare, count);
    dtype_to_f32(m->tensor->dtype, spare, w, count);
}

struct status fit_choose(struct fit *f, size_t i, uint8_t *keep)
{
    const struct fit_matrix *m = &f->matrices[i];
    AUTO(free_pointer) void *spare = NULL;

    if (!is_sparsegpt(f->config))
        return choose_by_norms(f, m, keep);
    TRY_PLAIN(make_up(f, m, keep));
    spare = alloc_large((size_t)tensor_bytes(m->tensor) + 1);
    if (spare == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory for weights of \"%s\"",
                    m->tensor->name);
    round_weights(f, m, spare);
    return SUCCESS;
}
