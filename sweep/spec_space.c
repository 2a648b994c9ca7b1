#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/option.h"
#include "sweep/space.h"
#include "sweep/spec_parts.h"

enum { STEP_DIGITS = 12 };

struct declared *spec_find(const struct spec *s, const char *name)
{
    /* Indices, because the array moves as it grows. */
    size_t number = (size_t)(uintptr_t)map_get_text(s->names, name);

    return number == 0 ? NULL : &s->declared[number - 1];
}

struct declared *spec_declare(struct spec *s, const char *name,
                              struct yaml_place place, enum declared_sort sort)
{
    struct declared *d = spec_find(s, name);

    if (d != NULL)
        return d;
    s->declared =
        xrealloc(s->declared, (s->declared_count + 1) * sizeof *s->declared);
    d = &s->declared[s->declared_count++];
    *d = (struct declared){ .name = name, .place = place, .sort = sort };
    (void)map_put_text(s->names, name, (void *)(uintptr_t)s->declared_count);
    return d;
}

void spec_undeclared(struct spec *s, struct yaml_place place, const char *name,
                     const char *dollar)
{
    AUTO(free_pointer)
    const char **names = xcalloc(s->declared_count + 1, sizeof *names);
    const char *quote = *dollar == '\0' ? "`" : "";
    const struct declared *d;
    const char *nearest;
    struct spec_problem *p;

    for (size_t i = 0; i < s->declared_count; i++)
        names[i] = s->declared[i].name;
    p = problem_add(s->problems, PROBLEM_UNDECLARED, place,
                    "%s%s%.80s%s is not declared", quote, dollar, name, quote);
    nearest = option_nearest(name, names);
    d = nearest == NULL ? NULL : spec_find(s, nearest);
    if (strncmp(name, "sources.", strlen("sources.")) == 0)
        problem_suggest(p, "write `%.60s`: a source stands by its name",
                        name + strlen("sources."));
    else if (d == NULL)
        problem_suggest(p, "declare it under parameters: or derive:");
    else if (d->place.line == 0)
        problem_suggest(p, "did you mean `%s%s`?", dollar, d->name);
    else
        problem_suggest(p, "did you mean `%s%s` (declared at %.60s:%u:%u)?",
                        dollar, d->name, s->input->file, d->place.line,
                        d->place.column);
}

size_t spec_rooms(const struct spec *s)
{
    return s->case_count == 0 ? 1 : s->case_count;
}

bool spec_domain_counts(const struct declared *d, const struct domain *domain,
                        size_t room)
{
    if (domain->room >= 0)
        return (size_t)domain->room == room;
    for (size_t i = 0; i < d->domain_count; i++) {
        if (d->domains[i].room == (int)room)
            return false;
    }
    return true;
}

int spec_presence(const struct declared *d, size_t room)
{
    if (d->sort != DECLARED_PARAMETER && d->sort != DECLARED_CASE)
        return d->sort == DECLARED_DERIVED ? 2 : 1;
    for (size_t i = 0; i < d->domain_count; i++) {
        const struct domain *domain = &d->domains[i];

        if (!spec_domain_counts(d, domain, room))
            continue;
        if (domain->nodes != NULL && domain->count == 1 &&
            domain->nodes[0]->type == YAML_NULL)
            return 0;
        return domain->when == NULL ? 1 : 2;
    }
    return 0;
}

/* ---- one parameter ---------------------------------------------------- */

static struct spec_problem *bad_space(struct spec *s,
                                      const struct yaml_node *node,
                                      const char *message)
{
    return problem_add(s->problems, PROBLEM_BAD_SPACE, node->place, "%s",
                       message);
}

static void add_node(struct domain *d, struct yaml_node *node)
{
    if ((d->count & (d->count - 1)) == 0) /* 0, or full: the room doubles */
        d->nodes = xrealloc(d->nodes, (d->count == 0 ? 1 : 2 * d->count) *
                                          sizeof(struct yaml_node *));
    d->nodes[d->count++] = node;
}

static json_t *domain_values(const struct domain *d)
{
    json_t *values = json_array();

    for (size_t i = 0; i < d->count; i++)
        (void)json_array_append_new(values, spec_plain_json(d->nodes[i]));
    return values;
}

