#include "cli/inspect_report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

/* Tensors of a set by the layer they stand in. */
struct rows {
    struct inspect_place *places; /* by tensor */
    size_t *order;                /* tensors, row after row */
    size_t *ends;                 /* of each row, in `order` */
    size_t count;
};

static int by_place(const void *a, const void *b, void *places)
{
    const size_t *i = a, *j = b;
    const struct inspect_place *p = (struct inspect_place *)places + *i;
    const struct inspect_place *q = (struct inspect_place *)places + *j;
    int order = strcmp(p->group, q->group);

    if (order != 0)
        return order;
    if (p->layer != q->layer)
        return p->layer < q->layer ? -1 : 1;
    return *i < *j ? -1 : *i > *j;
}

static void rows_init(struct rows *r, const struct tensor_set *set)
{
    r->places = xcalloc(set->count + 1, sizeof *r->places);
    r->order = xcalloc(set->count + 1, sizeof *r->order);
    r->ends = xcalloc(set->count + 1, sizeof *r->ends);
    r->count = 0;
    for (size_t i = 0; i < set->count; i++) {
        r->places[i] = inspect_place(set->items[i].name);
        r->order[i] = i;
    }
    qsort_r(r->order, set->count, sizeof *r->order, by_place, r->places);
    for (size_t i = 0; i < set->count; i++) {
        const struct inspect_place *p = &r->places[r->order[i]];
        const struct inspect_place *next =
            i + 1 == set->count ? NULL : &r->places[r->order[i + 1]];

        if (next == NULL || p->layer != next->layer ||
            strcmp(p->group, next->group) != 0)
            r->ends[r->count++] = i + 1;
    }
}

static void rows_release(struct rows *r)
{
    free(r->places);
    free(r->order);
    free(r->ends);
}

static size_t row_begin(const struct rows *r, size_t row)
{
    return row == 0 ? 0 : r->ends[row - 1];
}

/* "model.layers.7", "lm_head" */
static json_t *row_label(const struct rows *r, size_t row)
{
    const struct inspect_place *p = &r->places[r->order[row_begin(r, row)]];
    AUTO(free_pointer) char *text = NULL;

    if (p->layer < 0)
        return json_string(p->group);
    text = xasprintf("%s.%lld", p->group, (long long)p->layer);
    return json_string(text);
}

