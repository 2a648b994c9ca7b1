#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/option.h"
#include "sweep/spec_parts.h"

typedef json_t *(*convert)(struct value_env *e, const struct catalog_key *row,
                           const struct yaml_node *node);

static const char *const type_words[] = {
    [KEY_TEXT] = "a text",
    [KEY_WORD] = "a word",
    [KEY_INTEGER] = "an integer",
    [KEY_NUMBER] = "a number",
    [KEY_BOOL] = "true or false",
    [KEY_DURATION] = "a duration such as 90s or 20m",
    [KEY_BYTES] = "a size such as 512MiB or 5GiB",
    [KEY_MODEL] = "a model: a name of `sources`, a URL or $stages.NAME.model",
    [KEY_DATA] = "data: a name of `sources`, a URL or a map",
    [KEY_MAP] = "a map",
    [KEY_MAP_OF] = "a map",
    [KEY_LIST] = "a list",
    [KEY_DEPTH] = "a number, a list over depth or a list of {filter, value}",
    [KEY_ANY] = "anything",
};

static json_t *wrong_type(struct value_env *e, const struct catalog_key *row,
                          const struct yaml_node *node)
{
    struct spec_problem *p =
        problem_add(e->s->problems, PROBLEM_WRONG_TYPE, node->place,
                    "`%.60s` takes %s", e->what, type_words[row->type]);

    problem_suggest(p, "this is %s", yaml_type_name(node));
    return NULL;
}

static json_t *number_json(const struct yaml_node *node)
{
    if (node->type == YAML_INTEGER)
        return json_integer((json_int_t)node->integer);
    if (node->real == floor(node->real) && fabs(node->real) < 9e15)
        return json_integer((json_int_t)node->real);
    return json_real(node->real);
}

static bool is_number(const struct yaml_node *node)
{
    return node->type == YAML_INTEGER || node->type == YAML_REAL;
}

static bool check_range(struct value_env *e, const struct catalog_key *row,
                        double number, struct yaml_place place)
{
    char least[32];
    char most[32];
    char text[32];

    if ((row->least == 0.0 && row->most == 0.0) ||
        (number >= row->least && number <= row->most))
        return true;
    json_format_real(row->least, least, sizeof least);
    json_format_real(row->most, most, sizeof most);
    json_format_real(number, text, sizeof text);
    problem_suggest(problem_add(e->s->problems, PROBLEM_OUT_OF_RANGE, place,
                                "`%.60s` is %s", e->what, text),
                    "it must be %s to %s", least, most);
    return false;
}

static json_t *convert_number(struct value_env *e,
                              const struct catalog_key *row,
                              const struct yaml_node *node)
{
    if (!is_number(node))
        return wrong_type(e, row, node);
    return check_range(e, row, node->real, node->place) ? number_json(node)
                                                        : NULL;
}

static json_t *convert_integer(struct value_env *e,
                               const struct catalog_key *row,
                               const struct yaml_node *node)
{
    json_t *number;

    if (!is_number(node))
        return wrong_type(e, row, node);
    number = number_json(node);
    if (json_is_integer(number) && check_range(e, row, node->real, node->place))
        return number;
    if (!json_is_integer(number))
        (void)wrong_type(e, row, node);
    json_decref(number);
    return NULL;
}

static json_t *convert_bool(struct value_env *e, const struct catalog_key *row,
                            const struct yaml_node *node)
{
    struct spec_problem *p;

    if (node->type == YAML_BOOL)
        return json_boolean(node->boolean);
    (void)wrong_type(e, row, node);
    if (node->type == YAML_TEXT && e->s->problems->count > 0) {
        static const char *const yes[] = { "yes", "Yes", "on", "On", "y" };

        p = &e->s->problems->items[e->s->problems->count - 1];
        for (size_t i = 0; i < COUNT_OF(yes); i++) {
            if (strcmp(node->text, yes[i]) == 0)
                problem_suggest(p, "write true");
        }
        if (strcmp(node->text, "no") == 0 || strcmp(node->text, "off") == 0)
            problem_suggest(p, "write false");
    }
    return NULL;
}

