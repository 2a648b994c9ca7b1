/* soup.c -- the kind `soup`: a greedy soup of fine-tunes (Wortsman et al.,
 * "Model soups", recipe 1). Models are measured once each and taken in order
 * of their scores, equal ones in the order of the file; one that makes the
 * average better is kept.
 *
 *     soup:
 *       models: [{model: a}, {model: b}, {model: c}]
 *       data: {builtin: tasks, task: sort, items: 256}
 *
 * The sum of what is kept is float64, added to in the order in which models
 * were kept, and rounded once, to the dtype of the result; no model is read
 * again for it. Element by element, so no number of threads changes a bit. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/evaluation.h"
#include "jobs/job_kind.h"
#include "jobs/merge/merge_config.h"
#include "jobs/model_digest.h"
#include "jobs/model_files.h"
#include "jobs/model_input.h"
#include "jobs/soup_pot.h"
#include "tensor/safetensors.h"

static const char *const metric_words[] = { "accuracy", "loss", NULL };
static const char *const dtype_words[] = { "float32", "float16", "bfloat16",
                                           NULL };

static const struct catalog_key model_keys[] = {
    { .name = "model",
      .type = KEY_MODEL,
      .required = true,
      .help = "a fine-tune of the same base" },
    { .name = NULL },
};

static const struct catalog_key model_row[] = {
    { .name = "*", .type = KEY_MAP, .keys = model_keys, .help = "a model" },
    { .name = NULL },
};

static const struct catalog_key keys[] = {
    { .name = "models",
      .type = KEY_LIST,
      .required = true,
      .keys = model_row,
      .help = "what may go into the soup" },
    { .name = "data",
      .type = KEY_DATA,
      .required = true,
      .keys = data_keys,
      .help = "what models are chosen by; better not what measures the trial" },
    { .name = "metric",
      .type = KEY_WORD,
      .words = metric_words,
      .otherwise = "\"accuracy\"",
      .help = "accuracy: share of right answers; loss: lower is better" },
    { .name = "limit",
      .type = KEY_INTEGER,
      .least = 1,
      .most = 1e9,
      .help = "only the first items" },
    { .name = "dtype",
      .type = KEY_WORD,
      .words = dtype_words,
      .help = "of the result; as in the best model if not given" },
    { .name = NULL },
};

/* What the data mean depends on it. */
static const char *const structural[] = { "metric", NULL };

static bool normalise(json_t *body, struct catalog_problem *ret_problem)
{
    json_t *data = json_object_get(body, "data");
    bool text = json_object_get(data, "builtin") == NULL &&
                json_object_get(data, "$param") == NULL;
    size_t models = json_array_size(json_object_get(body, "models"));

    if (models < 2)
        return catalog_refuse(ret_problem, "/models", "",
                              "a soup needs two models or more");
    if (models > LIMIT_MODELS)
        return catalog_refuse(ret_problem, "/models", "at most 64",
                              "so many models are not taken");
    if (strcmp(json_text_or(body, "metric", ""), "accuracy") != 0)
        return data_normalise(body, "test", ret_problem);
    if (text)
        return catalog_refuse(ret_problem, "/data", "metric: loss",
                              "a text has no answers that could be right");
    if (!data_normalise(body, "test", ret_problem))
        return false;
    if (json_object_get(data, "builtin") != NULL)
        (void)json_object_set_new(data, "predict", json_string("answers"));
    return true;
}

/* A model that may go in. */
struct ingredient {
    const json_t *model;
    char label[128];
    double score; /* higher is better: a loss has its sign turned */
    bool kept;
};

struct soup {
    const json_t *params;
    struct job_context *context;
    struct ingredient *items;
    size_t count;
    size_t *order; /* of items, best first */
    uint64_t evaluations;

    struct soup_pot pot;
    struct model_config config;  /* of the architecture */
    struct merge_files files;    /* of the first */
    struct tokenizer *tokenizer; /* the same; NULL: bytes */
    double best;
};

static void release(struct soup *s)
{
    soup_pot_release(&s->pot);
    merge_files_release(&s->files);
    tokenizer_free(s->tokenizer);
    free(s->items);
    free(s->order);
}

