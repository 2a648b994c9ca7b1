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
#include "jobs/data.h"
#include "jobs/job_kind.h"
#include "jobs/model_input.h"
#include "model/tokenizer.h"
#include "model/trainer.h"
#include "tensor/blas.h"
#include "tensor/safetensors.h"

static const char *const architecture_words[] = { "llama", NULL };
static const char *const optimizer_words[] = { "adamw", NULL };
static const char *const schedule_words[] = { "constant", "linear", "cosine",
                                              "multistep", NULL };
static const char *const dtype_words[] = { "float32", "bfloat16", "float16",
                                           NULL };

#define SIZE(name_, most_, otherwise_, help_)                              \
    {                                                                      \
        .name = (name_), .type = KEY_INTEGER, .least = 1, .most = (most_), \
        .otherwise = (otherwise_), .help = (help_)                         \
    }
#define NUMBER(name_, least_, most_, otherwise_, help_)             \
    {                                                               \
        .name = (name_), .type = KEY_NUMBER, .least = (least_),     \
        .most = (most_), .otherwise = (otherwise_), .help = (help_) \
    }

static const struct catalog_key init_keys[] = {
    { .name = "architecture",
      .type = KEY_WORD,
      .words = architecture_words,
      .otherwise = "\"llama\"",
      .help = "of the fresh model" },
    SIZE("hidden", 16384, "128", "width of the residual stream"),
    SIZE("layers", 256, "4", "blocks"),
    SIZE("heads", 256, "4", "attention heads"),
    SIZE("kv_heads", 256, NULL, "key-value heads; as many as heads"),
    SIZE("intermediate", 65536, NULL, "feed-forward width; 3 x hidden"),
    { .name = "vocab",
      .type = KEY_INTEGER,
      .least = TOKENIZER_VOCAB,
      .most = 1 << 20,
      .otherwise = "258",
      .help = "tokens: 256 bytes, beginning and end" },
    SIZE("positions", 65536, "512", "longest sequence, tokens"),
    NUMBER("rope_theta", 2.0, 1e9, "10000", "base of the rotary angles"),
    NUMBER("norm_eps", 1e-12, 1e-2, "1e-5", "added in the norms"),
    { .name = "tied",
      .type = KEY_BOOL,
      .otherwise = "true",
      .help = "the head is the embedding" },
    { .name = NULL },
};

static const struct catalog_key milestone_row[] = {
    SIZE("*", 1e9, NULL, "step"),
    { .name = NULL },
};

static const struct catalog_key optimizer_keys[] = {
    { .name = "name",
      .type = KEY_WORD,
      .words = optimizer_words,
      .otherwise = "\"adamw\"",
      .help = "decoupled weight decay" },
    NUMBER("lr", 0.0, 10.0, "1e-3", "learning rate at its highest"),
    { .name = "schedule",
      .type = KEY_WORD,
      .words = schedule_words,
      .otherwise = "\"cosine\"",
      .help = "shape of the learning rate behind the warm-up" },
    { .name = "warmup",
      .type = KEY_INTEGER,
      .least = 0,
      .most = 1e9,
      .otherwise = "0",
      .help = "steps in which the rate rises" },
    { .name = "milestones",
      .type = KEY_LIST,
      .keys = milestone_row,
      .help = "steps at which multistep multiplies by gamma" },
    NUMBER("gamma", 0.0, 1.0, NULL, "of multistep; 0.1"),
    NUMBER("weight_decay", 0.0, 10.0, "0.01", "of every parameter"),
    NUMBER("beta1", 0.0, 0.9999999, "0.9", "of the first moment"),
    NUMBER("beta2", 0.0, 0.9999999, "0.99", "of the second moment"),
    NUMBER("eps", 0.0, 1.0, "1e-8", "added to the root"),
    { .name = NULL },
};

static const struct catalog_key keys[] = {
    { .name = "init",
      .type = KEY_MAP,
      .keys = init_keys,
      .help = "a fresh model of this size" },
    { .name = "model",
      .type = KEY_MODEL,
      .help = "or the model to go on from" },
    { .name = "data",
      .type = KEY_DATA,
      .required = true,
      .keys = data_keys,
      .help = "a text file or built-in tasks" },
    SIZE("steps", 1e9, "300", "of the optimiser"),
    SIZE("batch", 65536, "32", "sequences of a step"),
    { .name = "length",
      .type = KEY_INTEGER,
      .least = 2,
      .most = LIMIT_SEQUENCE,
      .help = "most tokens of a sequence; as long as items are" },
    { .name = "optimizer",
      .type = KEY_MAP,
      .keys = optimizer_keys,
      .otherwise = "{}",
      .help = "how parameters move" },
    NUMBER("clip", 0.0, 1e9, "1.0", "longest gradient; 0: any"),
    { .name = "seed",
      .type = KEY_INTEGER,
      .least = 0,
      .most = UINT32_MAX,
      .otherwise = "0",
      .help = "of the first parameters and of the order of the data" },
    { .name = "dtype",
      .type = KEY_WORD,
      .words = dtype_words,
      .otherwise = "\"float32\"",
      .help = "of the stored model; training is float32" },
    { .name = NULL },
};

