#include "model/pass.h"

#include <assert.h>

#include "common/memory.h"
#include "tensor/dtype.h"

struct pass {
    const struct model *model;
    const struct graph *graph;
    struct pass_room room;
    bool *trained; /* copy of the room's */
    struct layout layout;
    float *block;
    bool *written; /* [values] whose slope holds something; backward only */
    bool measure;

    struct pass_batch batch; /* of the last forward */
    size_t labelled;
    size_t whole; /* section whose inside is there; see pass_room.again */
};

size_t pass_bytes_of(const struct model *m, const struct pass_room *room)
{
    struct layout layout;
    size_t bytes;

    layout_init(&layout, m->graph, &m->config, room);
    bytes = layout.size * sizeof(float);
    layout_release(&layout);
    return bytes;
}

size_t pass_bytes(const struct model_config *c, const struct pass_room *room)
{
    const struct model m = { .config = *c, .graph = c->arch->build(c) };
    size_t bytes = pass_bytes_of(&m, room);

    graph_free(m.graph);
    return bytes;
}

bool pass_fit(const struct model *m, size_t budget, struct pass_room *room)
{
    room->again = false;
    if (!room->gradients || pass_bytes_of(m, room) <= budget)
        return pass_bytes_of(m, room) <= budget;
    room->again = true;
    return pass_bytes_of(m, room) <= budget;
}

static struct status check_room(const struct model *m,
                                const struct pass_room *room)
{
    if (room->longest < 1 || room->rows < room->longest)
        return FAIL(STATUS_INVALID,
                    "a batch of %zu tokens cannot hold sequences of %zu",
                    room->rows, room->longest);
    if (room->rows > UINT32_MAX)
        return FAIL(STATUS_INVALID, "a batch of %zu tokens is too large",
                    room->rows);
    if (m->graph->pixels == 0 && room->longest > m->config.positions)
        return FAIL(STATUS_INVALID,
                    "sequences of %zu tokens are too long for the model: its "
                    "config.json allows %u",
                    room->longest, m->config.positions);
    return SUCCESS;
}

static void keep_trained(struct pass *p)
{
    size_t count = p->graph->parameter_count;

    p->trained = xcalloc(count + 1, sizeof(*p->trained));
    for (size_t i = 0; i < count; i++)
        p->trained[i] = room_trains(&p->room, p->graph, i);
    p->room.trained = p->trained;
}

struct status pass_new(const struct model *m, const struct pass_room *room,
                       struct pass **ret_pass)
{
    struct pass *p;

    TRY_PLAIN(check_room(m, room));
    p = xnew(struct pass);
    p->model = m;
    p->graph = m->graph;
    p->room = *room;
    p->measure = room->gradients;
    keep_trained(p);
    layout_init(&p->layout, p->graph, &m->config, &p->room);
    p->written = xcalloc(p->graph->value_count, sizeof(*p->written));
    p->block = alloc_large(p->layout.size * sizeof(float));
    if (p->block == NULL) {
        size_t bytes = p->layout.size * sizeof(float);

        pass_free(p);
        return FAIL(STATUS_NO_MEMORY, "no memory for activations: %zu bytes",
                    bytes);
    }
    op_rope_table(room->longest, m->config.rotary, m->config.rope_theta,
                  p->block + p->layout.table);
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
    free(p->written);
    free(p->trained);
    layout_release(&p->layout);
    free(p);
}

void pass_release(struct pass **p)
{
    pass_free(*p);
}

void pass_measure_batches(struct pass *p, bool measure)
{
    p->measure = measure;
}