static bool has_reference(struct spec *s, const struct yaml_node *node)
{
    bool found = node->type == YAML_TEXT && node->text[0] == '$' &&
                 node->text[1] != '$' && node->text[1] != '\0';

    for (size_t i = 0; i < node->count && !found; i++)
        found = has_reference(
            s, node->type == YAML_LIST ? node->items[i] : node->pairs[i].value);
    if (found && node->count == 0)
        problem_suggest(problem_add(s->problems, PROBLEM_BAD_REFERENCE,
                                    node->place,
                                    "a value cannot refer to another"),
                        "use derive: for computed values");
    return found;
}

static bool read_listed(struct spec *s, const struct yaml_node *list,
                        struct domain *d)
{
    if (list->count == 0) {
        bad_space(s, list, "a parameter needs at least one value");
        return false;
    }
    if (list->count > LIMIT_VALUES) {
        problem_add(s->problems, PROBLEM_TOO_MANY, list->place,
                    "%zu values, at most %d", list->count, LIMIT_VALUES);
        return false;
    }
    d->nodes = xcalloc(list->count, sizeof(struct yaml_node *));
    for (size_t i = 0; i < list->count; i++) {
        if (has_reference(s, list->items[i]))
            return false;
        d->nodes[d->count++] = list->items[i];
    }
    d->json = json_pack("{s:o}", "values", domain_values(d));
    return true;
}

static bool read_single(struct spec *s, struct yaml_node *node,
                        struct domain *d)
{
    if (has_reference(s, node))
        return false;
    add_node(d, node);
    d->json = json_pack("{s:o}", "values", domain_values(d));
    return true;
}

/* A number that the file does not hold, placed where its rule stands. */
static struct yaml_node *number_node(struct spec *s, double x,
                                     struct yaml_place place)
{
    char text[32];

    json_format_real(x, text, sizeof text);
    return yaml_new_scalar(s->yaml, text, place);
}

static bool is_log(const json_t *map)
{
    return strcmp(json_text_or(map, "scale", "linear"), "log") == 0;
}

static bool check_log(struct spec *s, const struct yaml_node *node,
                      const json_t *map, double low)
{
    if (!is_log(map) || low > 0.0)
        return true;
    problem_suggest(bad_space(s, node, "a log scale needs bounds above 0"),
                    "write values, not exponents: 1e-6, not -6");
    return false;
}

static bool read_counted(struct spec *s, const struct yaml_node *node,
                         const json_t *map, struct domain *d)
{
    double from = json_real_or(map, "from", 0.0);
    double to = json_real_or(map, "to", 0.0);
    uint32_t count = (uint32_t)json_int_or(map, "count", 0);

    if (json_object_get(map, "from") == NULL ||
        json_object_get(map, "to") == NULL || count == 0) {
        problem_suggest(problem_add(s->problems, PROBLEM_MISSING_KEY,
                                    node->place,
                                    "`from`, `to` and `count` belong together"),
                        "as in {from: 0.1, to: 0.9, count: 9}");
        return false;
    }
    if (!check_log(s, node, map, fmin(from, to)))
        return false;
    for (uint32_t i = 0; i < count; i++)
        add_node(d,
                 number_node(s, space_between(from, to, count, is_log(map), i),
                             node->place));
    d->json =
        json_pack("{s:O, s:O, s:i, s:s}", "from", json_object_get(map, "from"),
                  "to", json_object_get(map, "to"), "count", (int)count,
                  "scale", is_log(map) ? "log" : "linear");
    return true;
}

static bool read_stepped(struct spec *s, const struct yaml_node *node,
                         const json_t *map, struct domain *d)
{
    double step = json_real_or(map, "step", 0.0);
    double count;

    if (step <= 0.0 || is_log(map)) {
        bad_space(s, node,
                  is_log(map) ? "`step` is linear: use from, to, count with "
                                "scale: log"
                              : "`step` must be above 0");
        return false;
    }
    /* A little grace: 0.1 has no exact binary form. */
    count = floor((d->most - d->least) / step + 1e-9) + 1.0;
    if (count > LIMIT_VALUES) {
        problem_add(s->problems, PROBLEM_TOO_MANY, node->place,
                    "%.0f values, at most %d", count, LIMIT_VALUES);
        return false;
    }
    for (uint32_t i = 0; i < (uint32_t)count; i++)
        add_node(d,
                 number_node(
                     s, space_round(d->least + (double)i * step, STEP_DIGITS),
                     node->place));
    d->json = json_pack("{s:o}", "values", domain_values(d));
    return true;
}

