/* retrain.c -- the kind `retrain`: a pruned model heals by training a part of
 * it; what is pruned stays exactly 0. The result is a delta (jobs/delta.h).
 *
 *     retrain:
 *       model: $stages.prune.model
 *       train: [bias, norm, mask_lora]
 *       lora: {rank: 16, alpha: 32}
 *       data: {builtin: tasks}
 *       steps: 100
 *
 * Source: Zimmer et al., "PERP: Rethinking the prune-retrain paradigm", 2023. */
#include "jobs/retrain.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/model_digest.h"
#include "jobs/recipe_mask.h"
#include "model/subset.h"

static const char *const mode_words[] = { "retrain", "reconstruct", "none",
                                          NULL };
/* Batches a loss before and behind a merge is taken of. */
enum { MEASURED = 4 };

static const struct catalog_key word_row[] = {
    { .name = "*",
      .type = KEY_TEXT,
      .help = "bias, norm, embedding, head, lora, lora_prune, mask_lora, "
              "scale_lora, full or name:PATTERN" },
    { .name = NULL },
};

static const struct catalog_key lora_keys[] = {
    { .name = "rank",
      .type = KEY_INTEGER,
      .least = 1,
      .most = 65536,
      .otherwise = "16",
      .help = "of the product" },
    { .name = "alpha",
      .type = KEY_NUMBER,
      .least = 0.0,
      .most = 1e6,
      .otherwise = "32",
      .help = "the product counts alpha / rank times; not for scale_lora" },
    { .name = "dropout", .type = KEY_NUMBER, .help = "0: there is none" },
    { .name = NULL },
};

static const struct catalog_key keys[] = {
    { .name = "model",
      .type = KEY_MODEL,
      .required = true,
      .help = "a pruned model" },
    { .name = "mode",
      .type = KEY_WORD,
      .words = mode_words,
      .otherwise = "\"retrain\"",
      .help = "by the loss, block by block towards the dense model, or not" },
    { .name = "train",
      .type = KEY_LIST,
      .keys = word_row,
      .help = "which parameters move" },
    { .name = "lora",
      .type = KEY_MAP,
      .keys = lora_keys,
      .help = "of adapters" },
    { .name = "dense",
      .type = KEY_MODEL,
      .help = "reconstruct: the target; as it was before pruning" },
    { .name = "reconstruct",
      .type = KEY_MAP,
      .keys = reconstruct_keys,
      .help = "what blocks are given and aim at" },
    TRAINING_KEYS(false),
    { .name = NULL },
};

/* Which other keys mean something. */
static const char *const structural[] = { "mode", "train", NULL };

static void forget(json_t *body, const char *const *names)
{
    for (; *names != NULL; names++)
        (void)json_object_del(body, *names);
}

/* Nothing is done: nothing but the model matters. */
static bool normalise_none(json_t *body)
{
    static const char *const useless[] = {
        "train",     "lora",   "dense", "reconstruct", "data",
        "steps",     "epochs", "batch", "accumulate",  "length",
        "optimizer", "clip",   "seed",  NULL
    };

    forget(body, useless);
    return true;
}

static bool normalise_lora(json_t *body, const json_t *words,
                           struct catalog_problem *ret_problem)
{
    json_t *lora = json_object_get(body, "lora");

    if (json_real_or(lora, "dropout", 0.0) != 0.0)
        return catalog_refuse(ret_problem, "/lora/dropout",
                              "dropout: 0, or leave it out",
                              "adapters are trained without dropout");
    (void)json_object_del(lora, "dropout");
    if (!retrain_has_adapters(words))
        (void)json_object_del(body, "lora");
    else if (lora == NULL)
        (void)json_object_set_new(
            body, "lora", json_pack("{si si}", "rank", 16, "alpha", 32));
    return true;
}

