#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "sweep/compiled_parts.h"
#include "sweep/spec_parts.h"

/* Trials that are tried out; beyond them a wrong value fails its trial. */
enum { MOST_TRIED = 2000 };

struct trying {
    struct spec *s;
    const struct compiled *c;
    uint64_t trial;
    struct map *seen; /* canonical parameters by stage and text */
    int64_t memory[COMPILED_MOST_STAGES];
    /* Of evaluators that compare replicates: two models of a pair differ. */
    bool differs[COMPILED_MOST_STAGES];
    bool draws; /* two replicates of a point differ */
};

static struct yaml_place section_place(const struct spec *s, const char *name)
{
    const struct yaml_pair *pair = yaml_find(s->root, name);

    return pair == NULL ? s->root->place : pair->key->place;
}

/* "pruned.fit" is made by "pruned". */
static bool is_made_by(const char *stage, const char *name)
{
    size_t size = strlen(name);

    return strncmp(stage, name, size) == 0 && stage[size] == '.';
}

/* Where a stage or evaluator of that name stands, and its body. */
static struct yaml_place stage_place(const struct spec *s, const char *name,
                                     const struct yaml_node **ret_body)
{
    for (size_t i = 0; i < s->stage_count; i++) {
        if (strcmp(s->stages[i].name, name) == 0) {
            *ret_body = s->stages[i].body;
            return s->stages[i].place;
        }
    }
    for (size_t i = 0; i < s->evaluator_count; i++) {
        if (strcmp(s->evaluators[i].name, name) == 0) {
            *ret_body = s->evaluators[i].node;
            return s->evaluators[i].place;
        }
    }
    for (size_t i = 0; i < s->stage_count; i++)
        if (is_made_by(name, s->stages[i].name))
            return s->stages[i].place;
    return s->root->place;
}

static void report(struct trying *t, const char *stage,
                   const struct catalog_problem *wrong)
{
    const struct yaml_node *body = NULL;
    struct yaml_place place = stage_place(t->s, stage, &body);
    struct space_trial values;
    struct spec_problem *p;
    char *text;

    if (body != NULL && spec_node_at(body, wrong->path) != body)
        place = spec_node_at(body, wrong->path)->place;
    space_trial(compiled_space(t->c), t->trial, &values);
    text = json_canonical(values.values);
    p = problem_add(t->s->problems, PROBLEM_BAD_VALUES, place, "%s",
                    wrong->message);
    problem_suggest(p, "%s", wrong->suggestion);
    problem_note(p, "in trial #%llu: %.200s", (unsigned long long)t->trial + 1,
                 text);
    free(text);
    json_decref(values.values);
}

/* Parameters of a job, complete: what the kind checks as a whole. */
static void try_params(void *self, size_t stage, const char *params,
                       uint64_t family)
{
    struct trying *t = self;
    const struct stage *st = &t->c->stages[stage];
    const struct catalog_kind *kind = catalog_find(t->s->catalog, st->kind);
    AUTO(free_pointer) char *key = xasprintf("%zu %s", stage, params);
    struct catalog_problem wrong = { .path = "" };
    json_t *json = NULL;
    struct status parsed;

    (void)family;
    if (kind == NULL || map_get_text(t->seen, key) != NULL)
        return;
    (void)map_put_text(t->seen, key, t);
    parsed = json_parse(params, strlen(params), "parameters", &json);
    if (status_failed(&parsed))
        return;
    t->differs[stage] =
        t->differs[stage] ||
        !json_equal(json_array_get(json_object_get(json, "models"), 0),
                    json_array_get(json_object_get(json, "models"), 1));
    if (kind->check != NULL && !kind->check(json, &wrong))
        report(t, st->name, &wrong);
    if (kind->memory != NULL) {
        int64_t bytes = kind->memory(json);

        if (bytes > t->memory[stage])
            t->memory[stage] = bytes;
    }
    json_decref(json);
}

/* Does `reason` speak of this expression or derived value? */
static bool is_about(const char *reason, const char *text)
{
    size_t length = text == NULL ? 0 : strlen(text);

    return length > 0 && strncmp(reason, text, length) == 0 &&
           (reason[length] == ':' || reason[length] == '\0');
}

