/* train.c -- the kind `train`: a fresh model, or one fine-tuned from another.
 *
 *     train:
 *       init: {architecture: llama, hidden: 128, layers: 4, heads: 4}
 *       data: {builtin: tasks, mix: {reverse: 1, sort: 1}}
 *       steps: 300
 *       optimizer: {name: adamw, lr: 2e-3, schedule: cosine, warmup: 20}
 */
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/model_files.h"
#include "jobs/model_input.h"
#include "jobs/train_init.h"
#include "jobs/training.h"
#include "tensor/safetensors.h"

static const char *const dtype_words[] = { "float32", "bfloat16", "float16",
                                           NULL };
/* Default weight decay of adamw. */
static const double decay = 0.01;

static const struct catalog_key keys[] = {
    { .name = "init",
      .type = KEY_MAP,
      .keys = train_init_keys,
      .help = "a fresh model of this size" },
    { .name = "model",
      .type = KEY_MODEL,
      .help = "or the model to go on from" },
    TRAINING_KEYS(true),
    { .name = "dtype",
      .type = KEY_WORD,
      .words = dtype_words,
      .otherwise = "\"float32\"",
      .help = "of the stored model; training is float32" },
    { .name = NULL },
};

static bool normalise(json_t *body, struct catalog_problem *ret_problem)
{
    json_t *init = json_object_get(body, "init");
    bool model = json_object_get(body, "model") != NULL;

    if (init == NULL && !model)
        return catalog_refuse(ret_problem, "",
                              "write `init: {architecture: llama}` or "
                              "`model: NAME`",
                              "training needs something to start from");
    if (init != NULL && model)
        return catalog_refuse(ret_problem, "/init", "keep one",
                              "`init` and `model` exclude each other");
    if (init != NULL && !train_init_normalise(init, ret_problem))
        return false;
    return training_normalise(body, decay, ret_problem);
}

static bool check(const json_t *params, struct catalog_problem *ret_problem)
{
    const json_t *init = json_object_get(params, "init");
    struct model_config config;
    struct status s;

    if (!training_check(params, ret_problem))
        return false;
    if (init == NULL)
        return true;
    s = train_init_config(init, &config);
    if (status_failed(&s))
        return catalog_refuse(ret_problem, "/init", "", "%s", s.message);
    return true;
}

/* --- the job -------------------------------------------------------------- */

struct train {
    const json_t *params;
    struct job_context *context;
    struct model_input input; /* what it goes on from; else empty */
    struct model *fresh;
    struct model *model;      /* one of both */
    struct merge_files files; /* of the result, with its config.json */
    struct training training;
};

static void release(struct train *t)
{
    training_release(&t->training);
    merge_files_release(&t->files);
    model_input_release(&t->input);
    model_free(t->fresh);
}

static struct status start_fresh(struct train *t, const json_t *init)
{
    uint32_t seed = (uint32_t)json_int_or(t->params, "seed", 0);
    struct model_config config;

    TRY_PLAIN(train_init_config(init, &config));
    /* What training takes beside is seen when that is known. */
    TRY_PLAIN(model_input_fits(sizeof(float) * model_size(&config),
                               "the model to be trained", t->context));
    TRY_PLAIN(model_new(&config, seed, &t->fresh));
    t->model = t->fresh;
    t->files.config = train_init_json(&config);
    return SUCCESS;
}

static struct status start_from(struct train *t)
{
    json_t *config;

    TRY_PLAIN(model_input_open(t->params, t->context, MODEL_COPY, &t->input));
    t->model = t->input.model;
    TRY_PLAIN(recipe_files(t->input.recipe, &t->files));
    config = json_deep_copy(t->files.config);
    json_decref(t->files.config);
    t->files.config = config;
    return SUCCESS;
}

static struct status prepare(struct train *t)
{
    const json_t *init = json_object_get(t->params, "init");

    if (init != NULL)
        TRY_PLAIN(start_fresh(t, init));
    else
        TRY_PLAIN(start_from(t));
    t->training = (struct training){ .params = t->params,
                                     .context = t->context,
                                     .model = t->model,
                                     .tokenizer = t->input.tokenizer,
                                     .decay = decay };
    return training_open(&t->training);
}

/* --- the result ----------------------------------------------------------- */

static struct status add_tensor(struct st_writer *w, const struct tensor *t)
{
    enum { CHUNK = 16384 }; /* elements */
    unsigned char bytes[CHUNK * sizeof(float)];
    const float *data = t->data;

    for (uint64_t at = 0; at < t->count; at += CHUNK) {
        size_t count = t->count - at < CHUNK ? (size_t)(t->count - at) : CHUNK;

        dtype_from_f32(t->dtype, data + at, bytes, count);
        TRY_PLAIN(st_writer_add(w, bytes, count * dtype_size(t->dtype)));
    }
    return SUCCESS;
}

