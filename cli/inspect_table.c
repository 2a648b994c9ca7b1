/* The report as tables and as a picture. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/inspect_report.h"
#include "cli/number.h"
#include "cli/picture.h"
#include "cli/table.h"
#include "common/memory.h"

enum { WEIGHT_DETAIL = 20, WEIGHT_NUMBER = 40 };

void inspect_print_table(const struct cli *cli, struct table *t)
{
    struct buf dropped;

    buf_init(&dropped, 4096);
    table_print(t, TABLE_PEOPLE, &cli->out, &dropped);
    if (dropped.size > 0)
        cli_note(cli, "too narrow for: %s", dropped.data);
    buf_release(&dropped);
    table_free(t);
}

void inspect_add_real(struct table *t, const json_t *value)
{
    char text[NUMBER_TEXT];

    if (!json_is_number(value)) {
        table_add(t, "-", NULL);
        return;
    }
    (void)snprintf(text, sizeof text, "%.4g", json_number_value(value));
    table_add(t, text, NULL);
}

void inspect_add_share(struct table *t, const json_t *value)
{
    char text[NUMBER_TEXT];

    if (!json_is_number(value)) {
        table_add(t, "-", NULL);
        return;
    }
    (void)snprintf(text, sizeof text, "%.3g %%",
                   100.0 * json_number_value(value));
    table_add(t, text, NULL);
}

static void add_bytes(struct table *t, const json_t *row)
{
    char text[NUMBER_TEXT];

    number_bytes((uint64_t)json_int_or(row, "bytes", 0), text);
    table_add(t, text, NULL);
}

static const json_t *at(const json_t *row, const char *list, size_t i)
{
    return json_array_get(json_object_get(row, list), i);
}

/* --- one model ------------------------------------------------------------
 */

static void number_columns(struct table *t)
{
    table_column(t, "parameters", TABLE_RIGHT, TABLE_ALWAYS);
    table_column(t, "bytes", TABLE_RIGHT, WEIGHT_NUMBER);
    table_column(t, "zeros", TABLE_RIGHT, WEIGHT_DETAIL);
    table_column(t, "min", TABLE_RIGHT, WEIGHT_DETAIL);
    table_column(t, "max", TABLE_RIGHT, WEIGHT_DETAIL);
    table_column(t, "norm", TABLE_RIGHT, WEIGHT_NUMBER);
}

static void add_numbers(struct table *t, const json_t *row)
{
    table_add_value(t, json_object_get(row, "parameters"));
    add_bytes(t, row);
    inspect_add_share(t, json_object_get(row, "zero_share"));
    inspect_add_real(t, json_object_get(row, "min"));
    inspect_add_real(t, json_object_get(row, "max"));
    inspect_add_real(t, json_object_get(row, "norm"));
}

static void print_layers(const struct cli *cli, const json_t *report)
{
    const json_t *layers = json_object_get(report, "layers");
    struct table *t = table_new();

    table_column(t, "layer", TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "tensors", TABLE_RIGHT, WEIGHT_DETAIL);
    number_columns(t);
    for (size_t i = 0; i < json_array_size(layers); i++) {
        const json_t *row = json_array_get(layers, i);

        table_add(t, json_text_or(row, "layer", "?"), NULL);
        table_add_value(t, json_object_get(row, "tensors"));
        add_numbers(t, row);
    }
    table_add(t, "all", NULL);
    table_add_value(t, json_object_get(report, "tensors"));
    add_numbers(t, report);
    inspect_print_table(cli, t);
}

static void add_shape(struct table *t, const json_t *row)
{
    const json_t *shape = json_object_get(row, "shape");
    char text[32 * LIMIT_RANK] = "scalar";
    size_t size = 0;

    for (size_t i = 0; i < json_array_size(shape); i++)
        size += (size_t)snprintf(
            text + size, sizeof text - size, "%s%lld", i == 0 ? "" : "x",
            (long long)json_integer_value(json_array_get(shape, i)));
    table_add(t, text, NULL);
}

static void print_tensors(const struct cli *cli, const json_t *report)
{
    const json_t *tensors = json_object_get(report, "tensor_list");
    struct table *t = table_new();

    table_column(t, "tensor", TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "dtype", TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "shape", TABLE_RIGHT, TABLE_ALWAYS);
    number_columns(t);
    for (size_t i = 0; i < json_array_size(tensors); i++) {
        const json_t *row = json_array_get(tensors, i);

        table_add(t, json_text_or(row, "name", "?"), NULL);
        table_add(t, json_text_or(row, "dtype", "?"), NULL);
        add_shape(t, row);
        add_numbers(t, row);
    }
    inspect_print_table(cli, t);
}