/* Blocks are reconstructed one batch a step, as often as is said. */
static bool normalise_blocks(json_t *body, struct catalog_problem *ret_problem)
{
    if (json_object_get(body, "epochs") != NULL)
        return catalog_refuse(ret_problem, "/epochs", "steps: 300",
                              "a block is reconstructed by steps");
    if (json_int_or(body, "accumulate", 1) != 1)
        return catalog_refuse(ret_problem, "/accumulate",
                              "raise `batch` instead",
                              "a block is reconstructed one batch a step");
    if (json_object_get(body, "reconstruct") == NULL)
        (void)json_object_set_new(body, "reconstruct",
                                  json_pack("{si ss ss}", "samples", 128,
                                            "inputs", "sparse", "targets",
                                            "inputs"));
    return true;
}

static bool normalise(json_t *body, struct catalog_problem *ret_problem)
{
    static const char *const useless[] = { "dense", "reconstruct", NULL };
    const char *mode = json_text_or(body, "mode", "");
    const json_t *words = json_object_get(body, "train");
    bool reconstruct = strcmp(mode, "reconstruct") == 0;

    if (strcmp(mode, "none") == 0)
        return normalise_none(body);
    if (!retrain_check_words(words, reconstruct, ret_problem))
        return false;
    if (json_object_get(body, "data") == NULL)
        return catalog_refuse(ret_problem, "", "data: {builtin: tasks}",
                              "`data` is missing");
    if (!reconstruct)
        forget(body, useless);
    else if (!normalise_blocks(body, ret_problem))
        return false;
    if (!normalise_lora(body, words, ret_problem))
        return false;
    return training_normalise(body, 0.0, ret_problem);
}

static void add_texts(json_t *list, const char *const *texts)
{
    for (; *texts != NULL; texts++)
        (void)json_array_append_new(list, json_string(*texts));
}

static json_t *metrics(const json_t *body)
{
    static const char *const all[] = { "trainable", "fraction", NULL };
    static const char *const trained[] = { "loss",  "loss_before", "loss_after",
                                           "steps", "tokens",      NULL };
    static const char *const merged[] = { "loss_before_merge",
                                          "loss_after_merge", NULL };
    static const char *const blocks[] = { "error_before", "error_after",
                                          "blocks", NULL };
    const char *mode = json_text_or(body, "mode", "retrain");
    bool losses = strcmp(mode, "retrain") == 0;
    json_t *names = json_array();

    add_texts(names, all);
    if (losses)
        add_texts(names, trained);
    if (losses && retrain_has_adapters(json_object_get(body, "train")))
        add_texts(names, merged);
    if (strcmp(mode, "reconstruct") == 0)
        add_texts(names, blocks);
    return names;
}

/* --- the job -------------------------------------------------------------- */

static void release(struct retrain *r)
{
    delta_release(&r->delta);
    model_input_release(&r->input);
    free(r->changed);
    json_decref(r->metrics);
}

/* Without masks, what is 0 in a matrix is taken for pruned. */
static struct status mask_zeros(struct model *m)
{
    for (size_t i = 0; i < m->parameter_count; i++) {
        const struct model_parameter *p = &m->parameters[i];
        bool zeros = false;

        if (p->role != ROLE_MATRIX || p->keep != NULL)
            continue;
        for (size_t k = 0; k < p->count && !zeros; k++)
            zeros = p->data[k] == 0.0F;
        if (zeros)
            TRY_PLAIN(model_mask(m, i, NULL));
    }
    return SUCCESS;
}

