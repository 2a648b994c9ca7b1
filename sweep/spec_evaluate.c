#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "sweep/spec_parts.h"

static const char prefix[] = "evaluate.";

/* "accuracy" for "evaluate.accuracy"; the command has a key of its own. */
static const char **builtin_names(const struct spec *s)
{
    size_t count = 0;
    const char **names;

    while (s->catalog->kinds[count] != NULL)
        count++;
    names = xcalloc(count + 1, sizeof *names);
    count = 0;
    for (size_t i = 0; s->catalog->kinds[i] != NULL; i++) {
        const char *name = s->catalog->kinds[i]->name;

        if (catalog_find_written(s->catalog, name) != NULL &&
            strncmp(name, prefix, strlen(prefix)) == 0 &&
            strcmp(name, "evaluate.command") != 0)
            names[count++] = name + strlen(prefix);
    }
    return names;
}

static const struct catalog_kind *find_builtin(struct spec *s,
                                               const struct yaml_node *node)
{
    AUTO(free_pointer) const char **names = builtin_names(s);
    AUTO(free_pointer)
    char *name =
        xasprintf("%s%s", prefix, node->text == NULL ? "" : node->text);
    const struct catalog_kind *kind = catalog_find_written(s->catalog, name);
    struct spec_problem *p;

    if (kind != NULL)
        return kind;
    p = problem_add(s->problems, PROBLEM_UNKNOWN_WORD, node->place,
                    "unknown builtin \"%.60s\"",
                    node->text == NULL ? "" : node->text);
    if (node->text != NULL)
        problem_nearest(p, node->text, names);
    problem_known(p, names);
    return NULL;
}

static bool takes(const struct catalog_kind *kind, const char *name)
{
    for (const struct catalog_key *k = kind->keys; k->name != NULL; k++) {
        if (strcmp(k->name, name) == 0)
            return true;
    }
    return false;
}

/* The trial's model, where there is one. */
static const char *last_stage(struct spec *s, const struct evaluator *e,
                              const char *what)
{
    if (s->stage_count > 0)
        return s->stages[s->stage_count - 1].name;
    problem_suggest(problem_add(s->problems, PROBLEM_NO_BODY, e->place,
                                "`%.60s` has no model to %s", e->name, what),
                    "add a body such as merge:, or a model%s: here",
                    e->across ? "s" : "");
    return NULL;
}

/* The value of `across`, and whether this evaluator can have it at all. */
static bool check_across(struct spec *s, const struct evaluator *e,
                         const struct yaml_pair *across)
{
    static const char *const words[] = { "replicates", NULL };
    const char *word = across->value->text;
    struct spec_problem *p;

    if (word == NULL || strcmp(word, words[0]) != 0) {
        p = problem_add(s->problems, PROBLEM_UNKNOWN_WORD, across->value->place,
                        "unknown across \"%.60s\"", word == NULL ? "" : word);
        if (word != NULL)
            problem_nearest(p, word, words);
        problem_known(p, words);
        return false;
    }
    if (!takes(e->kind, "models")) {
        problem_suggest(problem_add(s->problems, PROBLEM_NOT_TOGETHER,
                                    across->key->place,
                                    "%s measures one model, `across` compares "
                                    "two",
                                    e->kind->name),
                        "leave it out: what is measured of a replicate is "
                        "averaged over all anyway");
        return false;
    }
    if (yaml_get(e->node, "models") != NULL) {
        problem_suggest(problem_add(s->problems, PROBLEM_NOT_TOGETHER,
                                    across->key->place,
                                    "`across` and `models` both say what is "
                                    "compared"),
                        "leave out one of them");
        return false;
    }
    if (s->replicates > 1)
        return true;
    problem_suggest(problem_add(s->problems, PROBLEM_NO_PAIR,
                                across->value->place,
                                "a sweep without replicates has none to "
                                "compare"),
                    "add replicates: 2");
    return false;
}

