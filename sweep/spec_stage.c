#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "sweep/spec_parts.h"

enum { MOST_VARIANTS = 256, MOST_OPTIONS = 256 };

const struct yaml_node *spec_node_at(const struct yaml_node *body,
                                     const char *path)
{
    const struct yaml_node *node = body;

    while (*path == '/' && node != NULL) {
        size_t length = strcspn(path + 1, "/");
        AUTO(free_pointer) char *name = xstrndup(path + 1, length);
        const struct yaml_node *next = yaml_get(node, name);

        if (node->type == YAML_LIST) {
            size_t i = (size_t)strtoul(name, NULL, 10);

            next = i < node->count ? node->items[i] : NULL;
        }
        if (next == NULL)
            return node;
        node = next;
        path += 1 + length;
    }
    return node;
}

/* ---- variants --------------------------------------------------------- */

/* What one parameter can be, the absent value last (NULL). */
struct options {
    struct declared *declared;
    const struct yaml_node *nodes[MOST_OPTIONS];
    size_t count;
};

struct variants {
    struct spec *s;
    const struct catalog_kind *kind;
    const struct yaml_node *body;
    struct yaml_place owner;
    const char *const *skipped;
    struct spec_given given;
    struct options *options; /* of the parameters that decide */
    size_t option_count;
    size_t chosen[SPEC_MOST_BINDINGS];
    json_t *list;
    json_t *metrics;
};

static bool same_value(const struct yaml_node *a, const struct yaml_node *b)
{
    json_t *x;
    json_t *y;
    bool same;

    if (a->type != b->type &&
        !(a->type == YAML_INTEGER && b->type == YAML_REAL) &&
        !(a->type == YAML_REAL && b->type == YAML_INTEGER))
        return false;
    if (a->type == YAML_INTEGER || a->type == YAML_REAL)
        return a->real == b->real;
    x = yaml_json(a);
    y = yaml_json(b);
    same = json_equal(x, y) != 0;
    json_decref(x);
    json_decref(y);
    return same;
}

static bool add_option(struct options *o, const struct yaml_node *node)
{
    for (size_t i = 0; i < o->count; i++) {
        if (same_value(o->nodes[i], node))
            return true;
    }
    if (o->count == MOST_OPTIONS - 1)
        return false;
    o->nodes[o->count++] = node;
    return true;
}

static bool add_domain(struct variants *v, struct options *o,
                       const struct domain *domain, struct yaml_place place)
{
    if (domain->nodes == NULL && domain->json != NULL) {
        problem_suggest(problem_add(v->s->problems, PROBLEM_BAD_SPACE,
                                    domain->node->place,
                                    "`%.60s` decides what a stage is, so its "
                                    "values must be listed",
                                    o->declared->name),
                        "write a list of values");
        return false;
    }
    for (size_t i = 0; i < domain->count; i++) {
        if (domain->nodes[i]->type != YAML_NULL &&
            !add_option(o, domain->nodes[i])) {
            problem_add(v->s->problems, PROBLEM_TOO_MANY, place,
                        "`%.60s` has more than %d values that decide what a "
                        "stage is",
                        o->declared->name, MOST_OPTIONS - 1);
            return false;
        }
    }
    return true;
}

static bool read_options(struct variants *v, struct declared *d,
                         struct options *o)
{
    bool may_be_absent = false;

    o->declared = d;
    if (d->sort == DECLARED_SEED || d->sort == DECLARED_DERIVED) {
        problem_suggest(
            problem_add(v->s->problems, PROBLEM_BAD_REFERENCE, v->owner,
                        "$%.60s cannot decide what a stage is", d->name),
            "use a parameter or a case");
        return false;
    }
    for (size_t i = 0; i < d->domain_count; i++) {
        if (!add_domain(v, o, &d->domains[i], v->owner))
            return false;
    }
    for (size_t room = 0; room < spec_rooms(v->s); room++)
        may_be_absent = may_be_absent || spec_presence(d, room) != 1;
    if (may_be_absent)
        o->nodes[o->count++] = NULL;
    return o->count > 0;
}