/* A step that cuts the interval into 10 to 50 parts: 1, 2 or 5 times a power
 * of ten. */
static double good_step(double range, bool integer)
{
    double step = pow(10.0, floor(log10(range / 5.0)));

    if (range / step > 50.0)
        step *= 5.0;
    return integer && step < 1.0 ? 1.0 : step;
}

static void endless(struct spec *s, const char *name,
                    const struct yaml_node *node, const json_t *map,
                    const struct domain *d)
{
    struct spec_problem *p =
        problem_add(s->problems, PROBLEM_ENDLESS_GRID, node->place,
                    "a grid over `%.60s` never ends: it is an interval", name);
    double step = good_step(d->most - d->least, d->integer);
    char text[32];

    if (is_log(map)) {
        problem_suggest(p, "write from, to and count: 8 instead of min and "
                           "max, or use strategy: random");
        return;
    }
    json_format_real(space_round(step, 3), text, sizeof text);
    problem_suggest(p, "add `step: %s` (%.0f values), or use strategy: random",
                    text, floor((d->most - d->least) / step + 1e-9) + 1.0);
}

static bool read_interval(struct spec *s, const char *name,
                          const struct yaml_node *node, const json_t *map,
                          struct domain *d)
{
    const json_t *low = json_object_get(map, "min");
    const json_t *high = json_object_get(map, "max");

    if (low == NULL || high == NULL) {
        problem_suggest(problem_add(s->problems, PROBLEM_MISSING_KEY,
                                    node->place,
                                    "`min` and `max` belong together"),
                        "as in {min: 0.1, max: 0.9}");
        return false;
    }
    d->least = json_number_value(low);
    d->most = json_number_value(high);
    d->integer = yaml_get(node, "min")->type == YAML_INTEGER &&
                 yaml_get(node, "max")->type == YAML_INTEGER;
    if (!(d->least < d->most)) {
        bad_space(s, node, "`min` must be below `max`");
        return false;
    }
    if (!isfinite(d->most - d->least)) {
        bad_space(s, node, "`min` and `max` are too far apart");
        return false;
    }
    if (!check_log(s, node, map, d->least))
        return false;
    if (json_object_get(map, "step") != NULL)
        return read_stepped(s, node, map, d);
    if (!s->random)
        endless(s, name, node, map, d);
    d->json = json_pack("{s:O, s:O, s:s}", "min", low, "max", high, "scale",
                        is_log(map) ? "log" : "linear");
    if (d->integer)
        (void)json_object_set_new(d->json, "integer", json_true());
    return true;
}

/* W&B's names. Those of other meanings are unknown words. Only one says more
 * than the other keys do. */
static bool read_distribution(struct spec *s, const struct yaml_node *node,
                              json_t *map)
{
    static const char *const same[] = {
        "constant",    "categorical",        "uniform",
        "int_uniform", "log_uniform_values", NULL,
    };
    const struct yaml_node *word = yaml_get(node, "distribution");
    double low = json_real_or(map, "min", -9.0);
    double high = json_real_or(map, "max", -2.0);
    struct spec_problem *p;

    if (word == NULL || word->text == NULL)
        return true;
    if (strcmp(word->text, "log_uniform_values") == 0)
        (void)json_object_set_new(map, "scale", json_string("log"));
    if (strcmp(word->text, "log_uniform") == 0) {
        p = problem_add(s->problems, PROBLEM_EXPONENTS, word->place,
                        "bounds of W&B's log_uniform are exponents");
        problem_suggest(p,
                        "write {min: %.2g, max: %.2g, scale: log}  (= exp "
                        "of yours)",
                        exp(low), exp(high));
        return false;
    }
    for (size_t i = 0; same[i] != NULL; i++) {
        if (strcmp(same[i], word->text) == 0)
            return true;
    }
    p = problem_add(s->problems, PROBLEM_UNKNOWN_WORD, word->place,
                    "unknown distribution \"%.60s\"", word->text);
    problem_nearest(p, word->text, same);
    problem_note(p, "without it: a list, {from, to, count} or {min, max}, each "
                    "with scale: log if wanted");
    return false;
}

/* Which keys say what the values are. */
static const char *const forms[] = { "values", "value", "from", "min" };

static bool read_form(struct spec *s, const char *name,
                      const struct yaml_node *node, const json_t *map,
                      struct domain *d)
{
    const struct yaml_node *values = yaml_get(node, "values");
    size_t found = 0;