static struct status open_model(struct retrain *r)
{
    TRY_PLAIN(model_input_open(r->params, r->context, MODEL_BORROW, &r->input));
    if (r->head)
        TRY_PLAIN(model_input_untie(&r->input, MODEL_BORROW));
    r->model = r->input.model;
    r->size = r->model->size;
    r->changed = xcalloc(r->model->parameter_count + 1, sizeof(*r->changed));
    TRY_PLAIN(recipe_mask_model(r->input.recipe, r->model));
    TRY_PLAIN(mask_zeros(r->model));
    TRY_PLAIN(delta_init(&r->delta, "retrain",
                         json_object_get(r->params, "model"), r->context));
    if (r->input.head_of != NULL)
        delta_add_copy(&r->delta, r->input.head, r->input.head_of);
    if (r->input.head != NULL)
        delta_set_config(&r->delta, "tie_word_embeddings", json_false());
    return SUCCESS;
}

static void note(struct retrain *r, const char *name, double value)
{
    (void)json_object_set_new(r->metrics, name, json_real(value));
}

static void note_trained(struct retrain *r, const bool *trained)
{
    r->trainable = subset_size(r->model->graph, trained);
    for (size_t i = 0; i < r->model->parameter_count; i++)
        if (trained[i] && r->model->parameters[i].role != ROLE_ADAPTER)
            r->changed[i] = true;
}

/* Losses before and behind the merge, where there is one. */
static struct status end_training(struct retrain *r, struct training *t)
{
    bool adapted = r->row != NULL || r->head;
    char line[160];
    double before, behind;

    training_end(t);
    TRY_PLAIN(training_measure(t, MEASURED, &before));
    note(r, "loss_after", before);
    if (!adapted)
        return SUCCESS;
    TRY_PLAIN(retrain_merge(r));
    TRY_PLAIN(training_measure(t, MEASURED, &behind));
    note(r, "loss_before_merge", before);
    note(r, "loss_after_merge", behind);
    note(r, "loss_after", behind);
    (void)snprintf(line, sizeof(line), "merge: loss %.6f before, %.6f after",
                   before, behind);
    r->context->log(r->context->self, line);
    return SUCCESS;
}

/* Numbers measured over batches changed wherever there are some. */
static void note_statistics(struct retrain *r)
{
    for (size_t i = 0; i < r->model->parameter_count; i++)
        if (r->model->parameters[i].role == ROLE_STATISTIC)
            r->changed[i] = true;
}

static struct status train(struct retrain *r)
{
    AUTO(training_release)
    struct training t = { .params = r->params,
                          .context = r->context,
                          .tokenizer = r->input.tokenizer };
    AUTO(free_pointer) bool *trained = NULL;
    double first;

    TRY_PLAIN(retrain_adapt(r, SIZE_MAX));
    TRY_PLAIN(retrain_choose(r, &trained));
    note_trained(r, trained);
    t.model = r->model;
    t.trained = trained;
    TRY_PLAIN(training_open(&t));
    TRY_PLAIN(training_measure(&t, MEASURED, &first));
    TRY_PLAIN(training_run(&t));
    note_statistics(r);
    note(r, "loss", t.recent);
    note(r, "loss_before", first);
    (void)json_object_set_new(r->metrics, "steps",
                              json_integer((json_int_t)t.steps));
    (void)json_object_set_new(r->metrics, "tokens",
                              json_integer((json_int_t)t.tokens));
    return end_training(r, &t);
}

/* --- the result ----------------------------------------------------------- */

/* A parameter as it is stored: in the dtype of the base. */
static struct tensor stored(const struct retrain *r, size_t parameter,
                            void *room)
{
    const struct model_parameter *p = &r->model->parameters[parameter];
    const struct tensor_set *set = recipe_tensors(r->input.recipe);
    const char *name = model_input_name(&r->input, p->name);
    struct tensor t = model_tensor(r->model, parameter);
    const struct tensor *base = tensor_find(set, name);

    if (base == NULL)
        base = tensor_find(set, r->input.head_of);
    t.name = name;
    t.dtype = base->dtype;
    dtype_from_f32(t.dtype, p->data, room, p->count);
    t.data = room;
    return t;
}