/* Can `d` be `node` (NULL: absent) in this case? */
static bool is_possible(const struct declared *d, const struct yaml_node *node,
                        size_t room)
{
    if (node == NULL)
        return spec_presence(d, room) != 1;
    for (size_t i = 0; i < d->domain_count; i++) {
        const struct domain *domain = &d->domains[i];

        if (!spec_domain_counts(d, domain, room))
            continue;
        for (size_t j = 0; j < domain->count; j++) {
            if (same_value(domain->nodes[j], node))
                return true;
        }
    }
    return false;
}

static bool find_rooms(const struct variants *v, bool *rooms)
{
    bool any = false;

    for (size_t room = 0; room < spec_rooms(v->s); room++) {
        rooms[room] = true;
        for (size_t i = 0; i < v->option_count; i++) {
            const struct options *o = &v->options[i];

            rooms[room] =
                rooms[room] &&
                is_possible(o->declared, o->nodes[v->chosen[i]], room);
        }
        any = any || rooms[room];
    }
    return any;
}

static json_t *convert_body(const struct variants *v, struct value_env *e)
{
    const struct catalog_key row = { .name = v->kind->name,
                                     .type = KEY_MAP,
                                     .keys = v->kind->keys };

    e->s = v->s;
    e->what = v->kind->name;
    e->owner = v->owner;
    e->references = true;
    e->skipped = v->skipped;
    e->given = v->given.key;
    return spec_value(e, &row, v->body);
}

/* Parameters whose value must be known before the body can be read. */
static size_t find_wanted(struct variants *v, struct declared **wanted)
{
    struct spec_problems muted = { .count = 0 };
    struct spec_problems *kept = v->s->problems;
    struct value_env e = { .wanted = wanted };

    for (size_t i = 0;
         v->kind->structural != NULL && v->kind->structural[i] != NULL; i++) {
        const struct yaml_node *node =
            yaml_get(v->body, v->kind->structural[i]);
        AUTO(free_pointer)
        char *name = node == NULL ? NULL : spec_whole_reference(node);
        struct declared *d = name == NULL ? NULL : spec_find(v->s, name);

        if (d != NULL && e.wanted_count <= SPEC_MOST_BINDINGS)
            wanted[e.wanted_count++] = d;
    }
    /* Checks made in silence must be made again aloud. */
    v->s->problems = &muted;
    json_decref(convert_body(v, &e));
    v->s->problems = kept;
    v->s->checked_count = 0;
    return e.wanted_count;
}

static json_t *when_json(const struct variants *v)
{
    json_t *when = json_object();

    for (size_t i = 0; i < v->option_count; i++) {
        const struct yaml_node *node = v->options[i].nodes[v->chosen[i]];

        if (node != NULL && v->options[i].count > 1)
            (void)json_object_set_new(when, v->options[i].declared->name,
                                      spec_plain_json(node));
    }
    return when;
}

/* "with method = ties" for problems that only some variants have. */
static void note_choice(const struct variants *v, struct spec_problem *p)
{
    AUTO(json_release) json_t *when = when_json(v);
    AUTO(free_pointer) char *text = json_canonical(when);

    if (json_object_size(when) > 0)
        problem_note(p, "with %.200s", text);
}

static bool normalise(const struct variants *v, json_t *body)
{
    struct catalog_problem wrong = { .path = "" };
    const struct yaml_node *node;
    struct spec_problem *p;

    if (v->kind->normalise == NULL || v->kind->normalise(body, &wrong))
        return true;
    node = spec_node_at(v->body, wrong.path);
    p = problem_add(v->s->problems, PROBLEM_BAD_BODY,
                    node == v->body ? v->owner : node->place, "%s",
                    wrong.message);
    problem_suggest(p, "%s", wrong.suggestion);
    note_choice(v, p);
    return false;
}

