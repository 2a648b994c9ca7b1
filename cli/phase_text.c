#include "cli/phase_text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/number.h"
#include "cli/phase_draw.h"
#include "cli/table.h"
#include "common/decimal.h"
#include "common/memory.h"

enum { LABEL = 16, TEXT = 2 * NUMBER_TEXT };

/* ---- what follows for each load ---------------------------------------- */

static void row_text(const struct phase *p, size_t column, size_t row,
                     char text[TEXT])
{
    const struct phase_cell *cell;
    AUTO(free_pointer) char *label = NULL;

    text[0] = '\0';
    if (row == p->rows)
        return;
    cell = phase_cell(p, row, column);
    label = number_value_text(p->row[row].value);
    if (isnan(cell->above_best) || cell->above_best < 5e-5)
        (void)snprintf(text, TEXT, "%.40s", label);
    else
        (void)snprintf(text, TEXT, "%.40s (+%.3f)", label, cell->above_best);
}

static void add_rank(struct table *t, double rank)
{
    AUTO(json_release) json_t *raw = isnan(rank) ? NULL : json_real(rank);
    char text[NUMBER_TEXT] = "-";

    if (!isnan(rank))
        (void)snprintf(text, sizeof text, "%+.1f", rank);
    table_add(t, text, raw);
}

static void add_choice(struct table *t, const struct phase *p, size_t column,
                       size_t row)
{
    char text[TEXT];

    row_text(p, column, row, text);
    table_add(t, text, NULL);
}

/* Which way, and what the map says about it. */
static void add_advice(struct table *t, const struct phase *p, size_t column)
{
    char label[LABEL];

    phase_label(p, p->start, column, label);
    table_add(t, label, NULL);
    table_add(t, phase_advice(p, column), NULL);
}

static void add_column(struct table *t, const struct phase *p, size_t column,
                       bool utf8)
{
    const struct phase_column *c = &p->column[column];
    AUTO(free_pointer) char *label = number_value_text(c->value);
    const struct estimate *e;
    char text[NUMBER_TEXT] = "";

    table_add(t, label, c->value);
    add_advice(t, p, column);
    add_choice(t, p, column, c->best);
    if (c->best < p->rows) {
        e = &phase_cell(p, c->best, column)->maps[PHASE_ERROR];
        number_with_error(e->mean, e->error, utf8, text);
    }
    table_add(t, text, NULL);
    add_choice(t, p, column, c->by_dense);
    add_choice(t, p, column, c->by_pairs);
    add_rank(t, c->dense_rank);
    add_rank(t, c->lmc_rank);
    add_rank(t, c->cka_rank);
}

static struct table *advice_table(const struct phase *p, bool utf8)
{
    AUTO(free_pointer)
    char *start =
        p->rows == 0 ? xstrdup("?") : number_value_text(p->row[p->start].value);
    AUTO(free_pointer) char *at = xasprintf("at %s %s", p->y, start);
    AUTO(free_pointer) char *best = xasprintf("best %s", p->y);
    struct table *t = table_new();

    table_column(t, p->x, TABLE_RIGHT, TABLE_ALWAYS);
    table_column(t, at, TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "temperature", TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, best, TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "error", TABLE_RIGHT, TABLE_ALWAYS);
    table_column(t, "chosen by dense", TABLE_TEXT, 2);
    table_column(t, "by LMC, CKA", TABLE_TEXT, 2);
    table_column(t, "rank dense", TABLE_RIGHT, 1);
    table_column(t, "LMC", TABLE_RIGHT, 1);
    table_column(t, "CKA", TABLE_RIGHT, 1);
    for (size_t i = 0; i < p->columns; i++)
        add_column(t, p, i, utf8);
    return t;
}

void phase_print(const struct cli *cli, const struct phase *p,
                 const char *title)
{
    struct phase_drawn *d = phase_draw(p, title);
    struct table *t = advice_table(p, cli->out.utf8);

    picture_print(phase_picture(d), &cli->out);
    if (p->maps[PHASE_CKA] != NULL) {
        fputc('\n', cli->out.stream);
        table_print(t, TABLE_PEOPLE, &cli->out, NULL);
        fputs("rank: Spearman's correlation with the accuracy of the pruned "
              "models, over the rows\n",
              cli->out.stream);
    }
    table_free(t);
    phase_drawn_free(d);
}

/* ---- for programs ------------------------------------------------------ */

enum { DIGITS = 12 }; /* what is left of a difference of rounded numbers */

static json_t *number_or_null(double value)
{
    return isfinite(value) ? json_real(decimal_round(value, DIGITS))
                           : json_null();
}

