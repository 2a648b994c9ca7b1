#include "cli/phase.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/rank.h"
#include "common/map.h"
#include "common/memory.h"
#include "sweep/pairs.h"

enum { MOST_SIDE = 200 };

/* ---- axes -------------------------------------------------------------- */

static int by_value(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a;
    const json_t *y = *(json_t *const *)b;
    double d = json_number_value(x) - json_number_value(y);

    return d < 0.0 ? -1 : d > 0.0;
}

/* Different values of a parameter, ascending if they are numbers, else as
 * they came. */
static json_t *values_of(const json_t *trials, const char *name, bool reverse)
{
    json_t *values = json_array();
    size_t count = 0;
    bool numbers = true;
    AUTO(free_pointer) json_t **items = NULL;

    for (size_t i = 0; i < json_array_size(trials); i++) {
        json_t *value = json_object_get(
            json_object_get(json_array_get(trials, i), "values"), name);
        bool known = value == NULL;

        for (size_t j = 0; j < json_array_size(values) && !known; j++)
            known = json_equal(json_array_get(values, j), value);
        if (!known)
            (void)json_array_append(values, value);
        numbers = numbers && (value == NULL || json_is_number(value));
    }
    count = json_array_size(values);
    items = xcalloc(count + 1, sizeof(json_t *));
    for (size_t i = 0; i < count; i++)
        items[i] = json_incref(json_array_get(values, i));
    if (numbers && count > 1)
        qsort(items, count, sizeof(json_t *), by_value);
    for (size_t i = 0; i < count; i++)
        (void)json_array_set_new(values, reverse ? count - 1 - i : i, items[i]);
    return values;
}

/* json_array_size(): none. */
static size_t index_of(const json_t *values, const json_t *value)
{
    size_t i = 0;

    while (i < json_array_size(values) &&
           !json_equal(json_array_get(values, i), value))
        i++;
    return i;
}

/* ---- cells ------------------------------------------------------------- */

/* Numbers of one metric, by cell. */
struct gather {
    const struct phase *p;
    const json_t *trials;
    const size_t *places; /* cell of each trial; rows * columns: none */
    const char *metric;
    size_t pairs; /* replicates whose pairs it compares; 0: of single ones */
};

static size_t *places_of(const struct phase *p, const json_t *trials)
{
    size_t count = json_array_size(trials);
    size_t *places = xcalloc(count + 1, sizeof *places);

    for (size_t i = 0; i < count; i++) {
        const json_t *values =
            json_object_get(json_array_get(trials, i), "values");
        size_t row = index_of(p->ys, json_object_get(values, p->y));
        size_t column = index_of(p->xs, json_object_get(values, p->x));

        places[i] = row < p->rows && column < p->columns
                        ? row * p->columns + column
                        : p->rows * p->columns;
    }
    return places;
}

/* Of the cell, or (column == phase.columns) of any in the row? */
static bool is_of(const struct gather *g, size_t trial, size_t row,
                  size_t column)
{
    size_t place = g->places[trial];

    return column == g->p->columns ? place / g->p->columns == row
                                   : place == row * g->p->columns + column;
}

/* The numbers of one point of a cell. */
struct point {
    double *values;
    size_t count;
};

static void add_number(struct map *points, const json_t *trial, double number)
{
    AUTO(json_release)
    json_t *values = json_copy(json_object_get(trial, "values"));
    AUTO(free_pointer) char *key = NULL;
    struct point *point;

    (void)json_object_del(values, "seed");
    key = json_canonical(values);
    point = map_get_text(points, key);
    if (point == NULL) {
        point = xnew(struct point);
        (void)map_put_text(points, key, point);
    }
    point->values =
        xrealloc(point->values, (point->count + 1) * sizeof *point->values);
    point->values[point->count++] = number;
}

/* Replicates of one point are alike in all but the seed, so their spread is
 * that of seeds. Where points are averaged it is theirs that counts. */
