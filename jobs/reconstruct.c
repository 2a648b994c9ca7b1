/* reconstruct.c -- blocks of a pruned model, one after the other, are trained
 * to give what blocks of the dense model give.
 *
 * Source: Zimmer et al., "PERP", 2023: a block reads what the blocks before it,
 * pruned and reconstructed, leave; its target is what the dense block makes of
 * the same. `inputs: dense` lets it read what dense blocks leave instead, and
 * `targets: dense` aims at what the whole dense model leaves there.
 *
 * A block of text is a layer. Nets for images have none in front of their
 * layers, so the first section is one too; norms over the batch are given the
 * statistics of what they then read, those behind the last block as well. */
#include "jobs/retrain.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "model/subset.h"

static const char *const input_words[] = { "sparse", "dense", NULL };
static const char *const target_words[] = { "inputs", "dense", NULL };

const struct catalog_key reconstruct_keys[] = {
    { .name = "samples",
      .type = KEY_INTEGER,
      .least = 1,
      .most = 1e6,
      .otherwise = "128",
      .help = "sequences or images that blocks are given" },
    { .name = "inputs",
      .type = KEY_WORD,
      .words = input_words,
      .otherwise = "\"sparse\"",
      .help = "what a block reads: left by pruned blocks or by dense ones" },
    { .name = "targets",
      .type = KEY_WORD,
      .words = target_words,
      .otherwise = "\"inputs\"",
      .help = "what the dense block makes of the same inputs, or of its own" },
    { .name = NULL },
};

struct reconstruction {
    struct retrain *r;
    struct training opened; /* its data, rates and numbers */
    struct model_input dense;
    struct trainer_settings settings;
    struct schedule schedule;
    struct pass_room room; /* of one block, without gradients */

    size_t batches, widest; /* floats a row of any section */
    struct batch *given;    /* [batches] tokens or pixels */
    float **inputs;         /* [batches] what pruned blocks left; see first */
    float **dense_inputs;   /* what dense blocks left; NULL: not needed */
    float **targets;
    bool read_dense, aim_dense;

    /* The first section that is one; 0 reads `given`, not a stream. */
    size_t first;
    size_t block;
    double before, after; /* errors of this block */
    struct reconstruct_sums sums;
};

static float **new_streams(size_t count)
{
    return xcalloc(count, sizeof(float *));
}

static void free_streams(float **streams, size_t count)
{
    for (size_t i = 0; streams != NULL && i < count; i++)
        free(streams[i]);
    free(streams);
}

static void release(struct reconstruction *c)
{
    free_streams(c->inputs, c->batches);
    free_streams(c->dense_inputs, c->batches);
    free_streams(c->targets, c->batches);
    for (size_t i = 0; c->given != NULL && i < c->batches; i++)
        batch_release(&c->given[i]);
    free(c->given);
    data_release(&c->opened.data);
    model_input_release(&c->dense);
}

/* ---- the dense model ----------------------------------------------------------- */

/* What a model was before it was pruned, as far as its value tells. Sets
 * *ret_below to what it stands on if that is to be asked next. */
static struct status look_below(const json_t *model,
                                struct job_context *context, bool *ret_pruned,
                                json_t **ret_below)
{
    const json_t *recipe = json_object_get(model, "$recipe");
    AUTO(json_release) json_t *head = NULL;
    const json_t *below = NULL;

    if (strcmp(json_text_or(recipe, "kind", ""), "prune") == 0) {
        *ret_pruned = true;
        below = json_object_get(json_object_get(recipe, "params"), "model");
    } else {
        TRY_PLAIN(recipe_delta(model, context, &head));
        *ret_pruned = head != NULL &&
                      strcmp(json_text_or(head, "kind", ""), "prune") == 0;
        below = json_object_get(head, "base");
    }
    *ret_below = below == NULL ? NULL : json_deep_copy(below);
    return SUCCESS;
}

/* `dense`, or the base of recipes and deltas up to the first that pruned. */
static struct status find_dense(const struct retrain *r, json_t **ret_model)
{
    const json_t *given = json_object_get(r->params, "dense");
    AUTO(json_release)
    json_t *model = json_deep_copy(json_object_get(r->params, "model"));
    bool pruned = false;

    if (given != NULL) {
        *ret_model = json_deep_copy(given);
        return SUCCESS;
    }
    while (!pruned && model != NULL) {
        json_t *below = NULL;

        TRY_PLAIN(look_below(model, r->context, &pruned, &below));
        json_decref(model);
        model = below;
    }
    if (model == NULL)
        return FAIL(STATUS_INVALID,
                    "which model is to be reconstructed cannot be seen; give "
                    "it as `dense`");
    *ret_model = json_incref(model);
    return SUCCESS;
}

