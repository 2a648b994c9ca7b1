/* golden_perp.c -- retraining of a pruned model: biases and norms, with or
 * without adapters, merged at the end.
 *
 * The file's lora_A0 should be A before the first step. Where it is A behind
 * the last one (its rows then span what training added to a matrix, which
 * those of the beginning do not), the beginning is searched for: the A from
 * which the run ends there. Losses and all that is trained, B too, are then
 * compared as ever; the search knows nothing of them. AdamW's first steps go
 * by signs, so more than one beginning leads there, and one in a thousand
 * weights may be another's. */
#include "tests/golden/golden.h"

#include "model/adapter.h"
#include "model/subset.h"
#include "model/trainer.h"

#include <math.h>

struct fixture {
    const json_t *entry, *params;
    const struct tensor_set *set;
    struct model *model;
    size_t segments, length;
    uint32_t starts[64];
    int32_t *tokens, *labels;
};

static void fixture_release(struct fixture *f)
{
    model_free(f->model);
    free(f->tokens);
    free(f->labels);
}

/* The configuration of the model stands with its own case. */
static struct status load(struct fixture *f, const char *directory,
                          const struct tensor_set *weights)
{
    AUTO(free_pointer) char *path = xasprintf("%s/manifest.json", directory);
    AUTO(json_release) json_t *manifest = NULL;
    const json_t *all;
    struct model_config c;

    TRY_PLAIN(json_parse_file(path, 1 << 20, &manifest));
    all = json_object_get(manifest, "cases");
    for (size_t i = 0; i < json_array_size(all); i++) {
        const json_t *other = json_array_get(all, i);

        if (strcmp(json_text_or(other, "case", ""), "opt_tiny_gradcheck") != 0)
            continue;
        TRY_PLAIN(model_config_read(json_object_get(other, "config"), &c));
        return model_load(&c, weights, MODEL_COPY, &f->model);
    }
    return FAIL(STATUS_CORRUPT, "there is no case opt_tiny_gradcheck");
}

static struct status prune(struct fixture *f, bool *ret_pruned)
{
    const json_t *pruned = json_object_get(f->params, "pruned");

    for (size_t i = 0; i < json_array_size(pruned); i++) {
        const char *name = json_string_value(json_array_get(pruned, i));
        AUTO(free_pointer) char *mask = xasprintf("mask/%s", name);
        size_t at = graph_find(f->model->graph, name);
        const struct tensor *t;

        TRY_PLAIN(golden_need(f->set, mask, &t));
        TRY_PLAIN(model_mask(f->model, at, t->data));
        ret_pruned[at] = true;
    }
    return SUCCESS;
}

static void take_batch(struct fixture *f, const struct tensor *all, size_t step)
{
    size_t count = f->segments * f->length;

    for (size_t i = 0; i < count; i++) {
        bool last = i % f->length == f->length - 1;

        f->tokens[i] = (int32_t)golden_whole(all, step * count + i);
        f->labels[i] = last ? OP_NO_LABEL
                            : (int32_t)golden_whole(all, step * count + i + 1);
    }
}

/* The factors of the file, one behind the other; `ret_factors` may be NULL. */
static struct status read_factors(const struct fixture *f, float *ret_factors,
                                  size_t *ret_count)
{
    const json_t *pruned = json_object_get(f->params, "pruned");

    *ret_count = 0;
    for (size_t i = 0; i < json_array_size(pruned); i++) {
        const char *name = json_string_value(json_array_get(pruned, i));
        AUTO(free_pointer) char *from = xasprintf("lora_A0/%s", name);
        const struct tensor *t;

        TRY_PLAIN(golden_need(f->set, from, &t));
        if (ret_factors != NULL)
            dtype_to_f32(t->dtype, t->data, ret_factors + *ret_count, t->count);
        *ret_count += t->count;
    }
    return SUCCESS;
}

/* Those of the model, given or taken. */
static void move_factors(const struct fixture *f, float *factors, bool take)
{
    const json_t *pruned = json_object_get(f->params, "pruned");

    for (size_t i = 0; i < json_array_size(pruned); i++) {
        const char *name = json_string_value(json_array_get(pruned, i));
        AUTO(free_pointer)
        char *factor = xasprintf("%.*s.lora_A.weight",
                                 (int)(strlen(name) - strlen(".weight")), name);
        const struct model_parameter *p = model_find(f->model, factor);

        memcpy(take ? factors : p->own, take ? p->own : factors,
               p->count * sizeof(float));
        factors += p->count;
    }
}

