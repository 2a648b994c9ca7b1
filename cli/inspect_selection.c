#include "cli/inspect_selection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/inspect_report.h"
#include "cli/plane.h"
#include "common/file.h"
#include "common/limits.h"
#include "common/map.h"
#include "common/memory.h"

enum {
    FILE_LIMIT = 1 << 30,
    PAIRS_SHOWN = 5,
    TEXT_SHOWN = 60, /* bytes of an example */
    WEIGHT_DETAIL = 20,
    WEIGHT_NUMBER = 40,
};

static const char main_file[] = "selection.json";

bool inspect_selection_is(const char *directory)
{
    AUTO(free_pointer) char *path = xasprintf("%s/%s", directory, main_file);

    return file_exists(path);
}

/* ---- reading --------------------------------------------------------------- */

/* How often the same two concepts stood in the way. */
static void count_pair(struct map *counts, const json_t *pair)
{
    AUTO(free_pointer) char *text = json_canonical(pair);
    uintptr_t count = (uintptr_t)map_get_text(counts, text);

    (void)map_put_text(counts, text, (void *)(count + 1));
}

MUST_CHECK static struct status count_pairs(const char *path, const char *text,
                                            size_t size, struct map *counts)
{
    for (size_t at = 0, line = 1; at < size; line++) {
        const char *end = memchr(text + at, '\n', size - at);
        size_t length = end == NULL ? size - at : (size_t)(end - text) - at;
        AUTO(json_release) json_t *one = NULL;

        if (length > 0)
            TRY(json_parse(text + at, length, "a sample", &one), "%s, line %zu",
                path, line);
        if (json_object_get(one, "pair") != NULL)
            count_pair(counts, json_object_get(one, "pair"));
        at += length + 1;
    }
    return SUCCESS;
}

/* The entry that counts most; of equal ones the first. */
static size_t most_of(const struct map *counts)
{
    size_t best = 0;

    for (size_t i = 1; i < map_count(counts); i++)
        if ((uintptr_t)map_at(counts, i, NULL, NULL) >
            (uintptr_t)map_at(counts, best, NULL, NULL))
            best = i;
    return best;
}

MUST_CHECK static struct status add_best(json_t *pairs, struct map *counts)
{
    size_t best = most_of(counts), size;
    AUTO(json_release) json_t *pair = NULL;
    const void *key;
    json_int_t count = (json_int_t)(uintptr_t)map_at(counts, best, &key, &size);

    TRY_PLAIN(json_parse(key, size, "a pair of concepts", &pair));
    (void)map_remove(counts, key, size);
    (void)json_array_append_new(
        pairs, json_pack("{sO sI}", "pair", pair, "samples", count));
    return SUCCESS;
}

MUST_CHECK static struct status add_pairs(const char *directory, json_t *report)
{
    AUTO(free_pointer)
    char *path = xasprintf("%s/rejected.jsonl", directory);
    AUTO(free_pointer) char *text = NULL;
    struct map *counts = NULL;
    json_t *pairs = json_array();
    struct status st;
    size_t size;

    (void)json_object_set_new(report, "pairs", pairs);
    TRY_PLAIN(file_read(path, FILE_LIMIT, &text, &size));
    counts = map_new();
    st = count_pairs(path, text, size, counts);
    for (size_t i = 0;
         i < PAIRS_SHOWN && map_count(counts) > 0 && !status_failed(&st); i++)
        st = add_best(pairs, counts);
    map_free(counts);
    return st;
}

struct status inspect_selection_load(const char *directory, json_t **ret_report)
{
    AUTO(free_pointer) char *path = xasprintf("%s/%s", directory, main_file);
    AUTO(json_release) json_t *report = NULL;

    TRY_PLAIN(json_parse_file(path, FILE_LIMIT, &report));
    if (json_int_or(report, "sinter_selection", 0) != 1)
        return FAIL(STATUS_CORRUPT,
                    "%s is no selection of a form that is known", path);
    TRY_PLAIN(add_pairs(directory, report));
    *ret_report = json_incref(report);
    return SUCCESS;
}

/* ---- tables ---------------------------------------------------------------- */

static void print(const struct cli *cli, struct table *t)
{
    fprintf(cli->out.stream, "\n");
    inspect_print_table(cli, t);
}

