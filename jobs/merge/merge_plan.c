#include "jobs/merge/merge_plan.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/merge/merge_match.h"
#include "jobs/merge/merge_survey.h"
#include "jobs/merge/merge_tokenizer.h"

enum { LABEL = 96 };

/* What an entry came from. */
struct origin {
    size_t base; /* number of the model that entry->base is of */
    /* Which of the slice's sources each task is: some may be left out. */
    uint8_t *source;
};

/* What the entries point to: of each a row as long as there are models. */
struct pools {
    struct merge_view *views;
    size_t *models;
    const struct tensor **draws;
    uint8_t *sources;
};

struct merge_plan_own {
    struct merge_cells cells;
    struct merge_tokens *tokens; /* NULL: rows stay where they are */
    struct origin *origins;      /* of the entries */
    struct pools pools;
    struct merge_slice slice; /* of the entry that is planned */
};

/* An entry while it is planned. */
struct draft {
    struct merge_plan *p;
    const struct merge_cell *cell;
    const struct merge_slice *slice;
    struct tensor *tensor; /* of the layout */
    struct merge_entry *e;
    struct origin *origin;
};

/* ---- models that fit and models that do not ---------------------------- */

static const char *label(const struct merge_plan *p, size_t model,
                         char text[LABEL])
{
    return merge_label_of(p->configs, model, text, LABEL);
}

static struct status mismatch(const struct draft *d, size_t model,
                              const struct tensor *task)
{
    const struct tensor *base = d->e->base.tensor;
    char name[LABEL], other[LABEL], a[64], b[64];

    if (!dtype_is_float(task->dtype))
        return FAIL(STATUS_INVALID,
                    "tensor %s is %s in %s but %s in %s; merge models of one "
                    "architecture",
                    d->cell->name, dtype_name(task->dtype),
                    label(d->p, model, name), dtype_name(base->dtype),
                    label(d->p, d->origin->base, other));
    return FAIL(STATUS_INVALID,
                "tensor %s is %s in %s but %s in %s; merge models of one "
                "architecture, or say `%s` or `on_shape_mismatch: submatrix`",
                d->cell->name, tensor_shape_text(task, b, sizeof b),
                label(d->p, model, name), tensor_shape_text(base, a, sizeof a),
                label(d->p, d->origin->base, other),
                merge_tokens_has_rows(d->cell->name)
                    ? "tokenizer_source: union"
                    : "on_shape_mismatch: skip");
}

static struct status missing(const struct draft *d, size_t model)
{
    const struct tensor *base = d->e->base.tensor;
    char name[LABEL], other[LABEL], shape[64];

    return FAIL(STATUS_INVALID,
                "tensor %s (%s) of %s is missing in %s; merge fine-tunes of "
                "one base, whole models and not adapters",
                d->cell->name, tensor_shape_text(base, shape, sizeof shape),
                label(d->p, d->origin->base, other), label(d->p, model, name));
}

/* Equal but for the number of rows, as an extended vocabulary makes it. */
static bool has_equal_rows(const struct tensor *a, const struct tensor *b)
{
    if (a->rank == 0 || a->rank != b->rank)
        return false;
    for (uint32_t i = 1; i < a->rank; i++) {
        if (a->shape[i] != b->shape[i])
            return false;
    }
    return true;
}

/* Which take the rows that all have; with the others the base says how many
 * (merging, 0). */
static bool takes_common_rows(const struct merge_config *c)
{
    return !c->deltas || strcmp(c->method->name, "model_stock") == 0;
}

static bool moves_rows(const struct draft *d)
{
    return d->p->own->tokens != NULL && merge_tokens_has_rows(d->cell->name);
}

static bool fits(const struct draft *d, const struct tensor *task)
{
    const struct merge_config *c = d->p->configs;
    const struct tensor *base = d->e->base.tensor;

    if (!dtype_is_float(task->dtype))
        return false;
    if (tensor_same_shape(base, task))
        return true;
    if (!has_equal_rows(base, task))
        return false;
    return moves_rows(d) ||
           (c->mismatch == MERGE_MISMATCH_SUBMATRIX &&
            (takes_common_rows(c) || task->shape[0] > base->shape[0]));
}