static json_t *convert_measure(struct value_env *e,
                               const struct catalog_key *row,
                               const struct yaml_node *node)
{
    int64_t value = 0;
    struct status st;

    if (node->type != YAML_INTEGER && node->type != YAML_TEXT)
        return wrong_type(e, row, node);
    st = row->type == KEY_DURATION ? option_duration_ms(node->text, &value)
                                   : option_bytes(node->text, &value);
    if (!status_failed(&st))
        return json_integer((json_int_t)value);
    problem_suggest(problem_add(e->s->problems, PROBLEM_BAD_UNIT, node->place,
                                "`%.60s` takes %s", e->what,
                                type_words[row->type]),
                    "%s",
                    row->type == KEY_DURATION ? "units: ms s m h d"
                                              : "units: KiB MiB GiB TiB, "
                                                "KB MB GB TB");
    return NULL;
}

static bool is_known_word(const char *text, const char *const *words)
{
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], text) == 0)
            return true;
    }
    return false;
}

static json_t *convert_word(struct value_env *e, const struct catalog_key *row,
                            const struct yaml_node *node)
{
    struct spec_problem *p;

    if (node->text == NULL || node->type == YAML_NULL)
        return wrong_type(e, row, node);
    if (is_known_word(node->text, row->words))
        return json_string(node->text);
    if (e->section != NULL && strcmp(e->section, "strategy") == 0 &&
        is_known_word(node->text, (const char *const[]){
                                      "sobol", "halton", "tpe", "cmaes", "list",
                                      "gp", "nsga2", "external", NULL }))
        p = problem_add(e->s->problems, PROBLEM_LATER, node->place,
                        "strategy `%s` is not in this version", node->text);
    else
        p = problem_add(e->s->problems, PROBLEM_UNKNOWN_WORD, node->place,
                        "unknown %.60s \"%.60s\"", e->what, node->text);
    problem_nearest(p, node->text, row->words);
    problem_known(p, row->words);
    return NULL;
}

/* ---- lists and maps --------------------------------------------------- */

static const struct catalog_key *find_row(const struct catalog_key *keys,
                                          const char *name)
{
    for (; keys != NULL && keys->name != NULL; keys++) {
        if (strcmp(keys->name, name) == 0)
            return keys;
    }
    return NULL;
}

/* The value under a key, with the key's name for messages. */
static json_t *member(struct value_env *e, const struct catalog_key *row,
                      const char *name, struct yaml_place place,
                      const struct yaml_node *node)
{
    const char *what = e->what;
    struct yaml_place owner = e->owner;
    json_t *json;

    e->what = name;
    e->owner = place;
    e->depth++;
    json = spec_value(e, row, node);
    e->depth--;
    e->what = what;
    e->owner = owner;
    return json;
}

static void fill_defaults(struct value_env *e, const struct catalog_key *keys,
                          const struct yaml_node *node, json_t *map)
{
    for (const struct catalog_key *k = keys; k != NULL && k->name != NULL;
         k++) {
        bool given =
            e->depth == 0 && e->given != NULL && strcmp(e->given, k->name) == 0;

        if (yaml_get(node, k->name) != NULL || given)
            continue;
        if (k->required)
            problem_suggest(
                problem_add(e->s->problems, PROBLEM_MISSING_KEY, e->owner,
                            "`%.60s` is missing from `%.60s`", k->name,
                            e->what),
                "add %s: ...%s%s", k->name, k->help != NULL ? "  # " : "",
                k->help != NULL ? k->help : "");
        else if (k->otherwise != NULL)
            (void)json_object_set_new(
                map, k->name, json_loads(k->otherwise, JSON_DECODE_ANY, NULL));
    }
}

static bool is_skipped(const struct value_env *e, const char *name)
{
    for (size_t i = 0;
         e->depth == 0 && e->skipped != NULL && e->skipped[i] != NULL; i++) {
        if (strcmp(e->skipped[i], name) == 0)
            return true;
    }
    return false;
}

static json_t *convert_map(struct value_env *e, const struct catalog_key *row,
                           const struct yaml_node *node)
{
    const char *section = e->depth == 0 ? e->section : NULL;
    json_t *map;

    if (node->type != YAML_MAP)
        return wrong_type(e, row, node);
    map = json_object();
    for (size_t i = 0; i < node->count; i++) {
        const struct yaml_pair *pair = &node->pairs[i];
        const struct catalog_key *found = find_row(row->keys, pair->key->text);
        json_t *value;

        if (is_skipped(e, pair->key->text))
            continue;
        if (found == NULL) {
            spec_unknown_key(e->s, section, row->keys, pair->key);
            continue;
        }
        value = member(e, found, found->name, pair->key->place, pair->value);
        if (value != NULL)
            (void)json_object_set_new(map, found->name, value);
    }
    fill_defaults(e, row->keys, node, map);
    return map;
}