static struct status open_dense(struct reconstruction *c)
{
    AUTO(json_release) json_t *model = NULL;
    AUTO(json_release) json_t *params = NULL;
    const struct graph *a = c->r->model->graph, *b;

    TRY_PLAIN(find_dense(c->r, &model));
    params = json_pack("{sO}", "model", model);
    TRY(model_input_open(params, c->r->context, MODEL_BORROW, &c->dense),
        "dense");
    b = c->dense.model->graph;
    if (a->sections != b->sections || a->parameter_count != b->parameter_count)
        return FAIL(STATUS_INVALID, "`dense` is no model of the same shape");
    for (size_t i = 0; i < a->parameter_count; i++)
        if (a->parameters[i].count != b->parameters[i].count)
            return FAIL(STATUS_INVALID,
                        "`dense` has another shape in tensor \"%s\"",
                        a->parameters[i].name);
    return SUCCESS;
}

/* ---- passes of one section --------------------------------------------------- */

static struct pass_batch view_of(const struct reconstruction *c, size_t batch,
                                 const float *stream)
{
    struct pass_batch view = batch_view(&c->given[batch]);

    view.labels = NULL;
    if (stream != NULL) {
        view.stream = stream;
        view.tokens = NULL;
        view.pixels = NULL;
    }
    return view;
}

static struct pass_room room_of(const struct reconstruction *c, size_t section)
{
    struct pass_room room = c->room;

    room.alone = true;
    room.section = section;
    return room;
}

/* Section `section` of `model` for all batches of `from` to `to`, which may be
 * `from`. Streams that are not there yet: what is given. */
static struct status run_section(const struct reconstruction *c,
                                 const struct model *model, size_t section,
                                 float *const *from, float **to)
{
    AUTO(pass_release) struct pass *p = NULL;
    const struct graph *g = model->graph;
    size_t width = graph_width(g, g->streams[section]);
    struct pass_room room = room_of(c, section);
    double loss;

    TRY_PLAIN(pass_new(model, &room, &p));
    for (size_t i = 0; i < c->batches; i++) {
        struct pass_batch view = view_of(c, i, from[i]);
        size_t rows = c->given[i].rows;

        if (c->r->context->cancelled(c->r->context->self))
            return FAIL(STATUS_CANCELLED, "cancelled at block %zu", c->block);
        TRY_PLAIN(pass_forward(p, &view, &loss));
        if (to[i] == NULL)
            to[i] = alloc_large(rows * c->widest * sizeof(float));
        if (to[i] == NULL)
            return FAIL(STATUS_NO_MEMORY, "no memory for activations");
        memcpy(to[i], pass_stream(p, section), rows * width * sizeof(float));
    }
    return SUCCESS;
}

static float **inputs_of(const struct reconstruction *c)
{
    return c->read_dense ? c->dense_inputs : c->inputs;
}

/* Mean square of what the block leaves minus the target, over all batches. */
static struct status measure(const struct reconstruction *c, double *ret_error)
{
    AUTO(pass_release) struct pass *p = NULL;
    struct pass_room room = room_of(c, c->block);
    double sum = 0.0, rows = 0.0;

    TRY_PLAIN(pass_new(c->r->model, &room, &p));
    for (size_t i = 0; i < c->batches; i++) {
        struct pass_batch view = view_of(c, i, inputs_of(c)[i]);
        double loss;

        view.target = c->targets[i];
        TRY_PLAIN(pass_forward(p, &view, &loss));
        if (!isfinite(loss))
            TRY(training_lost(p, loss), "block %zu", c->block);
        sum += loss * (double)c->given[i].rows;
        rows += (double)c->given[i].rows;
    }
    *ret_error = sum / rows;
    return SUCCESS;
}

/* They change. False: the section has none. */
static bool note_statistics(const struct retrain *r, size_t section)
{
    const struct graph *g = r->model->graph;
    bool any = false;

    for (size_t i = 0; i < g->parameter_count; i++) {
        if (g->parameters[i].role != ROLE_STATISTIC ||
            g->parameters[i].section != section)
            continue;
        r->changed[i] = true;
        any = true;
    }
    return any;
}

/* Norms over the batch in a section of the model get the statistics of all
 * that the section reads. */