static void take_metrics(const struct variants *v, const json_t *body)
{
    json_t *given = v->metrics == NULL || v->kind->metrics == NULL
                        ? NULL
                        : v->kind->metrics(body);

    for (size_t i = 0; i < json_array_size(given); i++) {
        json_t *name = json_array_get(given, i);
        bool known = false;

        for (size_t j = 0; j < json_array_size(v->metrics); j++)
            known = known || json_equal(json_array_get(v->metrics, j), name);
        if (!known)
            (void)json_array_append(v->metrics, name);
    }
    json_decref(given);
}

static bool has_param(const json_t *json)
{
    const char *name;
    json_t *member;

    if (json_object_get(json, "$param") != NULL)
        return true;
    json_object_foreach((json_t *)(uintptr_t)json, name, member)
    {
        if (has_param(member))
            return true;
    }
    for (size_t i = 0; i < json_array_size(json); i++)
        if (has_param(json_array_get(json, i)))
            return true;
    return false;
}

/* What stands at a JSON pointer; NULL: nothing. */
static const json_t *json_at(const json_t *json, const char *pointer)
{
    while (*pointer == '/' && json != NULL) {
        size_t length = strcspn(pointer + 1, "/");
        AUTO(free_pointer) char *name = xstrndup(pointer + 1, length);

        json = json_is_array(json)
                   ? json_array_get(json, (size_t)strtoul(name, NULL, 10))
                   : json_object_get(json, name);
        pointer += 1 + length;
    }
    return json;
}

/* Other trials may have something else here. */
static bool may_vary(const json_t *json)
{
    return has_param(json) || json_object_get(json, "$stage") != NULL;
}

/* The places of the body that vary, of those its kind can fuse. */
static void note_fused(const struct catalog_kind *kind, const json_t *body,
                       json_t *variant)
{
    json_t *places = kind->fusable == NULL ? NULL : kind->fusable(body);

    for (size_t i = json_array_size(places); i > 0; i--) {
        const char *place = json_string_value(json_array_get(places, i - 1));

        if (!may_vary(json_at(body, place)))
            (void)json_array_remove(places, i - 1);
    }
    if (json_array_size(places) > 0)
        (void)json_object_set(variant, "fuse", places);
    json_decref(places);
}

/* What an artifact is made of is known when the stages before it are. */
static json_t *variant_json(const struct variants *v, json_t *body)
{
    json_t *json =
        json_pack("{s:o, s:O}", "when", when_json(v), "params", body);

    if (v->kind->sort == STAGE_LAZY)
        note_fused(v->kind, body, json);
    return json;
}

static void add_variant(struct variants *v)
{
    bool rooms[LIMIT_CASES];
    struct value_env e = { .rooms = rooms };
    size_t before = v->s->problems->count + v->s->problems->more;
    json_t *body;

    if (!find_rooms(v, rooms))
        return;
    for (size_t i = 0; i < v->option_count; i++)
        e.bindings[e.binding_count++] =
            (struct binding){ v->options[i].declared,
                              v->options[i].nodes[v->chosen[i]] };
    body = convert_body(v, &e);
    if (body != NULL && v->given.key != NULL)
        (void)json_object_set_new(body, v->given.key,
                                  json_deep_copy(v->given.value));
    /* A body with mistakes would only add what follows from them. */
    if (v->s->problems->count + v->s->problems->more == before &&
        body != NULL && normalise(v, body)) {
        take_metrics(v, body);
        (void)json_array_append_new(v->list, variant_json(v, body));
    }
    json_decref(body);
}

/* The next choice, the last parameter fastest. */
static bool advance(struct variants *v)
{
    for (size_t i = v->option_count; i-- > 0;) {
        if (++v->chosen[i] < v->options[i].count)
            return true;
        v->chosen[i] = 0;
    }
    return false;
}

