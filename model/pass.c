#include "model/pass.h"

#include <assert.h>

#include "common/memory.h"
#include "tensor/dtype.h"

/* The arrays of one section. */
struct frame {
    float *slots[ARCH_SLOTS];
    float *saved[ARCH_STEPS];
};

struct pass {
    const struct model *model;
    struct pass_room room;
    size_t sections;      /* front, layers, back */
    struct frame *values; /* [sections] */
    struct frame *slopes; /* [sections]; gradients of slots, `saved` unused */
    float *block;
    float *table;     /* of op_rope */
    float *gradients; /* of parameters */

    struct pass_batch batch; /* of the last forward */
    size_t labelled;
};

static const struct arch_step *steps_of(const struct model_config *c,
                                        size_t section)
{
    if (section == 0)
        return c->arch->front;
    return section <= c->layers ? c->arch->layer : c->arch->back;
}

/* Columns of an operand: of a weight its rows, so that an embedding's table
 * tells its vocabulary. */
static size_t width_of(const struct model_config *c, int operand)
{
    if (operand < 0)
        return arch_width(c, c->arch->parameters[-operand].rows);
    return arch_width(c, c->arch->slot_widths[operand]);
}

static struct op_shape shape_of(const struct model_config *c,
                                const struct arch_step *step,
                                const struct pass_batch *batch)
{
    struct op_shape s = {
        .rows = batch->starts[batch->segments],
        .in = width_of(c, step->in[0]),
        .out = width_of(c, step->out),
        .heads = c->heads,
        .kv_heads = c->kv_heads,
        .head_dim = c->head_dim,
        .segments = batch->segments,
        .starts = batch->starts,
        .eps = c->norm_eps,
    };

    return s;
}

/* Takes floats from a block, or only counts them when there is none. Lines of
 * 64 bytes keep vectors aligned. */
struct cutter {
    float *block;
    size_t used;
};

static float *cut(struct cutter *c, size_t count)
{
    float *piece = c->block == NULL ? NULL : c->block + c->used;

    c->used += (count + 15) / 16 * 16;
    return piece;
}

/* A frame for each section. Shared: each section begins where the first one
 * began, but what it reads of its predecessor (ARCH_OUT) alternates between
 * two places of its own. */
static void cut_frames(const struct pass *p, const struct pass_batch *largest,
                       bool shared, bool slopes, struct cutter *cutter,
                       struct frame *ret_frames)
{
    const struct model_config *c = &p->model->config;
    size_t rows = p->room.rows, most;
    float *streams[2] = { NULL, NULL };
    size_t begin;

    for (size_t i = 0; shared && i < 2; i++)
        streams[i] = cut(cutter, rows * width_of(c, ARCH_OUT));
    begin = most = cutter->used;
    for (size_t section = 0; section < p->sections; section++) {
        const struct arch_step *steps = steps_of(c, section);
        struct frame f = { 0 };

        cutter->used = shared ? begin : cutter->used;
        for (size_t i = 0; steps[i].op != NULL; i++) {
            struct op_shape shape = shape_of(c, &steps[i], largest);
            struct op_sizes sizes = { 0 };

            shape.lean = shared;
            steps[i].op->sizes(&shape, &sizes);
            if (shared && steps[i].out == ARCH_OUT)
                f.slots[ARCH_OUT] = streams[section % 2];
            else
                f.slots[steps[i].out] = cut(cutter, sizes.out);
            if (!slopes)
                f.saved[i] = cut(cutter, sizes.saved);
        }
        if (ret_frames != NULL)
            ret_frames[section] = f;
        most = cutter->used > most ? cutter->used : most;
    }
    cutter->used = most;
}

/* Every array of the pass. `frames` false: only count. */
static void lay_out(struct pass *p, struct cutter *cutter, bool frames)
{
    const struct model_config *c = &p->model->config;
    size_t whole = p->room.rows / p->room.longest;
    uint32_t *starts = xcalloc(whole + 2, sizeof(*starts));
    struct pass_batch largest = { .starts = starts };

    /* Sequences as long as may be take the most memory. */
    for (size_t i = 0; i < whole; i++)
        starts[i + 1] = (uint32_t)((i + 1) * p->room.longest);
    starts[whole + 1] = (uint32_t)p->room.rows;
    largest.segments = whole + 1;

    p->table = cut(cutter, op_rope_table_size(p->room.longest, c->head_dim));
    cut_frames(p, &largest, !p->room.gradients, false, cutter,
               frames ? p->values : NULL);
    if (p->room.gradients) {
        cut_frames(p, &largest, true, true, cutter, frames ? p->slopes : NULL);
        p->gradients = cut(cutter, model_size(c));
    }
    free(starts);
}