static json_t *convert_map_of(struct value_env *e,
                              const struct catalog_key *row,
                              const struct yaml_node *node)
{
    json_t *map;

    if (node->type != YAML_MAP)
        return wrong_type(e, row, node);
    map = json_object();
    for (size_t i = 0; i < node->count; i++) {
        const struct yaml_pair *pair = &node->pairs[i];
        json_t *value;

        if (pair->key->text[0] == '$') {
            problem_add(e->s->problems, PROBLEM_BAD_REFERENCE, pair->key->place,
                        "a key cannot be a reference");
            continue;
        }
        value = member(e, row->keys, pair->key->text, pair->key->place,
                       pair->value);
        if (value != NULL)
            (void)json_object_set_new(map, pair->key->text, value);
    }
    return map;
}

static json_t *convert_list(struct value_env *e, const struct catalog_key *row,
                            const struct yaml_node *node)
{
    json_t *list;

    if (node->type != YAML_LIST)
        return wrong_type(e, row, node);
    list = json_array();
    for (size_t i = 0; i < node->count; i++) {
        json_t *value = member(e, row->keys, e->what, node->items[i]->place,
                               node->items[i]);

        if (value != NULL)
            (void)json_array_append_new(list, value);
    }
    return list;
}

static json_t *convert_any(struct value_env *e, const struct catalog_key *row,
                           const struct yaml_node *node)
{
    static const struct catalog_key any[] = {
        { .name = "*", .type = KEY_ANY },
        { .name = NULL },
    };
    const struct catalog_key inner = { .name = row->name, .keys = any };

    if (node->type == YAML_MAP)
        return convert_map_of(e, &inner, node);
    if (node->type == YAML_LIST)
        return convert_list(e, &inner, node);
    return yaml_json(node);
}

/* A filter item, or a place over depth; both may hold references. */
static json_t *convert_depth(struct value_env *e, const struct catalog_key *row,
                             const struct yaml_node *node)
{
    const struct catalog_key item_keys[] = {
        { .name = "filter", .type = KEY_TEXT },
        { .name = "value",
          .type = KEY_DEPTH,
          .required = true,
          .words = row->words,
          .least = row->least,
          .most = row->most },
        { .name = NULL },
    };
    const struct catalog_key number[] = {
        { .name = "*",
          .type = KEY_DEPTH,
          .words = row->words,
          .least = row->least,
          .most = row->most },
        { .name = NULL },
    };
    const struct catalog_key list = { .name = row->name, .keys = number };
    const struct catalog_key item = { .name = row->name,
                                      .keys = item_keys,
                                      .type = KEY_MAP };
    const struct catalog_key flag = { .name = row->name, .type = KEY_BOOL };

    if (node->type == YAML_BOOL)
        return json_boolean(node->boolean);
    if (node->type == YAML_LIST)
        return convert_list(e, &list, node);
    if (node->type == YAML_MAP && e->depth > 0)
        return convert_map(e, &item, node);
    return row->words != NULL ? convert_bool(e, &flag, node)
                              : convert_number(e, row, node);
}

/* ---- models and data -------------------------------------------------- */

/* Does the stage give what stands behind its name, and the key take that? */
static bool check_given(struct value_env *e, const struct catalog_key *row,
                        const struct yaml_node *node,
                        const struct spec_stage *stage, bool data)
{
    bool gives = stage->kind->gives_data;
    struct spec_problem *p;

    if (row->type != KEY_ANY && gives != (row->type == KEY_DATA)) {
        problem_add(e->s->problems, PROBLEM_BAD_REFERENCE, node->place,
                    "`%.60s` takes %s; the stage `%.60s` gives %s", e->what,
                    gives ? "a model" : "data", stage->name,
                    gives ? "data" : "a model");
        return false;
    }
    if (gives == data)
        return true;
    p = problem_add(e->s->problems, PROBLEM_BAD_REFERENCE, node->place,
                    "the stage `%.60s` gives %s", stage->name,
                    gives ? "data, not a model" : "a model, not data");
    problem_suggest(p, "write $stages.%.60s.%s", stage->name,
                    gives ? "data" : "model");
    return false;
}

