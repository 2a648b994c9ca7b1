/* evaluate_model.c -- the kinds that send data through a model: perplexity of
 * text and accuracy of answers. */
#include <math.h>
#include <stdlib.h>

#include "common/memory.h"
#include "jobs/evaluation.h"
#include "jobs/job_kind.h"
#include "jobs/model_input.h"

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

/* A model of the trial on its way over data. */
struct measured {
    struct model_input input;
    struct evaluation e;
};

static void release(struct measured *m)
{
    evaluation_release(&m->e);
    model_input_release(&m->input);
}

static struct status prepare(struct measured *m, const json_t *params,
                             size_t window, struct job_context *context)
{
    TRY_PLAIN(model_input_open(params, context, MODEL_BORROW, &m->input));
    return evaluation_open(m->input.model, m->input.tokenizer,
                           json_object_get(params, "data"), window, context,
                           &m->e);
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
    AUTO(release) struct measured m = { .input = { .recipe = NULL } };
    double loss;

    TRY(prepare(&m, params, (size_t)json_int_or(params, "context", 0), context),
        "perplexity");
    if (data_has_images(&m.e.data))
        return FAIL(STATUS_INVALID,
                    "perplexity: images have none; measure their error");
    limit_tokens(&m.e, json_int_or(params, "tokens", 0));
    TRY(evaluation_losses(&m.e), "perplexity");
    loss = evaluation_mean_loss(&m.e);
    if (!isfinite(exp(loss)))
        return FAIL(STATUS_FAILED,
                    "perplexity: a mean loss of %g has no finite perplexity",
                    loss);
    *ret_result = json_pack("{s{sf sf sI}}", "metrics", "perplexity", exp(loss),
                            "loss", loss, "tokens", (json_int_t)m.e.tokens);
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

static struct status run_accuracy(const json_t *params,
                                  struct job_context *context,
                                  json_t **ret_result)
{
    AUTO(release) struct measured m = { .input = { .recipe = NULL } };
    AUTO(free_pointer) char *digits = NULL;
    uint64_t right = 0;

    TRY(prepare(&m, params, 0, context), "accuracy");
    TRY(evaluation_answers(&m.e, (uint64_t)json_int_or(params, "limit", 0),
                           &digits, &right),
        "accuracy");
    *ret_result = json_pack("{s{sf sf sI} s{ss}}", "metrics", "accuracy",
                            (double)right / (double)m.e.items, "loss",
                            evaluation_mean_loss(&m.e), "items",
                            (json_int_t)m.e.items, "scores", "items", digits);
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