static bool prepare(struct variants *v)
{
    struct declared *wanted[SPEC_MOST_BINDINGS + 1] = { NULL };
    size_t count = find_wanted(v, wanted);
    size_t product = 1;

    v->options = xcalloc(count + 1, sizeof *v->options);
    for (size_t i = 0; i < count && i < SPEC_MOST_BINDINGS; i++) {
        if (!read_options(v, wanted[i], &v->options[v->option_count++]))
            return false;
        product *= v->options[i].count;
        if (product > MOST_VARIANTS)
            break;
    }
    if (count <= SPEC_MOST_BINDINGS && product <= MOST_VARIANTS)
        return true;
    problem_suggest(problem_add(v->s->problems, PROBLEM_TOO_MANY, v->owner,
                                "more than %d variants of one stage",
                                MOST_VARIANTS),
                    "fewer parameters that choose methods or sources");
    return false;
}

json_t *spec_variants(struct spec *s, const struct catalog_kind *kind,
                      const struct yaml_node *body, struct yaml_place owner,
                      const char *const *skipped, struct spec_given given,
                      json_t *metrics)
{
    struct variants v = { .s = s,
                          .kind = kind,
                          .body = body,
                          .owner = owner,
                          .skipped = skipped,
                          .given = given,
                          .list = json_array(),
                          .metrics = metrics };

    if (prepare(&v)) {
        do
            add_variant(&v);
        while (advance(&v));
    }
    free(v.options);
    return v.list;
}

/* ---- stages ----------------------------------------------------------- */

static const char **body_names(const struct spec *s)
{
    size_t count = 0;
    const char **names;

    while (s->catalog->kinds[count] != NULL)
        count++;
    names = xcalloc(count + 1, sizeof *names);
    count = 0;
    for (size_t i = 0; s->catalog->kinds[i] != NULL; i++) {
        const char *name = s->catalog->kinds[i]->name;

        if (catalog_find_body(s->catalog, name) != NULL)
            names[count++] = name;
    }
    return names;
}

static void add_stage(struct spec *s, const struct yaml_node *name,
                      const struct catalog_kind *kind,
                      const struct yaml_node *body)
{
    if (s->stage_count == LIMIT_STAGES) {
        problem_add(s->problems, PROBLEM_TOO_MANY, name->place,
                    "more than %d stages", LIMIT_STAGES);
        return;
    }
    s->stages[s->stage_count++] = (struct spec_stage){
        .name = name->text, .place = name->place, .kind = kind, .body = body
    };
}

static void unknown_kind(struct spec *s, const struct yaml_node *key)
{
    AUTO(free_pointer) const char **names = body_names(s);
    struct spec_problem *p =
        problem_add(s->problems, PROBLEM_UNKNOWN_KIND, key->place,
                    "there is no kind of stage called `%.60s`", key->text);

    problem_nearest(p, key->text, names);
    problem_known(p, names);
}

/* NAME: {KIND: {body}}. */
static void read_stage(struct spec *s, const struct yaml_pair *pair)
{
    const struct yaml_node *map = pair->value;
    const struct catalog_kind *kind;

    if (!spec_check_name(s, pair->key, "a stage", false))
        return;
    if (map->type != YAML_MAP || map->count != 1) {
        problem_suggest(
            problem_add(s->problems, PROBLEM_NO_BODY, pair->key->place,
                        "the stage `%.60s` needs one body", pair->key->text),
            "as in %.60s: {train: {...}}", pair->key->text);
        return;
    }
    kind = catalog_find_body(s->catalog, map->pairs[0].key->text);
    if (kind == NULL)
        unknown_kind(s, map->pairs[0].key);
    else
        add_stage(s, pair->key, kind, map->pairs[0].value);
}

static void read_stage_map(struct spec *s, const struct yaml_node *map)
{
    if (map->type != YAML_MAP || map->count == 0) {
        problem_suggest(problem_add(s->problems, PROBLEM_WRONG_TYPE, map->place,
                                    "`stages` takes a map of names to bodies"),
                        "as in base: {train: {...}}");
        return;
    }
    for (size_t i = 0; i < map->count; i++)
        read_stage(s, &map->pairs[i]);
}

