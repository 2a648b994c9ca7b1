/* evaluate_model.c -- the kinds that send data through a model: perplexity of
 * text and accuracy of answers. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/data_parts.h"
#include "jobs/evaluation.h"
#include "jobs/job_kind.h"
#include "jobs/measured.h"

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

static const char *const tail_words[] = { "keep", "drop", NULL };

static const struct catalog_key perplexity_keys[] = {
    MODEL_KEY,
    DATA_KEY("text or tokens of a file, or built-in tasks"),
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
    { .name = "stride",
      .type = KEY_INTEGER,
      .least = 1,
      .most = LIMIT_SEQUENCE,
      .help = "tokens from window to window; only those that are new are "
              "counted. As long as windows if not given" },
    { .name = "tail",
      .type = KEY_WORD,
      .words = tail_words,
      .otherwise = "\"keep\"",
      .help = "a shorter window at the end: keep, or drop, as is usual in "
              "papers" },
    { .name = NULL },
};

static const struct catalog_key accuracy_keys[] = {
    MODEL_KEY,
    DATA_KEY("built-in tasks, or a .jsonl of questions and answers"),
    { .name = "limit",
      .type = KEY_INTEGER,
      .least = 1,
      .most = 1e9,
      .help = "only the first items" },
    { .name = NULL },
};

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
    uint64_t items;

    if (e->data.stride != 0 && e->data.stride < each)
        each = e->data.stride;
    items = ((uint64_t)tokens + each - 1) / each;

    if (tokens > 0 && items < e->items)
        e->items = items;
}

/* How the tokens were counted: numbers of papers differ by it. */
static json_t *how(const struct evaluation *e, bool whole)
{
    const struct data *d = &e->data;
    const char *begin = d->tokens.begin >= 0 ? "in front of each window"
                                             : "as the tokenizer puts it";

    if (d->stride == 0)
        return json_pack("{ss}", "windows", "items, each by itself");
    return json_pack("{ss sI sI sI ss ss}", "windows",
                     d->stride + (d->tokens.begin >= 0) == d->window
                         ? "side by side"
                         : "overlapping, new tokens counted",
                     "context", (json_int_t)d->window, "stride",
                     (json_int_t)d->stride, "count", (json_int_t)e->items,
                     "tail", whole ? "dropped" : "kept", "begin", begin);
}

static struct status cut(struct evaluation *e, const json_t *params, bool whole)
{
    int64_t stride = json_int_or(params, "stride", 0);

    if (data_has_images(&e->data))
        return FAIL(STATUS_INVALID, "images have none; measure their error");
    if (e->data.tokens.questions > 0)
        return FAIL(STATUS_INVALID,
                    "questions with choices have none; measure their accuracy");
    if (stride == 0 && !whole)
        return SUCCESS;
    TRY_PLAIN(data_stride(&e->data, (size_t)stride, whole));
    e->items = e->data.items;
    return SUCCESS;
}

