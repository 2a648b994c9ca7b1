/* evaluate_model.c -- the kinds that send data through a model: perplexity of
 * text and accuracy of answers. */
#include <math.h>
#include <stdlib.h>

#include "common/memory.h"
#include "jobs/data.h"
#include "jobs/job_kind.h"
#include "jobs/model_input.h"

enum { BATCH_ROWS = 2048 }; /* tokens sent through at once, if they fit */

#define MODEL_KEY                                                  \
    {                                                              \
        .name = "model", .type = KEY_MODEL,                        \
        .help = "what is measured; the trial's model if not given" \
    }
#define DATA_KEY(help_)                                                        \
    {                                                                          \
        .name = "data", .type = KEY_DATA, .required = true, .keys = data_keys, \
        .help = (help_)                                                        \
    }

static const struct catalog_key perplexity_keys[] = {
    MODEL_KEY,
    DATA_KEY("a text file or built-in tasks"),
    { .name = "tokens",
      .type = KEY_INTEGER,
      .least = 1,
      .most = 1e12,
      .help = "at most so many are predicted; all if not given" },
    { .name = "context",
      .type = KEY_INTEGER,
      .least = 2,
      .most = LIMIT_SEQUENCE,
      .help = "tokens of a window of text; 512, or as long as items are" },
    { .name = NULL },
};

static const struct catalog_key accuracy_keys[] = {
    MODEL_KEY,
    DATA_KEY("built-in tasks"),
    { .name = "limit",
      .type = KEY_INTEGER,
      .least = 1,
      .most = 1e9,
      .help = "only the first items" },
    { .name = NULL },
};

/* A model and data on the way through it. */
struct evaluation {
    struct job_context *context;
    struct model_input input;
    struct data data;
    struct batch batch;
    struct pass *pass;
    uint64_t items; /* there are */
    uint64_t next;  /* item that was not sent yet */

    double loss;     /* sum over all predicted tokens */
    uint64_t tokens; /* predicted */
};

static void release(struct evaluation *e)
{
    model_input_release(&e->input);
    data_release(&e->data);
    batch_release(&e->batch);
    pass_free(e->pass);
}

static struct status prepare(struct evaluation *e, const json_t *params,
                             size_t window)
{
    struct pass_room room = { .gradients = false };

    TRY_PLAIN(model_input_open(params, e->context, MODEL_BORROW, &e->input));
    TRY_PLAIN(data_open(json_object_get(params, "data"), window, e->context,
                        &e->data));
    if (e->data.items == 0)
        return FAIL(STATUS_INVALID,
                    "data without end cannot be measured; give it `items`");
    e->items = e->data.items;
    room.longest = e->data.window;
    room.rows = room.longest < BATCH_ROWS ? BATCH_ROWS : room.longest;
    TRY_PLAIN(model_input_fits(pass_bytes(&e->input.model->config, &room),
                               "evaluation of the model", e->context));
    TRY_PLAIN(pass_new(e->input.model, &room, &e->pass));
    batch_init(&e->batch, room.rows, room.rows);
    return SUCCESS;
}

/* The next items through the model; false: there are none left. */
static struct status advance(struct evaluation *e, bool *ret_more)
{
    struct pass_batch view;
    double loss;
    bool added = true;

    if (e->context->cancelled(e->context->self))
        return FAIL(STATUS_CANCELLED, "cancelled at item %llu",
                    (unsigned long long)e->next + 1);
    e->context->progress(e->context->self, e->next, e->items, "item");
    *ret_more = e->next < e->items;
    if (!*ret_more)
        return SUCCESS;
    batch_clear(&e->batch);
    while (added && e->next < e->items) {
        TRY_PLAIN(data_add(&e->data, e->next, &e->batch, &added));
        e->next += added;
    }
    view = batch_view(&e->batch);
    TRY_PLAIN(pass_forward(e->pass, &view, &loss));
    if (!isfinite(loss))
        return FAIL(STATUS_FAILED,
                    "the loss is %g at item %llu: the model's numbers "
                    "overflow",
                    loss, (unsigned long long)e->next);
    return SUCCESS;
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

static double mean_loss(const struct evaluation *e)
{
    return e->tokens == 0 ? 0.0 : e->loss / (double)e->tokens;
}

/* --- perplexity ----------------------------------------------------------- */

static bool normalise(json_t *body, struct catalog_problem *ret_problem)
{
    return data_normalise(body, "test", ret_problem);
}

static json_t *perplexity_metrics(const json_t *body)
{
    (void)body;
    return json_pack("[sss]", "perplexity", "loss", "tokens");
}

/* Only as many windows as hold the tokens asked for. */
static void limit_tokens(struct evaluation *e, int64_t tokens)
{
    uint64_t each = e->data.window - 1;
    uint64_t items = ((uint64_t)tokens + each - 1) / each;

    if (tokens > 0 && items < e->items)
        e->items = items;
}

static struct status run_perplexity(const json_t *params,
                                    struct job_context *context,
                                    json_t **ret_result)
{
    AUTO(release) struct evaluation e = { .context = context };
    bool more = true;

    TRY(prepare(&e, params, (size_t)json_int_or(params, "context", 0)),
        "perplexity");
    limit_tokens(&e, json_int_or(params, "tokens", 0));
    while (more) {
        TRY(advance(&e, &more), "perplexity");
        if (more)
            add_losses(&e);
    }
    if (!isfinite(exp(mean_loss(&e))))
        return FAIL(STATUS_FAILED,
                    "perplexity: a mean loss of %g has no finite perplexity",
                    mean_loss(&e));
    *ret_result =
        json_pack("{s{sf sf sI}}", "metrics", "perplexity", exp(mean_loss(&e)),
                  "loss", mean_loss(&e), "tokens", (json_int_t)e.tokens);
    return SUCCESS;
}

extern const struct job_kind job_evaluate_perplexity;
const struct job_kind job_evaluate_perplexity = {
    .catalog = { .name = "evaluate.perplexity",
                 .summary = "how surprised the model is by a text",
                 .example = "data: {builtin: tasks, split: test, items: 512}\n"
                            "tokens: 8192\n",
                 .sort = STAGE_VALUE,
                 .keys = perplexity_keys,
                 .normalise = normalise,
                 .metrics = perplexity_metrics },
    .run = run_perplexity,
};

/* --- accuracy ------------------------------------------------------------- */

static bool normalise_accuracy(json_t *body,
                               struct catalog_problem *ret_problem)
{
    json_t *data = json_object_get(body, "data");