static json_t *mean_of(const struct estimate *e)
{
    return number_or_null(e->count == 0 ? (double)NAN : e->mean);
}

static void add_json(struct table *t, json_t *value)
{
    table_add_value(t, json_is_null(value) ? NULL : value);
    json_decref(value);
}

static const char *label_of(const struct phase *p, size_t row, size_t column)
{
    return p->row[row].too_hot
               ? "too hot"
               : regime_name(phase_cell(p, row, column)->regime);
}

static struct table *cell_table(const struct phase *p)
{
    static const char *const names[] = { "temperature", "load",
                                         "error",       "error_minus_best",
                                         "lmc",         "cka",
                                         "regime" };
    struct table *t = table_new();

    for (size_t i = 0; i < COUNT_OF(names); i++)
        table_column(t, names[i], TABLE_TEXT, TABLE_ALWAYS);
    for (size_t i = 0; i < p->rows * p->columns; i++) {
        const struct phase_cell *cell = &p->cells[i];
        size_t row = i / p->columns, column = i % p->columns;

        table_add_value(t, p->row[row].value);
        table_add_value(t, p->column[column].value);
        add_json(t, mean_of(&cell->maps[PHASE_ERROR]));
        add_json(t, number_or_null(cell->above_best));
        add_json(t, mean_of(&cell->maps[PHASE_LMC]));
        add_json(t, mean_of(&cell->maps[PHASE_CKA]));
        table_add(t, label_of(p, row, column), NULL);
    }
    return t;
}

static json_t *estimate_json(const struct estimate *e)
{
    return e->count == 0
               ? json_null()
               : json_pack("{s:f, s:f, s:I}", "mean", e->mean, "error",
                           e->error, "count", (json_int_t)e->count);
}

static json_t *row_value(const struct phase *p, size_t row)
{
    return row == p->rows ? json_null() : json_incref(p->row[row].value);
}

static json_t *cell_json(const struct phase *p, size_t row, size_t column)
{
    static const char *const sure[] = { "unknown", "doubtful", "sure" };
    const struct phase_cell *cell = phase_cell(p, row, column);

    return json_pack("{s:O, s:O, s:o, s:o, s:o, s:o, s:s, s:s, s:I}",
                     "temperature", p->row[row].value, "load",
                     p->column[column].value, "error",
                     estimate_json(&cell->maps[PHASE_ERROR]),
                     "error_minus_best", number_or_null(cell->above_best),
                     "lmc", estimate_json(&cell->maps[PHASE_LMC]), "cka",
                     estimate_json(&cell->maps[PHASE_CKA]), "regime",
                     label_of(p, row, column), "certainty",
                     sure[cell->certainty], "failed", (json_int_t)cell->failed);
}

static json_t *column_json(const struct phase *p, size_t column)
{
    const struct phase_column *c = &p->column[column];

    return json_pack(
        "{s:O, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "load", c->value, "advice",
        phase_advice(p, column), "best", row_value(p, c->best), "by_dense",
        row_value(p, c->by_dense), "by_pairs", row_value(p, c->by_pairs),
        "dense_rank", number_or_null(c->dense_rank), "lmc_rank",
        number_or_null(c->lmc_rank), "cka_rank", number_or_null(c->cka_rank));
}

json_t *phase_json(const struct phase *p)
{
    json_t *cells = json_array();
    json_t *columns = json_array();

    for (size_t i = 0; i < p->rows * p->columns; i++)
        (void)json_array_append_new(
            cells, cell_json(p, i / p->columns, i % p->columns));
    for (size_t i = 0; i < p->columns; i++)
        (void)json_array_append_new(columns, column_json(p, i));
    return json_pack("{s:s, s:s, s:o, s:o}", "x", p->x, "y", p->y, "cells",
                     cells, "loads", columns);
}

/* ---- files ------------------------------------------------------------- */

struct status phase_write(const struct phase *p, const char *title,
                          const char *path)
{
    const char *dot = strrchr(path, '.');
    struct phase_drawn *d = NULL;
    struct table *t = NULL;
    struct status st;

    if (dot != NULL && strcmp(dot, ".csv") == 0) {
        t = cell_table(p);
        st = table_write(t, TABLE_CSV, path);
    } else if (dot != NULL && strcmp(dot, ".md") == 0) {
        t = advice_table(p, true);
        st = table_write(t, TABLE_MARKDOWN, path);
    } else {
        d = phase_draw(p, title);
        st = picture_write(phase_picture(d), path);
        phase_drawn_free(d);
    }
    table_free(t);
    return st;
}
