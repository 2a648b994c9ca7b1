#include "cli/pivot.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/leaderboard.h"
#include "cli/number.h"
#include "cli/view.h"
#include "common/buf.h"
#include "common/file.h"
#include "common/memory.h"

enum { MOST_CELLS = 20000, CAPTION = 512 };

/* A cell, or a metric beside the rows. */
struct cell {
    struct estimate value; /* count 0: nothing was measured */
    double share;          /* of the gap that is closed; NaN: none */
    json_t *point;         /* values of the best one; NULL: none */
};

struct pivot {
    const json_t *json; /* of report.table; all texts are borrowed from it */
    const json_t *spec, *trials;
    const json_t *rows_by, *columns_by; /* names of parameters */
    const json_t *metrics;              /* of the columns; NULL: `cell` */
    const json_t *beside;
    const char *objective;
    bool maximize;
    json_t *rows, *columns; /* arrays of arrays of values */
    size_t column_count;    /* of cells: metrics or `columns` */
    struct cell *cells;     /* row by row */
    struct cell *sides;     /* of `beside`, row by row */
    char caption[CAPTION];
};

/* ---- rows and columns -------------------------------------------------- */

/* The values of a name in the order of the file; NULL: it has no list. */
static json_t *listed_values(const json_t *spec, const char *name)
{
    const json_t *list = json_object_get(
        spec, strcmp(name, "case") == 0 ? "cases" : "parameters");
    json_t *values = NULL;

    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *one = json_array_get(list, i);
        json_t *own = json_object_get(one, "values");

        if (strcmp(name, "case") == 0) {
            values = values == NULL ? json_array() : values;
            (void)json_array_append(values, json_object_get(one, "name"));
        } else if (own != NULL &&
                   strcmp(json_text_or(one, "name", ""), name) == 0) {
            values = values == NULL ? json_array() : values;
            (void)json_array_extend(values, own);
        }
    }
    return values;
}

static size_t index_in(const json_t *list, const json_t *value)
{
    size_t i = 0;

    while (i < json_array_size(list) &&
           !json_equal(json_array_get(list, i), value))
        i++;
    return i;
}

/* The values of these names in one trial; null where one is absent. */
static json_t *key_of(const json_t *names, const json_t *trial)
{
    const json_t *values = json_object_get(trial, "values");
    json_t *key = json_array();

    for (size_t i = 0; i < json_array_size(names); i++) {
        json_t *value = json_object_get(
            values, json_string_value(json_array_get(names, i)));

        (void)json_array_append_new(key, value == NULL ? json_null()
                                                       : json_incref(value));
    }
    return key;
}

struct order {
    json_t *lists; /* of each name; null: by size */
};

static int compare_values(const json_t *list, const json_t *a, const json_t *b)
{
    size_t i = index_in(list, a), j = index_in(list, b);
    double d = json_number_value(a) - json_number_value(b);

    if (i != j)
        return i < j ? -1 : 1;
    return d < 0.0 ? -1 : d > 0.0;
}

static int by_order(const void *a, const void *b, void *self)
{
    const struct order *order = self;
    const json_t *x = *(json_t *const *)a;
    const json_t *y = *(json_t *const *)b;
    int result = 0;

    for (size_t i = 0; i < json_array_size(x) && result == 0; i++)
        result = compare_values(json_array_get(order->lists, i),
                                json_array_get(x, i), json_array_get(y, i));
    return result;
}

static void sort_keys(const json_t *spec, const json_t *names, json_t *keys)
{
    size_t count = json_array_size(keys);
    AUTO(free_pointer) json_t **items = xcalloc(count + 1, sizeof(json_t *));
    struct order order = { .lists = json_array() };

    for (size_t i = 0; i < json_array_size(names); i++) {
        json_t *list =
            listed_values(spec, json_string_value(json_array_get(names, i)));

        (void)json_array_append_new(order.lists,
                                    list == NULL ? json_null() : list);
    }
    for (size_t i = 0; i < count; i++)
        items[i] = json_incref(json_array_get(keys, i));
    if (count > 1)
        qsort_r(items, count, sizeof(json_t *), by_order, &order);
    for (size_t i = 0; i < count; i++)
        (void)json_array_set_new(keys, i, items[i]);
    json_decref(order.lists);
}