/* Accuracy, or the mean loss with its sign turned. */
static struct status measure(struct soup *s, const struct model *model,
                             const struct tokenizer *tokenizer,
                             double *ret_score)
{
    AUTO(evaluation_release) struct evaluation e = { .context = NULL };
    AUTO(free_pointer) char *digits = NULL;
    uint64_t limit = (uint64_t)json_int_or(s->params, "limit", 0);
    uint64_t right = 0;

    s->evaluations++;
    TRY_PLAIN(evaluation_open(model, tokenizer,
                              json_object_get(s->params, "data"), 0, s->context,
                              &e));
    if (strcmp(json_text_or(s->params, "metric", "accuracy"), "accuracy") ==
        0) {
        TRY_PLAIN(evaluation_answers(&e, limit, &digits, &right));
        *ret_score = (double)right / (double)e.items;
        return SUCCESS;
    }
    e.items = limit > 0 && limit < e.items ? limit : e.items;
    TRY_PLAIN(evaluation_losses(&e));
    *ret_score = -evaluation_mean_loss(&e);
    return SUCCESS;
}

static struct status open_one(const struct soup *s, const struct ingredient *i,
                              struct model_input *ret_input)
{
    AUTO(json_release)
    json_t *params = json_pack("{s:O}", "model", (json_t *)(uintptr_t)i->model);

    TRY(model_input_open(params, s->context, MODEL_BORROW, ret_input), "%s",
        i->label);
    return SUCCESS;
}

static struct status taste(struct soup *s, struct ingredient *i)
{
    AUTO(model_input_release) struct model_input in = { .recipe = NULL };
    char line[256];

    TRY_PLAIN(open_one(s, i, &in));
    TRY(measure(s, in.model, in.tokenizer, &i->score), "%s", i->label);
    (void)snprintf(line, sizeof line, "%s alone: %.6g", i->label, i->score);
    s->context->log(s->context->self, line);
    return SUCCESS;
}

static int by_score(const void *a, const void *b, void *self)
{
    const struct soup *s = self;
    size_t i = *(const size_t *)a, j = *(const size_t *)b;

    if (s->items[i].score != s->items[j].score)
        return s->items[i].score > s->items[j].score ? -1 : 1;
    return i < j ? -1 : i > j;
}

static struct status taste_all(struct soup *s)
{
    json_t *models;

    TRY_PLAIN(json_member_array(s->params, "models", &models));
    if (json_array_size(models) == 0 || json_array_size(models) > LIMIT_MODELS)
        return FAIL(STATUS_INVALID, "a soup takes 1 to %d models",
                    (int)LIMIT_MODELS);
    s->count = json_array_size(models);
    s->items = xcalloc(s->count, sizeof *s->items);
    s->order = xcalloc(s->count, sizeof *s->order);
    for (size_t i = 0; i < s->count; i++) {
        s->order[i] = i;
        s->items[i].model = json_object_get(json_array_get(models, i), "model");
        (void)merge_model_label(s->items[i].model, s->items[i].label,
                                sizeof s->items[i].label);
        TRY_PLAIN(taste(s, &s->items[i]));
    }
    qsort_r(s->order, s->count, sizeof *s->order, by_score, s);
    return SUCCESS;
}

static struct status take_files(struct soup *s, const struct recipe_model *m,
                                const char *dtype)
{
    json_t *config;

    TRY_PLAIN(recipe_files(m, &s->files));
    config = json_deep_copy(s->files.config);
    json_decref(s->files.config);
    s->files.config = config;
    if (dtype != NULL && config != NULL)
        (void)json_object_set_new(config, "torch_dtype", json_string(dtype));
    return SUCCESS;
}

/* The best model by itself is the first soup. */
static struct status begin(struct soup *s)
{
    AUTO(model_input_release) struct model_input in = { .recipe = NULL };
    struct ingredient *first = &s->items[s->order[0]];
    const char *dtype = json_text_or(s->params, "dtype", NULL);
    enum dtype d = DTYPE_F32;

    TRY_PLAIN(open_one(s, first, &in));
    if (dtype != NULL && !dtype_find(dtype, strlen(dtype), &d))
        return FAIL(STATUS_INVALID, "there is no dtype \"%.40s\"", dtype);
    TRY_PLAIN(soup_pot_init(&s->pot, recipe_tensors(in.recipe),
                            dtype == NULL ? NULL : &d, s->context));
    soup_pot_keep(&s->pot, recipe_tensors(in.recipe));
    s->config = in.model->config;
    s->tokenizer = in.tokenizer;
    in.tokenizer = NULL;
    TRY_PLAIN(take_files(s, in.recipe, dtype));
    s->best = first->score;
    first->kept = true;
    return SUCCESS;
}

static struct status measure_pot(struct soup *s, double *ret_score)
{
    struct model *model = NULL;
    struct status st;

    TRY_PLAIN(model_load(&s->config, &s->pot.set, MODEL_BORROW, &model));
    st = measure(s, model, s->tokenizer, ret_score);
    model_free(model);
    return st;
}