void spec_read_stages(struct spec *s)
{
    const struct yaml_pair *map = yaml_find(s->root, "stages");
    const struct yaml_node *first = map == NULL ? NULL : map->key;

    for (size_t i = 0; i < s->root->count; i++) {
        const struct yaml_pair *pair = &s->root->pairs[i];
        const struct catalog_kind *kind =
            catalog_find_body(s->catalog, pair->key->text);

        if (kind == NULL)
            continue;
        if (first != NULL) {
            problem_suggest(problem_add(s->problems, PROBLEM_NO_BODY,
                                        pair->key->place,
                                        "`%s` stands beside `%s`",
                                        pair->key->text, first->text),
                            "put several bodies under stages:");
            continue;
        }
        first = pair->key;
        add_stage(s, pair->key, kind, pair->value);
    }
    if (map != NULL)
        read_stage_map(s, map->value);
    /* Now that all names are known. */
    for (size_t i = 0; i < s->stage_count; i++) {
        struct spec_stage *stage = &s->stages[i];

        stage->metrics = json_array();
        stage->variants =
            spec_variants(s, stage->kind, stage->body, stage->place, NULL,
                          (struct spec_given){ NULL, NULL }, stage->metrics);
    }
}

/* ---- who needs whom --------------------------------------------------- */

static struct spec_stage *find_stage(struct spec *s, const char *name)
{
    for (size_t i = 0; i < s->stage_count; i++) {
        if (name != NULL && strcmp(s->stages[i].name, name) == 0)
            return &s->stages[i];
    }
    return NULL;
}

struct walk {
    struct spec *s;
    uint8_t state[LIMIT_STAGES]; /* 0 new, 1 open, 2 done */
};

static void visit(struct walk *w, struct spec_stage *stage);

/* Visits the stages that a template names. */
static void visit_names(struct walk *w, const json_t *json)
{
    struct spec_stage *stage =
        find_stage(w->s, json_string_value(json_object_get(json, "$stage")));
    const char *name;
    json_t *member;

    if (stage != NULL)
        visit(w, stage);
    json_object_foreach((json_t *)(uintptr_t)json, name, member)
    {
        visit_names(w, member);
    }
    for (size_t i = 0; i < json_array_size(json); i++)
        visit_names(w, json_array_get(json, i));
}

static void visit(struct walk *w, struct spec_stage *stage)
{
    uint8_t *state = &w->state[stage - w->s->stages];

    if (*state == 1)
        problem_suggest(problem_add(w->s->problems, PROBLEM_CYCLE, stage->place,
                                    "the stage `%.60s` depends on itself",
                                    stage->name),
                        "a stage may use those that come before it");
    if (*state != 0)
        return;
    *state = 1;
    stage->needed = true;
    visit_names(w, stage->variants);
    *state = 2;
}

static void check_needs(struct spec *s)
{
    struct walk w = { .s = s };

    for (size_t i = 0; i < s->evaluator_count; i++)
        visit_names(&w, s->evaluators[i].variants);
    if (s->stage_count > 0)
        visit(&w, &s->stages[s->stage_count - 1]);
    for (size_t i = 0; i < s->stage_count; i++) {
        bool needed = s->stages[i].needed;

        visit(&w, &s->stages[i]);
        if (!needed && !problem_is_error(s->problems))
            problem_suggest(problem_add(s->problems, PROBLEM_UNUSED_STAGE,
                                        s->stages[i].place,
                                        "nothing needs the stage `%.60s`",
                                        s->stages[i].name),
                            "use $stages.%.60s.%s, or remove it",
                            s->stages[i].name,
                            s->stages[i].kind->gives_data ? "data" : "model");
    }
}

static json_t *stage_json(const struct spec *s, const char *name,
                          const char *kind, enum stage_sort sort,
                          json_t *variants)
{
    json_t *json = json_pack("{s:s, s:s, s:s, s:O}", "name", name, "kind", kind,
                             "sort", sort == STAGE_LAZY ? "lazy" : "artifact",
                             "variants", variants);

    (void)json_object_update(json, s->needs);
    if (s->trial_ms > 0)
        (void)json_object_set_new(json, "limit_ms",
                                  json_integer((json_int_t)s->trial_ms));
    if (s->stall_ms > 0)
        (void)json_object_set_new(json, "stall_ms",
                                  json_integer((json_int_t)s->stall_ms));
    return json;
}