void inspect_print_model(const struct cli *cli, const json_t *report,
                         bool tensors)
{
    FILE *out = cli->out.stream;
    json_t *dtypes = json_object_get(report, "dtypes");
    const char *name = NULL;
    const char *comma = "";
    json_t *count = NULL;

    fprintf(out, "%s: ", json_text_or(report, "path", "?"));
    json_object_foreach(dtypes, name, count)
    {
        fprintf(out, "%s%lld %s", comma, (long long)json_integer_value(count),
                name);
        comma = ", ";
    }
    fprintf(out, "%s\n", *comma == '\0' ? "no tensors" : "");
    if (tensors)
        print_tensors(cli, report);
    else
        print_layers(cli, report);
}

/* --- fine-tunes -----------------------------------------------------------
 */

static void print_tasks(const struct cli *cli, const json_t *report)
{
    static const char *const quantiles[] = { "0.5", "0.9", "0.99", "0.999",
                                             "max" };
    const json_t *models = json_object_get(report, "models");
    struct table *t = table_new();

    table_column(t, "task vector", TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "norm", TABLE_RIGHT, WEIGHT_NUMBER);
    table_column(t, "of base", TABLE_RIGHT, TABLE_ALWAYS);
    table_column(t, "zeros", TABLE_RIGHT, TABLE_ALWAYS);
    table_column(t, "> 0.01", TABLE_RIGHT, TABLE_ALWAYS);
    for (size_t q = 0; q < COUNT_OF(quantiles); q++)
        table_column(t, quantiles[q], TABLE_RIGHT, WEIGHT_DETAIL);
    for (size_t i = 0; i < json_array_size(models); i++) {
        const json_t *row = json_array_get(models, i);

        table_add(t, json_text_or(row, "model", "?"), NULL);
        inspect_add_real(t, json_object_get(row, "norm"));
        inspect_add_share(t, json_object_get(row, "relative"));
        inspect_add_share(t, json_object_get(row, "zero_share"));
        inspect_add_share(t, json_object_get(row, "large_share"));
        for (size_t q = 0; q < COUNT_OF(quantiles); q++)
            inspect_add_real(t,
                             json_object_get(json_object_get(row, "quantiles"),
                                             quantiles[q]));
    }
    inspect_print_table(cli, t);
}

/* Norms of all task vectors in parts of the base, relative to it. */
static void print_norms(const struct cli *cli, const json_t *report,
                        const char *list, const char *name)
{
    const json_t *models = json_object_get(report, "models");
    const json_t *rows = json_object_get(report, list);
    bool crowd = json_array_size(models) > 1;
    struct table *t = table_new();

    table_column(t, name, TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "base norm", TABLE_RIGHT, WEIGHT_DETAIL);
    for (size_t m = 0; m < json_array_size(models); m++)
        table_column(t, json_text_or(json_array_get(models, m), "model", "?"),
                     TABLE_RIGHT, TABLE_ALWAYS - 1);
    if (crowd)
        table_column(t, "conflicts", TABLE_RIGHT, WEIGHT_NUMBER);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *row = json_array_get(rows, i);

        table_add(t, json_text_or(row, name[0] == 'l' ? "layer" : "name", "?"),
                  NULL);
        inspect_add_real(t, json_object_get(row, "base_norm"));
        for (size_t m = 0; m < json_array_size(models); m++)
            inspect_add_share(t, at(row, "relative", m));
        if (crowd)
            inspect_add_share(t, json_object_get(row, "conflict_share"));
    }
    inspect_print_table(cli, t);
}

static void print_cosines(const struct cli *cli, const json_t *report)
{
    const json_t *models = json_object_get(report, "models");
    const json_t *cosines = json_object_get(report, "cosines");
    struct table *t = table_new();

    table_column(t, "cosine", TABLE_TEXT, TABLE_ALWAYS);
    for (size_t m = 0; m < json_array_size(models); m++)
        table_column(t, json_text_or(json_array_get(models, m), "model", "?"),
                     TABLE_RIGHT, TABLE_ALWAYS - 1);
    for (size_t i = 0; i < json_array_size(models); i++) {
        table_add(t, json_text_or(json_array_get(models, i), "model", "?"),
                  NULL);
        for (size_t j = 0; j < json_array_size(models); j++) {
            char text[NUMBER_TEXT];

            number_fixed(json_number_value(
                             json_array_get(json_array_get(cosines, i), j)),
                         4, text);
            table_add(t, text, NULL);
        }
    }
    inspect_print_table(cli, t);
}

void inspect_print_diff(const struct cli *cli, const json_t *report,
                        bool tensors)
{
    FILE *out = cli->out.stream;
    const json_t *share = json_object_get(report, "conflict_share");

    fprintf(out, "fine-tunes of %s: |d| at its quantiles\n",
            json_text_or(report, "base", "?"));
    print_tasks(cli, report);
    fprintf(out, "\ntask vectors, share of the base's norm\n");
    if (tensors)
        print_norms(cli, report, "tensor_list", "tensor");
    else
        print_norms(cli, report, "layers", "layer");
    if (json_array_size(json_object_get(report, "models")) < 2)
        return;
    fprintf(out, "\n");
    print_cosines(cli, report);
    if (json_is_number(share))
        fprintf(out,
                "\nof the elements that two or more change, %.3g %% are "
                "pulled both up and down\n",
                100.0 * json_number_value(share));
}