static void print_clusters(const struct cli *cli, const json_t *clusters)
{
    struct table *t = table_new();

    table_column(t, "cluster", TABLE_RIGHT, TABLE_ALWAYS);
    table_column(t, "samples", TABLE_RIGHT, TABLE_ALWAYS);
    table_column(t, "degradation", TABLE_RIGHT, TABLE_ALWAYS);
    table_column(t, "share", TABLE_RIGHT, WEIGHT_NUMBER);
    table_column(t, "budget", TABLE_RIGHT, WEIGHT_NUMBER);
    table_column(t, "taken", TABLE_RIGHT, TABLE_ALWAYS);
    table_column(t, "conflicts", TABLE_RIGHT, WEIGHT_DETAIL);
    for (size_t i = 0; i < json_array_size(clusters); i++) {
        const json_t *row = json_array_get(clusters, i);

        table_add_value(t, json_object_get(row, "label"));
        table_add_value(t, json_object_get(row, "size"));
        inspect_add_real(t, json_object_get(row, "degradation"));
        inspect_add_share(t, json_object_get(row, "share"));
        table_add_value(t, json_object_get(row, "budget"));
        table_add_value(t, json_object_get(row, "taken"));
        table_add_value(t, json_object_get(row, "conflicts"));
    }
    print(cli, t);
}

/* One line of a text, cut between characters. */
static void shorten(const char *text, char *ret_line)
{
    size_t size = strlen(text), used;
    bool cut = size > TEXT_SHOWN;

    used = cut ? TEXT_SHOWN : size;
    while (used > 0 && cut && ((unsigned char)text[used] & 0xC0) == 0x80)
        used--;
    for (size_t i = 0; i < used; i++)
        ret_line[i] = text[i];
    for (size_t i = 0; i < used; i++)
        if ((unsigned char)ret_line[i] < ' ')
            ret_line[i] = ' ';
    (void)snprintf(ret_line + used, 4, "%s", cut ? "..." : "");
}

static void print_examples(const struct cli *cli, const json_t *clusters)
{
    struct table *t = table_new();

    table_column(t, "cluster", TABLE_RIGHT, TABLE_ALWAYS);
    table_column(t, "sample", TABLE_RIGHT, TABLE_ALWAYS);
    table_column(t, "nearest to its middle", TABLE_TEXT, TABLE_ALWAYS);
    for (size_t i = 0; i < json_array_size(clusters); i++) {
        const json_t *row = json_array_get(clusters, i);
        const json_t *nearest = json_object_get(row, "nearest");

        for (size_t j = 0; j < json_array_size(nearest); j++) {
            const json_t *one = json_array_get(nearest, j);
            char line[TEXT_SHOWN + 4];

            shorten(json_text_or(one, "text", ""), line);
            table_add_value(t, j == 0 ? json_object_get(row, "label") : NULL);
            table_add_value(t, json_object_get(one, "id"));
            table_add(t, line, NULL);
        }
    }
    print(cli, t);
}

static void print_reasons(const struct cli *cli, const json_t *report)
{
    json_t *reasons = json_object_get(report, "reasons"), *count;
    const json_t *pairs = json_object_get(report, "pairs");
    struct table *t = table_new();
    const char *reason;

    table_column(t, "not selected", TABLE_TEXT, TABLE_ALWAYS);
    table_column(t, "samples", TABLE_RIGHT, TABLE_ALWAYS);
    json_object_foreach(reasons, reason, count)
    {
        table_add(t, reason, NULL);
        table_add_value(t, count);
    }
    for (size_t i = 0; i < json_array_size(pairs); i++) {
        const json_t *row = json_array_get(pairs, i);
        const json_t *pair = json_object_get(row, "pair");
        AUTO(free_pointer)
        char *text = xasprintf("  conflict of \"%.40s\" and \"%.40s\"",
                               json_string_value(json_array_get(pair, 0)),
                               json_string_value(json_array_get(pair, 1)));

        table_add(t, text, NULL);
        table_add_value(t, json_object_get(row, "samples"));
    }
    print(cli, t);
}

static char *title_of(const json_t *report)
{
    const json_t *clusters = json_object_get(report, "clusters");
    AUTO(free_pointer) char *of = NULL;

    of = clusters == NULL
             ? xstrdup("")
             : xasprintf(" from %zu clusters", json_array_size(clusters));
    return xasprintf("%s: %lld of %lld samples%s",
                     json_text_or(report, "method", "?"),
                     (long long)json_int_or(report, "selected", 0),
                     (long long)json_int_or(report, "samples", 0), of);
}