/* Different keys of all trials. */
static json_t *keys_of(const struct pivot *p, const json_t *names)
{
    json_t *keys = json_array();

    for (size_t i = 0; i < json_array_size(p->trials); i++) {
        json_t *key = key_of(names, json_array_get(p->trials, i));

        if (index_in(keys, key) == json_array_size(keys))
            (void)json_array_append(keys, key);
        json_decref(key);
    }
    sort_keys(p->spec, names, keys);
    return keys;
}

/* ---- cells ------------------------------------------------------------- */

/* Trials of each row and column: a list for each cell. */
static json_t *deal(const struct pivot *p)
{
    size_t columns = p->metrics != NULL ? 1 : json_array_size(p->columns);
    size_t count = json_array_size(p->rows) * columns;
    json_t *lists = json_array();

    for (size_t i = 0; i < count; i++)
        (void)json_array_append_new(lists, json_array());
    for (size_t i = 0; i < json_array_size(p->trials); i++) {
        json_t *trial = json_array_get(p->trials, i);
        AUTO(json_release) json_t *row = key_of(p->rows_by, trial);
        AUTO(json_release) json_t *column = key_of(p->columns_by, trial);
        size_t at = index_in(p->rows, row) * columns;

        if (p->metrics == NULL)
            at += index_in(p->columns, column);
        (void)json_array_append(json_array_get(lists, at), trial);
    }
    return lists;
}

static void fill_cell(const struct leader *l, const char *metric,
                      struct cell *cell)
{
    cell->value = leader_estimate(l, metric);
    cell->point = json_incref(l->values);
}

/* The best of these trials' points: its cells of the row, and what stands
 * beside it. */
static void fill_from(struct pivot *p, const json_t *trials, size_t row,
                      size_t column)
{
    struct cell *cells = &p->cells[row * p->column_count + column];
    const char *cell = json_text_or(p->json, "cell", NULL);
    size_t sides = json_array_size(p->beside);
    struct leaderboard b;

    leaderboard_make(p->spec, trials,
                     p->objective != NULL ? p->objective : cell, p->maximize,
                     &b);
    for (size_t i = 0; b.count > 0 && i < json_array_size(p->metrics); i++)
        fill_cell(&b.items[0], json_string_value(json_array_get(p->metrics, i)),
                  &cells[i]);
    if (b.count > 0 && p->metrics == NULL)
        fill_cell(&b.items[0], cell, cells);
    for (size_t i = 0; b.count > 0 && i < sides; i++) {
        struct cell *side = &p->sides[row * sides + i];

        if (side->value.count == 0)
            side->value = leader_estimate(
                &b.items[0], json_string_value(json_array_get(p->beside, i)));
    }
    leaderboard_release(&b);
}

static void fill_cells(struct pivot *p)
{
    AUTO(json_release) json_t *lists = deal(p);
    size_t columns = p->metrics != NULL ? 1 : p->column_count;

    for (size_t i = 0; i < json_array_size(lists); i++)
        fill_from(p, json_array_get(lists, i), i / columns, i % columns);
}

/* The row with the same names but `value` for the last one; none: SIZE_MAX. */
static size_t row_with(const struct pivot *p, size_t row, const char *value)
{
    AUTO(json_release) json_t *key = json_copy(json_array_get(p->rows, row));
    size_t found;

    (void)json_array_set_new(key, json_array_size(key) - 1, json_string(value));
    found = index_in(p->rows, key);
    return found < json_array_size(p->rows) ? found : SIZE_MAX;
}

/* How much of the way from one row to another each cell went. */
static void fill_shares(struct pivot *p)
{
    const json_t *gap = json_object_get(p->json, "gap");

    for (size_t i = 0; i < json_array_size(p->rows) * p->column_count; i++) {
        size_t row = i / p->column_count, column = i % p->column_count;
        size_t from = row_with(p, row, json_text_or(gap, "from", ""));
        size_t to = row_with(p, row, json_text_or(gap, "to", ""));
        const struct cell *a, *b;

        p->cells[i].share = (double)NAN;
        if (gap == NULL || from == SIZE_MAX || to == SIZE_MAX || row == from)
            continue;
        a = &p->cells[from * p->column_count + column];
        b = &p->cells[to * p->column_count + column];
        if (a->value.count > 0 && b->value.count > 0 &&
            p->cells[i].value.count > 0 && a->value.mean != b->value.mean)
            p->cells[i].share = (a->value.mean - p->cells[i].value.mean) /
                                (a->value.mean - b->value.mean);
    }
}