static struct status check_tokens(const struct pass *p,
                                  const struct pass_batch *batch)
{
    uint32_t vocab = p->model->config.vocab;
    size_t rows = batch->starts[batch->segments];

    for (size_t t = 0; t < rows; t++) {
        if (p->graph->pixels == 0 && batch->tokens != NULL &&
            (batch->tokens[t] < 0 || (uint32_t)batch->tokens[t] >= vocab))
            return FAIL(STATUS_INVALID,
                        "token %d is outside the model's vocabulary of %u",
                        batch->tokens[t], vocab);
        if (batch->labels != NULL && batch->labels[t] != OP_NO_LABEL &&
            (batch->labels[t] < 0 || (uint32_t)batch->labels[t] >= vocab))
            return FAIL(
                STATUS_INVALID, "label %d is outside the model's %s of %u",
                batch->labels[t],
                p->graph->pixels == 0 ? "vocabulary" : "classes", vocab);
    }
    return SUCCESS;
}

/* What a pass reads: the stream of a section, tokens or pixels. */
static struct status check_input(const struct pass *p,
                                 const struct pass_batch *batch)
{
    bool inside = room_first(&p->room) > 0;
    bool images = p->graph->pixels != 0;

    if (inside != (batch->stream != NULL))
        return FAIL(STATUS_INVALID, "the pass takes %s, the batch has %s",
                    inside ? "a stream" : "no stream", inside ? "none" : "one");
    if (!inside && images != (batch->pixels != NULL))
        return FAIL(STATUS_INVALID, "the model takes %s, the batch has %s",
                    images ? "images" : "tokens", images ? "tokens" : "images");
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
    TRY_PLAIN(check_input(p, batch));
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

static float *at(const struct pass *p, size_t offset)
{
    return offset == LAYOUT_NONE ? NULL : p->block + offset;
}

/* The value that the one section of a pass begins with; 0: none. */
static int stream_read(const struct pass *p)
{
    size_t first = room_first(&p->room);

    return first == 0 ? 0 : p->graph->streams[first - 1];
}

static const float *operand(const struct pass *p, int in)
{
    if (in < 0)
        return p->model->parameters[-1 - in].data;
    if (in == GRAPH_INPUT)
        return p->batch.pixels;
    if (in != 0 && in == stream_read(p))
        return p->batch.stream;
    return in == 0 ? NULL : at(p, p->layout.values[in]);
}

static struct op_call call_of(const struct pass *p, size_t i)
{
    const struct graph_step *s = &p->graph->steps[i];
    struct op_call call = {
        .shape = graph_shape(p->graph, s, p->batch.starts[p->batch.segments]),
        .out = at(p, p->layout.values[s->out]),
        .saved = at(p, p->layout.saved[i]),
        .table = p->block + p->layout.table,
    };

    call.shape.segments = p->batch.segments;
    call.shape.starts = p->batch.starts;
    call.shape.lean = !p->room.gradients;
    call.shape.training = p->measure;
    if (s->index == INDEX_TOKENS)
        call.index = p->batch.tokens;
    if (s->index == INDEX_LABELS)
        call.index = p->batch.labels;
    for (size_t k = 0; k < OP_INPUTS; k++)
        call.in[k] = operand(p, s->in[k]);
    if (s->in[0] < 0)
        call.keep = p->model->parameters[-1 - s->in[0]].keep;
    return call;
}

static void forward_step(const struct pass *p, size_t i)
{
    struct op_call call = call_of(p, i);

    p->graph->steps[i].op->forward(&call);
}

static void forward_section(struct pass *p, size_t section)
{
    for (size_t i = p->graph->first_step[section];
         i < room_end(&p->room, p->graph, section); i++)
        forward_step(p, i);
    p->whole = section;
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

/* What the one section of a pass leaves, and how much of it; NULL: the pass
 * ends with the losses. */
static const float *stream_left(const struct pass *p, size_t *ret_count)
{
    const struct graph *g = p->graph;
    int value = g->streams[room_last(&p->room, g) - 1];

    if (value == 0)
        return NULL;
    *ret_count = p->batch.starts[p->batch.segments] * graph_width(g, value);
    return at(p, p->layout.values[value]);
}

static double square_loss(const struct pass *p, const float *left, size_t count)
{
    double sum = 0.0;

    if (p->batch.target == NULL)
        return 0.0;
    for (size_t i = 0; i < count; i++) {
        double d = (double)left[i] - (double)p->batch.target[i];

        sum += d * d;
    }
    return sum / (double)count;
}

struct status pass_forward(struct pass *p, const struct pass_batch *batch,
                           double *ret_loss)
{
    const float *left;
    size_t count = 0;

    TRY_PLAIN(check_batch(p, batch));
    p->batch = *batch;
    for (size_t section = room_first(&p->room);
         section < room_last(&p->room, p->graph); section++)
        forward_section(p, section);
    *ret_loss = 0.0;
    if (p->room.headless)
        return SUCCESS;
    left = stream_left(p, &count);
    *ret_loss = left == NULL ? mean_loss(p) : square_loss(p, left, count);
    return SUCCESS;
}

const float *pass_logits(const struct pass *p)
{
    return at(p, p->layout.values[p->graph->logits]);
}

const float *pass_hidden(const struct pass *p)
{
    const struct graph *g = p->graph;

    return operand(p, g->steps[g->values[g->logits].writer].in[0]);
}

const float *pass_losses(const struct pass *p)
{
    return at(p, p->layout.values[p->graph->losses]);
}

const float *pass_stream(const struct pass *p, size_t layers)
{
    assert(layers + 1 < p->graph->sections);
    assert(p->room.alone ? p->room.section == layers : p->room.gradients);
    return at(p, p->layout.values[p->graph->streams[layers]]);
}

const float *pass_operand(const struct pass *p, int in)
{
    assert(p->room.alone);
    return operand(p, in);
}

bool pass_not_finite(struct pass *p, char *text, size_t size)
{
    const struct graph *g = p->graph;
    size_t rows = p->batch.starts[p->batch.segments];

    for (size_t i = g->first_step[room_first(&p->room)];
         i < room_end(&p->room, g, room_last(&p->room, g) - 1); i++) {
        int out = g->steps[i].out;
        size_t fixed = g->values[out].fixed;
        size_t count = fixed != 0 ? fixed : rows * graph_width(g, out);

        forward_step(p, i);
        if (dtype_find_not_finite(DTYPE_F32, at(p, p->layout.values[out]),
                                  count) < count) {
            graph_place(g, out, text, size);
            return true;
        }
    }
    p->whole = room_last(&p->room, g) - 1;
    return false;
}

/* Where a step's slopes go. A slope is first written, then added to;
 * parameters' are only added to. */
static void aim(struct pass *p, const struct graph_step *s,
                struct op_call *call)
{
    call->d_out = at(p, p->layout.slopes[s->out]);
    for (size_t k = 0; k < OP_INPUTS; k++) {
        int in = s->in[k];

        if ((s->op->fixed >> k & 1U) != 0 || in == 0)
            continue;
        if (in < 0) {
            call->d_in[k] = at(p, p->layout.gradients[-1 - in]);
            continue;
        }
        call->d_in[k] = at(p, p->layout.slopes[in]);
        call->fresh[k] = !p->written[in];
        p->written[in] = true;
    }
}

/* A made weight lives for one step at a time; it is made again. */
static void make_weights(const struct pass *p, const struct graph_step *s)
{
    for (size_t k = 0; k < OP_INPUTS; k++)
        if (s->in[k] > 0 && p->graph->values[s->in[k]].fixed != 0)
            forward_step(p, p->graph->values[s->in[k]].writer);
}

static void backward_step(struct pass *p, size_t i)
{
    const struct graph_step *s = &p->graph->steps[i];
    struct op_call call;

    if (p->layout.slopes[s->out] == LAYOUT_NONE)
        return;
    make_weights(p, s);
    call = call_of(p, i);
    aim(p, s, &call);
    s->op->backward(&call);
}

/* The slope of the last value, whose mean is the loss. False: no parameter
 * leads to it. */
static bool seed_losses(struct pass *p)
{
    size_t rows = p->batch.starts[p->batch.segments];
    float *seed = at(p, p->layout.slopes[p->graph->losses]);

    for (size_t t = 0; seed != NULL && t < rows; t++)
        seed[t] = p->labelled == 0 ? 0.0F : 1.0F / (float)p->labelled;
    return seed != NULL;
}

static bool seed_squares(struct pass *p, const float *left, size_t count)
{
    int value = p->graph->streams[p->room.section];
    float *seed = at(p, p->layout.slopes[value]);
    float by = 2.0F / (float)count;

    assert(p->batch.target != NULL);
    for (size_t i = 0; seed != NULL && i < count; i++)
        seed[i] = by * (left[i] - p->batch.target[i]);
    p->written[value] = true;
    return seed != NULL;
}

void pass_backward(struct pass *p)
{
    const struct graph *g = p->graph;
    size_t count = 0;
    const float *left = stream_left(p, &count);

    assert(p->room.gradients);
    memset(p->written, 0, g->value_count * sizeof(*p->written));
    if (!(left == NULL ? seed_losses(p) : seed_squares(p, left, count)))
        return;
    for (size_t section = room_last(&p->room, g);
         section-- > room_first(&p->room);) {
        if (p->room.again && p->whole != section)
            forward_section(p, section);
        for (size_t i = g->first_step[section + 1];
             i-- > g->first_step[section];)
            backward_step(p, i);
    }
}

float *pass_gradients(struct pass *p)
{
    return p->block + p->layout.gradients_at;
}

size_t pass_gradients_size(const struct pass *p)
{
    return p->layout.gradients_size;
}

float *pass_gradient(const struct pass *p, size_t parameter)
{
    return at(p, p->layout.gradients[parameter]);
}

void pass_clear_gradients(struct pass *p)
{
    memset(pass_gradients(p), 0, p->layout.gradients_size * sizeof(float));
}

static void blend(float *x, const float *batch, size_t count, float momentum)
{
    for (size_t i = 0; i < count; i++)
        x[i] += momentum * (batch[i] - x[i]);
}

struct status pass_note_statistics(const struct pass *p, struct model *m,
                                   double momentum)
{
    assert(m == p->model);
    for (size_t i = p->graph->first_step[room_first(&p->room)];
         i < p->graph->first_step[room_last(&p->room, p->graph)]; i++) {
        const struct graph_step *s = &p->graph->steps[i];
        struct op_batch_statistics found;
        size_t mean, variance;

        if (s->op != &op_batch_norm)
            continue;
        mean = (size_t)(-1 - s->in[3]);
        variance = (size_t)(-1 - s->in[4]);
        TRY_PLAIN(model_own(m, mean));
        TRY_PLAIN(model_own(m, variance));
        found = op_batch_norm_statistics(&s->shape, at(p, p->layout.saved[i]));
        blend(m->parameters[mean].own, found.mean, s->shape.channels,
              (float)momentum);
        blend(m->parameters[variance].own, found.variance, s->shape.channels,
              (float)momentum);
    }
    return SUCCESS;
}

/* Of the sections that are computed. */
static void clear_statistics(const struct pass *p, struct model *m)
{
    const struct graph_parameter *g = p->graph->parameters;

    for (size_t i = 0; i < m->parameter_count; i++)
        if (g[i].role == ROLE_STATISTIC &&
            g[i].section >= room_first(&p->room) &&
            g[i].section < room_last(&p->room, p->graph))
            memset(m->parameters[i].own, 0,
                   m->parameters[i].count * sizeof(float));
}

struct status pass_estimate_statistics(struct pass *p, struct model *m,
                                       const struct pass_batch *batch,
                                       uint64_t *seen)
{
    bool measured = p->measure;
    double loss;
    size_t rows;
    struct status st;

    for (size_t i = 0; i < m->parameter_count; i++)
        if (m->parameters[i].role == ROLE_STATISTIC)
            TRY_PLAIN(model_own(m, i));
    p->measure = true;
    st = pass_forward(p, batch, &loss);
    p->measure = measured;
    if (status_failed(&st))
        return st;
    if (*seen == 0)
        clear_statistics(p, m);
    rows = batch->starts[batch->segments];
    *seen += rows;
    return pass_note_statistics(p, m, (double)rows / (double)*seen);
}