/* --- the picture ----------------------------------------------------------
 */

/* Texts, each once, in the order in which they came. */
struct labels {
    const char **items;
    size_t count;
};

static size_t label_of(struct labels *l, const char *text)
{
    for (size_t i = 0; i < l->count; i++) {
        if (strcmp(l->items[i], text) == 0)
            return i;
    }
    l->items = xrealloc(l->items, (l->count + 1) * sizeof(void *));
    l->items[l->count] = text;
    return l->count++;
}

static double number_or_nan(const json_t *value)
{
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

MUST_CHECK static struct status draw(const struct labels *rows,
                                     const struct labels *columns,
                                     const char *columns_are, const char *title,
                                     const double *values, const char *path)
{
    struct picture_panel panel = {
        .legend = "norm of the task vector / norm of the base",
        .values = values,
    };
    const struct picture picture = {
        .title = title,
        .rows_are = "layer",
        .columns_are = columns_are,
        .rows = rows->count,
        .columns = columns->count,
        .row_labels = rows->items,
        .column_labels = columns->items,
        .panels = &panel,
        .panel_count = 1,
    };

    for (size_t i = 0; i < rows->count * columns->count; i++)
        panel.light = fmax(panel.light, values[i]); /* passes by NaN */
    return picture_write(&picture, path);
}

/* Layers and models. */
MUST_CHECK static struct status draw_models(const json_t *report,
                                            const char *title, const char *path)
{
    const json_t *layers = json_object_get(report, "layers");
    const json_t *models = json_object_get(report, "models");
    struct labels rows = { NULL, 0 }, columns = { NULL, 0 };
    size_t count = json_array_size(models);
    AUTO(free_pointer)
    double *values =
        xcalloc(json_array_size(layers) * count + 1, sizeof *values);
    struct status st;

    for (size_t m = 0; m < count; m++)
        (void)label_of(&columns,
                       json_text_or(json_array_get(models, m), "model", "?"));
    for (size_t i = 0; i < json_array_size(layers); i++) {
        const json_t *row = json_array_get(layers, i);

        (void)label_of(&rows, json_text_or(row, "layer", "?"));
        for (size_t m = 0; m < count; m++)
            values[i * count + m] = number_or_nan(at(row, "relative", m));
    }
    st = draw(&rows, &columns, "model", title, values, path);
    free(rows.items);
    free(columns.items);
    return st;
}

static char *layer_text(const json_t *tensor)
{
    long long layer = (long long)json_int_or(tensor, "layer", -1);
    const char *group = json_text_or(tensor, "group", "?");

    return layer < 0 ? xstrdup(group) : xasprintf("%s.%lld", group, layer);
}

static const char *kind_text(const json_t *tensor)
{
    const char *kind = json_text_or(tensor, "kind", "");

    return *kind == '\0' ? "(whole)" : kind;
}

/* Layers and kinds of tensors of the only model. */
MUST_CHECK static struct status draw_kinds(const json_t *report,
                                           const char *title, const char *path)
{
    const json_t *layers = json_object_get(report, "layers");
    const json_t *tensors = json_object_get(report, "tensor_list");
    struct labels rows = { NULL, 0 }, columns = { NULL, 0 };
    AUTO(free_pointer) double *values = NULL;
    struct status st;

    for (size_t i = 0; i < json_array_size(layers); i++)
        (void)label_of(&rows,
                       json_text_or(json_array_get(layers, i), "layer", "?"));
    for (size_t i = 0; i < json_array_size(tensors); i++)
        (void)label_of(&columns, kind_text(json_array_get(tensors, i)));
    values = xcalloc(rows.count * columns.count + 1, sizeof *values);
    for (size_t i = 0; i < rows.count * columns.count; i++)
        values[i] = (double)NAN;
    for (size_t i = 0; i < json_array_size(tensors); i++) {
        const json_t *tensor = json_array_get(tensors, i);
        AUTO(free_pointer) char *layer = layer_text(tensor);
        size_t cell = label_of(&rows, layer) * columns.count +
                      label_of(&columns, kind_text(tensor));

        values[cell] = number_or_nan(at(tensor, "relative", 0));
    }
    st = draw(&rows, &columns, "tensor", title, values, path);
    free(rows.items);
    free(columns.items);
    return st;
}

struct status inspect_draw(const json_t *report, const char *path)
{
    const json_t *models = json_object_get(report, "models");
    const char *base = json_text_or(report, "base", "?");
    const char *first = json_text_or(json_array_get(models, 0), "model", "?");
    bool one = json_array_size(models) == 1;
    AUTO(free_pointer)
    char *title =
        one ? xasprintf("%s against %s", first, base)
            : xasprintf("%zu fine-tunes of %s", json_array_size(models), base);

    return one ? draw_kinds(report, title, path)
               : draw_models(report, title, path);
}