    if (data != NULL && json_object_get(data, "builtin") == NULL &&
        json_object_get(data, "$param") == NULL) {
        (void)snprintf(ret_problem->path, sizeof(ret_problem->path), "/data");
        (void)snprintf(ret_problem->message, sizeof(ret_problem->message),
                       "a text has no answers that could be right");
        (void)snprintf(ret_problem->suggestion, sizeof(ret_problem->suggestion),
                       "data: {builtin: tasks, split: test}");
        return false;
    }
    if (!data_normalise(body, "test", ret_problem))
        return false;
    /* Answers are what is looked at, whatever the file says. */
    if (json_is_object(data))
        (void)json_object_set_new(data, "predict", json_string("answers"));
    return true;
}

static json_t *accuracy_metrics(const json_t *body)
{
    (void)body;
    return json_pack("[sss]", "accuracy", "loss", "items");
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
static bool is_right(const struct evaluation *e, size_t segment)
{
    size_t vocab = e->input.model->config.vocab;
    const float *logits = pass_logits(e->pass);

    for (size_t t = e->batch.starts[segment]; t < e->batch.starts[segment + 1];
         t++)
        if (e->batch.labels[t] != OP_NO_LABEL &&
            !is_chosen(logits + t * vocab, vocab, e->batch.labels[t]))
            return false;
    return true;
}

static struct status score(struct evaluation *e, char *ret_digits,
                           uint64_t *ret_right)
{
    uint64_t done = 0;
    bool more = true;

    for (;;) {
        TRY_PLAIN(advance(e, &more));
        if (!more)
            return SUCCESS;
        add_losses(e);
        for (size_t i = 0; i < e->batch.segments; i++) {
            bool right = is_right(e, i);

            ret_digits[done++] = right ? '1' : '0';
            *ret_right += right;
        }
    }
}

static struct status run_accuracy(const json_t *params,
                                  struct job_context *context,
                                  json_t **ret_result)
{
    AUTO(release) struct evaluation e = { .context = context };
    AUTO(free_pointer) char *digits = NULL;
    uint64_t right = 0, limit = (uint64_t)json_int_or(params, "limit", 0);

    TRY(prepare(&e, params, 0), "accuracy");
    if (!e.data.tasks)
        return FAIL(STATUS_INVALID,
                    "accuracy: a text has no answers that could be right");
    e.data.answers = true;
    e.items = limit > 0 && limit < e.items ? limit : e.items;
    digits = xcalloc((size_t)e.items + 1, 1);
    TRY(score(&e, digits, &right), "accuracy");
    *ret_result =
        json_pack("{s{sf sf sI} s{ss}}", "metrics", "accuracy",
                  (double)right / (double)e.items, "loss", mean_loss(&e),
                  "items", (json_int_t)e.items, "scores", "items", digits);
    return SUCCESS;
}

extern const struct job_kind job_evaluate_accuracy;
const struct job_kind job_evaluate_accuracy = {
    .catalog = { .name = "evaluate.accuracy",
                 .summary = "share of answers the model gets exactly right",
                 .example = "data: {builtin: tasks, task: sort, split: test, "
                            "items: 256}\n",
                 .sort = STAGE_VALUE,
                 .keys = accuracy_keys,
                 .normalise = normalise_accuracy,
                 .metrics = accuracy_metrics },
    .run = run_accuracy,
};