/* The variants of a stage that a kind adds; `list` is of all stages. */
static json_t *added_variants(const struct spec *s, const json_t *stage,
                              json_t *list)
{
    const char *name = json_text_or(stage, "name", "");
    AUTO(json_release) json_t *variants = NULL;

    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *other = json_array_get(list, i);

        if (strcmp(json_text_or(other, "name", ""), name) == 0)
            return json_object_get(other, "variants");
    }
    variants = json_array();
    (void)json_array_append_new(
        list, stage_json(s, name, json_text_or(stage, "kind", ""),
                         STAGE_ARTIFACT, variants));
    return variants;
}

/* What must run before a stage, which its variants then name. */
static void write_before(const struct spec *s, const struct spec_stage *stage,
                         json_t *list)
{
    for (size_t i = 0; i < json_array_size(stage->variants); i++) {
        json_t *variant = json_array_get(stage->variants, i);
        json_t *body = json_object_get(variant, "params");
        json_t *when = json_object_get(variant, "when");
        json_t *added = stage->kind->before(body, stage->name);

        if (stage->kind->sort == STAGE_ARTIFACT)
            note_fused(stage->kind, body, variant);

        for (size_t k = 0; k < json_array_size(added); k++) {
            const json_t *one = json_array_get(added, k);

            (void)json_array_append_new(
                added_variants(s, one, list),
                json_pack("{s:O, s:O}", "when", when, "params",
                          json_object_get(one, "params")));
        }
        json_decref(added);
    }
    if (json_array_size(list) >= LIMIT_STAGES)
        problem_suggest(
            problem_add(s->problems, PROBLEM_TOO_MANY, stage->place,
                        "more than %d stages with those that `%.60s` "
                        "needs",
                        LIMIT_STAGES, stage->name),
            "let it be made in fewer parts");
}

/* After the evaluators, so that it is known which stages they need. */
void spec_write_stages(struct spec *s)
{
    json_t *list = json_array();

    check_needs(s);
    for (size_t i = 0; i < s->stage_count; i++) {
        const struct spec_stage *stage = &s->stages[i];
        json_t *json = stage_json(s, stage->name, stage->kind->name,
                                  stage->kind->sort, stage->variants);

        if (stage->kind->gives_data)
            (void)json_object_set_new(json, "gives", json_string("data"));
        if (stage->kind->before != NULL)
            write_before(s, stage, list);
        (void)json_array_append_new(list, json);
    }
    (void)json_object_set_new(s->document, "stages", list);
}

/* ---- metrics of stages ------------------------------------------------- */

static bool has_text(const json_t *list, const char *text)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (strcmp(json_string_value(json_array_get(list, i)), text) == 0)
            return true;
    }
    return false;
}

bool spec_stage_metric(struct spec *s, const char *metric)
{
    for (size_t i = 0; i < s->stage_count; i++) {
        struct spec_stage *stage = &s->stages[i];
        size_t length = strlen(stage->name);
        const char *name = metric + length + 1;

        if (strncmp(metric, stage->name, length) != 0 || metric[length] != '.')
            continue;
        if (json_array_size(stage->variants) == 0)
            return true;
        if (!has_text(stage->metrics, name))
            continue;
        stage->shown = stage->shown == NULL ? json_array() : stage->shown;
        if (!has_text(stage->shown, name))
            (void)json_array_append_new(stage->shown, json_string(name));
        return true;
    }
    return false;
}

void spec_write_stage_metrics(struct spec *s)
{
    json_t *list = json_object_get(s->document, "stages");

    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *json = json_array_get(list, i);
        const struct spec_stage *stage =
            find_stage(s, json_text_or(json, "name", NULL));

        if (stage != NULL && stage->shown != NULL)
            (void)json_object_set(json, "metrics", stage->shown);
    }
}