    for (size_t i = 0; i < COUNT_OF(forms); i++)
        found += yaml_get(node, forms[i]) != NULL ? 1 : 0;
    if (found != 1) {
        problem_suggest(
            problem_add(s->problems,
                        found == 0 ? PROBLEM_MISSING_KEY : PROBLEM_NOT_TOGETHER,
                        node->place, "`%.60s` has %s", name,
                        found == 0 ? "no values" : "values in two forms"),
            "write a list, {from, to, count} or {min, max}");
        return false;
    }
    if (values != NULL && values->type != YAML_LIST) {
        bad_space(s, values, "`values` takes a list");
        return false;
    }
    if (values != NULL)
        return read_listed(s, values, d);
    if (yaml_get(node, "value") != NULL)
        return read_single(s, yaml_get(node, "value"), d);
    if (yaml_get(node, "from") != NULL)
        return read_counted(s, node, map, d);
    return read_interval(s, name, node, map, d);
}

static void read_map(struct spec *s, const struct yaml_pair *pair,
                     struct domain *d)
{
    const struct yaml_node *node = pair->value;
    size_t errors = s->problems->count + s->problems->more;
    AUTO(json_release)
    json_t *map = spec_section(s, "parameters.NAME",
                               spec_section_keys("parameters.NAME"), pair);
    const char *scale;

    d->when = yaml_get(node, "when");
    if (s->problems->count + s->problems->more > errors ||
        !read_distribution(s, node, map) ||
        !read_form(s, pair->key->text, node, map, d))
        return;
    scale = json_text_or(map, "scale", NULL);
    if (scale != NULL)
        (void)json_object_set_new(d->json, "scale", json_string(scale));
}

static bool is_reserved(struct spec *s, const struct yaml_node *key,
                        bool in_cases)
{
    bool reserved = strcmp(key->text, "case") == 0 ||
                    (in_cases && strcmp(key->text, "seed") == 0);

    if (reserved)
        problem_suggest(problem_add(s->problems, PROBLEM_BAD_NAME, key->place,
                                    "`%s` has a meaning of its own", key->text),
                        "choose another name");
    return reserved;
}

/* The domain that a new value of `pair` goes into; NULL with a problem. */
static struct domain *new_domain(struct spec *s, const struct yaml_pair *pair,
                                 int room)
{
    struct declared *d;

    if (!spec_check_name(s, pair->key, "a parameter", true) ||
        is_reserved(s, pair->key, room >= 0))
        return NULL;
    if (s->declared_count >= LIMIT_PARAMETERS) {
        problem_add(s->problems, PROBLEM_TOO_MANY, pair->key->place,
                    "more than %d parameters", LIMIT_PARAMETERS);
        return NULL;
    }
    d = spec_declare(s, pair->key->text, pair->key->place, DECLARED_PARAMETER);
    for (size_t i = 0; i < d->domain_count; i++) {
        if (d->domains[i].room == room) {
            problem_add(s->problems, PROBLEM_DECLARED_TWICE, pair->key->place,
                        "`%.60s` is declared twice", d->name);
            return NULL;
        }
    }
    d->domains =
        xrealloc(d->domains, (d->domain_count + 1) * sizeof *d->domains);
    d->domains[d->domain_count] =
        (struct domain){ .room = room, .node = pair->value };
    return &d->domains[d->domain_count++];
}

static void read_parameters(struct spec *s, const struct yaml_node *map,
                            int room)
{
    if (map == NULL)
        return;
    if (map->type != YAML_MAP) {
        problem_add(s->problems, PROBLEM_WRONG_TYPE, map->place,
                    "`parameters` takes a map of names to values");
        return;
    }
    for (size_t i = 0; i < map->count; i++) {
        const struct yaml_pair *pair = &map->pairs[i];
        struct domain *d = new_domain(s, pair, room);

        if (d == NULL)
            continue;
        if (pair->value->type == YAML_LIST)
            (void)read_listed(s, pair->value, d);
        else if (pair->value->type == YAML_MAP)
            read_map(s, pair, d);
        else if (pair->value->type == YAML_NULL)
            bad_space(s, pair->key, "a parameter needs at least one value");
        else
            (void)read_single(s, pair->value, d);
    }
}

/* ---- cases ------------------------------------------------------------ */