static void set_rows(struct draft *d, uint64_t rows)
{
    struct tensor *t = d->tensor;

    if (t->rank == 0 || t->shape[0] == 0)
        return;
    t->count = t->count / t->shape[0] * rows;
    t->shape[0] = rows;
}

static void cut_rows(struct draft *d, const struct tensor *task)
{
    if (!moves_rows(d) && takes_common_rows(d->p->configs) &&
        d->tensor->rank > 0 && task->shape[0] < d->tensor->shape[0])
        set_rows(d, task->shape[0]);
}

static struct status add_task(struct draft *d, size_t at)
{
    const struct merge_source *source = &d->slice->sources[at];
    const struct tensor *task = merge_cell_in(
        d->cell, source, merge_set_of(d->p->inputs, source->model));
    struct merge_entry *e = d->e;

    if (task == NULL || !fits(d, task)) {
        if (d->p->configs->mismatch == MERGE_MISMATCH_SKIP)
            return SUCCESS;
        return task == NULL ? missing(d, source->model)
                            : mismatch(d, source->model, task);
    }
    cut_rows(d, task);
    e->tasks[e->models].tensor = task;
    e->model[e->models] = source->model;
    d->origin->source[e->models++] = (uint8_t)at;
    return SUCCESS;
}

/* Where every model was left out the base stays as it is. */
static struct status stand_in(struct draft *d)
{
    const struct merge_config *c = d->p->configs;
    struct merge_entry *e = d->e;

    if (e->models >= c->method->least_models)
        return SUCCESS;
    if (!c->deltas)
        return FAIL(STATUS_INVALID,
                    "tensor %s has one shape in only %zu model%s, %s merges "
                    "at least %zu",
                    d->cell->name, e->models, e->models == 1 ? "" : "s",
                    c->method->name, c->method->least_models);
    e->models = c->method->least_models;
    for (size_t i = 0; i < e->models; i++) {
        e->tasks[i] = e->base;
        e->model[i] = d->slice->sources[0].model;
        d->origin->source[i] = 0;
    }
    return SUCCESS;
}

static struct status find_draws(const struct draft *d, size_t i)
{
    const struct tensor_set *const *draws = d->p->inputs->draws;
    const struct tensor *t;

    if (draws == NULL)
        return SUCCESS;
    t = tensor_find(draws[d->e->model[i]], d->cell->name);
    if (t == NULL || t->dtype != DTYPE_F32 || t->count != d->tensor->count)
        return FAIL(STATUS_INVALID, "no draws of model %zu for tensor %s",
                    i + 1, d->cell->name);
    d->e->draws[i] = t;
    return SUCCESS;
}

/* ---- entries ----------------------------------------------------------- */

static bool is_excluded(const struct merge_config *c, const char *name)
{
    for (size_t i = 0; i < json_array_size(c->exclude); i++) {
        const char *part = json_string_value(json_array_get(c->exclude, i));

        if (part != NULL && strstr(name, part) != NULL)
            return true;
    }
    return false;
}

/* Of a slice's sources those that take part in the tensor. */
static void pick_sources(const struct merge_plan *p, size_t tensor,
                         struct merge_slice *slice)
{
    const struct merge_entry *e = &p->entries[tensor];
    const struct origin *origin = &p->own->origins[tensor];
    const struct merge_slice all = *slice;

    for (size_t i = 0; i < e->models; i++)
        slice->sources[i] = all.sources[origin->source[i]];
    slice->count = e->models;
}

static struct status find_step(const struct merge_plan *p, size_t tensor,
                               size_t point, struct merge_step *ret_step)
{
    const struct merge_config *c = &p->configs[point];
    const struct tensor *t = tensor == SIZE_MAX ? NULL : &p->tensors[tensor];
    struct depth_place place = depth_place("", 0);
    struct merge_slice slice;

    merge_config_slice(c, t != NULL ? p->entries[tensor].slice : 0, &slice);
    if (t != NULL) {
        place = (struct depth_place){ t->name, p->entries[tensor].depth };
        pick_sources(p, tensor, &slice);
    }
    TRY_PLAIN(merge_config_step(c, &slice, place, ret_step));
    ret_step->point = point;
    ret_step->elements = t != NULL ? t->count : p->elements;
    ret_step->columns = ret_step->elements;
    ret_step->rank = 1;
    if (t != NULL) {
        ret_step->columns = t->rank > 0 ? t->shape[t->rank - 1] : 1;
        ret_step->rank = t->rank;
    }
    return SUCCESS;
}

