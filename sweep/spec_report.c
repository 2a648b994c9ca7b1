/* spec_report.c -- the section `report`: names and metrics that exist, cells
 * that hold one value, files of a known form. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "sweep/spec_parts.h"

enum { MOST_NAMES = 16, MOST_FILES = 8, MOST_DIGITS = 9 };

/* One of the maps under `report`. */
struct part {
    struct spec *s;
    const char *name; /* "table" */
    const struct yaml_pair *pair;
    json_t *json;
    const char *named[LIMIT_PARAMETERS]; /* parameters it speaks of */
    size_t named_count;
};

static const struct yaml_node *node_of(const struct part *p, const char *key)
{
    return yaml_get(p->pair->value, key);
}

static struct spec_problem *add_problem(const struct part *p,
                                        const struct yaml_node *node,
                                        const char *message, const char *name)
{
    return problem_add(p->s->problems, PROBLEM_BAD_REPORT, node->place,
                       "report.%s: %s `%.60s`", p->name, message, name);
}

static bool is_named(const struct part *p, const char *name)
{
    for (size_t i = 0; i < p->named_count; i++) {
        if (strcmp(p->named[i], name) == 0)
            return true;
    }
    return false;
}

/* A parameter, derived value or `case`; each stands in one place only. */
static bool check_name(struct part *p, const struct yaml_node *node)
{
    struct declared *d = spec_find(p->s, node->text);

    if (d == NULL) {
        spec_undeclared(p->s, node->place, node->text, "");
        return false;
    }
    if (d->sort == DECLARED_SEED) {
        problem_suggest(add_problem(p, node, "no place for", node->text),
                        "replicates are averaged");
        return false;
    }
    if (is_named(p, node->text)) {
        problem_suggest(add_problem(p, node, "twice", node->text),
                        "each parameter has one place");
        return false;
    }
    d->used = d->used || d->sort == DECLARED_DERIVED;
    if (p->named_count < COUNT_OF(p->named))
        p->named[p->named_count++] = node->text;
    return true;
}

static bool check_metric(struct part *p, const struct yaml_node *node)
{
    return spec_check_metric(p->s, node->text, node->place);
}

static bool check_either(struct part *p, const struct yaml_node *node)
{
    return strchr(node->text, '.') != NULL ? check_metric(p, node)
                                           : check_name(p, node);
}

static bool check_ending(const struct part *p, const struct yaml_node *node,
                         const char *const *endings)
{
    const char *dot = strrchr(node->text, '.');
    struct spec_problem *problem;

    for (size_t i = 0; dot != NULL && endings[i] != NULL; i++) {
        if (strcmp(dot, endings[i]) == 0)
            return true;
    }
    problem = problem_add(p->s->problems, PROBLEM_UNKNOWN_WORD, node->place,
                          "report.%s cannot be written as \"%.60s\"", p->name,
                          node->text);
    problem_known(problem, endings);
    return false;
}

static bool check_table_file(struct part *p, const struct yaml_node *node)
{
    static const char *const endings[] = { ".md", ".csv", ".tex", NULL };

    return check_ending(p, node, endings);
}

static bool check_phase_file(struct part *p, const struct yaml_node *node)
{
    static const char *const endings[] = { ".svg", ".pdf", ".png",
                                           ".csv", ".md",  NULL };

    return check_ending(p, node, endings);
}

typedef bool check_item(struct part *p, const struct yaml_node *node);

static void read_item(struct part *p, const char *key,
                      const struct yaml_node *node, check_item *check,
                      json_t *list)
{
    if (node->type != YAML_TEXT)
        problem_suggest(problem_add(p->s->problems, PROBLEM_WRONG_TYPE,
                                    node->place, "`%s` takes names", key),
                        "this is %s", yaml_type_name(node));
    else if (check(p, node))
        (void)json_array_append_new(list, json_string(node->text));
}

