#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/memory.h"
#include "sweep/spec_parts.h"

/* ---- --set NAME=VALUE ------------------------------------------------- */

/* Line 0 says "override", the column which one. */
static void move_places(struct yaml_node *node, struct yaml_place place)
{
    node->place = place;
    for (size_t i = 0; i < node->count; i++)
        move_places(node->type == YAML_LIST ? node->items[i]
                                            : node->pairs[i].value,
                    place);
}

static struct yaml_node *override_value(struct spec *s, const char *text,
                                        struct yaml_place place)
{
    struct yaml *y = NULL;
    struct yaml_place inside;
    struct status st;

    if (*text == '\0')
        return yaml_new_scalar(s->yaml, "", place);
    if (s->extra_count == COUNT_OF(s->extra)) {
        problem_add(s->problems, PROBLEM_TOO_MANY, place,
                    "more than %zu overrides", COUNT_OF(s->extra));
        return NULL;
    }
    st = yaml_parse(text, strlen(text), &y, &inside);
    if (status_failed(&st)) {
        problem_add(s->problems, PROBLEM_SYNTAX, place,
                    "the value of --set is not YAML: %.150s", st.message);
        return NULL;
    }
    s->extra[s->extra_count++] = y;
    move_places(yaml_root(y), place);
    return yaml_root(y);
}

static bool replace(struct spec *s, struct yaml_node *map, const char *name,
                    struct yaml_node *value)
{
    if (yaml_get(map, name) == NULL)
        return false;
    yaml_set(s->yaml, map, name, value->place, value);
    return true;
}

/* A parameter of the file or of any case, wherever it is declared. */
static bool replace_parameter(struct spec *s, const char *name,
                              struct yaml_node *value)
{
    const struct yaml_node *cases = yaml_get(s->root, "cases");
    bool done = replace(s, yaml_get(s->root, "vars"), name, value);

    if (replace(s, yaml_get(s->root, "parameters"), name, value))
        done = true;
    for (size_t i = 0;
         cases != NULL && cases->type == YAML_MAP && i < cases->count; i++) {
        struct yaml_node *one = cases->pairs[i].value;

        if (replace(s, yaml_get(one, "parameters"), name, value))
            done = true;
        if (replace(s, yaml_get(one, "set"), name, value))
            done = true;
    }
    return done;
}

/* a.b.c=VALUE: maps on the way must be there, or be the first of the file
 * that are made. */
static bool replace_path(struct spec *s, char *path, struct yaml_node *value)
{
    struct yaml_node *map = s->root;
    char *dot;

    while ((dot = strchr(path, '.')) != NULL) {
        struct yaml_node *next;

        *dot = '\0';
        next = yaml_get(map, path);
        if (next == NULL && map == s->root && spec_section_keys(path) != NULL) {
            next = yaml_new_map(s->yaml, value->place);
            yaml_set(s->yaml, map, path, value->place, next);
        }
        if (next == NULL || next->type != YAML_MAP)
            return false;
        map = next;
        path = dot + 1;
    }
    if (map == s->root && yaml_get(map, path) == NULL &&
        spec_section_keys(path) == NULL && strcmp(path, "name") != 0 &&
        strcmp(path, "priority") != 0 && strcmp(path, "weight") != 0)
        return false;
    yaml_set(s->yaml, map, path, value->place, value);
    return true;
}

static void apply_override(struct spec *s, const char *text,
                           struct yaml_place place)
{
    const char *equals = strchr(text, '=');
    AUTO(free_pointer)
    char *name =
        equals == NULL ? NULL : xstrndup(text, (size_t)(equals - text));
    struct yaml_node *value;

    if (name == NULL || *name == '\0') {
        problem_suggest(problem_add(s->problems, PROBLEM_BAD_OVERRIDE, place,
                                    "--set takes NAME=VALUE"),
                        "as in --set lambda=0.5");
        return;
    }
    value = override_value(s, equals + 1, place);
    if (value == NULL || replace_parameter(s, name, value) ||
        replace_path(s, name, value))
        return;
    problem_suggest(problem_add(s->problems, PROBLEM_BAD_OVERRIDE, place,
                                "--set names nothing of this file"),
                    "a variable, a parameter, or a path such as "
                    "strategy.trials");
}

void spec_apply_overrides(struct spec *s)
{
    for (size_t i = 0; i < s->input->override_count; i++) {
        const char *text = s->input->overrides[i].text;
        struct yaml_place place = { .line = 0,
                                    .column = (uint32_t)i + 1,
                                    .length = (uint32_t)strlen(text) };

        apply_override(s, text, place);
    }
}

/* ---- vars ------------------------------------------------------------- */

struct vars {
    struct spec *s;
    const struct yaml_node *map;
    size_t known; /* variables that may be used here: those before */
    bool *used;
    size_t steps; /* nodes visited: bounds the work on shared nodes */
    size_t bytes; /* of texts made */
    bool stopped; /* too large: a problem was added */
};

static void stop(struct vars *v, const struct yaml_node *node,
                 const char *message)
{
    if (!v->stopped)
        problem_add(v->s->problems, PROBLEM_TOO_MANY, node->place, "%s",
                    message);
    v->stopped = true;
}

