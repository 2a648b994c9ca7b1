#include "jobs/evaluation.h"

#include <math.h>
#include <stdlib.h>

#include "common/memory.h"
#include "jobs/model_input.h"

enum {
    BATCH_ROWS = 2048, /* tokens sent through at once, if they fit */
    BATCH_IMAGES = 256,
};

void evaluation_release(struct evaluation *e)
{
    data_release(&e->data);
    batch_release(&e->batch);
    pass_free(e->pass);
}

static struct status prepare_pass(struct evaluation *e,
                                  const struct pass_room *room)
{
    TRY_PLAIN(model_input_fits(pass_bytes_of(e->model, room),
                               "evaluation of the model", e->context));
    return pass_new(e->model, room, &e->pass);
}

static struct status prepare_images(struct evaluation *e)
{
    size_t count =
        e->items < BATCH_IMAGES ? (size_t)e->items : (size_t)BATCH_IMAGES;
    const struct pass_room room = data_room(&e->data, count, false);

    TRY_PLAIN(prepare_pass(e, &room));
    return data_batch(&e->data, count, &e->batch);
}

static struct status prepare_text(struct evaluation *e)
{
    size_t longest = e->data.window;
    const struct pass_room room = {
        .rows = longest < BATCH_ROWS ? BATCH_ROWS : longest,
        .longest = longest,
    };

    TRY_PLAIN(prepare_pass(e, &room));
    batch_init(&e->batch, room.rows, room.rows);
    return SUCCESS;
}

static struct status prepare(struct evaluation *e,
                             const struct tokenizer *tokenizer,
                             const json_t *data, size_t window)
{
    const struct data_use use = { .window = window,
                                  .tokenizer = tokenizer,
                                  .positions = e->model->config.positions };

    TRY_PLAIN(data_open(data, &use, e->context, &e->data));
    TRY_PLAIN(data_check(&e->data, e->model));
    if (e->data.items == 0)
        return FAIL(STATUS_INVALID,
                    "data without end cannot be measured; give it `items`");
    e->items = e->data.items;
    return data_has_images(&e->data) ? prepare_images(e) : prepare_text(e);
}

struct status evaluation_open(const struct model *model,
                              const struct tokenizer *tokenizer,
                              const json_t *data, size_t window,
                              struct job_context *context,
                              struct evaluation *ret_evaluation)
{
    struct evaluation e = { .context = context, .model = model };
    struct status st = prepare(&e, tokenizer, data, window);

    if (status_failed(&st))
        evaluation_release(&e);
    else
        *ret_evaluation = e;
    return st;
}

/* The next items as a batch; false: there are none left. */
static struct status next_batch(struct evaluation *e, bool *ret_more)
{
    bool added = true;

    if (e->context->cancelled(e->context->self))
        return FAIL(STATUS_CANCELLED, "cancelled at item %llu",
                    (unsigned long long)e->next + 1);
    e->context->progress(e->context->self, e->next, e->items, "item");
    *ret_more = e->next < e->items;
    batch_clear(&e->batch);
    while (added && e->next < e->items) {
        TRY_PLAIN(data_add(&e->data, e->next, &e->batch, &added));
        e->next += added;
    }
    return SUCCESS;
}

/* The next items through the model; false: there are none left. */
static struct status advance(struct evaluation *e, bool *ret_more)
{
    struct pass_batch view;
    char where[128] = "loss";
    double loss;

    TRY_PLAIN(next_batch(e, ret_more));
    if (!*ret_more)
        return SUCCESS;
    view = batch_view(&e->batch);
    TRY_PLAIN(pass_forward(e->pass, &view, &loss));
    if (isfinite(loss))
        return SUCCESS;
    (void)pass_not_finite(e->pass, where, sizeof(where));
    return FAIL(STATUS_FAILED,
                "the loss is %g at item %llu: the model's numbers overflow, "
                "first in the %s",
                loss, (unsigned long long)e->next, where);
}

struct status evaluation_statistics(struct evaluation *e, struct model *m)
{
    uint64_t seen = 0;
    bool more = true;

    evaluation_rewind(e);
    for (;;) {
        struct pass_batch view;

        TRY_PLAIN(next_batch(e, &more));
        if (!more)
            break;
        view = batch_view(&e->batch);
        TRY_PLAIN(pass_estimate_statistics(e->pass, m, &view, &seen));
    }
    evaluation_rewind(e);
    return SUCCESS;
}

void evaluation_rewind(struct evaluation *e)
{
    e->next = 0;
    e->loss = 0.0;
    e->tokens = 0;
}

static void add_losses(struct evaluation *e)
{
    const float *losses = pass_losses(e->pass);

    for (size_t t = 0; t < e->batch.rows; t++) {
        if (e->batch.labels[t] == OP_NO_LABEL)
            continue;
        e->loss += (double)losses[t];
        e->tokens++;
    }
}

struct status evaluation_losses(struct evaluation *e)
{
    bool more = true;

    for (;;) {
        TRY_PLAIN(advance(e, &more));
        if (!more)
            return SUCCESS;
        add_losses(e);
    }
}

/* Of each item, minus the logarithm of the likelihood of what is predicted. */
static struct status item_losses(struct evaluation *e, double *ret_losses)
{
    uint64_t done = 0;
    bool more = true;