/* What an evaluator measures where it does not say so itself: the trial's
 * model, or that of two replicates. False: there is none. */
static bool given_model(struct spec *s, struct evaluator *e,
                        struct spec_given *ret_given)
{
    const struct yaml_pair *across = yaml_find(e->node, "across");
    const char *stage;

    *ret_given = (struct spec_given){ NULL, NULL };
    e->across = across != NULL;
    if (across != NULL && !check_across(s, e, across))
        return false;
    if (!e->across &&
        (!takes(e->kind, "model") || yaml_get(e->node, "model") != NULL))
        return true;
    stage = last_stage(s, e, e->across ? "compare" : "measure");
    if (stage == NULL)
        return false;
    ret_given->key = e->across ? "models" : "model";
    ret_given->value = e->across ? json_pack("[{s:s}, {s:s}]", "$lower", stage,
                                             "$higher", stage)
                                 : json_pack("{s:s}", "$stage", stage);
    return true;
}

static void read_job(struct spec *s, struct evaluator *e)
{
    static const char *const skipped[] = { "builtin", "across", NULL };
    struct spec_given given;

    if (!given_model(s, e, &given))
        return;
    e->metrics = json_array();
    e->variants = spec_variants(s, e->kind, e->node, e->place, skipped, given,
                                e->metrics);
    json_decref(given.value);
    if (json_array_size(e->variants) > 0)
        return;
    /* It had mistakes: what it measures is not known. */
    json_decref(e->metrics);
    json_decref(e->variants);
    e->metrics = NULL;
    e->variants = NULL;
}

static void read_formula(struct spec *s, struct evaluator *e)
{
    static const struct catalog_key keys[] = {
        { .name = "expr", .type = KEY_ANY },
        { .name = NULL },
    };

    for (size_t i = 0; i < e->node->count; i++) {
        if (strcmp(e->node->pairs[i].key->text, "expr") != 0)
            spec_unknown_key(s, NULL, keys, e->node->pairs[i].key);
    }
    e->expr = yaml_get(e->node, "expr");
    e->parsed = spec_parse_expr(s, e->expr);
    e->metrics = json_pack("[s]", "value");
}

/* Which key says what kind of evaluator it is. */
static const char *const forms[] = { "builtin", "command", "expr" };

static bool has_one_form(struct spec *s, const struct yaml_pair *pair)
{
    size_t found = 0;

    for (size_t i = 0; i < COUNT_OF(forms); i++)
        found += yaml_get(pair->value, forms[i]) != NULL ? 1 : 0;
    if (found == 1)
        return true;
    problem_suggest(
        problem_add(s->problems,
                    found == 0 ? PROBLEM_MISSING_KEY : PROBLEM_NOT_TOGETHER,
                    pair->key->place,
                    "the evaluator `%.60s` needs %s builtin, "
                    "command or expr",
                    pair->key->text, found == 0 ? "one of" : "only one of"),
        "as in %.60s: {builtin: accuracy, ...}", pair->key->text);
    return false;
}

static void read_evaluator(struct spec *s, const struct yaml_pair *pair)
{
    struct evaluator *e = &s->evaluators[s->evaluator_count];

    if (!spec_check_name(s, pair->key, "an evaluator", true))
        return;
    for (size_t i = 0; i < s->stage_count; i++) {
        if (strcmp(s->stages[i].name, pair->key->text) == 0)
            problem_add(s->problems, PROBLEM_DECLARED_TWICE, pair->key->place,
                        "`%.60s` is the name of a stage already",
                        pair->key->text);
    }
    s->evaluator_count++;
    *e = (struct evaluator){ .name = pair->key->text,
                             .place = pair->key->place,
                             .node = pair->value };
    if (!has_one_form(s, pair))
        return;
    if (yaml_get(e->node, "expr") != NULL) {
        read_formula(s, e);
        return;
    }
    e->kind = yaml_get(e->node, "command") != NULL
                  ? catalog_find(s->catalog, "evaluate.command")
                  : find_builtin(s, yaml_get(e->node, "builtin"));
    if (e->kind != NULL)
        read_job(s, e);
}

