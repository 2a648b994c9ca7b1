#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "sweep/spec_parts.h"

/* A text of one line without escapes: its characters are those of the file. */
static bool is_as_written(const struct yaml_node *node)
{
    size_t quotes = node->quoted ? 2 : 0;
    size_t length = 0;

    for (const char *p = node->text; *p != '\0'; p++)
        length += ((unsigned char)*p & 0xC0) == 0x80 ? 0 : 1;
    return node->place.line > 0 && node->place.length == length + quotes;
}

struct yaml_place spec_expr_place(const struct yaml_node *node,
                                  struct expr_place place)
{
    struct yaml_place at = node->place;

    if (!is_as_written(node))
        return at;
    at.column += place.column - 1 + (node->quoted ? 1 : 0);
    at.length = place.length;
    return at;
}

struct expr *spec_parse_expr(struct spec *s, const struct yaml_node *node)
{
    struct expr *e = NULL;
    struct expr_place place = { 1, 1 };
    struct status st;

    if (node->text == NULL || node->type == YAML_NULL) {
        problem_suggest(problem_add(s->problems, PROBLEM_WRONG_TYPE,
                                    node->place, "an expression is a text"),
                        "this is %s", yaml_type_name(node));
        return NULL;
    }
    st = expr_parse(node->text, &e, &place);
    if (!status_failed(&st))
        return e;
    problem_add(s->problems, PROBLEM_BAD_EXPRESSION,
                spec_expr_place(node, place), "%s", st.message);
    return NULL;
}

/* All texts that `d` can be; NULL when it can be anything else. */
static const char **text_values(const struct declared *d)
{
    const char **texts = NULL;
    size_t count = 0;

    if (d->sort != DECLARED_PARAMETER && d->sort != DECLARED_CASE)
        return NULL;
    for (size_t i = 0; i < d->domain_count; i++)
        count += d->domains[i].count;
    texts = xcalloc(count + 1, sizeof *texts);
    count = 0;
    for (size_t i = 0; i < d->domain_count; i++) {
        const struct domain *domain = &d->domains[i];

        for (size_t j = 0; j < domain->count; j++) {
            if (domain->nodes[j]->type == YAML_TEXT)
                texts[count++] = domain->nodes[j]->text;
        }
    }
    if (count == 0) {
        free(texts);
        return NULL;
    }
    return texts;
}

static bool is_listed(const char *const *words, const char *text)
{
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], text) == 0)
            return true;
    }
    return false;
}

/* `method == tise`: a word must be a value of what it is compared with. */
static bool check_word(struct spec *s, const struct yaml_node *node,
                       struct expr_name name)
{
    const struct declared *d =
        name.against == NULL ? NULL : spec_find(s, name.against);
    AUTO(free_pointer) const char **words = NULL;
    struct spec_problem *p;

    if (d == NULL)
        return name.quoted;
    words = text_values(d);
    if (words == NULL || is_listed(words, name.text))
        return true;
    p = problem_add(s->problems, PROBLEM_UNKNOWN_WORD,
                    spec_expr_place(node, name.place),
                    "`%.60s` is never \"%.60s\"", name.against, name.text);
    problem_nearest(p, name.text, words);
    problem_known(p, words);
    return true;
}

static void check_names(struct spec *s, const struct yaml_node *node,
                        const struct expr *e)
{
    for (size_t i = 0; i < expr_name_count(e); i++) {
        struct expr_name name = expr_name(e, i);
        struct declared *d = name.quoted ? NULL : spec_find(s, name.text);

        if (d != NULL)
            d->used = true;
        else if (!name.word || !check_word(s, node, name))
            spec_undeclared(s, spec_expr_place(node, name.place), name.text,
                            "");
    }
}

static bool check_expr(struct spec *s, const struct yaml_node *node)
{
    struct expr *e = spec_parse_expr(s, node);

    if (e == NULL)
        return false;
    check_names(s, node, e);
    expr_free(e);
    return true;
}

/* ---- derive ----------------------------------------------------------- */

void spec_read_derive(struct spec *s)
{
    const struct yaml_node *map = yaml_get(s->root, "derive");

    if (map == NULL)
        return;
    if (map->type != YAML_MAP) {
        problem_suggest(problem_add(s->problems, PROBLEM_WRONG_TYPE, map->place,
                                    "`derive` takes a map"),
                        "as in density: 1 - drop_rate");
        return;
    }
    for (size_t i = 0; i < map->count; i++) {
        const struct yaml_node *key = map->pairs[i].key;

        if (!spec_check_name(s, key, "a derived value", true))
            continue;
        if (spec_find(s, key->text) != NULL) {
            problem_add(s->problems, PROBLEM_DECLARED_TWICE, key->place,
                        "`%.60s` is declared twice", key->text);
            continue;
        }
        (void)spec_declare(s, key->text, key->place, DECLARED_DERIVED);
    }
}

static void write_derive(struct spec *s)
{
    const struct yaml_node *map = yaml_get(s->root, "derive");
    json_t *list = json_array();

    for (size_t i = 0; map != NULL && map->type == YAML_MAP && i < map->count;
         i++) {
        const struct yaml_pair *pair = &map->pairs[i];

        if (check_expr(s, pair->value))
            (void)json_array_append_new(list, json_pack("{s:s, s:s}", "name",
                                                        pair->key->text, "expr",
                                                        pair->value->text));
    }
    if (json_array_size(list) > 0)
        (void)json_object_set_new(s->document, "derive", list);
    else
        json_decref(list);
}

/* ---- constraints and when --------------------------------------------- */

static void add_constraint(struct spec *s, const struct yaml_node *node,
                           json_t *list)
{
    if (check_expr(s, node))
        (void)json_array_append_new(list, json_string(node->text));
}

static void write_constraints(struct spec *s)
{
    const struct yaml_node *node = yaml_get(s->root, "constraints");
    json_t *list;

    if (node == NULL)
        return;
    list = json_array();
    for (size_t i = 0; node->type == YAML_LIST && i < node->count; i++)
        add_constraint(s, node->items[i], list);
    if (node->type != YAML_LIST)
        add_constraint(s, node, list);
    (void)json_object_set_new(s->document, "constraints", list);
}

/* A cycle of derived values and conditions is found when the document is
 * read again; see spec_check.c. */
void spec_read_conditions(struct spec *s)
{
    for (size_t i = 0; i < s->declared_count; i++) {
        for (size_t j = 0; j < s->declared[i].domain_count; j++) {
            const struct yaml_node *when = s->declared[i].domains[j].when;

            if (when != NULL)
                (void)check_expr(s, when);
        }
    }
    write_derive(s);
    write_constraints(s);
}