static bool refuse(struct catalog_problem *p, const char *path,
                   const char *message, const char *suggestion)
{
    (void)snprintf(p->path, sizeof(p->path), "%.200s", path);
    (void)snprintf(p->message, sizeof(p->message), "%.250s", message);
    (void)snprintf(p->suggestion, sizeof(p->suggestion), "%s", suggestion);
    return false;
}

static bool normalise(json_t *body, struct catalog_problem *ret_problem)
{
    bool init = json_object_get(body, "init") != NULL;
    bool model = json_object_get(body, "model") != NULL;
    const json_t *optimizer = json_object_get(body, "optimizer");
    const char *schedule = json_text_or(optimizer, "schedule", "");

    if (!init && !model)
        return refuse(ret_problem, "", "training needs something to start from",
                      "write `init: {architecture: llama}` or `model: NAME`");
    if (init && model)
        return refuse(ret_problem, "/init",
                      "`init` and `model` exclude each other", "keep one");
    if (strcmp(schedule, "multistep") == 0 &&
        json_array_size(json_object_get(optimizer, "milestones")) == 0)
        return refuse(ret_problem, "/optimizer/schedule",
                      "multistep needs `milestones`", "milestones: [100, 200]");
    return data_normalise(body, "train", ret_problem);
}

/* The words of `init` as those of a config.json. */
static json_t *config_json(const json_t *init)
{
    int64_t hidden = json_int_or(init, "hidden", 128);
    int64_t heads = json_int_or(init, "heads", 4);

    return json_pack(
        "{ss ss sI sI sI sI sI sI sI sf sf sb ss sb}", "model_type",
        json_text_or(init, "architecture", "llama"), "tokenizer_class",
        tokenizer_class, "hidden_size", (json_int_t)hidden, "num_hidden_layers",
        (json_int_t)json_int_or(init, "layers", 4), "num_attention_heads",
        (json_int_t)heads, "num_key_value_heads",
        (json_int_t)json_int_or(init, "kv_heads", heads), "intermediate_size",
        (json_int_t)json_int_or(init, "intermediate", 3 * hidden), "vocab_size",
        (json_int_t)json_int_or(init, "vocab", TOKENIZER_VOCAB),
        "max_position_embeddings",
        (json_int_t)json_int_or(init, "positions", 512), "rope_theta",
        json_real_or(init, "rope_theta", 10000.0), "rms_norm_eps",
        json_real_or(init, "norm_eps", 1e-5), "tie_word_embeddings",
        (int)json_bool_or(init, "tied", true), "hidden_act", "silu",
        "attention_bias", 0);
}

static bool check(const json_t *params, struct catalog_problem *ret_problem)
{
    const json_t *init = json_object_get(params, "init");
    AUTO(json_release) json_t *json = NULL;
    struct model_config config;
    struct status s;

    if (init == NULL)
        return true;
    json = config_json(init);
    s = model_config_read(json, &config);
    if (status_failed(&s))
        return refuse(ret_problem, "/init", s.message, "");
    return true;
}

/* --- the job -------------------------------------------------------------- */

struct train {
    const json_t *params;
    struct job_context *context;
    struct model_input input; /* what it goes on from; else empty */
    struct model *fresh;
    struct model *model; /* one of both */
    json_t *config;      /* config.json of the result */
    struct data data;
    struct batch batch;
    struct trainer *trainer;
    struct schedule schedule;

    uint32_t seed;
    uint64_t steps, batch_size;
    uint64_t tokens; /* seen so far */
    double recent;   /* running mean of the loss */
};

static void release(struct train *t)
{
    model_input_release(&t->input);
    model_free(t->fresh);
    json_decref(t->config);
    data_release(&t->data);
    batch_release(&t->batch);
    trainer_free(t->trainer);
}

static struct status start_fresh(struct train *t, const json_t *init)
{
    AUTO(json_release) json_t *json = config_json(init);
    struct model_config config;