static void write_caption(struct pivot *p)
{
    const json_t *best = json_object_get(p->json, "best_over");
    const json_t *gap = json_object_get(p->json, "gap");
    struct buf text;
    struct status st = SUCCESS;

    buf_init(&text, CAPTION - 1);
    if (p->metrics == NULL)
        st = buf_print(&text, "%s", json_text_or(p->json, "cell", ""));
    for (size_t i = 0; i < json_array_size(best) && !status_failed(&st); i++)
        st = buf_print(&text, "%s%s",
                       i > 0            ? ", "
                       : text.size == 0 ? "best over "
                                        : ", best over ",
                       json_string_value(json_array_get(best, i)));
    if (gap != NULL && !status_failed(&st))
        st = buf_print(&text,
                       "; in brackets the share of the gap from %s to "
                       "%s that is closed",
                       json_text_or(gap, "from", ""),
                       json_text_or(gap, "to", ""));
    (void)snprintf(p->caption, CAPTION, "%s",
                   text.data == NULL || status_failed(&st) ? "" : text.data);
    buf_release(&text);
}

struct status pivot_make(const json_t *spec, const json_t *trials,
                         struct pivot **ret_pivot)
{
    const json_t *json =
        json_object_get(json_object_get(spec, "report"), "table");
    const json_t *columns = json_object_get(json, "columns");
    const char *first = json_string_value(json_array_get(columns, 0));
    struct pivot *p;

    if (!json_is_object(json) || first == NULL)
        return FAIL(STATUS_INVALID, "the sweep has no report.table");
    p = xnew(struct pivot);
    p->json = json;
    p->spec = spec;
    p->trials = trials;
    p->rows_by = json_object_get(json, "rows");
    p->beside = json_object_get(json, "beside");
    p->metrics = strchr(first, '.') != NULL ? columns : NULL;
    p->columns_by = p->metrics == NULL ? columns : NULL;
    p->objective = view_objective(spec, &p->maximize);
    p->rows = keys_of(p, p->rows_by);
    p->columns = keys_of(p, p->columns_by);
    p->column_count =
        json_array_size(p->metrics != NULL ? p->metrics : p->columns);
    if (json_array_size(p->rows) * p->column_count > MOST_CELLS) {
        pivot_free(p);
        return FAIL(STATUS_TOO_BIG, "report.table has more than %d cells",
                    MOST_CELLS);
    }
    p->cells = xcalloc(json_array_size(p->rows) * p->column_count + 1,
                       sizeof *p->cells);
    p->sides =
        xcalloc(json_array_size(p->rows) * json_array_size(p->beside) + 1,
                sizeof *p->sides);
    fill_cells(p);
    fill_shares(p);
    write_caption(p);
    *ret_pivot = p;
    return SUCCESS;
}

void pivot_free(struct pivot *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0;
         p->cells != NULL && i < json_array_size(p->rows) * p->column_count;
         i++)
        json_decref(p->cells[i].point);
    json_decref(p->rows);
    json_decref(p->columns);
    free(p->cells);
    free(p->sides);
    free(p);
}

const char *pivot_caption(const struct pivot *p)
{
    return p->caption;
}

/* ---- texts ------------------------------------------------------------- */

/* "%.2f" of the file: digits and a letter, never a format of ours. */
static void format_number(const struct pivot *p, double value,
                          char text[NUMBER_TEXT])
{
    const char *format = json_text_or(p->json, "format", "");
    int digits = strlen(format) == 4 ? format[2] - '0' : -1;

    if (digits < 0 || digits > 9)
        number_short(value, text);
    else if (format[3] == 'f')
        (void)snprintf(text, NUMBER_TEXT, "%.*f", digits, value);
    else if (format[3] == 'e')
        (void)snprintf(text, NUMBER_TEXT, "%.*e", digits, value);
    else
        (void)snprintf(text, NUMBER_TEXT, "%.*g", digits, value);
}

/* "6.743 ±0.012 (60 %)"; the caller frees. */
static char *cell_text(const struct pivot *p, const struct cell *cell,
                       const char *plus_minus)
{
    char mean[NUMBER_TEXT], error[NUMBER_TEXT];
    AUTO(free_pointer) char *with_error = NULL;

    if (cell->value.count == 0)
        return xstrdup("-");
    format_number(p, cell->value.mean, mean);
    format_number(p, cell->value.error, error);
    with_error = cell->value.error > 0.0
                     ? xasprintf("%s %s%s", mean, plus_minus, error)
                     : xstrdup(mean);
    if (isnan(cell->share))
        return xstrdup(with_error);
    return xasprintf("%s (%.0f %%)", with_error, 100.0 * cell->share);
}