/* $stages.NAME.model; `name` is what follows the dollar. */
static json_t *stage_json(struct value_env *e, const struct catalog_key *row,
                          const struct yaml_node *node, const char *name)
{
    const char *start = name + strlen("stages.");
    const char *end = strchr(start, '.');
    const char *names[LIMIT_STAGES + 1] = { NULL };
    AUTO(free_pointer) char *stage = NULL;
    struct spec_problem *p;

    if (end == NULL ||
        (strcmp(end, ".model") != 0 && strcmp(end, ".data") != 0)) {
        p = problem_add(e->s->problems, PROBLEM_BAD_REFERENCE, node->place,
                        "$%.80s says not what it wants of the stage", name);
        problem_suggest(p, "write $stages.NAME.model or $stages.NAME.data");
        return NULL;
    }
    stage = xstrndup(start, (size_t)(end - start));
    for (size_t i = 0; i < e->s->stage_count; i++) {
        names[i] = e->s->stages[i].name;
        if (strcmp(names[i], stage) != 0)
            continue;
        return check_given(e, row, node, &e->s->stages[i],
                           strcmp(end, ".data") == 0)
                   ? json_pack("{s:s}", "$stage", stage)
                   : NULL;
    }
    p = problem_add(e->s->problems, PROBLEM_UNKNOWN_STAGE, node->place,
                    "there is no stage `%.60s`", stage);
    problem_nearest(p, stage, names);
    problem_known(p, names);
    return NULL;
}

static json_t *convert_source(struct value_env *e,
                              const struct catalog_key *row,
                              const struct yaml_node *node)
{
    if (row->type == KEY_DATA && node->type == YAML_MAP && row->keys != NULL)
        return convert_map(e, row, node);
    if (node->type != YAML_TEXT)
        return wrong_type(e, row, node);
    if (row->words != NULL && is_known_word(node->text, row->words))
        return json_string(node->text);
    return spec_source_value(e->s, node->text, node->place);
}

static json_t *convert_text(struct value_env *e, const struct catalog_key *row,
                            const struct yaml_node *node)
{
    if (node->text == NULL || node->type == YAML_NULL)
        return wrong_type(e, row, node);
    return json_string(node->text);
}

static const convert converts[] = {
    [KEY_TEXT] = convert_text,       [KEY_WORD] = convert_word,
    [KEY_INTEGER] = convert_integer, [KEY_NUMBER] = convert_number,
    [KEY_BOOL] = convert_bool,       [KEY_DURATION] = convert_measure,
    [KEY_BYTES] = convert_measure,   [KEY_MODEL] = convert_source,
    [KEY_DATA] = convert_source,     [KEY_MAP] = convert_map,
    [KEY_MAP_OF] = convert_map_of,   [KEY_LIST] = convert_list,
    [KEY_DEPTH] = convert_depth,     [KEY_ANY] = convert_any,
};

/* ---- references ------------------------------------------------------- */

/* These stay {"$param"} in the template; any other type of key decides what
 * the job gets, so its parameter is fixed in a variant. */
static bool stays_open(enum key_type type)
{
    return type == KEY_TEXT || type == KEY_WORD || type == KEY_INTEGER ||
           type == KEY_NUMBER || type == KEY_BOOL || type == KEY_DEPTH ||
           type == KEY_ANY;
}

static const struct binding *find_binding(const struct value_env *e,
                                          const struct declared *d)
{
    for (size_t i = 0; i < e->binding_count; i++) {
        if (e->bindings[i].declared == d)
            return &e->bindings[i];
    }
    return NULL;
}

static void want(struct value_env *e, struct declared *d)
{
    for (size_t i = 0; i < e->wanted_count; i++) {
        if (e->wanted[i] == d)
            return;
    }
    if (e->wanted_count < SPEC_MOST_BINDINGS + 1)
        e->wanted[e->wanted_count++] = d;
}

static bool was_checked(struct spec *s, const struct catalog_key *row,
                        const struct declared *d)
{
    for (size_t i = 0; i < s->checked_count; i++) {
        const struct catalog_key *r = &s->checked[i].row;

        if (s->checked[i].declared == d && r->type == row->type &&
            r->words == row->words && r->least == row->least &&
            r->most == row->most)
            return true;
    }
    s->checked =
        xrealloc(s->checked, (s->checked_count + 1) * sizeof *s->checked);
    s->checked[s->checked_count++] = (struct checked){ *row, d };
    return false;
}