static struct status estimate(const struct reconstruction *c, size_t section,
                              float *const *from)
{
    AUTO(pass_release) struct pass *p = NULL;
    const struct graph *g = c->r->model->graph;
    struct pass_room room = room_of(c, section);
    uint64_t seen = 0;

    if (!note_statistics(c->r, section))
        return SUCCESS;
    room.headless = section + 1 == g->sections;
    TRY_PLAIN(pass_new(c->r->model, &room, &p));
    for (size_t i = 0; i < c->batches; i++) {
        struct pass_batch view = view_of(c, i, from[i]);

        TRY_PLAIN(pass_estimate_statistics(p, c->r->model, &view, &seen));
    }
    return SUCCESS;
}

/* ---- one block ----------------------------------------------------------------- */

static struct status steps_of_block(struct reconstruction *c, struct trainer *t)
{
    struct job_context *context = c->r->context;
    size_t blocks = c->r->model->graph->sections - 1 - c->first;
    uint64_t all = c->opened.steps * blocks;
    struct trainer_report report;

    for (uint64_t step = 0; step < c->opened.steps; step++) {
        size_t i = (size_t)(step % c->batches);
        struct pass_batch view = view_of(c, i, inputs_of(c)[i]);

        view.target = c->targets[i];
        if (context->cancelled(context->self))
            return FAIL(STATUS_CANCELLED, "cancelled at block %zu", c->block);
        TRY_PLAIN(trainer_step(t, schedule_factor(&c->schedule, step), &view, 1,
                               &report));
        context->progress(context->self,
                          (c->block - c->first) * c->opened.steps + step + 1,
                          all, "step");
    }
    return SUCCESS;
}

/* What is trained of the block; false: nothing. */
static bool in_block(const struct reconstruction *c, bool *trained)
{
    const struct graph *g = c->r->model->graph;
    bool any = false;

    for (size_t i = 0; i < g->parameter_count; i++) {
        trained[i] = trained[i] && g->parameters[i].section == c->block;
        any = any || trained[i];
        if (trained[i] && g->parameters[i].role != ROLE_ADAPTER)
            c->r->changed[i] = true;
    }
    c->r->trainable += subset_size(g, trained);
    return any;
}

static struct status train_block(struct reconstruction *c)
{
    AUTO(trainer_release) struct trainer *t = NULL;
    AUTO(free_pointer) bool *trained = NULL;
    struct pass_room room = room_of(c, c->block);

    TRY_PLAIN(retrain_adapt(c->r, c->block));
    TRY_PLAIN(retrain_choose(c->r, &trained));
    if (!in_block(c, trained))
        return SUCCESS;
    room.gradients = true;
    room.trained = trained;
    TRY_PLAIN(model_input_fits(trainer_bytes(c->r->model, &room, &c->settings),
                               "training of one block", c->r->context));
    TRY_PLAIN(trainer_new(c->r->model, &room, &c->settings, &t));
    TRY(steps_of_block(c, t), "block %zu", c->block);
    return c->r->row == NULL ? SUCCESS : retrain_merge(c->r);
}

static struct status aim(struct reconstruction *c)
{
    const struct model *dense = c->dense.model;

    if (c->read_dense || c->aim_dense)
        return run_section(c, dense, c->block, c->dense_inputs, c->targets);
    return run_section(c, dense, c->block, c->inputs, c->targets);
}

/* What the next block reads. */
static struct status pass_on(struct reconstruction *c)
{
    float **targets = c->targets;

    if (c->dense_inputs != NULL) {
        c->targets = c->dense_inputs;
        c->dense_inputs = targets;
    }
    if (c->read_dense)
        return SUCCESS;
    return run_section(c, c->r->model, c->block, c->inputs, c->inputs);
}

static struct status reconstruct_block(struct reconstruction *c)
{
    char line[160];

    TRY_PLAIN(aim(c));
    TRY_PLAIN(measure(c, &c->before));
    TRY_PLAIN(train_block(c));
    TRY_PLAIN(estimate(c, c->block, inputs_of(c)));
    TRY_PLAIN(measure(c, &c->after));
    TRY_PLAIN(pass_on(c));
    (void)snprintf(line, sizeof(line),
                   "block %zu: error %.6g before, %.6g after", c->block,
                   c->before, c->after);
    c->r->context->log(c->r->context->self, line);
    c->sums.before += c->before;
    c->sums.after += c->after;
    c->sums.blocks++;
    c->sums.trainable = c->r->trainable;
    return SUCCESS;
}

/* ---- all of them ------------------------------------------------------------------ */

static struct status draw(struct reconstruction *c)
{
    uint64_t at = 0;