/* A name or a list of names becomes a list. */
static void read_list(struct part *p, const char *key, size_t most,
                      check_item *check)
{
    const struct yaml_node *node = node_of(p, key);
    json_t *list;

    if (node == NULL)
        return;
    list = json_array();
    (void)json_object_set_new(p->json, key, list);
    if (node->type != YAML_LIST) {
        read_item(p, key, node, check, list);
        return;
    }
    if (node->count == 0 || node->count > most) {
        problem_add(p->s->problems, PROBLEM_OUT_OF_RANGE, node->place,
                    "`%s` takes 1 to %zu names", key, most);
        return;
    }
    for (size_t i = 0; i < node->count; i++)
        read_item(p, key, node->items[i], check, list);
}

static bool may_vary(const struct declared *d)
{
    size_t values = 0;

    if (d->sort == DECLARED_CASE)
        return true;
    if (d->sort != DECLARED_PARAMETER)
        return false;
    for (size_t i = 0; i < d->domain_count; i++) {
        const struct domain *domain = &d->domains[i];

        if (domain->json == NULL)
            continue; /* the case decides */
        values = domain->nodes == NULL || domain->count > values
                     ? domain->count + (domain->nodes == NULL ? 2 : 0)
                     : values;
    }
    return values > 1;
}

/* A cell must not hold several values for want of a word. */
static void check_rest(const struct part *p, const char *where)
{
    for (size_t i = 0; i < p->s->declared_count; i++) {
        const struct declared *d = &p->s->declared[i];

        if (may_vary(d) && !is_named(p, d->name) &&
            !(d->sort == DECLARED_CASE && p->s->case_count < 2))
            problem_suggest(
                problem_add(p->s->problems, PROBLEM_BAD_REPORT,
                            p->pair->key->place,
                            "report.%s: a cell would hold several values: "
                            "`%.60s` varies and has no place",
                            p->name, d->name),
                "name it in %s", where);
    }
}

/* ---- the table -------------------------------------------------------- */

/* "%.2f": digits and a letter; it is never handed to printf(). */
static void check_format(const struct part *p)
{
    const struct yaml_node *node = node_of(p, "format");
    const char *text = node == NULL ? NULL : node->text;
    bool good;

    if (text == NULL)
        return;
    good = strlen(text) == 4 && text[0] == '%' && text[1] == '.' &&
           text[2] >= '0' && text[2] <= '0' + MOST_DIGITS &&
           strchr("feg", text[3]) != NULL;
    if (!good)
        problem_suggest(problem_add(p->s->problems, PROBLEM_UNKNOWN_WORD,
                                    node->place,
                                    "\"%.40s\" is no format of numbers", text),
                        "as in \"%%.2f\" (digits behind the point), "
                        "\"%%.3g\" (digits)");
}

static bool names_metrics(const json_t *columns)
{
    const char *first = json_string_value(json_array_get(columns, 0));

    return first != NULL && strchr(first, '.') != NULL;
}

static void check_columns(const struct part *p)
{
    const json_t *columns = json_object_get(p->json, "columns");
    const struct yaml_node *cell = node_of(p, "cell");
    bool metrics = names_metrics(columns);

    for (size_t i = 0; i < json_array_size(columns); i++) {
        const char *name = json_string_value(json_array_get(columns, i));

        if ((strchr(name, '.') != NULL) != metrics)
            problem_suggest(
                add_problem(p, node_of(p, "columns"),
                            "parameters and metrics in one list:", name),
                "columns are either");
    }
    if (json_array_size(columns) == 0)
        return;
    if (metrics && cell != NULL)
        problem_suggest(add_problem(p, cell,
                                    "columns are metrics, so there is "
                                    "no room for",
                                    cell->text == NULL ? "" : cell->text),
                        "leave out cell, or name parameters in columns");
    if (!metrics && cell == NULL)
        problem_suggest(problem_add(p->s->problems, PROBLEM_MISSING_KEY,
                                    p->pair->key->place,
                                    "`cell` is missing from `report.table`"),
                        "add cell: a metric, as in wiki.perplexity");
}