    for (;;) {
        const float *losses = pass_losses(e->pass);

        TRY_PLAIN(advance(e, &more));
        if (!more)
            return SUCCESS;
        add_losses(e);
        for (size_t i = 0; i < e->batch.segments; i++, done++)
            for (size_t t = e->batch.starts[i]; t < e->batch.starts[i + 1]; t++)
                if (e->batch.labels[t] != OP_NO_LABEL)
                    ret_losses[done] += (double)losses[t];
    }
}

/* The item of the smallest loss, of equal ones the first; `lengths` NULL: not
 * divided by. */
static size_t least(const double *losses, const size_t *lengths, size_t from,
                    size_t to)
{
    size_t best = from;

    for (size_t i = from + 1; i < to; i++) {
        double one = losses[i], other = losses[best];

        if (lengths != NULL) {
            one /= (double)lengths[i];
            other /= (double)lengths[best];
        }
        if (one < other)
            best = i;
    }
    return best;
}

static void mark(const struct data_tokens *t, const double *losses,
                 struct evaluation_choices *found)
{
    found->digits = xcalloc((size_t)found->questions + 1, 1);
    found->byte_digits = xcalloc((size_t)found->questions + 1, 1);
    for (size_t q = 0; q < found->questions; q++) {
        size_t from = t->choices[q], to = t->choices[q + 1];
        bool right = least(losses, NULL, from, to) == t->right[q];
        bool by_byte = least(losses, t->lengths, from, to) == t->right[q];

        found->digits[q] = right ? '1' : '0';
        found->byte_digits[q] = by_byte ? '1' : '0';
        found->right += right;
        found->byte_right += by_byte;
    }
}

struct status evaluation_choose(struct evaluation *e, uint64_t limit,
                                struct evaluation_choices *ret_found)
{
    const struct data_tokens *t = &e->data.tokens;
    struct evaluation_choices found = { .questions = t->questions };
    AUTO(free_pointer) double *losses = NULL;

    if (limit > 0 && limit < found.questions)
        found.questions = limit;
    e->items = t->choices[found.questions];
    losses = xcalloc((size_t)e->items + 1, sizeof(*losses));
    TRY_PLAIN(item_losses(e, losses));
    mark(t, losses, &found);
    *ret_found = found;
    return SUCCESS;
}

struct status evaluation_outputs(struct evaluation *e,
                                 void (*take)(void *self, const float *logits,
                                              size_t rows),
                                 void *self)
{
    bool more = true;

    for (;;) {
        TRY_PLAIN(advance(e, &more));
        if (!more)
            return SUCCESS;
        take(self, pass_logits(e->pass), e->batch.rows);
    }
}

uint64_t evaluation_limited(const struct evaluation *e, uint64_t limit)
{
    return limit > 0 && limit < e->items ? limit : e->items;
}

double evaluation_mean_loss(const struct evaluation *e)
{
    return e->tokens == 0 ? 0.0 : e->loss / (double)e->tokens;
}

/* Whether no logit of the row is larger than the label's; of equal ones the
 * first is chosen. */
static bool is_chosen(const float *logits, size_t vocab, int32_t label)
{
    float at = logits[label];

    for (size_t i = 0; i < (size_t)label; i++)
        if (logits[i] >= at)
            return false;
    for (size_t i = (size_t)label + 1; i < vocab; i++)
        if (logits[i] > at)
            return false;
    return true;
}

/* Greedy decoding gives the answer exactly if each of its tokens is chosen
 * behind the right ones before it; so one pass over question and answer tells.
 */
static bool is_right(const struct evaluation *e, size_t from, size_t to)
{
    size_t vocab = e->model->config.vocab;
    const float *logits = pass_logits(e->pass);

    for (size_t t = from; t < to; t++)
        if (e->batch.labels[t] != OP_NO_LABEL &&
            !is_chosen(logits + t * vocab, vocab, e->batch.labels[t]))
            return false;
    return true;
}

/* Each image is an item, and so is each sequence. */
static bool item_is_right(const struct evaluation *e, size_t item)
{
    if (data_has_images(&e->data))
        return is_right(e, item, item + 1);
    return is_right(e, e->batch.starts[item], e->batch.starts[item + 1]);
}

static struct status score(struct evaluation *e, char *ret_digits,
                           uint64_t *ret_right)
{
    uint64_t done = 0;
    bool more = true;

    for (;;) {
        size_t items;

        TRY_PLAIN(advance(e, &more));
        if (!more)
            return SUCCESS;
        add_losses(e);
        items = data_has_images(&e->data) ? e->batch.rows : e->batch.segments;
        for (size_t i = 0; i < items; i++) {
            bool right = item_is_right(e, i);

            ret_digits[done++] = right ? '1' : '0';
            *ret_right += right;
        }
    }
}

struct status evaluation_answers(struct evaluation *e, uint64_t limit,
                                 char **ret_digits, uint64_t *ret_right)
{
    char *digits;
    struct status st;

    if (e->data.mix.longest == 0 && e->data.tokens.starts == NULL &&
        !data_has_images(&e->data))
        return FAIL(STATUS_INVALID,
                    "a text has no answers that could be right");
    e->data.answers = true;
    e->items = evaluation_limited(e, limit);
    digits = xcalloc((size_t)e->items + 1, 1);
    *ret_right = 0;
    st = score(e, digits, ret_right);
    if (status_failed(&st))
        free(digits);
    else
        *ret_digits = digits;
    return st;
}