static struct estimate estimate_points(const struct map *points, size_t pairs)
{
    AUTO(free_pointer)
    double *means = xcalloc(map_count(points) + 1, sizeof *means);
    struct estimate e = { .count = 0 };

    for (size_t i = 0; i < map_count(points); i++) {
        const struct point *point = map_at(points, i, NULL, NULL);

        e = estimate_of_pairs(point->values, point->count, pairs);
        means[i] = e.mean;
    }
    return map_count(points) > 1 ? estimate_of(means, map_count(points)) : e;
}

static void points_free(struct map *points)
{
    for (size_t i = 0; i < map_count(points); i++) {
        struct point *point = map_at(points, i, NULL, NULL);

        free(point->values);
        free(point);
    }
    map_free(points);
}

/* Over all trials of a cell, or of a row (column == phase.columns). */
static struct estimate gather(const struct gather *g, size_t row, size_t column)
{
    struct map *points = map_new();
    struct estimate e;

    for (size_t i = 0; i < json_array_size(g->trials) && g->metric != NULL;
         i++) {
        const json_t *trial = json_array_get(g->trials, i);
        const json_t *value =
            json_object_get(json_object_get(trial, "metrics"), g->metric);

        if (json_is_number(value) && is_of(g, i, row, column))
            add_number(points, trial, json_number_value(value));
    }
    e = estimate_points(points, g->pairs);
    points_free(points);
    return e;
}

static struct phase_cell *cell_at(const struct phase *p, size_t row,
                                  size_t column)
{
    return &p->cells[row * p->columns + column];
}

const struct phase_cell *phase_cell(const struct phase *p, size_t row,
                                    size_t column)
{
    return cell_at(p, row, column);
}

static void fill_rows(struct phase *p, const json_t *trials,
                      const size_t *places)
{
    struct gather g = {
        .p = p, .trials = trials, .places = places, .metric = p->dense
    };

    for (size_t i = 0; i < p->rows; i++) {
        struct phase_row *row = &p->row[i];

        row->value = json_array_get(p->ys, i);
        row->dense = gather(&g, i, p->columns);
        row->too_hot =
            row->dense.count > 0 && row->dense.mean >= p->limits.too_hot;
    }
}

/* Two replicates are one pair, which has no spread: how far three neighbours
 * along the temperature lie off a line stands for it. */
static struct estimate with_error(const struct phase *p, size_t row,
                                  size_t column, enum phase_map map)
{
    struct estimate e = cell_at(p, row, column)->maps[map];
    size_t middle = row == 0 ? 1 : row + 1 == p->rows ? row - 1 : row;
    const struct estimate *near[3];

    if (e.count != 1 || p->rows < 3)
        return e;
    for (size_t i = 0; i < COUNT_OF(near); i++) {
        near[i] = &cell_at(p, middle + i - 1, column)->maps[map];
        if (near[i]->count == 0)
            return e;
    }
    e.count = 2;
    /* Of three equal errors the difference has the variance 1 + 4 + 1. */
    e.error =
        fabs(near[0]->mean - 2.0 * near[1]->mean + near[2]->mean) / sqrt(6.0);
    return e;
}

static void label_cell(const struct phase *p, size_t row, size_t column)
{
    struct phase_cell *cell = cell_at(p, row, column);
    struct estimate lmc = with_error(p, row, column, PHASE_LMC);
    struct estimate cka = with_error(p, row, column, PHASE_CKA);

    cell->regime = REGIME_NONE;
    if (p->row[row].too_hot || lmc.count == 0 || cka.count == 0)
        return;
    cell->regime = regime_of(lmc.mean, cka.mean, &p->limits);
    cell->certainty = regime_certainty(&lmc, &cka, &p->limits);
}

static void count_failed(struct phase *p, const json_t *trials,
                         const size_t *places)
{
    for (size_t i = 0; i < json_array_size(trials); i++) {
        const json_t *trial = json_array_get(trials, i);

        if (strcmp(json_text_or(trial, "state", ""), "failed") == 0)
            p->cells[places[i]].failed++; /* there is one more cell */
    }
}