static struct yaml_place place_of_reason(const struct spec *s,
                                         const char *reason)
{
    const struct yaml_node *constraints = yaml_get(s->root, "constraints");

    for (size_t i = 0; i < s->declared_count; i++) {
        if (is_about(reason, s->declared[i].name))
            return s->declared[i].place;
    }
    if (constraints != NULL && constraints->type == YAML_LIST) {
        for (size_t i = 0; i < constraints->count; i++) {
            if (is_about(reason, constraints->items[i]->text))
                return constraints->items[i]->place;
        }
    }
    return section_place(s, "constraints");
}

static void try_wrong(struct trying *t, const struct space_trial *values)
{
    bool no_number = strstr(values->reason, "not a finite number") != NULL;
    struct spec_problem *p = problem_add(
        t->s->problems,
        no_number ? PROBLEM_LOST_POINTS : PROBLEM_WRONG_EXPRESSION,
        place_of_reason(t->s, values->reason), "%s", values->reason);
    AUTO(free_pointer) char *text = json_canonical(values->values);

    problem_suggest(p, no_number ? "such points are not run"
                                 : "compare texts with == or in only");
    problem_note(p, "in trial #%llu: %.200s", (unsigned long long)t->trial + 1,
                 text);
}

MUST_CHECK static struct status try_trial(struct trying *t, uint64_t *excluded)
{
    const struct compiled_visitor visitor = { .seen = try_params, .self = t };
    struct space_trial values;
    struct status st = SUCCESS;

    space_trial(compiled_space(t->c), t->trial, &values);
    if (values.verdict == SPACE_WRONG)
        try_wrong(t, &values);
    if (values.verdict == SPACE_TAKEN)
        st = compiled_visit(t->c, values.values, &visitor);
    else
        ++*excluded;
    json_decref(values.values);
    return st;
}

/* Do the replicates of a point differ in any job? */
static bool replicates_differ(const struct compiled *c, uint64_t point)
{
    struct stage_jobs jobs[2] = { { 0 } };
    bool differ = true;

    for (uint64_t i = 0; i < 2; i++) {
        struct space_trial values;
        struct status st;

        space_trial(compiled_space(c), point * compiled_replicates(c) + i,
                    &values);
        st = values.verdict == SPACE_TAKEN
                 ? compiled_stages(c, values.values, &jobs[i])
                 : SUCCESS;
        json_decref(values.values);
        if (status_failed(&st))
            return true;
    }
    if (jobs[0].count == jobs[1].count) {
        differ = false;
        for (size_t i = 0; i < jobs[0].count; i++)
            differ = differ || !digest_equal(&jobs[0].items[i].key,
                                             &jobs[1].items[i].key);
    }
    stage_jobs_release(&jobs[0]);
    stage_jobs_release(&jobs[1]);
    return differ;
}

static void check_replicates(struct trying *t)
{
    uint64_t replicates = compiled_replicates(t->c);
    uint64_t points = compiled_trial_count(t->c) / replicates;

    for (uint64_t i = 0; replicates > 1 && i < points && i < 64; i++) {
        if (replicates_differ(t->c, i))
            return;
    }
    if (replicates > 1)
        problem_suggest(problem_add(t->s->problems, PROBLEM_SAME_SEEDS,
                                    section_place(t->s, "replicates"),
                                    "replicates of a point are all the same: "
                                    "nothing draws random numbers"),
                        "remove replicates, or write seed: $seed in a body");
}

/* Two replicates with one model say nothing. */
static void check_pairs(struct trying *t)
{
    struct spec *s = t->s;

    for (size_t i = 0; i < s->evaluator_count; i++) {
        const struct evaluator *e = &s->evaluators[i];
        size_t stage = t->c->stage_count;

        while (stage < t->c->all_count &&
               strcmp(t->c->stages[stage].name, e->name) != 0)
            stage++;
        if (e->across && stage < t->c->all_count && !t->differs[stage])
            problem_suggest(
                problem_add(s->problems, PROBLEM_NO_PAIR,
                            yaml_find(e->node, "across")->key->place,
                            "the models that `%.60s` compares are one: no "
                            "stage before it draws by the seed",
                            e->name),
                "write seed: $seed in the body of %.60s",
                s->stages[s->stage_count - 1].name);
    }
}