/* What is absent is empty. */
static char *value_text(const json_t *value)
{
    return json_is_null(value) ? xstrdup("") : number_value_text(value);
}

/* Of a column of cells; the caller frees. */
static char *column_text(const struct pivot *p, size_t column)
{
    const json_t *key = json_array_get(p->columns, column);
    char *text = NULL;

    if (p->metrics != NULL)
        return value_text(json_array_get(p->metrics, column));
    for (size_t i = 0; i < json_array_size(key); i++) {
        AUTO(free_pointer) char *one = value_text(json_array_get(key, i));
        AUTO(free_pointer) char *before = text;
        const json_t *value = json_array_get(key, i);
        const char *name = json_string_value(json_array_get(p->columns_by, i));

        /* A text says enough by itself, what is absent nothing. */
        text = json_is_null(value)
                   ? xstrdup(before == NULL ? "" : before)
                   : xasprintf("%s%s%s%s%s", before == NULL ? "" : before,
                               before == NULL ? "" : ", ",
                               json_is_string(value) ? "" : name,
                               json_is_string(value) ? "" : " ", one);
    }
    return text == NULL ? xstrdup("") : text;
}

/* ---- as a table -------------------------------------------------------- */

static void add_heads(const struct pivot *p, bool people, struct table *t)
{
    for (size_t i = 0; i < json_array_size(p->rows_by); i++)
        table_column(t, json_string_value(json_array_get(p->rows_by, i)),
                     TABLE_TEXT, TABLE_ALWAYS);
    for (size_t i = 0; i < json_array_size(p->beside); i++)
        table_column(t, json_string_value(json_array_get(p->beside, i)),
                     TABLE_RIGHT, 1);
    for (size_t i = 0; i < p->column_count; i++) {
        AUTO(free_pointer) char *name = column_text(p, i);
        AUTO(free_pointer) char *error = xasprintf("%s error", name);
        AUTO(free_pointer) char *share = xasprintf("%s closed", name);

        table_column(t, name, TABLE_RIGHT, TABLE_ALWAYS);
        if (people)
            continue;
        table_column(t, error, TABLE_RIGHT, TABLE_ALWAYS);
        if (json_object_get(p->json, "gap") != NULL)
            table_column(t, share, TABLE_RIGHT, TABLE_ALWAYS);
    }
}

static void add_number(struct table *t, double value, bool is_there)
{
    AUTO(json_release)
    json_t *raw = is_there && isfinite(value) ? json_real(value) : NULL;

    table_add_value(t, raw);
}

static void add_cell(const struct pivot *p, const struct cell *cell,
                     bool people, bool utf8, struct table *t)
{
    AUTO(free_pointer) char *text = NULL;

    if (people) {
        text = cell_text(p, cell, utf8 ? "\302\261" : "+-");
        table_add(t, text, NULL);
        return;
    }
    add_number(t, cell->value.mean, cell->value.count > 0);
    add_number(t, cell->value.error, cell->value.count > 1);
    if (json_object_get(p->json, "gap") != NULL)
        add_number(t, cell->share, true);
}

static void add_side(const struct cell *side, bool people, struct table *t)
{
    char text[NUMBER_TEXT];

    if (!people || side->value.count == 0) {
        add_number(t, side->value.mean, side->value.count > 0);
        return;
    }
    (void)snprintf(text, sizeof text, "%.3g", side->value.mean);
    table_add(t, text, NULL);
}

struct table *pivot_table(const struct pivot *p, bool people, bool utf8)
{
    struct table *t = table_new();
    size_t sides = json_array_size(p->beside);

    add_heads(p, people, t);
    for (size_t i = 0; i < json_array_size(p->rows); i++) {
        const json_t *key = json_array_get(p->rows, i);

        for (size_t j = 0; j < json_array_size(key); j++) {
            const json_t *value = json_array_get(key, j);

            table_add_value(t, json_is_null(value) ? NULL : value);
        }
        for (size_t j = 0; j < sides; j++)
            add_side(&p->sides[i * sides + j], people, t);
        for (size_t j = 0; j < p->column_count; j++)
            add_cell(p, &p->cells[i * p->column_count + j], people, utf8, t);
    }
    return t;
}