/* {from: none, to: full}: values of the last name of `rows`. */
static void check_gap(const struct part *p)
{
    const struct yaml_node *gap = node_of(p, "gap");
    const json_t *columns = json_object_get(p->json, "columns");

    if (gap != NULL && names_metrics(columns))
        problem_suggest(add_problem(p, gap, "only cells have a", "gap"),
                        "name a cell, and parameters in columns");
}

static void read_table(struct part *p)
{
    read_list(p, "rows", MOST_NAMES, check_name);
    read_list(p, "columns", MOST_NAMES, check_either);
    read_list(p, "best_over", MOST_NAMES, check_name);
    read_list(p, "beside", MOST_NAMES, check_metric);
    read_list(p, "files", MOST_FILES, check_table_file);
    if (node_of(p, "cell") != NULL && node_of(p, "cell")->text != NULL)
        (void)check_metric(p, node_of(p, "cell"));
    check_columns(p);
    check_format(p);
    check_gap(p);
    check_rest(p, "rows, columns or best_over");
    if (node_of(p, "best_over") != NULL &&
        yaml_get(p->s->root, "objective") == NULL)
        problem_suggest(add_problem(p, node_of(p, "best_over"),
                                    "the best needs an", "objective"),
                        "add objective: {metric: ..., goal: ...}");
}

/* ---- the phase diagram ------------------------------------------------- */

static void read_axis(struct part *p, const char *key)
{
    const struct yaml_node *node = node_of(p, key);

    if (node != NULL && node->type == YAML_TEXT)
        (void)check_name(p, node);
}

static void check_default(const struct part *p)
{
    const struct yaml_node *node = node_of(p, "default");
    const struct yaml_node *y = node_of(p, "y");
    const struct declared *d =
        y == NULL || y->text == NULL ? NULL : spec_find(p->s, y->text);
    AUTO(json_release) json_t *wanted = NULL;

    if (node == NULL || d == NULL || d->sort != DECLARED_PARAMETER)
        return;
    wanted = yaml_json(node);
    for (size_t i = 0; i < d->domain_count; i++) {
        const struct domain *domain = &d->domains[i];

        for (size_t j = 0; j < domain->count; j++) {
            AUTO(json_release) json_t *value = yaml_json(domain->nodes[j]);

            if (json_equal(value, wanted))
                return;
        }
    }
    problem_suggest(add_problem(p, node, "no such value of", d->name),
                    "`default` is the temperature to start from");
}

static void read_phase(struct part *p)
{
    enum { MOST_MAPS = 3 };
    const struct yaml_node *dense = node_of(p, "dense");

    read_axis(p, "x");
    read_axis(p, "y");
    read_list(p, "over", MOST_NAMES, check_name);
    read_list(p, "maps", MOST_MAPS, check_metric);
    read_list(p, "files", MOST_FILES, check_phase_file);
    if (dense != NULL && dense->text != NULL)
        (void)check_metric(p, dense);
    check_default(p);
    check_rest(p, "x, y or over");
}

/* ---- both -------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*read)(struct part *p);
} parts[] = {
    { "table", read_table },
    { "phase", read_phase },
};

static json_t *read_part(struct spec *s, size_t i, const struct yaml_pair *pair)
{
    AUTO(free_pointer) char *section = xasprintf("report.%s", parts[i].name);
    struct part p = { .s = s, .name = parts[i].name, .pair = pair };

    p.json = spec_section(s, section, spec_section_keys(section), pair);
    if (p.json != NULL)
        parts[i].read(&p);
    return p.json;
}

void spec_read_report(struct spec *s)
{
    const struct yaml_pair *pair = yaml_find(s->root, "report");
    AUTO(json_release) json_t *whole = NULL;
    json_t *report;

    if (pair == NULL)
        return;
    whole = spec_section(s, "report", spec_section_keys("report"), pair);
    if (whole == NULL)
        return;
    report = json_object();
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        const struct yaml_pair *part = yaml_find(pair->value, parts[i].name);
        json_t *json = part == NULL ? NULL : read_part(s, i, part);

        if (json != NULL)
            (void)json_object_set_new(report, parts[i].name, json);
    }
    (void)json_object_set_new(s->document, "report", report);
}