static void store_memory(struct trying *t)
{
    static const char *const lists[] = { "stages", "evaluate" };
    size_t stage = 0;

    for (size_t l = 0; l < COUNT_OF(lists); l++) {
        json_t *list = json_object_get(t->s->document, lists[l]);

        for (size_t i = 0; i < json_array_size(list); i++) {
            json_t *one = json_array_get(list, i);

            if (json_object_get(one, "expr") != NULL)
                continue;
            if (t->memory[stage] > 0 && json_object_get(one, "memory") == NULL)
                (void)json_object_set_new(
                    one, "memory", json_integer((json_int_t)t->memory[stage]));
            stage++;
        }
    }
}

static void try_trials(struct trying *t)
{
    uint64_t count = compiled_trial_count(t->c);
    uint64_t tried = count < MOST_TRIED ? count : MOST_TRIED;
    uint64_t excluded = 0;

    for (t->trial = 0; t->trial < tried; t->trial++) {
        struct status st = try_trial(t, &excluded);

        if (status_failed(&st)) {
            problem_add(t->s->problems, PROBLEM_BAD_VALUES, t->s->root->place,
                        "trial #%llu: %s", (unsigned long long)t->trial + 1,
                        st.message);
            return;
        }
    }
    if (excluded == count && !problem_is_error(t->s->problems))
        problem_suggest(problem_add(t->s->problems, PROBLEM_NO_POINTS,
                                    section_place(t->s, "constraints"),
                                    "the constraints exclude every point"),
                        "loosen one of them");
}

/* Of an evaluator that compares replicates: true if the message is about it. */
static bool refuse_pair(struct spec *s, const char *message)
{
    for (size_t i = 0; i < s->evaluator_count; i++) {
        const struct evaluator *e = &s->evaluators[i];
        AUTO(free_pointer) char *start = xasprintf("evaluator %s: ", e->name);

        if (!e->across || strncmp(message, start, strlen(start)) != 0)
            continue;
        problem_add(s->problems, PROBLEM_NO_PAIR,
                    yaml_find(e->node, "across")->key->place, "%s",
                    message + strlen(start));
        return true;
    }
    return false;
}

/* All that can still be wrong with a document made here: values that depend
 * on each other, and sizes. */
static void refuse_document(struct spec *s, const struct status *st)
{
    const char *message = strstr(st->message, ": ");

    message = message == NULL ? st->message : message + 2;
    if (refuse_pair(s, message))
        return;
    for (size_t i = 0; i < s->declared_count; i++) {
        const struct declared *d = &s->declared[i];
        size_t length = strlen(d->name);

        if (strncmp(message + 1, d->name, length) == 0 &&
            strcmp(message + 1 + length, "` depends on itself") == 0) {
            problem_add(s->problems, PROBLEM_CYCLE, d->place, "%s", message);
            return;
        }
    }
    problem_add(s->problems, PROBLEM_TOO_MANY, section_place(s, "parameters"),
                "%s", message);
}

/* What only the whole can show: the document is read as the broker will read
 * it, and the first trials are worked out. */
void spec_check_trials(struct spec *s)
{
    AUTO(free_pointer) char *text = json_canonical(s->document);
    struct trying t = { .s = s };
    struct compiled *c = NULL;
    struct status st = compiled_parse(text, strlen(text), &c);

    if (status_failed(&st)) {
        refuse_document(s, &st);
        return;
    }
    t.c = c;
    t.seen = map_new();
    try_trials(&t);
    if (!problem_is_error(s->problems))
        check_pairs(&t);
    if (!problem_is_error(s->problems)) {
        check_replicates(&t);
        store_memory(&t);
    }
    map_free(t.seen);
    compiled_free(c);
}