void spec_read_evaluators(struct spec *s)
{
    const struct yaml_node *map = yaml_get(s->root, "evaluate");

    if (map == NULL) {
        if (s->stage_count == 0)
            problem_suggest(problem_add(s->problems, PROBLEM_NO_BODY,
                                        s->root->place,
                                        "the file says neither what to make "
                                        "nor what to measure"),
                            "add a body such as merge: or stages:");
        return;
    }
    if (map->type != YAML_MAP) {
        problem_suggest(problem_add(s->problems, PROBLEM_WRONG_TYPE, map->place,
                                    "`evaluate` takes a map of names"),
                        "as in wiki: {builtin: perplexity, data: ...}");
        return;
    }
    if (map->count > LIMIT_EVALUATORS) {
        problem_add(s->problems, PROBLEM_TOO_MANY, map->place,
                    "%zu evaluators, at most %d", map->count, LIMIT_EVALUATORS);
        return;
    }
    for (size_t i = 0; i < map->count; i++)
        read_evaluator(s, &map->pairs[i]);
}

/* ---- metrics ---------------------------------------------------------- */

static void add_names(const char *owner, const json_t *metrics, char **names,
                      size_t *count)
{
    for (size_t i = 0; i < json_array_size(metrics); i++)
        names[(*count)++] = xasprintf(
            "%s.%s", owner, json_string_value(json_array_get(metrics, i)));
}

/* All "name.metric"; the caller frees with free_names(). */
static char **metric_names(const struct spec *s)
{
    size_t count = 0;
    char **names;

    for (size_t i = 0; i < s->evaluator_count; i++)
        count += json_array_size(s->evaluators[i].metrics);
    for (size_t i = 0; i < s->stage_count; i++)
        count += json_array_size(s->stages[i].metrics);
    names = xcalloc(count + 1, sizeof(char *));
    count = 0;
    for (size_t i = 0; i < s->evaluator_count; i++)
        add_names(s->evaluators[i].name, s->evaluators[i].metrics, names,
                  &count);
    for (size_t i = 0; i < s->stage_count; i++)
        add_names(s->stages[i].name, s->stages[i].metrics, names, &count);
    return names;
}

static void free_names(char **names)
{
    for (size_t i = 0; names[i] != NULL; i++)
        free(names[i]);
    free(names);
}

static struct evaluator *evaluator_of(struct spec *s, const char *metric)
{
    size_t length = strcspn(metric, ".");

    for (size_t i = 0; i < s->evaluator_count; i++) {
        if (strlen(s->evaluators[i].name) == length &&
            strncmp(s->evaluators[i].name, metric, length) == 0)
            return &s->evaluators[i];
    }
    return NULL;
}

/* "`gsm` gives: accuracy, loss" helps more than all metrics of the file. */
static void note_metrics(struct spec *s, struct spec_problem *p,
                         const char *metric, const char *const *names)
{
    const struct evaluator *e = evaluator_of(s, metric);
    char given[128] = "";
    size_t used = 0;

    for (size_t i = 0; e != NULL && i < json_array_size(e->metrics); i++) {
        int size = snprintf(given + used, sizeof given - used, "%s%s",
                            i == 0 ? "" : ", ",
                            json_string_value(json_array_get(e->metrics, i)));

        if (size < 0 || (size_t)size >= sizeof given - used)
            break;
        used += (size_t)size;
    }
    if (used > 0)
        problem_note(p, "%.60s gives: %s", e->name, given);
    else
        problem_known(p, names);
}