static void check_interval(struct value_env *e, const struct catalog_key *row,
                           const struct domain *domain)
{
    bool integers = row->type == KEY_INTEGER;

    if (!integers && row->type != KEY_NUMBER && row->type != KEY_DEPTH &&
        row->type != KEY_ANY && row->type != KEY_TEXT) {
        (void)wrong_type(e, row, domain->node);
        return;
    }
    if (integers && !domain->integer) {
        (void)wrong_type(e, row, domain->node);
        return;
    }
    if (check_range(e, row, domain->least, domain->node->place))
        (void)check_range(e, row, domain->most, domain->node->place);
}

/* Each listed value must do for the key; the problem is at the value and
 * tells where it is used. */
static void check_domains(struct value_env *e, const struct catalog_key *row,
                          const struct declared *d,
                          const struct yaml_node *node)
{
    struct value_env plain = { .s = e->s, .what = e->what, .owner = e->owner };
    size_t before = e->s->problems->count;

    if (was_checked(e->s, row, d))
        return;
    for (size_t i = 0; i < d->domain_count; i++) {
        const struct domain *domain = &d->domains[i];

        if (domain->nodes == NULL)
            check_interval(&plain, row, domain);
        for (size_t j = 0; domain->nodes != NULL && j < domain->count; j++) {
            if (domain->nodes[j]->type != YAML_NULL)
                json_decref(spec_value(&plain, row, domain->nodes[j]));
        }
    }
    for (size_t i = before; i < e->s->problems->count; i++) {
        struct spec_problem *p = &e->s->problems->items[i];

        if (p->note[0] == '\0')
            problem_note(p, "used for `%.60s` at %.60s:%u:%u", e->what,
                         e->s->input->file, node->place.line,
                         node->place.column);
    }
}

static bool is_never_present(const struct value_env *e,
                             const struct declared *d)
{
    for (size_t room = 0; room < spec_rooms(e->s); room++) {
        if ((e->rooms == NULL || e->rooms[room]) && spec_presence(d, room) != 0)
            return false;
    }
    return true;
}

static json_t *open_reference(struct value_env *e,
                              const struct catalog_key *row, struct declared *d,
                              const struct yaml_node *node)
{
    if (d->sort == DECLARED_PARAMETER)
        check_domains(e, row, d, node);
    if (e->wanted != NULL || is_never_present(e, d))
        return NULL;
    if (row->type == KEY_TEXT)
        return json_pack("{s:[{s:s}]}", "$text", "$param", d->name);
    return json_pack("{s:s}", "$param", d->name);
}

/* The value of a binding is as if it stood there itself. */
static json_t *bound_value(struct value_env *e, const struct catalog_key *row,
                           const struct yaml_node *value)
{
    bool references = e->references;
    json_t *json;

    if (value == NULL || value->type == YAML_NULL)
        return NULL;
    e->references = false;
    json = spec_value(e, row, value);
    e->references = references;
    return json;
}

static json_t *reference(struct value_env *e, const struct catalog_key *row,
                         const struct yaml_node *node, const char *name)
{
    struct declared *d = spec_find(e->s, name);
    const struct binding *binding;

    if (strncmp(name, "stages.", strlen("stages.")) == 0) {
        if (row->type != KEY_MODEL && row->type != KEY_DATA &&
            row->type != KEY_ANY)
            return wrong_type(e, row, node);
        return stage_json(e, row, node, name);
    }
    if (d == NULL) {
        spec_undeclared(e->s, node->place, name, "$");
        return NULL;
    }
    d->used = true;
    binding = find_binding(e, d);
    if (binding != NULL)
        return bound_value(e, row, binding->node);
    if (stays_open(row->type))
        return open_reference(e, row, d, node);
    if (e->wanted != NULL)
        want(e, d);
    return NULL;
}

static void refuse_reference(struct value_env *e, const struct yaml_node *node)
{
    problem_suggest(problem_add(e->s->problems, PROBLEM_BAD_REFERENCE,
                                node->place, "no reference may stand here"),
                    "references belong into a body or an evaluator");
}

/* ---- longer texts ----------------------------------------------------- */