void inspect_selection_print(const struct cli *cli, const json_t *report)
{
    const json_t *clusters = json_object_get(report, "clusters");
    const json_t *notes = json_object_get(report, "notes");
    AUTO(free_pointer) char *title = title_of(report);

    fprintf(cli->out.stream, "%s\n", title);
    if (json_array_size(clusters) > 0) {
        print_clusters(cli, clusters);
        print_examples(cli, clusters);
    }
    if (json_object_size(json_object_get(report, "reasons")) > 0)
        print_reasons(cli, report);
    for (size_t i = 0; i < json_array_size(notes); i++)
        cli_note(cli, "%s", json_string_value(json_array_get(notes, i)));
}

/* ---- picture --------------------------------------------------------------- */

struct points {
    size_t count, clusters;
    double *x, *y;
    size_t *label;
    bool *selected;
    char **legends; /* [clusters] */
};

static void points_release(struct points *p)
{
    for (size_t i = 0; p->legends != NULL && i < p->clusters; i++)
        free(p->legends[i]);
    free(p->legends);
    free(p->x);
    free(p->y);
    free(p->label);
    free(p->selected);
}

MUST_CHECK static struct status read_points(const json_t *plane,
                                            const char *path, struct points *p)
{
    const json_t *x = json_object_get(plane, "x");
    const json_t *y = json_object_get(plane, "y");
    const json_t *label = json_object_get(plane, "cluster");
    const json_t *selected = json_object_get(plane, "selected");

    p->count = json_array_size(x);
    p->x = xcalloc(p->count + 1, sizeof(*p->x));
    p->y = xcalloc(p->count + 1, sizeof(*p->y));
    p->label = xcalloc(p->count + 1, sizeof(*p->label));
    p->selected = xcalloc(p->count + 1, sizeof(*p->selected));
    for (size_t i = 0; i < p->count; i++) {
        json_int_t cluster = json_integer_value(json_array_get(label, i));

        p->x[i] = json_number_value(json_array_get(x, i));
        p->y[i] = json_number_value(json_array_get(y, i));
        p->selected[i] = json_is_true(json_array_get(selected, i));
        if (!json_is_integer(json_array_get(label, i)) || cluster < 0 ||
            (size_t)cluster >= p->clusters)
            return FAIL(STATUS_CORRUPT,
                        "%s: point %zu is of none of the %zu clusters", path, i,
                        p->clusters);
        p->label[i] = (size_t)cluster;
    }
    return SUCCESS;
}

static void write_legends(const json_t *clusters, struct points *p)
{
    p->legends = xcalloc(p->clusters + 1, sizeof(*p->legends));
    for (size_t i = 0; i < p->clusters; i++) {
        const json_t *row = json_array_get(clusters, i);

        p->legends[i] =
            xasprintf("%lld: %lld samples, degradation %.3g, %lld taken",
                      (long long)json_int_or(row, "label", 0),
                      (long long)json_int_or(row, "size", 0),
                      json_real_or(row, "degradation", 0.0),
                      (long long)json_int_or(row, "taken", 0));
    }
}

struct status inspect_selection_draw(const char *directory,
                                     const json_t *report, const char *path)
{
    static const char *const notes[] = {
        "Samples that lie near each other ask for alike things: the two "
        "leading coordinates of the diffusion map.",
        NULL
    };
    AUTO(points_release) struct points p = { .count = 0 };
    AUTO(free_pointer) char *file = xasprintf("%s/plane.json", directory);
    AUTO(free_pointer) char *title = title_of(report);
    AUTO(json_release) json_t *plane = NULL;
    struct plane drawn;

    if (!file_exists(file))
        return FAIL(STATUS_INVALID,
                    "%s: the method %s compares no samples, so there is no "
                    "plane to draw",
                    directory, json_text_or(report, "method", "?"));
    TRY_PLAIN(json_parse_file(file, FILE_LIMIT, &plane));
    p.clusters = json_array_size(json_object_get(report, "clusters"));
    TRY_PLAIN(read_points(plane, file, &p));
    write_legends(json_object_get(report, "clusters"), &p);
    drawn = (struct plane){
        .title = title,
        .notes = notes,
        .count = p.count,
        .x = p.x,
        .y = p.y,
        .clusters = p.label,
        .selected = p.selected,
        .cluster_count = p.clusters,
        .legends = (const char *const *)p.legends,
    };
    return plane_write(&drawn, path);
}