/* Changed parameters that no adapter of the delta makes. */
static void add_changed(struct retrain *r)
{
    const json_t *adapted = json_object_get(r->delta.head, "adapters");

    for (size_t i = 0; i < r->model->parameter_count; i++) {
        const struct model_parameter *p = &r->model->parameters[i];
        AUTO(free_pointer) void *room = NULL;
        struct tensor t;

        if (!r->changed[i] ||
            json_object_get(adapted, model_input_name(&r->input, p->name)) !=
                NULL)
            continue;
        room = xcalloc(p->count, sizeof(float));
        t = stored(r, i, room);
        delta_add_tensor(&r->delta, &t, room);
    }
}

/* Of the model as whoever opens the delta will see it. */
static struct digest digest_of_model(const struct retrain *r)
{
    const struct tensor_set *set = recipe_tensors(r->input.recipe);
    AUTO(free_pointer)
    struct tensor *items = xcalloc(set->count + 1, sizeof(*items));
    struct tensor_set all = { set->count, items };
    struct model_digest *d;

    memcpy(items, set->items, set->count * sizeof(*items));
    if (r->input.head_of != NULL) {
        items[all.count] = *tensor_find(set, r->input.head_of);
        items[all.count++].name = r->input.head;
    }
    qsort(items, all.count, sizeof(*items), tensor_by_name);
    d = model_digest_begin(&all);
    for (size_t i = 0; i < all.count; i++) {
        AUTO(free_pointer) void *room = NULL;
        struct tensor t = items[i];

        for (size_t k = 0; k < r->model->parameter_count; k++) {
            const char *name = r->model->parameters[k].name;

            if (!r->changed[k] ||
                strcmp(model_input_name(&r->input, name), t.name) != 0)
                continue;
            room = xcalloc(r->model->parameters[k].count, sizeof(float));
            t = stored(r, k, room);
        }
        model_digest_add(d, i, t.data, (size_t)tensor_bytes(&t));
    }
    return model_digest_end(d);
}

static struct status store(struct retrain *r, json_t **ret_result)
{
    char artifact[DIGEST_TEXT], model[DIGEST_TEXT];
    struct digest digest = digest_of_model(r);

    digest_to_text(&digest, model);
    add_changed(r);
    TRY_PLAIN(delta_store(&r->delta, r->context, artifact));
    (void)json_object_set_new(r->metrics, "trainable",
                              json_integer((json_int_t)r->trainable));
    note(r, "fraction", (double)r->trainable / (double)r->size);
    *ret_result = json_pack("{ss ss sO}", "artifact", artifact, "model_digest",
                            model, "metrics", r->metrics);
    return SUCCESS;
}

static struct status work(struct retrain *r)
{
    const char *mode = json_text_or(r->params, "mode", "retrain");

    if (strcmp(mode, "none") == 0)
        return open_model(r);
    TRY_PLAIN(retrain_read_words(r));
    TRY_PLAIN(open_model(r));
    if (strcmp(mode, "reconstruct") == 0)
        return reconstruct_run(r);
    return train(r);
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    AUTO(release)
    struct retrain r = { .params = params,
                         .context = context,
                         .metrics = json_object() };

    TRY(work(&r), "retrain");
    TRY(store(&r, ret_result), "retrain");
    return SUCCESS;
}

extern const struct job_kind job_retrain;
const struct job_kind job_retrain = {
    .catalog = { .name = "retrain",
                 .summary = "heals a pruned model by training a part of it",
                 .example = "model: base\n"
                            "train: [bias, norm, mask_lora]\n"
                            "lora: {rank: 8, alpha: 16}\n"
                            "data: {builtin: tasks, mix: {reverse: 1}}\n"
                            "steps: 60\n"
                            "optimizer: {lr: 3e-3, schedule: linear, "
                            "warmup: 0.1}\n",
                 .sort = STAGE_ARTIFACT,
                 .keys = keys,
                 .structural = structural,
                 .normalise = normalise,
                 .check = training_check,
                 .metrics = metrics },
    .run = run,
};