/* Its numbers must be there at every point. */
static struct status check_steps(const struct merge_plan *p, size_t tensor)
{
    struct merge_step step;

    for (size_t i = 0; i < p->points; i++)
        TRY_PLAIN(find_step(p, tensor, i, &step));
    return SUCCESS;
}

static struct status plan_merged(struct draft *d)
{
    const struct merge_config *c = d->p->configs;

    for (size_t i = 0; i < d->slice->count; i++)
        TRY_PLAIN(add_task(d, i));
    TRY_PLAIN(stand_in(d));
    if (moves_rows(d)) {
        TRY_PLAIN(
            merge_tokens_map(d->p->own->tokens, d->e, d->origin->base,
                             c->deltas || d->origin->base != d->e->model[0]));
        set_rows(d, merge_tokens_count(d->p->own->tokens));
    }
    for (size_t i = 0; i < d->e->models; i++)
        TRY_PLAIN(find_draws(d, i));
    d->p->elements += d->tensor->count;
    return check_steps(d->p, (size_t)(d->e - d->p->entries));
}

static struct status plan_cell(struct merge_plan *p, size_t at)
{
    const struct merge_config *c = p->configs;
    struct draft d = { .p = p,
                       .cell = &p->own->cells.items[at],
                       .slice = &p->own->slice,
                       .tensor = &p->tensors[at],
                       .e = &p->entries[at],
                       .origin = &p->own->origins[at] };
    bool is_float = dtype_is_float(d.cell->reference->dtype);

    merge_config_slice(c, d.cell->slice, &p->own->slice);
    *d.tensor = *d.cell->reference;
    d.tensor->name = d.cell->name;
    d.tensor->data = NULL;
    d.e->base.tensor = d.cell->reference;
    d.origin->base = merge_reference(c, d.slice, p->inputs).model;
    d.e->slice = d.cell->slice;
    d.e->depth = d.cell->depth;
    d.e->hash = philox_hash64(d.cell->name);
    d.e->merged =
        is_float && d.tensor->count > 0 && !is_excluded(c, d.cell->name);
    if (!d.e->merged)
        return SUCCESS;
    if (c->has_dtype)
        d.tensor->dtype = c->dtype;
    return plan_merged(&d);
}

/* A head of its own would be lost if the base shares it with the embedding. */
static struct status check_heads(const struct merge_plan *p, size_t model)
{
    const struct tensor_set *set = p->inputs->tasks[model];
    const char *names[2];
    char own[LABEL], other[LABEL];

    for (size_t k = 0; merge_tied_pair(k, &names[0], &names[1]); k++) {
        const struct tensor *head = tensor_find(set, names[0]);
        const struct tensor *embedding = tensor_find(set, names[1]);

        if (head == NULL || embedding == NULL ||
            tensor_find(&p->layout, names[0]) != NULL ||
            tensor_find(&p->layout, names[1]) == NULL)
            continue;
        if (head->dtype != embedding->dtype ||
            !tensor_same_shape(head, embedding) ||
            memcmp(head->data, embedding->data, tensor_bytes(head)) != 0)
            return FAIL(STATUS_INVALID,
                        "%s has a %s of its own, in %s it is tied to %s; "
                        "merge models that agree on it",
                        label(p, model, own), head->name,
                        label(p, SIZE_MAX, other), names[1]);
    }
    return SUCCESS;
}

/* Points of one pass share models, draws and what is counted. */
static struct status check_points(const struct merge_plan *p)
{
    const struct merge_config *first = p->configs;