    TRY_PLAIN(model_config_read(json, &config));
    TRY_PLAIN(model_input_fits(4 * sizeof(float) * model_size(&config),
                               "training of the model", t->context));
    TRY_PLAIN(model_new(&config, t->seed, &t->fresh));
    t->model = t->fresh;
    t->config = model_config_write(&config, "float32");
    (void)json_object_set_new(t->config, "tokenizer_class",
                              json_string(tokenizer_class));
    (void)json_object_set_new(t->config, "bos_token_id",
                              json_integer(TOKEN_BEGIN));
    (void)json_object_set_new(t->config, "eos_token_id",
                              json_integer(TOKEN_END));
    return SUCCESS;
}

static struct status start_from(struct train *t)
{
    TRY_PLAIN(model_input_open(t->params, t->context, MODEL_COPY, &t->input));
    t->model = t->input.model;
    t->config = json_deep_copy(recipe_config(t->input.recipe));
    return SUCCESS;
}

static struct status prepare_schedule(struct train *t)
{
    const json_t *o = json_object_get(t->params, "optimizer");
    const json_t *milestones = json_object_get(o, "milestones");
    size_t count = json_array_size(milestones);

    t->schedule.row = schedule_find(json_text_or(o, "schedule", "cosine"));
    t->schedule.steps = t->steps;
    t->schedule.warmup = (uint64_t)json_int_or(o, "warmup", 0);
    t->schedule.gamma = json_real_or(o, "gamma", 0.1);
    if (t->schedule.row == NULL)
        return FAIL(STATUS_INVALID, "there is no schedule \"%.40s\"",
                    json_text_or(o, "schedule", ""));
    if (t->schedule.warmup >= t->steps)
        return FAIL(STATUS_INVALID,
                    "a warm-up of %llu steps leaves nothing of %llu",
                    (unsigned long long)t->schedule.warmup,
                    (unsigned long long)t->steps);
    if (count > SCHEDULE_MILESTONES)
        return FAIL(STATUS_INVALID, "%zu milestones; at most %d are allowed",
                    count, SCHEDULE_MILESTONES);
    for (size_t i = 0; i < count; i++)
        t->schedule.milestones[i] =
            (uint64_t)json_integer_value(json_array_get(milestones, i));
    return SUCCESS;
}

static struct trainer_settings settings_of(const json_t *params)
{
    const json_t *o = json_object_get(params, "optimizer");

    return (struct trainer_settings){
        .optim = { .row = optim_find(json_text_or(o, "name", "adamw")),
                   .rate = json_real_or(o, "lr", 1e-3),
                   .decay = json_real_or(o, "weight_decay", 0.01),
                   .beta1 = json_real_or(o, "beta1", 0.9),
                   .beta2 = json_real_or(o, "beta2", 0.99),
                   .eps = json_real_or(o, "eps", 1e-8) },
        .clip = json_real_or(params, "clip", 1.0),
        .momentum = 0.1,
    };
}

static struct status prepare_trainer(struct train *t)
{
    const struct trainer_settings settings = settings_of(t->params);
    struct pass_room room = { .gradients = true };

    if (settings.optim.row == NULL)
        return FAIL(STATUS_INVALID, "there is no such optimizer");
    room.longest = t->data.window;
    room.rows = room.longest * (size_t)t->batch_size;
    TRY_PLAIN(model_input_fits(trainer_bytes(t->model, &room, &settings) +
                                   sizeof(float) * t->model->size,
                               "training of the model", t->context));
    TRY_PLAIN(trainer_new(t->model, &room, &settings, &t->trainer));
    batch_init(&t->batch, (size_t)t->batch_size, room.rows);
    return prepare_schedule(t);
}

static struct status prepare(struct train *t)
{
    const json_t *init = json_object_get(t->params, "init");

    t->seed = (uint32_t)json_int_or(t->params, "seed", 0);
    t->steps = (uint64_t)json_int_or(t->params, "steps", 300);
    t->batch_size = (uint64_t)json_int_or(t->params, "batch", 32);
    blas_set_threads(1); /* whatever the job may use: the same bits anywhere */
    if (init != NULL)
        TRY_PLAIN(start_fresh(t, init));
    else
        TRY_PLAIN(start_from(t));
    TRY_PLAIN(data_open(json_object_get(t->params, "data"),
                        (size_t)json_int_or(t->params, "length", 0), t->context,
                        &t->data));
    return prepare_trainer(t);
}