static void read_set(struct spec *s, const struct yaml_node *set, int room)
{
    if (set == NULL)
        return;
    if (set->type != YAML_MAP) {
        problem_add(s->problems, PROBLEM_WRONG_TYPE, set->place,
                    "`set` takes a map of names to values");
        return;
    }
    for (size_t i = 0; i < set->count; i++) {
        struct domain *d = new_domain(s, &set->pairs[i], room);

        if (d != NULL && !has_reference(s, set->pairs[i].value))
            add_node(d, set->pairs[i].value);
    }
}

static void read_case(struct spec *s, const struct yaml_pair *pair, int room)
{
    json_t *unused;

    (void)spec_check_name(s, pair->key, "a case", false);
    if (pair->value->type == YAML_NULL)
        return;
    unused =
        spec_section(s, "cases.NAME", spec_section_keys("cases.NAME"), pair);
    json_decref(unused);
    read_set(s, yaml_get(pair->value, "set"), room);
    read_parameters(s, yaml_get(pair->value, "parameters"), room);
}

/* $case may decide a variant, so it has its values like any other. */
static void declare_cases(struct spec *s, const struct yaml_node *cases)
{
    struct declared *d =
        spec_declare(s, "case", (struct yaml_place){ 0 }, DECLARED_CASE);

    d->used = true;
    d->domains = xcalloc(cases->count, sizeof *d->domains);
    for (size_t i = 0; i < cases->count; i++) {
        struct domain *domain = &d->domains[d->domain_count++];

        *domain =
            (struct domain){ .room = (int)i, .node = cases->pairs[i].key };
        add_node(domain, yaml_new_text(s->yaml, cases->pairs[i].key->text,
                                       cases->pairs[i].key->place));
    }
}

static void read_cases(struct spec *s)
{
    const struct yaml_node *cases = yaml_get(s->root, "cases");

    if (cases == NULL)
        return;
    if (cases->type != YAML_MAP || cases->count == 0) {
        problem_suggest(problem_add(s->problems, PROBLEM_WRONG_TYPE,
                                    cases->place, "`cases` takes a map"),
                        "as in ties: {set: {method: ties}}");
        return;
    }
    if (cases->count > LIMIT_CASES) {
        problem_add(s->problems, PROBLEM_TOO_MANY, cases->place,
                    "%zu cases, at most %d", cases->count, LIMIT_CASES);
        return;
    }
    s->cases = cases->pairs;
    s->case_count = cases->count;
    declare_cases(s, cases);
    for (size_t i = 0; i < cases->count; i++)
        read_case(s, &cases->pairs[i], (int)i);
}

/* ---- strategy and replicates ------------------------------------------ */

/* A short form: `strategy: grid` for `strategy: {method: grid}`. */
static void expand_short_form(struct spec *s, const char *name, const char *key)
{
    const struct yaml_pair *pair = yaml_find(s->root, name);
    struct yaml_node *map;

    if (pair == NULL || pair->value->type == YAML_MAP)
        return;
    map = yaml_new_map(s->yaml, pair->value->place);
    yaml_set(s->yaml, map, key, pair->value->place, pair->value);
    yaml_set(s->yaml, s->root, name, pair->key->place, map);
}

static void read_strategy(struct spec *s)
{
    const struct yaml_pair *pair;
    json_t *json;

    expand_short_form(s, "strategy", "method");
    pair = yaml_find(s->root, "strategy");
    if (pair == NULL)
        return;
    json = spec_section(s, "strategy", spec_section_keys("strategy"), pair);
    if (json == NULL)
        return;
    s->random = strcmp(json_text_or(json, "method", "grid"), "random") == 0;
    (void)json_object_set_new(s->document, "strategy", json);
}

static void read_replicates(struct spec *s)
{
    const struct yaml_pair *pair;
    json_t *json;
    const json_t *seeds;

    s->replicates = 1;
    expand_short_form(s, "replicates", "count");
    pair = yaml_find(s->root, "replicates");
    if (pair == NULL)
        return;
    json = spec_section(s, "replicates", spec_section_keys("replicates"), pair);
    if (json == NULL)
        return;
    seeds = json_object_get(json, "seeds");
    s->replicates = json_int_or(
        json, "count", seeds == NULL ? 1 : (int64_t)json_array_size(seeds));
    if (seeds != NULL && (int64_t)json_array_size(seeds) != s->replicates)
        problem_suggest(problem_add(s->problems, PROBLEM_NOT_TOGETHER,
                                    yaml_get(pair->value, "seeds")->place,
                                    "%zu seeds for %lld replicates",
                                    json_array_size(seeds),
                                    (long long)s->replicates),
                        "leave out count, or list as many seeds");
    (void)json_object_set_new(json, "count",
                              json_integer((json_int_t)s->replicates));
    (void)json_object_set_new(s->document, "replicates", json);
}