static struct yaml_node *find_var(struct vars *v, const char *name)
{
    for (size_t i = 0; i < v->known; i++) {
        if (strcmp(v->map->pairs[i].key->text, name) == 0) {
            v->used[i] = true;
            return v->map->pairs[i].value;
        }
    }
    return NULL;
}

/* ${name} of variables inside a longer text; everything else is left. NULL:
 * no variable in it, or a problem. */
static struct yaml_node *expand_text(struct vars *v,
                                     const struct yaml_node *node)
{
    const char *text = node->text;
    const char *start;
    bool found = false;
    struct buf out;
    struct status st = SUCCESS;
    struct yaml_node *made = NULL;

    buf_init(&out, LIMIT_SPEC - v->bytes);
    while ((start = strstr(text, "${")) != NULL && !status_failed(&st)) {
        size_t length = strcspn(start + 2, "}");
        AUTO(free_pointer) char *name = xstrndup(start + 2, length);
        const struct yaml_node *var = find_var(v, name);
        bool is_escaped = start > text && start[-1] == '$';
        bool fits = var != NULL && var->text != NULL && !is_escaped &&
                    start[2 + length] == '}';
        size_t taken = fits ? length + 3 : 2;

        found = found || fits;
        st = buf_add(&out, text, (size_t)(start - text));
        if (!status_failed(&st))
            st = fits ? buf_add_text(&out, var->text)
                      : buf_add(&out, start, taken);
        text = start + taken;
    }
    if (!status_failed(&st))
        st = buf_add_text(&out, text);
    if (status_failed(&st))
        stop(v, node, "variables make texts of more than 1 MiB");
    else if (found)
        made = yaml_new_text(v->s->yaml, out.data, node->place);
    v->bytes += out.size;
    buf_release(&out);
    return made;
}

static struct yaml_node *expanded(struct vars *v, struct yaml_node *node)
{
    AUTO(free_pointer) char *name = NULL;
    struct yaml_node *value;

    if (node->type != YAML_TEXT || strchr(node->text, '$') == NULL)
        return node;
    name = spec_whole_reference(node);
    value = name != NULL ? find_var(v, name) : expand_text(v, node);
    return value != NULL ? value : node;
}

static void expand(struct vars *v, struct yaml_node *node);

static struct yaml_node *expanded_child(struct vars *v, struct yaml_node *child)
{
    struct yaml_node *value = expanded(v, child);

    if (value == child && !v->stopped)
        expand(v, value);
    return value;
}

/* Values of variables are done already and are not entered again; the size of
 * what they make is known before anybody walks it. */
static void expand(struct vars *v, struct yaml_node *node)
{
    enum { MOST_STEPS = 10 * LIMIT_SPEC_NODES };
    size_t nodes = 1;
    uint32_t height = 1;

    if (++v->steps > MOST_STEPS)
        stop(v, node, "variables and aliases make too many nodes");
    for (size_t i = 0; i < node->count && !v->stopped; i++) {
        struct yaml_node **child =
            node->type == YAML_LIST ? &node->items[i] : &node->pairs[i].value;

        *child = expanded_child(v, *child);
        nodes += (*child)->nodes + (node->type == YAML_MAP ? 1 : 0);
        if ((*child)->height + 1 > height)
            height = (*child)->height + 1;
    }
    node->nodes = nodes;
    node->height = height;
    if (nodes > LIMIT_SPEC_NODES || height > LIMIT_DEPTH)
        stop(v, node, "variables make too many nodes, or too deep ones");
}

static void warn_unused(struct vars *v)
{
    for (size_t i = 0; i < v->map->count; i++) {
        if (!v->used[i])
            problem_suggest(problem_add(v->s->problems, PROBLEM_UNUSED_SOURCE,
                                        v->map->pairs[i].key->place,
                                        "nothing uses the variable `%.60s`",
                                        v->map->pairs[i].key->text),
                            "write $%.60s where it belongs",
                            v->map->pairs[i].key->text);
    }
}

bool spec_apply_vars(struct spec *s)
{
    struct yaml_node *map = yaml_get(s->root, "vars");
    struct vars v = { .s = s, .map = map };

    if (map == NULL)
        return true;
    if (map->type != YAML_MAP) {
        problem_add(s->problems, PROBLEM_WRONG_TYPE, map->place,
                    "`vars` takes a map of names to values");
        return true;
    }
    v.used = xcalloc(map->count + 1, sizeof *v.used);
    for (size_t i = 0; i < map->count && !v.stopped; i++) {
        (void)spec_check_name(s, map->pairs[i].key, "a variable", true);
        v.known = i;
        map->pairs[i].value = expanded_child(&v, map->pairs[i].value);
    }
    v.known = map->count;
    for (size_t i = 0; i < s->root->count && !v.stopped; i++) {
        struct yaml_node **child = &s->root->pairs[i].value;

        if (*child != map)
            *child = expanded_child(&v, *child);
    }
    warn_unused(&v);
    free(v.used);
    return !v.stopped;
}