size_t pass_bytes(const struct model_config *c, const struct pass_room *room)
{
    struct model m = { .config = *c };
    struct pass p = { .model = &m,
                      .room = *room,
                      .sections = (size_t)c->layers + 2 };
    struct cutter cutter = { 0 };

    lay_out(&p, &cutter, false);
    return cutter.used * sizeof(float);
}

struct status pass_new(const struct model *m, const struct pass_room *room,
                       struct pass **ret_pass)
{
    size_t bytes;
    struct cutter cutter = { 0 };
    struct pass *p;

    if (room->longest < 1 || room->rows < room->longest)
        return FAIL(STATUS_INVALID,
                    "a batch of %zu tokens cannot hold sequences of %zu",
                    room->rows, room->longest);
    if (room->longest > m->config.positions)
        return FAIL(STATUS_INVALID,
                    "sequences of %zu tokens are too long for the model: its "
                    "config.json allows %u (\"max_position_embeddings\")",
                    room->longest, m->config.positions);
    bytes = pass_bytes(&m->config, room);
    cutter.block = aligned_alloc(64, bytes);
    if (cutter.block == NULL)
        return FAIL(STATUS_NO_MEMORY, "no memory for activations: %zu bytes",
                    bytes);
    p = xnew(struct pass);
    p->model = m;
    p->room = *room;
    p->sections = (size_t)m->config.layers + 2;
    p->values = xcalloc(p->sections, sizeof(*p->values));
    p->slopes = xcalloc(p->sections, sizeof(*p->slopes));
    p->block = cutter.block;
    lay_out(p, &cutter, true);
    op_rope_table(room->longest, m->config.head_dim, m->config.rope_theta,
                  p->table);
    if (room->gradients)
        pass_clear_gradients(p);
    *ret_pass = p;
    return SUCCESS;
}

void pass_free(struct pass *p)
{
    if (p == NULL)
        return;
    free(p->block);
    free(p->values);
    free(p->slopes);
    free(p);
}

static struct status check_tokens(const struct pass *p,
                                  const struct pass_batch *batch)
{
    uint32_t vocab = p->model->config.vocab;
    size_t rows = batch->starts[batch->segments];

    for (size_t t = 0; t < rows; t++) {
        if (batch->tokens[t] < 0 || (uint32_t)batch->tokens[t] >= vocab)
            return FAIL(STATUS_INVALID,
                        "token %d is outside the model's vocabulary of %u",
                        batch->tokens[t], vocab);
        if (batch->labels[t] != OP_NO_LABEL &&
            (batch->labels[t] < 0 || (uint32_t)batch->labels[t] >= vocab))
            return FAIL(STATUS_INVALID,
                        "label %d is outside the model's vocabulary of %u",
                        batch->labels[t], vocab);
    }
    return SUCCESS;
}

static struct status check_batch(const struct pass *p,
                                 const struct pass_batch *batch)
{
    size_t rows = batch->segments == 0 ? 0 : batch->starts[batch->segments];

    if (rows == 0)
        return FAIL(STATUS_INVALID, "the batch is empty");
    if (rows > p->room.rows)
        return FAIL(STATUS_INVALID,
                    "a batch of %zu tokens; the pass has room for %zu", rows,
                    p->room.rows);
    for (size_t i = 0; i < batch->segments; i++) {
        size_t length = batch->starts[i + 1] - batch->starts[i];

        if (length > p->room.longest)
            return FAIL(STATUS_INVALID,
                        "sequence %zu of the batch has %zu tokens; at most "
                        "%zu fit",
                        i, length, p->room.longest);
    }
    return check_tokens(p, batch);
}

static uint32_t layer_of(size_t section)
{
    return section == 0 ? 0 : (uint32_t)section - 1;
}

static const struct model_parameter *weight(const struct pass *p, int operand,
                                            size_t section)
{
    const struct arch_parameter *rows = p->model->config.arch->parameters;

    return model_parameter(p->model, -operand,
                           rows[-operand].of_layer ? layer_of(section) : 0);
}

/* Where a slot of a section is: ARCH_IN lies in the section before. */
static float *slot(const struct frame *frames, size_t section, int operand)
{
    if (operand == ARCH_IN)
        return frames[section - 1].slots[ARCH_OUT];
    return frames[section].slots[operand];
}

static struct op_call call_of(const struct pass *p, size_t section, size_t i)
{
    const struct model_config *c = &p->model->config;
    const struct arch_step *step = &steps_of(c, section)[i];
    struct op_call call = {
        .shape = shape_of(c, step, &p->batch),
        .out = slot(p->values, section, step->out),
        .saved = p->values[section].saved[i],
        .table = p->table,
    };