static struct status write_tensors(const struct st_writer_settings *settings,
                                   const struct tensor_set *set,
                                   const struct merge_files *files)
{
    AUTO(st_writer_release) struct st_writer *w = NULL;

    TRY_PLAIN(st_writer_new(settings, set, &w));
    for (size_t i = 0; i < set->count; i++)
        TRY_PLAIN(add_tensor(w, &set->items[i]));
    TRY_PLAIN(model_files_beside(w, files));
    return st_writer_finish(w);
}

/* The directory goes into the depot; its digest names it. */
static struct status store(struct train *t, char ret_digest[DIGEST_TEXT])
{
    const char *dtype = json_text_or(t->params, "dtype", "float32");
    AUTO(free_pointer)
    char *directory = xasprintf("%s/model", t->context->scratch);
    AUTO(json_release) json_t *metadata = json_pack("{ss}", "format", "pt");
    const struct st_writer_settings settings = { .directory = directory,
                                                 .metadata = metadata };
    AUTO(free_pointer)
    struct tensor *tensors =
        xcalloc(t->model->parameter_count, sizeof(*tensors));
    const struct tensor_set set = { t->model->parameter_count, tensors };
    enum dtype d;

    if (!dtype_find(dtype, strlen(dtype), &d))
        return FAIL(STATUS_INVALID, "there is no dtype \"%.40s\"", dtype);
    (void)json_object_set_new(t->files.config, "torch_dtype",
                              json_string(dtype));
    for (size_t i = 0; i < set.count; i++) {
        tensors[i] = model_tensor(t->model, i);
        tensors[i].dtype = d;
    }
    qsort(tensors, set.count, sizeof(*tensors), tensor_by_name);
    TRY_PLAIN(write_tensors(&settings, &set, &t->files));
    return t->context->put_artifact(t->context->self, directory, ret_digest);
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    AUTO(release) struct train t = { .params = params, .context = context };
    char artifact[DIGEST_TEXT];

    TRY(prepare(&t), "train");
    TRY(training_run(&t.training), "train");
    TRY(store(&t, artifact), "train");
    *ret_result = json_pack(
        "{ss s{sf sI sI sI}}", "artifact", artifact, "metrics", "loss",
        t.training.recent, "steps", (json_int_t)t.training.steps, "tokens",
        (json_int_t)t.training.tokens, "parameters", (json_int_t)t.model->size);
    return SUCCESS;
}

static json_t *metrics(const json_t *body)
{
    (void)body;
    return json_pack("[ssss]", "loss", "steps", "tokens", "parameters");
}

/* Most tokens of a sequence, as far as parameters tell. */
static size_t longest(const json_t *params, const struct model_config *c)
{
    const json_t *data = json_object_get(params, "data");
    size_t length = (size_t)json_int_or(params, "length", 0);

    if (c->positions == 0)
        return 1; /* an image */
    if (length != 0)
        return length;
    if (strcmp(json_text_or(data, "builtin", ""), "tasks") == 0)
        return (size_t)(3 * json_int_or(data, "longest", 6) + 6);
    return c->positions < DATA_ANY_LENGTH ? c->positions : DATA_ANY_LENGTH;
}

/* Parameters, their gradients, moments, and the arrays of a pass; with values
 * made again where they would be more than this. */
static int64_t memory(const json_t *params)
{
    static const size_t ample = (size_t)4 << 30;
    const json_t *init = json_object_get(params, "init");
    struct trainer_settings settings;
    struct pass_room room = { .gradients = true };
    struct model_config c;
    struct status s;
    size_t batch = (size_t)json_int_or(params, "batch", 32), arrays;

    if (init == NULL)
        return 0;
    s = train_init_config(init, &c);
    if (!status_failed(&s))
        s = training_settings(params, decay, &settings);
    if (status_failed(&s))
        return 0;
    arrays = 1 + settings.optim.row->moments + (settings.rho > 0.0 ? 1 : 0);
    room.rows = longest(params, &c) * batch;
    room.longest = c.positions == 0 ? room.rows : longest(params, &c);
    room.again = pass_bytes(&c, &room) > ample;
    return (int64_t)(pass_bytes(&c, &room) +
                     arrays * sizeof(float) * model_size(&c));
}

extern const struct job_kind job_train;
const struct job_kind job_train = {
    .catalog = { .name = "train",
                 .summary = "trains a fresh model, or goes on with another",
                 .example = "init: {architecture: llama, hidden: 128, "
                            "layers: 4, heads: 4}\n"
                            "data: {builtin: tasks, mix: {reverse: 1, "
                            "sort: 1}}\n"
                            "steps: 300\n"
                            "optimizer: {name: adamw, lr: 2e-3, schedule: "
                            "cosine, warmup: 20}\n",
                 .sort = STAGE_ARTIFACT,
                 .keys = keys,
                 .normalise = normalise,
                 .check = check,
                 .metrics = metrics,
                 .memory = memory },
    .run = run,
};