/* A metric whose evaluator had mistakes is not held against the file. */
bool spec_check_metric(struct spec *s, const char *metric,
                       struct yaml_place place)
{
    char **names = metric_names(s);
    const struct evaluator *e = evaluator_of(s, metric);
    bool found = (e != NULL && e->metrics == NULL) ||
                 (e == NULL && spec_stage_metric(s, metric));
    struct spec_problem *p;

    for (size_t i = 0; names[i] != NULL && !found; i++)
        found = strcmp(names[i], metric) == 0;
    if (!found) {
        p = problem_add(s->problems, PROBLEM_NOT_MEASURED, place,
                        "nothing measures `%.80s`", metric);
        problem_nearest(p, metric, (const char *const *)names);
        note_metrics(s, p, metric, (const char *const *)names);
    }
    free_names(names);
    return found;
}

static void check_formula(struct spec *s, const struct evaluator *e)
{
    for (size_t i = 0; e->parsed != NULL && i < expr_name_count(e->parsed);
         i++) {
        struct expr_name name = expr_name(e->parsed, i);

        if (!name.quoted)
            (void)spec_check_metric(s, name.text,
                                    spec_expr_place(e->expr, name.place));
    }
}

/* ---- into the document ------------------------------------------------ */

static json_t *evaluator_json(const struct spec *s, const struct evaluator *e)
{
    json_t *json;

    if (e->kind == NULL)
        return json_pack("{s:s, s:s}", "name", e->name, "expr", e->expr->text);
    json = json_pack("{s:s, s:s, s:O, s:O}", "name", e->name, "kind",
                     e->kind->name, "variants", e->variants, "metrics",
                     e->metrics);
    if (e->across)
        (void)json_object_set_new(json, "across", json_string("replicates"));
    (void)json_object_update(json, s->needs);
    if (s->trial_ms > 0)
        (void)json_object_set_new(json, "limit_ms",
                                  json_integer((json_int_t)s->trial_ms));
    if (s->stall_ms > 0)
        (void)json_object_set_new(json, "stall_ms",
                                  json_integer((json_int_t)s->stall_ms));
    return json;
}

/* A formula comes behind those it names. */
static void place(struct spec *s, struct evaluator *e, json_t *list)
{
    if (e->state == 2 || (e->kind == NULL && e->parsed == NULL) ||
        (e->kind != NULL && e->variants == NULL))
        return;
    if (e->state == 1) {
        problem_add(s->problems, PROBLEM_CYCLE, e->place,
                    "the expression `%.60s` depends on itself", e->name);
        return;
    }
    e->state = 1;
    for (size_t i = 0; e->parsed != NULL && i < expr_name_count(e->parsed);
         i++) {
        struct expr_name name = expr_name(e->parsed, i);
        struct evaluator *needed =
            name.quoted ? NULL : evaluator_of(s, name.text);

        if (needed != NULL)
            place(s, needed, list);
    }
    e->state = 2;
    (void)json_array_append_new(list, evaluator_json(s, e));
}

void spec_write_evaluators(struct spec *s)
{
    json_t *list = json_array();

    for (size_t i = 0; i < s->evaluator_count; i++)
        check_formula(s, &s->evaluators[i]);
    for (size_t i = 0; i < s->evaluator_count; i++)
        place(s, &s->evaluators[i], list);
    (void)json_object_set_new(s->document, "evaluate", list);
}

void spec_read_objective(struct spec *s)
{
    const struct yaml_pair *pair = yaml_find(s->root, "objective");
    const struct yaml_node *node;
    json_t *json;
    const char *metric;

    if (pair == NULL)
        return;
    json = spec_section(s, "objective", spec_section_keys("objective"), pair);
    if (json == NULL)
        return;
    metric = json_text_or(json, "metric", NULL);
    node = yaml_get(pair->value, "metric");
    if (metric != NULL && node != NULL)
        (void)spec_check_metric(s, metric, node->place);
    (void)json_object_set_new(s->document, "objective", json);
}