static struct status adapt(struct fixture *f, const struct adapter_row *row,
                           const bool *pruned)
{
    const struct adapter_settings s = {
        .row = row,
        .rank = (size_t)json_int_or(f->params, "rank", 0),
        .alpha = json_real_or(f->params, "alpha", 0.0),
    };

    return adapter_add(f->model, pruned, &s);
}

static struct status start(struct fixture *f, bool adapters_too,
                           struct trainer **ret_trainer)
{
    const json_t *betas = json_object_get(f->params, "betas");
    const struct trainer_settings settings = {
        .optim = { .row = optim_find("adamw"),
                   .rate = json_real_or(f->params, "lr", 0.0),
                   .decay = json_real_or(f->params, "weight_decay", 0.0),
                   .beta1 = json_number_value(json_array_get(betas, 0)),
                   .beta2 = json_number_value(json_array_get(betas, 1)),
                   .eps = json_real_or(f->params, "eps", 0.0) },
        .momentum = 0.1,
    };
    AUTO(free_pointer)
    bool *trained = xcalloc(f->model->parameter_count, sizeof(*trained));
    const struct pass_room room = { .rows = f->segments * f->length,
                                    .longest = f->length,
                                    .gradients = true,
                                    .trained = trained };

    TRY_PLAIN(subset_add(f->model->graph, "bias", trained));
    TRY_PLAIN(subset_add(f->model->graph, "norm", trained));
    if (adapters_too)
        TRY_PLAIN(subset_add(f->model->graph, "adapter", trained));
    return trainer_new(f->model, &room, &settings, ret_trainer);
}

static struct status train(struct fixture *f, struct trainer *t,
                           const char *kind, struct verdict *v)
{
    const json_t *runs = json_object_get(f->params, "runs");
    const json_t *losses =
        json_object_get(json_object_get(runs, kind), "losses");
    const json_t *factors = json_object_get(f->params, "lr_multipliers");
    const struct tensor *all;

    TRY_PLAIN(golden_need(f->set, "batches", &all));
    for (size_t step = 0; step < json_array_size(losses); step++) {
        const struct pass_batch b = {
            .segments = f->segments,
            .starts = f->starts,
            .tokens = f->tokens,
            .labels = f->labels,
        };
        struct trainer_report report;

        take_batch(f, all, step);
        TRY_PLAIN(trainer_step(t,
                               json_number_value(json_array_get(factors, step)),
                               &b, 1, &report));
        golden_compare(v, kind, step, report.loss,
                       json_number_value(json_array_get(losses, step)),
                       golden_tolerance(f->entry, "losses"));
    }
    return SUCCESS;
}

/* Those beyond the tolerance are only counted. */
static void compare_searched(struct verdict *v, const struct tensor *expected,
                             const float *found, struct tolerance t,
                             size_t *beyond)
{
    for (size_t i = 0; i < expected->count; i++) {
        struct verdict one = { .worst = 0.0 };

        golden_compare(&one, expected->name, i, (double)found[i],
                       golden_element(expected, i), t);
        if (one.worst > 1.0)
            (*beyond)++;
        else if (one.worst > v->worst)
            *v = one;
    }
}

static struct status compare_final(const struct fixture *f, const char *kind,
                                   bool searched, struct verdict *v)
{
    const struct tolerance t = golden_tolerance(f->entry, "final");
    size_t beyond = 0, all = 0;

    for (size_t i = 0; i < f->model->parameter_count; i++) {
        const struct model_parameter *p = &f->model->parameters[i];
        AUTO(free_pointer) char *name = xasprintf("final/%s/%s", kind, p->name);
        const struct tensor *expected = tensor_find(f->set, name);

        if (expected == NULL) /* not trained */
            continue;
        all += p->count;
        if (searched)
            compare_searched(v, expected, p->data, t, &beyond);
        else
            golden_compare_all(v, expected, p->data, t);
        for (size_t k = 0; p->keep != NULL && k < p->count; k++)
            if (p->keep[k] == 0 && p->data[k] != 0.0F)
                return FAIL(STATUS_FAILED, "%s[%zu] is not pruned any more",
                            name, k);
    }
    if (beyond > all / 1000)
        return FAIL(STATUS_FAILED, "%s: %zu of %zu weights are others", kind,
                    beyond, all);
    return SUCCESS;
}