/* Would it make the average better? */
static struct status try_one(struct soup *s, struct ingredient *i)
{
    AUTO(model_input_release) struct model_input in = { .recipe = NULL };
    const struct tensor_set *set;
    double score;
    char line[256];

    TRY_PLAIN(open_one(s, i, &in));
    set = recipe_tensors(in.recipe);
    TRY(soup_pot_try(&s->pot, set), "%s", i->label);
    TRY(measure_pot(s, &score), "soup with %s", i->label);
    i->kept = score > s->best;
    (void)snprintf(line, sizeof line, "soup with %s: %.6g, %s", i->label, score,
                   i->kept ? "kept" : "left out");
    s->context->log(s->context->self, line);
    if (!i->kept)
        return SUCCESS;
    soup_pot_keep(&s->pot, set);
    s->best = score;
    return SUCCESS;
}

/* --- the result ----------------------------------------------------------- */

static void digest_of_pot(const struct soup *s, char ret_text[DIGEST_TEXT])
{
    struct digest digest = model_digest_of(&s->pot.set);

    digest_to_text(&digest, ret_text);
}

/* In the order in which they were kept. */
static json_t *members_of(const struct soup *s, bool labels)
{
    json_t *members = json_array();

    for (size_t i = 0; i < s->count; i++) {
        const struct ingredient *item = &s->items[s->order[i]];

        if (item->kept && labels)
            (void)json_array_append_new(members, json_string(item->label));
        else if (item->kept)
            (void)json_array_append(members, (json_t *)(uintptr_t)item->model);
    }
    return members;
}

static struct status write_files(const struct soup *s, const char *digest,
                                 const char *directory)
{
    AUTO(json_release) json_t *metadata = json_pack("{s:s}", "format", "pt");
    AUTO(json_release)
    json_t *recipe =
        json_pack("{s:i, s:s, s:o, s:s}", "sinter_recipe", 1, "kind", "soup",
                  "members", members_of(s, false), "model_digest", digest);
    AUTO(free_pointer) char *text = json_pretty(recipe);
    const struct st_writer_settings settings = { .directory = directory,
                                                 .metadata = metadata };
    AUTO(st_writer_release) struct st_writer *w = NULL;

    TRY_PLAIN(st_writer_new(&settings, &s->pot.set, &w));
    TRY_PLAIN(st_writer_add_all(w, &s->pot.set));
    TRY_PLAIN(model_files_beside(w, &s->files));
    TRY_PLAIN(st_writer_add_file(w, "recipe.json", text, strlen(text)));
    return st_writer_finish(w);
}

static struct status store(struct soup *s, json_t **ret_result)
{
    AUTO(free_pointer)
    char *directory = xasprintf("%s/model", s->context->scratch);
    bool loss = strcmp(json_text_or(s->params, "metric", ""), "loss") == 0;
    char digest[DIGEST_TEXT], artifact[DIGEST_TEXT];

    soup_pot_serve(&s->pot);
    digest_of_pot(s, digest);
    TRY_PLAIN(write_files(s, digest, directory));
    TRY_PLAIN(s->context->put_artifact(s->context->self, directory, artifact));
    *ret_result = json_pack(
        "{s:s, s:s, s:{s:f, s:I, s:I}, s:o}", "artifact", artifact,
        "model_digest", digest, "metrics", "score", loss ? -s->best : s->best,
        "members", (json_int_t)s->pot.kept, "evaluations",
        (json_int_t)s->evaluations, "members", members_of(s, true));
    return SUCCESS;
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    AUTO(release) struct soup s = { .params = params, .context = context };

    TRY(taste_all(&s), "soup");
    TRY(begin(&s), "soup");
    for (size_t i = 1; i < s.count; i++)
        TRY(try_one(&s, &s.items[s.order[i]]), "soup");
    TRY(store(&s, ret_result), "soup");
    return SUCCESS;
}

static json_t *metrics(const json_t *body)
{
    (void)body;
    return json_pack("[sss]", "score", "members", "evaluations");
}

extern const struct job_kind job_soup;
const struct job_kind job_soup = {
    .catalog = { .name = "soup",
                 .summary = "averages those fine-tunes that make it better",
                 .example = "models: [{model: base}, {model: math}, {model: "
                            "code}]\n"
                            "data: {builtin: tasks, mix: {reverse: 1, sort: "
                            "1}, items: 256}\n",
                 .sort = STAGE_ARTIFACT,
                 .keys = keys,
                 .structural = structural,
                 .normalise = normalise,
                 .metrics = metrics },
    .run = run,
};