    c->given = xcalloc(c->batches, sizeof(*c->given));
    for (size_t i = 0; i < c->batches; i++) {
        TRY_PLAIN(
            data_batch(&c->opened.data, (size_t)c->opened.batch, &c->given[i]));
        for (uint64_t k = 0; k < c->opened.batch; k++) {
            bool added;

            TRY_PLAIN(data_draw(&c->opened.data, c->opened.seed, at++,
                                &c->given[i], &added));
        }
    }
    return SUCCESS;
}

/* What the model asks for. */
static void look_at(struct reconstruction *c)
{
    const struct graph *g = c->r->model->graph;

    c->first = g->pixels == 0 ? 1 : 0;
    for (size_t i = 0; i + 1 < g->sections; i++)
        if (graph_width(g, g->streams[i]) > c->widest)
            c->widest = graph_width(g, g->streams[i]);
}

static struct status prepare(struct reconstruction *c)
{
    const json_t *params = c->r->params;
    const json_t *how = json_object_get(params, "reconstruct");
    int64_t samples = json_int_or(how, "samples", 128);

    c->read_dense = strcmp(json_text_or(how, "inputs", "sparse"), "dense") == 0;
    c->aim_dense = strcmp(json_text_or(how, "targets", "inputs"), "dense") == 0;
    c->opened = (struct training){ .params = params,
                                   .context = c->r->context,
                                   .model = c->r->model,
                                   .tokenizer = c->r->input.tokenizer };
    TRY_PLAIN(training_open_data(&c->opened));
    TRY_PLAIN(training_settings(params, 0.0, &c->settings));
    TRY_PLAIN(training_schedule(params, c->opened.steps, &c->schedule));
    c->batches = ((size_t)samples + (size_t)c->opened.batch - 1) /
                 (size_t)c->opened.batch;
    look_at(c);
    c->room = data_room(&c->opened.data, (size_t)c->opened.batch, false);
    c->inputs = new_streams(c->batches);
    c->targets = new_streams(c->batches);
    if (c->read_dense || c->aim_dense)
        c->dense_inputs = new_streams(c->batches);
    return model_input_fits(3 * c->batches * c->room.rows * c->widest *
                                sizeof(float),
                            "what blocks are given", c->r->context);
}

/* What the first block that is not done reads. */
static struct status lead_in(struct reconstruction *c)
{
    for (size_t i = 0; i < c->first + c->sums.blocks; i++) {
        if (i < c->first || !c->read_dense)
            TRY_PLAIN(run_section(c, c->r->model, i, c->inputs, c->inputs));
        if (c->dense_inputs != NULL)
            TRY_PLAIN(run_section(c, c->dense.model, i, c->dense_inputs,
                                  c->dense_inputs));
    }
    return SUCCESS;
}

/* Norms behind the last block get the statistics of what they read now; where
 * blocks have read what dense ones leave, those of all sections do. */
static struct status settle(struct reconstruction *c)
{
    const struct graph *g = c->r->model->graph;
    size_t last = g->sections - 1;

    for (size_t i = c->read_dense ? c->first : last; i <= last; i++) {
        TRY_PLAIN(estimate(c, i, c->inputs));
        if (i < last)
            TRY_PLAIN(run_section(c, c->r->model, i, c->inputs, c->inputs));
    }
    return SUCCESS;
}

static struct status all_blocks(struct reconstruction *c)
{
    struct job_context *context = c->r->context;

    TRY_PLAIN(reconstruct_resume(c->r, &c->sums));
    c->r->trainable = (size_t)c->sums.trainable;
    TRY_PLAIN(lead_in(c));
    for (c->block = c->first + (size_t)c->sums.blocks;
         c->block + 1 < c->r->model->graph->sections; c->block++) {
        TRY_PLAIN(reconstruct_block(c));
        if (context->save_due != NULL && context->save_due(context->self))
            reconstruct_save(c->r, &c->sums);
    }
    return settle(c);
}

struct status reconstruct_run(struct retrain *r)
{
    AUTO(release) struct reconstruction c = { .r = r };

    TRY_PLAIN(open_dense(&c));
    TRY_PLAIN(prepare(&c));
    TRY_PLAIN(draw(&c));
    TRY_PLAIN(all_blocks(&c));
    if (r->trainable == 0)
        return FAIL(STATUS_INVALID, "no block has any of what `train` names");
    (void)json_object_set_new(r->metrics, "error_before",
                              json_real(c.sums.before));
    (void)json_object_set_new(r->metrics, "error_after",
                              json_real(c.sums.after));
    (void)json_object_set_new(r->metrics, "blocks",
                              json_integer((json_int_t)c.sums.blocks));
    return SUCCESS;
}