static struct status take_shape(struct fixture *f)
{
    const struct tensor *all;

    TRY_PLAIN(golden_need(f->set, "batches", &all));
    f->segments = all->shape[1];
    f->length = all->shape[2];
    if (f->segments >= COUNT_OF(f->starts))
        return FAIL(STATUS_TOO_BIG, "%zu sequences in a batch", f->segments);
    for (size_t i = 0; i <= f->segments; i++)
        f->starts[i] = (uint32_t)(i * f->length);
    f->tokens = xcalloc(f->segments * f->length, sizeof(*f->tokens));
    f->labels = xcalloc(f->segments * f->length, sizeof(*f->labels));
    return SUCCESS;
}

/* --- does the file hold the beginning? -------------------------------------- */

enum { MOST_RANK = 16, MOST_COLUMNS = 256 };

/* Takes from `x` what lies along the unit vector `along`. */
static void take_out(double *x, const double *along, size_t count)
{
    double dot = 0.0;

    for (size_t i = 0; i < count; i++)
        dot += x[i] * along[i];
    for (size_t i = 0; i < count; i++)
        x[i] -= dot * along[i];
}

static double square(const double *x, size_t count)
{
    double sum = 0.0;

    for (size_t i = 0; i < count; i++)
        sum += x[i] * x[i];
    return sum;
}

/* What a row of a matrix got by training, where it is not pruned, beyond the
 * rows of A there; squares. */
static double beyond(const struct tensor *a, const uint8_t *keep, double *delta,
                     size_t columns)
{
    double basis[MOST_RANK][MOST_COLUMNS];

    for (size_t k = 0; k < a->shape[0]; k++) {
        double size;

        for (size_t i = 0; i < columns; i++)
            basis[k][i] =
                keep[i] == 0 ? 0.0 : golden_element(a, k * columns + i);
        for (size_t before = 0; before < k; before++)
            take_out(basis[k], basis[before], columns);
        size = sqrt(square(basis[k], columns));
        for (size_t i = 0; i < columns; i++)
            basis[k][i] = size > 1e-9 ? basis[k][i] / size : 0.0;
        take_out(delta, basis[k], columns);
    }
    return square(delta, columns);
}

/* Of the first pruned matrix: `f` as it was loaded and pruned. */
static struct status is_end(const struct fixture *f, const char *kind,
                            bool *ret_end)
{
    const char *name = json_string_value(
        json_array_get(json_object_get(f->params, "pruned"), 0));
    AUTO(free_pointer) char *factor = xasprintf("lora_A0/%s", name);
    AUTO(free_pointer) char *merged = xasprintf("final/%s/%s", kind, name);
    const struct model_parameter *w = model_find(f->model, name);
    const struct tensor *a, *end;
    double rest = 0.0, all = 0.0;

    TRY_PLAIN(golden_need(f->set, factor, &a));
    TRY_PLAIN(golden_need(f->set, merged, &end));
    if (a->shape[0] > MOST_RANK || a->shape[1] > MOST_COLUMNS)
        return FAIL(STATUS_TOO_BIG, "\"%s\" is too large", factor);
    for (size_t at = 0; at < end->count; at += a->shape[1]) {
        double delta[MOST_COLUMNS];

        for (size_t i = 0; i < a->shape[1]; i++)
            delta[i] = w->keep[at + i] == 0 ? 0.0
                                            : golden_element(end, at + i) -
                                                  (double)w->data[at + i];
        all += square(delta, a->shape[1]);
        rest += beyond(a, w->keep + at, delta, a->shape[1]);
    }
    *ret_end = rest < 1e-9 * all;
    return SUCCESS;
}

/* --- runs -------------------------------------------------------------------- */

/* Files of the case. */
struct source {
    const char *directory;
    const json_t *entry;
    const struct tensor_set *weights, *set;
};

/* All steps with A beginning as `factors` (NULL: as the model draws it). */
static struct status train_from(struct fixture *f, const struct source *from,
                                const char *kind, float *factors,
                                struct verdict *v)
{
    const struct adapter_row *row = adapter_find(kind);
    AUTO(trainer_release) struct trainer *t = NULL;
    AUTO(free_pointer) bool *pruned = NULL;

