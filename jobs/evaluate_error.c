/* evaluate_error.c -- how often a model takes an image for another class. */
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/measured.h"

static const struct catalog_key keys[] = {
    { .name = "model",
      .type = KEY_MODEL,
      .help = "what is measured; the trial's model if not given" },
    { .name = "data",
      .type = KEY_DATA,
      .required = true,
      .keys = data_keys,
      .help = "images" },
    { .name = "limit",
      .type = KEY_INTEGER,
      .least = 1,
      .most = 1e9,
      .help = "only the first images" },
    { .name = NULL },
};

static bool normalise(json_t *body, struct catalog_problem *ret_problem)
{
    return data_normalise(body, "test", ret_problem);
}

static json_t *metrics(const json_t *body)
{
    (void)body;
    return json_pack("[ssss]", "error", "accuracy", "loss", "items");
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    AUTO(measured_release) struct measured m = { .input = { .recipe = NULL } };
    AUTO(free_pointer) char *digits = NULL;
    uint64_t right = 0;
    double items;

    TRY(measured_open(&m, params, 0, context), "error");
    if (!data_has_images(&m.e.data))
        return FAIL(STATUS_INVALID,
                    "error: a text has no classes; measure its perplexity");
    TRY(evaluation_answers(&m.e, (uint64_t)json_int_or(params, "limit", 0),
                           &digits, &right),
        "error");
    items = (double)m.e.items;
    *ret_result =
        json_pack("{s{sf sf sf sI} s{ss}}", "metrics", "error",
                  (items - (double)right) / items, "accuracy",
                  (double)right / items, "loss", evaluation_mean_loss(&m.e),
                  "items", (json_int_t)m.e.items, "scores", "items", digits);
    return SUCCESS;
}

extern const struct job_kind job_evaluate_error;
const struct job_kind job_evaluate_error = {
    .catalog = { .name = "evaluate.error",
                 .summary = "share of images the model takes for another class",
                 .example = "data: {builtin: teacher10k, split: test}\n",
                 .sort = STAGE_VALUE,
                 .keys = keys,
                 .normalise = normalise,
                 .metrics = metrics },
    .run = run,
};