static void fill_cells(struct phase *p, const json_t *spec,
                       const json_t *trials, const size_t *places)
{
    for (size_t m = 0; m < PHASE_MAPS; m++) {
        struct gather g = {
            .p = p, .trials = trials, .places = places, .metric = p->maps[m]
        };

        g.pairs = g.metric == NULL ? 0 : pairs_of_metric(spec, g.metric);
        for (size_t i = 0; i < p->rows * p->columns; i++)
            p->cells[i].maps[m] = gather(&g, i / p->columns, i % p->columns);
    }
    for (size_t i = 0; i < p->rows * p->columns; i++)
        label_cell(p, i / p->columns, i % p->columns);
    count_failed(p, trials, places);
}

/* ---- columns ----------------------------------------------------------- */

/* What stands for a row of one column where the best is chosen: less is
 * better. NaN: it is no choice. */
typedef double score(const struct phase *p, size_t row, size_t column);

static double error_score(const struct phase *p, size_t row, size_t column)
{
    const struct estimate *e = &cell_at(p, row, column)->maps[PHASE_ERROR];

    return p->row[row].too_hot || e->count == 0 ? (double)NAN : e->mean;
}

static double dense_score(const struct phase *p, size_t row, size_t column)
{
    (void)column;
    return p->row[row].too_hot || p->row[row].dense.count == 0
               ? (double)NAN
               : p->row[row].dense.mean;
}

static double lmc_score(const struct phase *p, size_t row, size_t column)
{
    const struct estimate *e = &cell_at(p, row, column)->maps[PHASE_LMC];

    return p->row[row].too_hot || e->count == 0 ? (double)NAN : fabs(e->mean);
}

static double cka_score(const struct phase *p, size_t row, size_t column)
{
    const struct estimate *e = &cell_at(p, row, column)->maps[PHASE_CKA];

    return p->row[row].too_hot || e->count == 0 ? (double)NAN : -e->mean;
}

/* LMC first, up to what counts as connected; CKA among equals. */
static double pair_score(const struct phase *p, size_t row, size_t column)
{
    enum { FIRST = 4 }; /* CKA is 0 ... 1, so LMC decides */
    double lmc = lmc_score(p, row, column);

    if (cell_at(p, row, column)->maps[PHASE_LMC].mean >= -p->limits.lmc)
        lmc = isnan(lmc) ? lmc : 0.0;
    return (lmc > 0.0 ? FIRST + lmc : lmc) + cka_score(p, row, column);
}

static size_t least(const struct phase *p, size_t column, score *of)
{
    size_t found = p->rows;

    for (size_t i = 0; i < p->rows; i++) {
        double value = of(p, i, column);

        if (!isnan(value) && (found == p->rows || value < of(p, found, column)))
            found = i;
    }
    return found;
}

static double correlate(const struct phase *p, size_t column, score *of)
{
    AUTO(free_pointer) double *a = xcalloc(p->rows + 1, sizeof *a);
    AUTO(free_pointer) double *b = xcalloc(p->rows + 1, sizeof *b);
    size_t count = 0;

    for (size_t i = 0; i < p->rows; i++) {
        a[count] = of(p, i, column);
        b[count] = error_score(p, i, column);
        count += isnan(a[count]) || isnan(b[count]) ? 0 : 1;
    }
    return rank_correlation(a, b, count);
}

static void fill_columns(struct phase *p)
{
    for (size_t j = 0; j < p->columns; j++) {
        struct phase_column *c = &p->column[j];

        *c = (struct phase_column){
            .value = json_array_get(p->xs, j),
            .best = least(p, j, error_score),
            .by_dense = least(p, j, dense_score),
            .by_pairs = least(p, j, pair_score),
            .dense_rank = correlate(p, j, dense_score),
            .lmc_rank = correlate(p, j, lmc_score),
            .cka_rank = correlate(p, j, cka_score),
        };
        for (size_t i = 0; i < p->rows; i++) {
            struct phase_cell *cell = cell_at(p, i, j);
            const struct estimate *e = &cell->maps[PHASE_ERROR];

            cell->above_best = c->best == p->rows || e->count == 0
                                   ? (double)NAN
                                   : e->mean - error_score(p, c->best, j);
        }
    }
}