json_t *pivot_json(const struct pivot *p)
{
    json_t *cells = json_array();

    for (size_t i = 0; i < json_array_size(p->rows) * p->column_count; i++) {
        const struct cell *c = &p->cells[i];
        AUTO(free_pointer) char *column = column_text(p, i % p->column_count);

        (void)json_array_append_new(
            cells,
            json_pack(
                "{s:O, s:s, s:o, s:f, s:I, s:o, s:o}", "row",
                json_array_get(p->rows, i / p->column_count), "column", column,
                "mean",
                c->value.count > 0 ? json_real(c->value.mean) : json_null(),
                "error", c->value.error, "count", (json_int_t)c->value.count,
                "closed",
                isfinite(c->share) ? json_real(c->share) : json_null(), "point",
                c->point == NULL ? json_null() : json_incref(c->point)));
    }
    return json_pack("{s:s, s:O, s:o}", "caption", p->caption, "rows",
                     p->rows_by, "cells", cells);
}

/* ---- LaTeX ------------------------------------------------------------- */

/* Characters that mean something there. */
static void put_tex(FILE *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr("&%$#_{}", *text) != NULL)
            fputc('\\', out);
        if (*text == '\\' || *text == '^' || *text == '~')
            fprintf(out, "\\char`\\%c", *text);
        else
            fputc(*text, out);
    }
}

static void put_tex_row(const struct pivot *p, size_t row, FILE *out)
{
    const json_t *key = json_array_get(p->rows, row);
    size_t sides = json_array_size(p->beside);

    for (size_t i = 0; i < json_array_size(key); i++) {
        AUTO(free_pointer) char *text = value_text(json_array_get(key, i));

        fputs(i > 0 ? " & " : "", out);
        put_tex(out, text);
    }
    for (size_t i = 0; i < sides; i++) {
        char text[NUMBER_TEXT];

        (void)snprintf(text, sizeof text, "%.3g",
                       p->sides[row * sides + i].value.mean);
        fprintf(out, " & %s", text);
    }
    for (size_t i = 0; i < p->column_count; i++) {
        AUTO(free_pointer)
        char *text =
            cell_text(p, &p->cells[row * p->column_count + i], "\302\261");

        fputs(" & ", out);
        put_tex(out, text);
    }
    fputs(" \\\\\n", out);
}

static void put_tex_all(const struct pivot *p, FILE *out)
{
    size_t labels = json_array_size(p->rows_by);

    fputs("\\begin{tabular}{", out);
    for (size_t i = 0; i < labels; i++)
        fputc('l', out);
    for (size_t i = 0; i < json_array_size(p->beside) + p->column_count; i++)
        fputc('r', out);
    fputs("}\n\\hline\n", out);
    for (size_t i = 0; i < labels; i++) {
        fputs(i > 0 ? " & " : "", out);
        put_tex(out, json_string_value(json_array_get(p->rows_by, i)));
    }
    for (size_t i = 0; i < json_array_size(p->beside); i++) {
        fputs(" & ", out);
        put_tex(out, json_string_value(json_array_get(p->beside, i)));
    }
    for (size_t i = 0; i < p->column_count; i++) {
        AUTO(free_pointer) char *name = column_text(p, i);

        fputs(" & ", out);
        put_tex(out, name);
    }
    fputs(" \\\\\n\\hline\n", out);
    for (size_t i = 0; i < json_array_size(p->rows); i++)
        put_tex_row(p, i, out);
    fputs("\\hline\n\\end{tabular}\n", out);
}

struct status pivot_write(const struct pivot *p, const char *path)
{
    const char *dot = strrchr(path, '.');
    bool csv = dot != NULL && strcmp(dot, ".csv") == 0;
    struct table *t = NULL;
    AUTO(free_pointer) char *text = NULL;
    size_t size = 0;
    struct status st;
    FILE *out = NULL;

    if (dot == NULL || strcmp(dot, ".tex") != 0) {
        t = pivot_table(p, !csv, true);
        st = table_write(t, csv ? TABLE_CSV : TABLE_MARKDOWN, path);
        table_free(t);
        return st;
    }
    out = open_memstream(&text, &size);
    if (out == NULL)
        return FAIL(STATUS_FAILED, "%s: no memory for its text", path);
    put_tex_all(p, out);
    (void)fclose(out);
    return file_write(path, text, size);
}