static json_t *part_json(struct value_env *e, const struct yaml_node *node,
                         const struct text_part *part, bool *ret_absent)
{
    struct declared *d;
    const struct binding *binding;

    if (!part->is_name)
        return json_string(part->text);
    if (spec_is_runtime_name(part->text) &&
        spec_find(e->s, part->text) == NULL) {
        AUTO(free_pointer) char *again = xasprintf("${%s}", part->text);

        return json_string(again);
    }
    d = spec_find(e->s, part->text);
    if (d == NULL) {
        spec_undeclared(e->s, node->place, part->text, "$");
        return NULL;
    }
    if (!e->references) {
        refuse_reference(e, node);
        return NULL;
    }
    d->used = true;
    binding = find_binding(e, d);
    if (binding != NULL) {
        *ret_absent = binding->node == NULL || binding->node->text == NULL;
        return *ret_absent ? NULL : json_string(binding->node->text);
    }
    if (is_never_present(e, d))
        *ret_absent = true;
    return json_pack("{s:s}", "$param", d->name);
}

/* Parts as a list of texts and {"$param"}; NULL: a problem, or inactive. */
static json_t *parts_json(struct value_env *e, const struct yaml_node *node,
                          const struct text_parts *parts)
{
    json_t *list = json_array();
    bool absent = false;

    for (size_t i = 0; i < parts->count; i++) {
        json_t *part = part_json(e, node, &parts->items[i], &absent);

        if (part == NULL || absent) {
            json_decref(part);
            json_decref(list);
            return NULL;
        }
        (void)json_array_append_new(list, part);
    }
    return list;
}

/* All parts are texts: they make one; else NULL. */
static char *joined(const json_t *parts)
{
    char *text = xstrdup("");

    for (size_t i = 0; i < json_array_size(parts); i++) {
        const char *part = json_string_value(json_array_get(parts, i));
        char *longer = part == NULL ? NULL : xasprintf("%s%s", text, part);

        free(text);
        text = longer;
        if (text == NULL)
            return NULL;
    }
    return text;
}

static void want_parts(struct value_env *e, const struct text_parts *parts)
{
    for (size_t i = 0; i < parts->count; i++) {
        struct declared *d = parts->items[i].is_name
                                 ? spec_find(e->s, parts->items[i].text)
                                 : NULL;

        if (d != NULL && find_binding(e, d) == NULL)
            want(e, d);
    }
}

static json_t *text_value(struct value_env *e, const struct catalog_key *row,
                          const struct yaml_node *node)
{
    struct yaml_node plain = *node;
    struct text_parts parts;
    AUTO(json_release) json_t *list = NULL;
    AUTO(free_pointer) char *text = NULL;
    bool is_open = row->type == KEY_TEXT || row->type == KEY_ANY;

    if (!spec_text_parts(e->s, node, &parts))
        return NULL;
    if (e->wanted != NULL && !is_open)
        want_parts(e, &parts);
    list = parts_json(e, node, &parts);
    spec_text_release(&parts);
    if (list == NULL)
        return NULL;
    text = joined(list);
    if (text == NULL)
        return is_open ? json_pack("{s:O}", "$text", list) : NULL;
    plain.text = text;
    return converts[row->type](e, row, &plain);
}

json_t *spec_value(struct value_env *e, const struct catalog_key *row,
                   const struct yaml_node *node)
{
    AUTO(free_pointer) char *name = NULL;

    if (node->type != YAML_TEXT || strchr(node->text, '$') == NULL)
        return converts[row->type](e, row, node);
    name = spec_whole_reference(node);
    if (name != NULL &&
        (!spec_is_runtime_name(name) || spec_find(e->s, name) != NULL)) {
        if (e->references)
            return reference(e, row, node, name);
        problem_suggest(problem_add(e->s->problems, PROBLEM_BAD_REFERENCE,
                                    node->place, "no reference may stand here"),
                        "references belong into a body or an evaluator");
        return NULL;
    }
    return text_value(e, row, node);
}

json_t *spec_section(struct spec *s, const char *name,
                     const struct catalog_key *keys,
                     const struct yaml_pair *pair)
{
    struct value_env e = {
        .s = s, .what = name, .owner = pair->key->place, .section = name
    };
    const struct catalog_key row = { .name = name,
                                     .type = KEY_MAP,
                                     .keys = keys };

    return spec_value(&e, &row, pair->value);
}