/* null where there is no number. */
static json_t *real(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *share(uint64_t part, uint64_t whole)
{
    return whole == 0 ? json_null() : json_real((double)part / (double)whole);
}

static json_t *ratio(double squares, double base_squares)
{
    return base_squares > 0.0 ? real(sqrt(squares) / sqrt(base_squares))
                              : json_null();
}

/* --- one model ------------------------------------------------------------
 */

/* Some tensors of a model added up. */
struct total {
    uint64_t tensors, bytes;
    struct inspect_counts counts;
};

static void total_init(struct total *t)
{
    t->tensors = t->bytes = 0;
    inspect_counts_init(&t->counts);
}

static void total_add(struct total *t, const struct inspect_model *m, size_t i)
{
    t->tensors++;
    t->bytes += tensor_bytes(&m->set->items[i]);
    inspect_counts_add(&t->counts, &m->counts[i]);
}

static void set_numbers(json_t *row, const struct total *t)
{
    const struct inspect_counts *c = &t->counts;
    bool floats = c->least <= c->most;

    (void)json_object_set_new(row, "parameters",
                              json_integer((json_int_t)c->elements));
    (void)json_object_set_new(row, "bytes", json_integer((json_int_t)t->bytes));
    (void)json_object_set_new(row, "zero_share", share(c->zeros, c->elements));
    (void)json_object_set_new(row, "min",
                              floats ? json_real(c->least) : json_null());
    (void)json_object_set_new(row, "max",
                              floats ? json_real(c->most) : json_null());
    (void)json_object_set_new(row, "norm",
                              floats ? real(sqrt(c->squares)) : json_null());
    (void)json_object_set_new(row, "not_finite",
                              json_integer((json_int_t)c->not_finite));
}

static json_t *shape_json(const struct tensor *t)
{
    json_t *shape = json_array();

    for (uint32_t i = 0; i < t->rank; i++)
        (void)json_array_append_new(shape,
                                    json_integer((json_int_t)t->shape[i]));
    return shape;
}

static json_t *tensor_json(const struct inspect_model *m, size_t i)
{
    const struct tensor *t = &m->set->items[i];
    json_t *row = json_pack("{s:s, s:s, s:o}", "name", t->name, "dtype",
                            dtype_name(t->dtype), "shape", shape_json(t));
    struct total total;

    total_init(&total);
    total_add(&total, m, i);
    set_numbers(row, &total);
    if (m->counts[i].not_finite > 0)
        (void)json_object_set_new(
            row, "first_not_finite",
            json_integer((json_int_t)m->counts[i].first_bad));
    return row;
}

static json_t *layers_json(const struct inspect_model *m)
{
    AUTO(rows_release) struct rows rows;
    json_t *layers = json_array();

    rows_init(&rows, m->set);
    for (size_t r = 0; r < rows.count; r++) {
        struct total total;
        json_t *row = json_object();

        total_init(&total);
        for (size_t i = row_begin(&rows, r); i < rows.ends[r]; i++)
            total_add(&total, m, rows.order[i]);
        (void)json_object_set_new(row, "layer", row_label(&rows, r));
        (void)json_object_set_new(row, "tensors",
                                  json_integer((json_int_t)total.tensors));
        set_numbers(row, &total);
        (void)json_array_append_new(layers, row);
    }
    return layers;
}

/* Tensors of each element type. */
static json_t *dtypes_json(const struct tensor_set *set)
{
    json_t *dtypes = json_object();

    for (size_t i = 0; i < set->count; i++) {
        const char *name = dtype_name(set->items[i].dtype);

        (void)json_object_set_new(
            dtypes, name, json_integer(json_int_or(dtypes, name, 0) + 1));
    }
    return dtypes;
}

json_t *inspect_report_model(const struct inspect_model *m)
{
    json_t *report = json_pack(
        "{s:s, s:s, s:I, s:o}", "model", m->label, "path", m->path, "tensors",
        (json_int_t)m->set->count, "dtypes", dtypes_json(m->set));
    json_t *tensors = json_array();
    struct total total;

    total_init(&total);
    for (size_t i = 0; i < m->set->count; i++) {
        total_add(&total, m, i);
        (void)json_array_append_new(tensors, tensor_json(m, i));
    }
    set_numbers(report, &total);
    (void)json_object_set_new(report, "layers", layers_json(m));
    (void)json_object_set_new(report, "tensor_list", tensors);
    return report;
}

/* --- fine-tunes -----------------------------------------------------------
 */

static const struct inspect_delta *delta_at(const struct inspect_diff *d,
                                            size_t tensor, size_t model)
{
    return &d->deltas[tensor * d->models + model];
}

/* Some tensors of all task vectors added up. */
struct sums {
    struct inspect_delta deltas[INSPECT_MODELS];
    struct inspect_crowd crowd;
};

static void sums_add(struct sums *s, const struct inspect_diff *d,
                     size_t tensor)
{
    inspect_crowd_add(&s->crowd, &d->crowds[tensor]);
    for (size_t m = 0; m < d->models; m++)
        inspect_delta_add(&s->deltas[m], delta_at(d, tensor, m));
}

/* Norms of all models, and their conflicts. */
static void set_norms(json_t *row, const struct sums *s, size_t models)
{
    json_t *norms = json_array(), *relative = json_array();

    for (size_t m = 0; m < models; m++) {
        const struct inspect_delta *d = &s->deltas[m];
        bool there = d->elements > 0;

        (void)json_array_append_new(norms, there ? real(sqrt(d->squares))
                                                 : json_null());
        (void)json_array_append_new(relative,
                                    there ? ratio(d->squares, s->crowd.squares)
                                          : json_null());
    }
    (void)json_object_set_new(row, "parameters",
                              json_integer((json_int_t)s->crowd.elements));
    (void)json_object_set_new(row, "base_norm", real(sqrt(s->crowd.squares)));
    (void)json_object_set_new(row, "norms", norms);
    (void)json_object_set_new(row, "relative", relative);
    if (models > 1)
        (void)json_object_set_new(row, "conflict_share",
                                  share(s->crowd.conflicts, s->crowd.moved));
}

static json_t *diff_layers(const struct inspect_diff *d)
{
    AUTO(rows_release) struct rows rows;
    json_t *layers = json_array();

    rows_init(&rows, d->base);
    for (size_t r = 0; r < rows.count; r++) {
        struct sums sums = { .crowd = { 0 } };
        json_t *row = json_object();

        for (size_t i = row_begin(&rows, r); i < rows.ends[r]; i++)
            sums_add(&sums, d, rows.order[i]);
        (void)json_object_set_new(row, "layer", row_label(&rows, r));
        set_norms(row, &sums, d->models);
        (void)json_array_append_new(layers, row);
    }
    return layers;
}

static json_t *diff_tensors(const struct inspect_diff *d)
{
    json_t *tensors = json_array();

    for (size_t t = 0; t < d->base->count; t++) {
        const char *name = d->base->items[t].name;
        struct inspect_place place = inspect_place(name);
        struct sums sums = { .crowd = { 0 } };
        json_t *row = json_pack("{s:s, s:s, s:s, s:I}", "name", name, "group",
                                place.group, "kind", place.kind, "layer",
                                (json_int_t)place.layer);

        sums_add(&sums, d, t);
        set_norms(row, &sums, d->models);
        (void)json_array_append_new(tensors, row);
    }
    return tensors;
}

static json_t *quantiles_json(const double *quantiles)
{
    json_t *all = json_object();

    for (size_t q = 0; q < INSPECT_QUANTILES; q++) {
        char name[32];

        json_format_real(inspect_quantiles[q], name, sizeof name);
        (void)json_object_set_new(
            all, q + 1 == INSPECT_QUANTILES ? "max" : name, real(quantiles[q]));
    }
    return all;
}

static json_t *task_json(const struct inspect_diff *d, const struct sums *sums,
                         size_t model, const char *label)
{
    const struct inspect_delta *delta = &sums->deltas[model];
    double base = 0.0;

    /* of what this model has as well */
    for (size_t t = 0; t < d->base->count; t++)
        if (delta_at(d, t, model)->elements > 0)
            base += d->crowds[t].squares;
    return json_pack("{s:s, s:I, s:o, s:o, s:o, s:o, s:o}", "model", label,
                     "parameters", (json_int_t)delta->elements, "norm",
                     real(sqrt(delta->squares)), "relative",
                     ratio(delta->squares, base), "zero_share",
                     share(delta->zeros, delta->elements), "large_share",
                     share(delta->large, delta->elements), "quantiles",
                     quantiles_json(d->quantiles[model]));
}

static json_t *cosines_json(const struct inspect_diff *d)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < d->models; i++) {
        json_t *row = json_array();

        for (size_t j = 0; j < d->models; j++)
            (void)json_array_append_new(row, real(inspect_cosine(d, i, j)));
        (void)json_array_append_new(rows, row);
    }
    return rows;
}

json_t *inspect_report_diff(const struct inspect_model *base,
                            const struct inspect_model *models,
                            const struct inspect_diff *diff)
{
    struct sums sums = { .crowd = { 0 } };
    json_t *tasks = json_array();

    for (size_t t = 0; t < diff->base->count; t++)
        sums_add(&sums, diff, t);
    for (size_t m = 0; m < diff->models; m++)
        (void)json_array_append_new(tasks,
                                    task_json(diff, &sums, m, models[m].label));
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "base", base->label, "models",
        tasks, "moved_share", share(sums.crowd.moved, sums.crowd.elements),
        "conflict_share", share(sums.crowd.conflicts, sums.crowd.moved),
        "layers", diff_layers(diff), "tensor_list", diff_tensors(diff),
        "cosines", cosines_json(diff));
}
