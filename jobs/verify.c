/* verify.c -- the kind `evaluate.verify`: another job run again, or a model
 * made again, for the sake of its result. Nothing that the slot or the store
 * keeps answers for it: a nonce makes its key new, and the recipe is realised
 * anew.
 *
 *     {"stage": "base", "kind": "train", "params": {...}, "nonce": "..."}
 *     {"stage": "merged", "model": {...}, "nonce": "..."}
 *
 * The result holds "stage" and "result": that of the inner job, or the
 * "model_digest". */
#include "jobs/job_kind.h"
#include "jobs/recipe.h"

static const struct catalog_key keys[] = {
    { .name = "stage", .type = KEY_TEXT, .help = "whose job it was" },
    { .name = "kind", .type = KEY_TEXT, .help = "of the job that is run" },
    { .name = "params", .type = KEY_ANY, .help = "of that job" },
    { .name = "model",
      .type = KEY_MODEL,
      .help = "instead of a job: the model whose digest is told" },
    { .name = "nonce",
      .type = KEY_TEXT,
      .help = "another text, another computation" },
    { .name = NULL },
};

static json_t *metrics(const json_t *body)
{
    (void)body;
    return json_array();
}

static void model_release(struct recipe_model **m)
{
    recipe_close(*m);
}

static struct status digest_model(const json_t *model,
                                  struct job_context *context,
                                  json_t **ret_result)
{
    AUTO(model_release) struct recipe_model *m = NULL;
    struct digest digest;
    char text[DIGEST_TEXT];

    TRY_PLAIN(recipe_open(model, context, &m));
    digest = recipe_digest(m);
    digest_to_text(&digest, text);
    *ret_result = json_pack("{s:s}", "model_digest", text);
    return SUCCESS;
}

static struct status run_inner(const json_t *params,
                               struct job_context *context, json_t **ret_result)
{
    const struct job_kind *kind;
    const char *name;
    json_t *inner;

    TRY_PLAIN(json_member_text(params, "kind", &name));
    TRY_PLAIN(json_member_object(params, "params", &inner));
    kind = job_kind_find(name);
    if (kind == NULL || kind->run == NULL)
        return FAIL(STATUS_INVALID, "this worker runs no jobs of kind %.64s",
                    name);
    return kind->run(inner, context, ret_result);
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    struct job_context fresh = *context;
    json_t *model = json_object_get(params, "model");
    json_t *result = NULL;

    fresh.cache = NULL;
    fresh.keep = NULL;
    if (json_is_object(model))
        TRY(digest_model(model, &fresh, &result), "verify");
    else
        TRY(run_inner(params, &fresh, &result), "verify");
    *ret_result =
        json_pack("{s:{}, s:s, s:o}", "metrics", "stage",
                  json_text_or(params, "stage", ""), "result", result);
    return SUCCESS;
}

extern const struct job_kind job_evaluate_verify;
const struct job_kind job_evaluate_verify = {
    .catalog = { .name = "evaluate.verify",
                 .summary = "computes a job or a model again, for `verify`",
                 .sort = STAGE_VALUE,
                 .keys = keys,
                 .metrics = metrics },
    .run = run,
};