    for (size_t i = 1; i < p->points; i++) {
        const struct merge_config *c = &p->configs[i];

        if (c->method != first->method || c->count != first->count ||
            merge_config_slices(c) != merge_config_slices(first) ||
            c->seed != first->seed || c->rescale != first->rescale ||
            c->has_dtype != first->has_dtype || c->dtype != first->dtype ||
            c->mismatch != first->mismatch ||
            memcmp(c->options, first->options, sizeof c->options) != 0)
            return FAIL(STATUS_INVALID,
                        "%s: point %zu differs from the first in more than "
                        "numbers; run it by itself",
                        first->method->name, i + 1);
    }
    return SUCCESS;
}

const struct merge_survey *merge_plan_survey(const struct merge_plan *p)
{
    return merge_config_survey(p->configs);
}

/* No method wants more models than the configuration has, or two. */
static void make_rooms(struct merge_plan *p, size_t count)
{
    size_t width = p->configs->count + 2;
    struct merge_plan_own *own = p->own;

    own->origins = xcalloc(count + 1, sizeof *own->origins);
    own->pools.views = xcalloc((count + 1) * width, sizeof *own->pools.views);
    own->pools.models = xcalloc((count + 1) * width, sizeof(size_t));
    own->pools.draws = xcalloc((count + 1) * width, sizeof(struct tensor *));
    own->pools.sources = xcalloc((count + 1) * width, 1);
    for (size_t i = 0; i < count; i++) {
        p->entries[i].tasks = own->pools.views + i * width;
        p->entries[i].model = own->pools.models + i * width;
        p->entries[i].draws = own->pools.draws + i * width;
        own->origins[i].source = own->pools.sources + i * width;
    }
}

static struct status plan_cells(struct merge_plan *p)
{
    struct merge_cells *cells = &p->own->cells;

    TRY_PLAIN(merge_cells_init(cells, p->configs, p->inputs));
    p->tensors = xcalloc(cells->count + 1, sizeof *p->tensors);
    p->entries = xcalloc(cells->count + 1, sizeof *p->entries);
    make_rooms(p, cells->count);
    p->layout = (struct tensor_set){ cells->count, p->tensors };
    for (size_t i = 0; i < cells->count; i++)
        TRY_PLAIN(plan_cell(p, i));
    return SUCCESS;
}

struct status merge_plan_init(struct merge_plan *p,
                              const struct merge_config *configs, size_t points,
                              const struct merge_inputs *inputs)
{
    *p = (struct merge_plan){ .configs = configs,
                              .points = points,
                              .inputs = inputs,
                              .own = xnew(struct merge_plan_own) };
    TRY_PLAIN(check_points(p));
    if (merge_config_is_global(configs))
        TRY_PLAIN(check_steps(p, SIZE_MAX));
    TRY_PLAIN(merge_tokens_new(configs, inputs, &p->own->tokens));
    TRY_PLAIN(plan_cells(p));
    for (size_t i = 0; i < configs->count; i++)
        TRY_PLAIN(check_heads(p, i));
    return SUCCESS;
}

void merge_plan_release(struct merge_plan *p)
{
    if (p->own != NULL) {
        merge_cells_release(&p->own->cells);
        merge_tokens_free(p->own->tokens);
        free(p->own->origins);
        free(p->own->pools.views);
        free(p->own->pools.models);
        free(p->own->pools.draws);
        free(p->own->pools.sources);
        free(p->own);
    }
    free(p->tensors);
    free(p->entries);
}

const struct merge_tokens *merge_plan_tokens(const struct merge_plan *p)
{
    return p->own->tokens;
}

void merge_plan_step(const struct merge_plan *p, size_t tensor, size_t point,
                     struct merge_step *ret_step)
{
    struct status s = find_step(p, tensor, point, ret_step);

    assert(!status_failed(&s)); /* asked before, in merge_plan_init() */
    (void)s;
}

struct status merge_plan_not_finite(const struct merge_plan *p, size_t tensor,
                                    size_t model, uint64_t element)
{
    const struct merge_entry *e = &p->entries[tensor];
    size_t of = model == 0 ? p->own->origins[tensor].base : e->model[model - 1];
    char text[LABEL];

    return FAIL(STATUS_CORRUPT,
                "tensor %s of %s is NaN or infinite at element %" PRIu64
                "; the model is broken, fetch or train it again",
                p->tensors[tensor].name, label(p, of, text), element);
}