static void declare_seed(struct spec *s)
{
    struct declared *d = spec_find(s, "seed");
    const struct yaml_pair *pair = yaml_find(s->root, "replicates");

    if (d == NULL) {
        d = spec_declare(s, "seed", (struct yaml_place){ 0 }, DECLARED_SEED);
        d->used = true;
    } else if (s->replicates > 1 && pair != NULL) {
        problem_suggest(problem_add(s->problems, PROBLEM_NOT_TOGETHER, d->place,
                                    "`seed` is a parameter, and replicates "
                                    "vary it too"),
                        "leave out one of them");
    }
}

/* A random strategy over intervals goes on for ever. */
static void check_end(struct spec *s)
{
    const struct yaml_pair *pair = yaml_find(s->root, "strategy");
    const json_t *strategy = json_object_get(s->document, "strategy");
    const struct yaml_node *limit =
        yaml_get(yaml_get(s->root, "limits"), "trials");
    bool endless_space = false;

    if (!s->random || json_object_get(strategy, "trials") != NULL)
        return;
    for (size_t i = 0; i < s->declared_count; i++) {
        for (size_t j = 0; j < s->declared[i].domain_count; j++) {
            const struct domain *d = &s->declared[i].domains[j];

            endless_space =
                endless_space || (d->nodes == NULL && d->json != NULL);
        }
    }
    if (!endless_space)
        return;
    if (limit != NULL && limit->type == YAML_INTEGER && limit->integer > 0) {
        int64_t points = (limit->integer + s->replicates - 1) / s->replicates;

        (void)json_object_set_new(json_object_get(s->document, "strategy"),
                                  "trials", json_integer((json_int_t)points));
        return;
    }
    problem_suggest(problem_add(s->problems, PROBLEM_NO_TRIALS,
                                pair->value->place,
                                "a random strategy over intervals needs a "
                                "number of trials"),
                    "as in strategy: {method: random, trials: 64}");
}

void spec_read_space(struct spec *s)
{
    read_strategy(s);
    read_cases(s);
    read_parameters(s, yaml_get(s->root, "parameters"), -1);
    read_replicates(s);
    declare_seed(s);
    check_end(s);
}

/* ---- into the document ------------------------------------------------ */

static json_t *parameter_json(const struct spec *s, const struct declared *d,
                              const struct domain *domain)
{
    json_t *json = json_pack("{s:s}", "name", d->name);

    (void)json_object_update(json, domain->json);
    if (domain->room >= 0)
        (void)json_object_set_new(
            json, "case", json_string(s->cases[domain->room].key->text));
    if (domain->when != NULL && domain->when->text != NULL)
        (void)json_object_set_new(json, "when",
                                  json_string(domain->when->text));
    return json;
}

static json_t *set_json(const struct spec *s, size_t room)
{
    json_t *set = json_object();

    for (size_t i = 0; i < s->declared_count; i++) {
        const struct declared *d = &s->declared[i];

        for (size_t j = 0; j < d->domain_count; j++) {
            const struct domain *domain = &d->domains[j];

            if (d->sort == DECLARED_PARAMETER && domain->json == NULL &&
                domain->count == 1 && domain->room == (int)room)
                (void)json_object_set_new(set, d->name,
                                          spec_plain_json(domain->nodes[0]));
        }
    }
    return set;
}

void spec_write_space(struct spec *s)
{
    json_t *parameters = json_array();
    json_t *cases = json_array();

    for (size_t i = 0; i < s->declared_count; i++) {
        const struct declared *d = &s->declared[i];

        for (size_t j = 0; j < d->domain_count; j++) {
            if (d->domains[j].json != NULL)
                (void)json_array_append_new(
                    parameters, parameter_json(s, d, &d->domains[j]));
        }
    }
    for (size_t i = 0; i < s->case_count; i++)
        (void)json_array_append_new(cases, json_pack("{s:s, s:o}", "name",
                                                     s->cases[i].key->text,
                                                     "set", set_json(s, i)));
    (void)json_object_set_new(s->document, "parameters", parameters);
    if (s->case_count > 0)
        (void)json_object_set_new(s->document, "cases", cases);
    else
        json_decref(cases);
}