static struct status run_perplexity(const json_t *params,
                                    struct job_context *context,
                                    json_t **ret_result)
{
    AUTO(measured_release) struct measured m = { .input = { .recipe = NULL } };
    bool whole = strcmp(json_text_or(params, "tail", "keep"), "drop") == 0;
    double loss;

    TRY(measured_open(&m, params, (size_t)json_int_or(params, "context", 0),
                      context),
        "perplexity");
    TRY(cut(&m.e, params, whole), "perplexity");
    limit_tokens(&m.e, json_int_or(params, "tokens", 0));
    TRY(evaluation_losses(&m.e), "perplexity");
    loss = evaluation_mean_loss(&m.e);
    if (m.e.tokens == 0)
        return FAIL(STATUS_INVALID, "perplexity: there is nothing to predict");
    if (!isfinite(exp(loss)))
        return FAIL(STATUS_FAILED,
                    "perplexity: a mean loss of %g has no finite perplexity",
                    loss);
    *ret_result = json_pack("{s{sf sf sI} so}", "metrics", "perplexity",
                            exp(loss), "loss", loss, "tokens",
                            (json_int_t)m.e.tokens, "how", how(&m.e, whole));
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

/* Of the forms that files have only jsonl may hold questions. */
static bool may_have_answers(const json_t *data)
{
    char known[128];
    const struct data_form *form = data_form_of(data, known, sizeof(known));

    return form == &data_form_tasks || form == &data_form_jsonl;
}

static bool normalise_accuracy(json_t *body,
                               struct catalog_problem *ret_problem)
{
    json_t *data = json_object_get(body, "data");

    if (data != NULL && !may_have_answers(data))
        return catalog_refuse(
            ret_problem, "/data",
            "data: {builtin: tasks, split: test}, or a .jsonl of questions",
            "a text has no answers that could be right");
    if (!data_normalise(body, "test", ret_problem))
        return false;
    /* Answers are what is looked at, whatever the file says. */
    if (json_object_get(data, "builtin") != NULL)
        (void)json_object_set_new(data, "predict", json_string("answers"));
    return true;
}

static json_t *accuracy_metrics(const json_t *body)
{
    json_t *names = json_pack("[sss]", "accuracy", "loss", "items");
    const json_t *data = json_object_get(body, "data");

    if (json_object_get(data, "builtin") == NULL)
        (void)json_array_append_new(names, json_string("accuracy_norm"));
    return names;
}

static void free_choices(struct evaluation_choices *c)
{
    free(c->digits);
    free(c->byte_digits);
}

/* The choice the model finds likeliest. */
static struct status choose(struct measured *m, uint64_t limit,
                            json_t **ret_result)
{
    AUTO(free_choices) struct evaluation_choices found = { .right = 0 };
    double count;

    TRY_PLAIN(evaluation_choose(&m->e, limit, &found));
    count = (double)found.questions;
    *ret_result = json_pack("{s{sf sf sf sI} s{ss ss}}", "metrics", "accuracy",
                            (double)found.right / count, "accuracy_norm",
                            (double)found.byte_right / count, "loss",
                            evaluation_mean_loss(&m->e), "items",
                            (json_int_t)found.questions, "scores", "items",
                            found.digits, "items_norm", found.byte_digits);
    return SUCCESS;
}

/* Answers that the model would write, letter by letter. */
static struct status answer(struct measured *m, uint64_t limit,
                            json_t **ret_result)
{
    AUTO(free_pointer) char *digits = NULL;
    uint64_t right = 0;
    double share;

    TRY_PLAIN(evaluation_answers(&m->e, limit, &digits, &right));
    share = (double)right / (double)m->e.items;
    *ret_result = json_pack("{s{sf sf sI} s{ss}}", "metrics", "accuracy", share,
                            "loss", evaluation_mean_loss(&m->e), "items",
                            (json_int_t)m->e.items, "scores", "items", digits);
    if (m->e.data.tokens.starts != NULL) /* nothing to choose from */
        (void)json_object_set_new(json_object_get(*ret_result, "metrics"),
                                  "accuracy_norm", json_real(share));
    return SUCCESS;
}

static struct status run_accuracy(const json_t *params,
                                  struct job_context *context,
                                  json_t **ret_result)
{
    AUTO(measured_release) struct measured m = { .input = { .recipe = NULL } };
    uint64_t limit = (uint64_t)json_int_or(params, "limit", 0);

    TRY(measured_open(&m, params, 0, context), "accuracy");
    if (m.e.data.tokens.questions > 0)
        TRY(choose(&m, limit, ret_result), "accuracy");
    else
        TRY(answer(&m, limit, ret_result), "accuracy");
    return SUCCESS;
}

extern const struct job_kind job_evaluate_accuracy;
const struct job_kind job_evaluate_accuracy = {
    .catalog = { .name = "evaluate.accuracy",
                 .summary = "share of questions the model answers right",
                 .example = "data: {builtin: tasks, task: sort, split: test, "
                            "items: 256}\n",
                 .sort = STAGE_VALUE,
                 .keys = accuracy_keys,
                 .normalise = normalise_accuracy,
                 .metrics = accuracy_metrics },
    .run = run_accuracy,
};