static struct status fill_batch(struct train *t, uint64_t step)
{
    batch_clear(&t->batch);
    for (uint64_t i = 0; i < t->batch_size; i++) {
        bool added;

        TRY_PLAIN(data_draw(&t->data, t->seed, step * t->batch_size + i,
                            &t->batch, &added));
        if (!added)
            return FAIL(STATUS_FAILED, "a batch had no room for its items");
    }
    t->tokens += t->batch.rows;
    return SUCCESS;
}

static struct status one_step(struct train *t, uint64_t step)
{
    struct trainer_report report;
    struct pass_batch view;

    TRY_PLAIN(fill_batch(t, step));
    view = batch_view(&t->batch);
    TRY_PLAIN(trainer_step(t->trainer, schedule_factor(&t->schedule, step),
                           &view, 1, &report));
    t->recent = step == 0 ? report.loss : 0.9 * t->recent + 0.1 * report.loss;
    return SUCCESS;
}

static void log_step(const struct train *t, uint64_t step)
{
    uint64_t every = t->steps < 10 ? 1 : t->steps / 10;
    char line[160];

    if (step % every != 0 && step != t->steps)
        return;
    (void)snprintf(line, sizeof(line), "step %llu of %llu: loss %.4f",
                   (unsigned long long)step, (unsigned long long)t->steps,
                   t->recent);
    t->context->log(t->context->self, line);
}

static struct status all_steps(struct train *t)
{
    for (uint64_t step = 0; step < t->steps; step++) {
        if (t->context->cancelled(t->context->self))
            return FAIL(STATUS_CANCELLED, "cancelled at step %llu",
                        (unsigned long long)step + 1);
        TRY_PLAIN(one_step(t, step));
        t->context->progress(t->context->self, step + 1, t->steps, "step");
        log_step(t, step + 1);
    }
    return SUCCESS;
}

/* --- the result ----------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tensor *)a)->name,
                  ((const struct tensor *)b)->name);
}

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

static void free_writer(struct st_writer **w)
{
    st_writer_free(*w);
}

static struct status write_tensors(const struct st_writer_settings *settings,
                                   const struct tensor_set *set,
                                   const json_t *config)
{
    AUTO(free_writer) struct st_writer *w = NULL;
    AUTO(free_pointer) char *text = json_pretty(config);

    TRY_PLAIN(st_writer_new(settings, set, &w));
    for (size_t i = 0; i < set->count; i++)
        TRY_PLAIN(add_tensor(w, &set->items[i]));
    TRY_PLAIN(st_writer_add_file(w, "config.json", text, strlen(text)));
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
    (void)json_object_set_new(t->config, "torch_dtype", json_string(dtype));
    for (size_t i = 0; i < set.count; i++) {
        tensors[i] = model_tensor(t->model, i);
        tensors[i].dtype = d;
    }
    qsort(tensors, set.count, sizeof(*tensors), by_name);
    TRY_PLAIN(write_tensors(&settings, &set, t->config));
    return t->context->put_artifact(t->context->self, directory, ret_digest);
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    AUTO(release) struct train t = { .params = params, .context = context };
    char artifact[DIGEST_TEXT];

    TRY(prepare(&t), "train");
    TRY(all_steps(&t), "train");
    TRY(store(&t, artifact), "train");
    *ret_result = json_pack("{ss s{sf sI sI sI}}", "artifact", artifact,
                            "metrics", "loss", t.recent, "steps",
                            (json_int_t)t.steps, "tokens", (json_int_t)t.tokens,
                            "parameters", (json_int_t)t.model->size);
    return SUCCESS;
}

/* Parameters, their gradients, two moments, and the arrays of a pass. */
static int64_t memory(const json_t *params)
{
    const json_t *init = json_object_get(params, "init");
    const json_t *data = json_object_get(params, "data");
    AUTO(json_release) json_t *json = NULL;
    struct model_config config;
    struct pass_room room = { .gradients = true };
    struct status s;

    if (init == NULL)
        return 0;
    json = config_json(init);
    s = model_config_read(json, &config);
    if (status_failed(&s))
        return 0;
    room.longest = (size_t)json_int_or(params, "length", 0);
    if (room.longest == 0)
        room.longest = json_object_get(data, "builtin") == NULL
                           ? DATA_ANY_LENGTH
                           : (size_t)(3 * json_int_or(data, "longest", 6) + 6);
    room.rows = room.longest * (size_t)json_int_or(params, "batch", 32);
    return (int64_t)(pass_bytes(&config, &room) +
                     3 * sizeof(float) * model_size(&config));
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
                 .memory = memory },
    .run = run,
};