/* ---- all of it --------------------------------------------------------- */

/* The file's word, or the middle of the rows that are not too hot. */
static size_t start_of(const struct phase *p, const json_t *json)
{
    const json_t *value = json_object_get(json, "default");
    size_t first = 0;

    if (value != NULL && index_of(p->ys, value) < p->rows)
        return index_of(p->ys, value);
    while (first < p->rows && p->row[first].too_hot)
        first++;
    return first + (p->rows - first) / 2 < p->rows
               ? first + (p->rows - first) / 2
               : 0;
}

static void read_names(const json_t *json, struct phase *p)
{
    const json_t *maps = json_object_get(json, "maps");
    const json_t *limits = json_object_get(json, "regimes");

    p->x = json_text_or(json, "x", "");
    p->y = json_text_or(json, "y", "");
    p->dense = json_text_or(json, "dense", NULL);
    for (size_t i = 0; i < PHASE_MAPS; i++)
        p->maps[i] = json_string_value(json_array_get(maps, i));
    p->limits = (struct regime_limits){
        .lmc = json_real_or(limits, "lmc", 0.05),
        .cka = json_real_or(limits, "cka", 0.96),
        .too_hot = json_real_or(limits, "too_hot", 0.5),
    };
}

struct status phase_make(const json_t *spec, const json_t *trials,
                         struct phase *ret_phase)
{
    const json_t *json =
        json_object_get(json_object_get(spec, "report"), "phase");
    AUTO(free_pointer) size_t *places = NULL;
    struct phase p = { .start = 0 };

    if (!json_is_object(json))
        return FAIL(STATUS_INVALID, "the sweep has no report.phase");
    read_names(json, &p);
    p.xs = values_of(trials, p.x, false);
    p.ys = values_of(trials, p.y,
                     strcmp(json_text_or(json, "hot", "low"), "high") == 0);
    p.columns = json_array_size(p.xs);
    p.rows = json_array_size(p.ys);
    if (p.columns > MOST_SIDE || p.rows > MOST_SIDE) {
        phase_release(&p);
        return FAIL(STATUS_TOO_BIG,
                    "report.phase: %s and %s have more than %d values", p.x,
                    p.y, MOST_SIDE);
    }
    p.cells = xcalloc(p.rows * p.columns + 1, sizeof *p.cells);
    p.row = xcalloc(p.rows + 1, sizeof *p.row);
    p.column = xcalloc(p.columns + 1, sizeof *p.column);
    places = places_of(&p, trials);
    fill_rows(&p, trials, places);
    fill_cells(&p, spec, trials, places);
    fill_columns(&p);
    p.start = start_of(&p, json);
    *ret_phase = p;
    return SUCCESS;
}

void phase_release(struct phase *p)
{
    json_decref(p->xs);
    json_decref(p->ys);
    free(p->cells);
    free(p->row);
    free(p->column);
    memset(p, 0, sizeof *p);
}

void phase_label(const struct phase *p, size_t row, size_t column,
                 char text[16])
{
    const struct phase_cell *cell = cell_at(p, row, column);

    if (p->row[row].too_hot)
        (void)snprintf(text, 16, "too hot");
    else
        (void)snprintf(text, 16, "%s%s", regime_name(cell->regime),
                       cell->regime != REGIME_NONE &&
                               cell->certainty == CERTAINTY_DOUBTFUL
                           ? "?"
                           : "");
}

const char *phase_advice(const struct phase *p, size_t column)
{
    if (p->rows == 0)
        return "";
    return p->row[p->start].too_hot
               ? "lower"
               : regime_advice(cell_at(p, p->start, column)->regime);
}