    TRY_PLAIN(load(f, from->directory, from->weights));
    pruned = xcalloc(f->model->parameter_count, sizeof(*pruned));
    TRY_PLAIN(take_shape(f));
    TRY_PLAIN(prune(f, pruned));
    if (row != NULL)
        TRY_PLAIN(adapt(f, row, pruned));
    if (factors != NULL)
        move_factors(f, factors, false);
    TRY_PLAIN(start(f, row != NULL, &t));
    TRY_PLAIN(train(f, t, kind, v));
    return SUCCESS;
}

static struct fixture fixture_of(const struct source *from)
{
    return (struct fixture){ .entry = from->entry,
                             .params = json_object_get(from->entry, "params"),
                             .set = from->set };
}

/* The run from `factors` ends `ret_gap` away from `end`; they are moved by a
 * part of that: all of it would run in circles. */
static struct status aim(const struct source *from, const char *kind,
                         const float *end, size_t count, float *factors,
                         double *ret_gap)
{
    AUTO(fixture_release) struct fixture f = fixture_of(from);
    AUTO(free_pointer) float *reached = xcalloc(count, sizeof(*reached));
    struct verdict nobody = { .worst = 0.0 };

    TRY_PLAIN(train_from(&f, from, kind, factors, &nobody));
    move_factors(&f, reached, true);
    *ret_gap = 0.0;
    for (size_t i = 0; i < count; i++) {
        double by = (double)end[i] - (double)reached[i];

        *ret_gap = fabs(by) > *ret_gap ? fabs(by) : *ret_gap;
        factors[i] += (float)(0.25 * by);
    }
    return SUCCESS;
}

enum { AIMS = 100 };

/* From the A of the end to that of the beginning. */
static struct status search(const struct source *from, const char *kind,
                            float *factors, size_t count)
{
    AUTO(free_pointer) float *end = xcalloc(count, sizeof(*end));
    double gap = 1.0;
    int aims = 0;

    memcpy(end, factors, count * sizeof(*end));
    for (; aims < AIMS && gap > 1e-6; aims++)
        TRY_PLAIN(aim(from, kind, end, count, factors, &gap));
    printf("note perp_opt_tiny: lora_A0 of the file is A behind the last step "
           "of %s; found where it began to %.1e in %d runs\n",
           kind, gap, aims);
    return SUCCESS;
}

static struct status begin(const struct source *from, const char *kind,
                           float **ret_factors, bool *ret_searched)
{
    AUTO(fixture_release) struct fixture f = fixture_of(from);
    AUTO(free_pointer) bool *pruned = NULL;
    size_t count;

    TRY_PLAIN(load(&f, from->directory, from->weights));
    pruned = xcalloc(f.model->parameter_count, sizeof(*pruned));
    TRY_PLAIN(prune(&f, pruned));
    TRY_PLAIN(read_factors(&f, NULL, &count));
    *ret_factors = xcalloc(count, sizeof(**ret_factors));
    TRY_PLAIN(read_factors(&f, *ret_factors, &count));
    TRY_PLAIN(is_end(&f, kind, ret_searched));
    return *ret_searched ? search(from, kind, *ret_factors, count) : SUCCESS;
}

static struct status run(const struct source *from, const char *kind,
                         struct verdict *v)
{
    AUTO(fixture_release) struct fixture f = fixture_of(from);
    const struct adapter_row *row = adapter_find(kind);
    AUTO(free_pointer) float *factors = NULL;
    bool searched = false;

    if (row != NULL && row->scaled)
        TRY_PLAIN(begin(from, kind, &factors, &searched));
    TRY_PLAIN(train_from(&f, from, kind, factors, v));
    if (row != NULL)
        TRY_PLAIN(adapter_merge(f.model, row));
    return compare_final(&f, kind, searched, v);
}

struct status golden_perp(const char *directory, const json_t *entry,
                          struct verdict *v)
{
    AUTO(golden_close) struct st_model *weights = NULL;
    AUTO(golden_close) struct st_model *file = NULL;
    const json_t *params = json_object_get(entry, "params");
    struct source from = { .directory = directory, .entry = entry };
    json_t *runs, *one;
    const char *kind;

    TRY_PLAIN(golden_open(directory, "opt_tiny.model.safetensors", &weights));
    TRY_PLAIN(golden_open(directory, json_text_or(entry, "file", ""), &file));
    TRY_PLAIN(json_member_object(params, "runs", &runs));
    from.weights = st_model_tensors(weights);
    from.set = st_model_tensors(file);
    json_object_foreach(runs, kind, one) TRY_PLAIN(run(&from, kind, v));
    return SUCCESS;
}