    call.shape.lean = !p->room.gradients;
    if (step->index == INDEX_TOKENS)
        call.index = p->batch.tokens;
    if (step->index == INDEX_LABELS)
        call.index = p->batch.labels;
    for (size_t k = 0; k < OP_INPUTS; k++) {
        if (step->in[k] < 0)
            call.in[k] = weight(p, step->in[k], section)->data;
        if (step->in[k] > 0)
            call.in[k] = slot(p->values, section, step->in[k]);
    }
    return call;
}

static double mean_loss(struct pass *p)
{
    const float *losses = pass_losses(p);
    size_t rows = p->batch.starts[p->batch.segments];
    double sum = 0.0;

    p->labelled = 0;
    for (size_t t = 0; t < rows; t++) {
        p->labelled += p->batch.labels[t] != OP_NO_LABEL;
        sum += (double)losses[t];
    }
    return p->labelled == 0 ? 0.0 : sum / (double)p->labelled;
}

struct status pass_forward(struct pass *p, const struct pass_batch *batch,
                           double *ret_loss)
{
    TRY_PLAIN(check_batch(p, batch));
    p->batch = *batch;
    for (size_t section = 0; section < p->sections; section++) {
        const struct arch_step *steps = steps_of(&p->model->config, section);

        for (size_t i = 0; steps[i].op != NULL; i++) {
            struct op_call call = call_of(p, section, i);

            steps[i].op->forward(&call);
        }
    }
    *ret_loss = mean_loss(p);
    return SUCCESS;
}

const float *pass_logits(const struct pass *p)
{
    return p->values[p->sections - 1].slots[ARCH_LOGITS];
}

const float *pass_losses(const struct pass *p)
{
    return p->values[p->sections - 1].slots[ARCH_LOSSES];
}

const float *pass_stream(const struct pass *p, size_t layers)
{
    assert(p->room.gradients && layers <= p->model->config.layers);
    return p->values[layers].slots[ARCH_OUT];
}

static void place_text(const struct pass *p, size_t section, int at, char *text,
                       size_t size)
{
    const char *name = p->model->config.arch->slot_names[at];

    if (section == 0)
        (void)snprintf(text, size, "%s in front of the layers", name);
    else if (section + 1 == p->sections)
        (void)snprintf(text, size, "%s behind the layers", name);
    else
        (void)snprintf(text, size, "%s of layer %zu", name, section - 1);
}

bool pass_not_finite(const struct pass *p, char *text, size_t size)
{
    const struct model_config *c = &p->model->config;
    size_t rows = p->batch.starts[p->batch.segments];

    assert(p->room.gradients);
    for (size_t section = 0; section < p->sections; section++) {
        const struct arch_step *steps = steps_of(c, section);

        for (size_t i = 0; steps[i].op != NULL; i++) {
            size_t count = rows * width_of(c, steps[i].out);
            const float *x = slot(p->values, section, steps[i].out);

            if (dtype_find_not_finite(DTYPE_F32, x, count) == count)
                continue;
            place_text(p, section, steps[i].out, text, size);
            return true;
        }
    }
    return false;
}

/* The gradient of an operand of a step; `written`: slots of this section that
 * hold something already. */
static void aim(const struct pass *p, size_t section,
                const struct arch_step *step, size_t k, bool *written,
                struct op_call *call)
{
    int operand = step->in[k];

    if (operand < 0) {
        call->d_in[k] = p->gradients + weight(p, operand, section)->at;
        return;
    }
    if (operand == 0)
        return;
    call->d_in[k] = slot(p->slopes, section, operand);
    call->fresh[k] = !written[operand];
    written[operand] = true;
}

void pass_backward(struct pass *p)
{
    float *seed = p->slopes[p->sections - 1].slots[ARCH_LOSSES];
    size_t rows = p->batch.starts[p->batch.segments];

    assert(p->room.gradients);
    for (size_t t = 0; t < rows; t++)
        seed[t] = p->labelled == 0 ? 0.0F : 1.0F / (float)p->labelled;
    for (size_t section = p->sections; section-- > 0;) {
        const struct arch_step *steps = steps_of(&p->model->config, section);
        bool written[ARCH_SLOTS] = { [ARCH_OUT] = true, [ARCH_LOSSES] = true };
        size_t count = 0;

        while (steps[count].op != NULL)
            count++;
        for (size_t i = count; i-- > 0;) {
            struct op_call call = call_of(p, section, i);

            assert(written[steps[i].out]);
            call.d_out = slot(p->slopes, section, steps[i].out);
            for (size_t k = 0; k < OP_INPUTS; k++)
                aim(p, section, &steps[i], k, written, &call);
            steps[i].op->backward(&call);
        }
    }
}

float *pass_gradients(struct pass *p)
{
    return p->gradients;
}

void pass_clear_gradients(struct pass *p)
{
    memset(p->gradients, 0, model_size(&p->model->config) * sizeof(float));
}
