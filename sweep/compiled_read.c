#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "sweep/compiled_parts.h"
#include "sweep/pairs.h"

enum {
    MOST_VARIANTS = 1024,
    MOST_METRICS = 1024, /* of one evaluator */
    MOST_FUSE = 4096,    /* places of one variant */
    DEFAULT_RETRIES = 2,
    DEFAULT_BACKOFF_MS = 1000,
};

MUST_CHECK static struct status read_name(const json_t *json, const char *key,
                                          const char **ret_name)
{
    TRY_PLAIN(json_member_text(json, key, ret_name));
    if (**ret_name == '\0' || strlen(*ret_name) >= LIMIT_NAME)
        return FAIL(STATUS_INVALID, "\"%s\" must have 1 to %d bytes", key,
                    LIMIT_NAME - 1);
    return SUCCESS;
}

static bool is_plain(const char *name)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyz"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t length = strlen(name);

    return length > 0 && length < LIMIT_NAME && strspn(name, plain) == length;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names stand in keys, labels and log lines as they are. */
MUST_CHECK static struct status read_plain_name(const json_t *json,
                                                const char *key,
                                                const char **ret_name)
{
    TRY_PLAIN(read_name(json, key, ret_name));
    if (!is_plain(*ret_name))
        return FAIL(STATUS_INVALID,
                    "\"%s\" has other characters than letters, digits, _ . -",
                    key);
    return SUCCESS;
}

/* Absent: `otherwise`. */
MUST_CHECK static struct status read_int(const json_t *json, const char *key,
                                         int64_t least, int64_t most,
                                         int64_t otherwise, int64_t *ret_value)
{
    *ret_value = otherwise;
    if (json_object_get(json, key) == NULL)
        return SUCCESS;
    TRY_PLAIN(json_member_int(json, key, ret_value));
    if (*ret_value < least || *ret_value > most)
        return FAIL(STATUS_INVALID, "\"%s\" must be %lld to %lld", key,
                    (long long)least, (long long)most);
    return SUCCESS;
}

/* ---- stages ----------------------------------------------------------- */

static int find_stage(const void *self, const char *name)
{
    const struct compiled *c = self;

    for (size_t i = 0; i < c->stage_count; i++) {
        if (strcmp(c->stages[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

static int find_param(const void *self, const char *name)
{
    const struct compiled *c = self;

    return space_find(c->space, name);
}

MUST_CHECK static struct status read_conditions(struct compiled *c,
                                                const json_t *json,
                                                struct variant *v)
{
    json_t *when = json_object_get(json, "when");
    const char *name;
    json_t *value;

    if (when == NULL)
        return SUCCESS;
    if (!json_is_object(when))
        return FAIL(STATUS_INVALID, "\"when\" is not an object");
    v->conditions = xcalloc(json_object_size(when) + 1, sizeof *v->conditions);
    json_object_foreach(when, name, value)
    {
        struct condition *condition = &v->conditions[v->condition_count];

        condition->slot = space_find(c->space, name);
        if (condition->slot < 0)
            return FAIL(STATUS_INVALID, "when: \"%.60s\" is not declared",
                        name);
        condition->text = json_canonical(value);
        condition->size = strlen(condition->text);
        v->condition_count++;
    }
    return SUCCESS;
}

MUST_CHECK static struct status read_fuse(const json_t *json, struct variant *v)
{
    const json_t *list = json_object_get(json, "fuse");

    if (list != NULL && !json_is_array(list))
        return FAIL(STATUS_INVALID, "\"fuse\" is not a list");
    if (json_array_size(list) > MOST_FUSE)
        return FAIL(STATUS_TOO_BIG, "\"fuse\" has %zu entries, at most %d",
                    json_array_size(list), MOST_FUSE);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *place = json_string_value(json_array_get(list, i));

        if (place == NULL)
            return FAIL(STATUS_INVALID, "fuse[%zu] is not a text", i);
        TRY(template_blank(v->params, place), "fuse[%zu]", i);
        v->fused = true;
    }
    return SUCCESS;
}

MUST_CHECK static struct status read_variant(struct compiled *c,
                                             const json_t *json,
                                             struct variant *v)
{
    const struct template_names names = { .param = find_param,
                                          .stage = find_stage,
                                          .self = c };
    json_t *params = NULL;

    TRY_PLAIN(read_conditions(c, json, v));
    TRY_PLAIN(json_member_object(json, "params", &params));
    TRY(template_new(params, &names, &v->params), "params");
    return read_fuse(json, v);
}

/* Called when all stages have their names. */
MUST_CHECK static struct status read_variants(struct compiled *c,
                                              const json_t *json,
                                              struct stage *s)
{
    json_t *variants = NULL;

    TRY_PLAIN(json_member_array(json, "variants", &variants));
    if (json_array_size(variants) == 0 ||
        json_array_size(variants) > MOST_VARIANTS)
        return FAIL(STATUS_INVALID, "\"variants\" must have 1 to %d entries",
                    MOST_VARIANTS);
    s->variants = xcalloc(json_array_size(variants), sizeof *s->variants);
    for (size_t i = 0; i < json_array_size(variants); i++) {
        s->variant_count = i + 1;
        TRY(read_variant(c, json_array_get(variants, i), &s->variants[i]),
            "variants[%zu]", i);
    }
    return SUCCESS;
}

static const char *const sorts[] = { "lazy", "artifact" };

MUST_CHECK static struct status read_sort(const json_t *json, bool is_evaluator,
                                          enum stage_sort *ret_sort)
{
    const char *sort = json_text_or(json, "sort", "");

    *ret_sort = STAGE_VALUE;
    if (is_evaluator)
        return SUCCESS;
    for (size_t i = 0; i < COUNT_OF(sorts); i++) {
        if (strcmp(sort, sorts[i]) == 0) {
            *ret_sort = (enum stage_sort)i;
            return SUCCESS;
        }
    }
    return FAIL(STATUS_INVALID, "\"sort\" must be lazy or artifact");
}

MUST_CHECK static struct status check_label(const char *name,
                                            const json_t *value)
{
    const char *text = json_string_value(value);

    if (!is_plain(name) || text == NULL || !is_plain(text))
        return FAIL(STATUS_INVALID,
                    "labels: a name and its text are 1 to %d letters, digits, "
                    "_ . -",
                    LIMIT_NAME - 1);
    return SUCCESS;
}

/* {"zone": "a", "disk": "ssd"} -> "disk=ssd,zone=a". */
MUST_CHECK static struct status read_labels(const json_t *json, struct stage *s)
{
    json_t *labels = json_object_get(json, "labels");
    const char *names[LIMIT_LABELS];
    const char *name;
    json_t *value;
    size_t count = 0;

    if (labels == NULL)
        return SUCCESS;
    if (!json_is_object(labels) || json_object_size(labels) > LIMIT_LABELS)
        return FAIL(STATUS_INVALID, "\"labels\" is no map of at most %d texts",
                    LIMIT_LABELS);
    json_object_foreach(labels, name, value)
    {
        TRY_PLAIN(check_label(name, value));
        names[count++] = name;
    }
    qsort(names, count, sizeof *names, by_name);
    for (size_t i = 0; i < count; i++) {
        char *before = s->labels;

        s->labels = xasprintf("%s%s%s=%s", before == NULL ? "" : before,
                              i == 0 ? "" : ",", names[i],
                              json_text_or(labels, names[i], ""));
        free(before);
    }
    return SUCCESS;
}

MUST_CHECK static struct status read_needs(const json_t *json, struct stage *s)
{
    TRY_PLAIN(read_int(json, "memory", 0, INT64_MAX, 0, &s->memory_bytes));
    TRY_PLAIN(read_int(json, "cpus", 0, LIMIT_CPUS, 0, &s->cpus));
    TRY_PLAIN(read_labels(json, s));
    TRY_PLAIN(read_int(json, "stall_ms", 0, INT64_MAX, 0, &s->stall_ms));
    return read_int(json, "limit_ms", 0, INT64_MAX, 0, &s->limit_ms);
}

MUST_CHECK static struct status add_stage(struct compiled *c,
                                          const json_t *json, bool is_evaluator)
{
    struct stage *s = &c->stages[c->all_count];

    TRY_PLAIN(read_plain_name(json, "name", &s->name));
    TRY_PLAIN(read_plain_name(json, "kind", &s->kind));
    for (size_t i = 0; i < c->all_count; i++) {
        if (strcmp(c->stages[i].name, s->name) == 0)
            return FAIL(STATUS_INVALID, "two stages are called \"%s\"",
                        s->name);
    }
    TRY_PLAIN(read_sort(json, is_evaluator, &s->sort));
    TRY_PLAIN(read_needs(json, s));
    c->all_count++;
    c->stage_count += is_evaluator ? 0 : 1;
    return SUCCESS;
}

MUST_CHECK static struct status read_list(const json_t *document,
                                          const char *name, size_t most,
                                          const json_t **ret_list)
{
    *ret_list = json_object_get(document, name);
    if (*ret_list != NULL && !json_is_array(*ret_list))
        return FAIL(STATUS_INVALID, "\"%s\" is not a list", name);
    if (json_array_size(*ret_list) > most)
        return FAIL(STATUS_TOO_BIG, "\"%s\" has %zu entries, at most %zu", name,
                    json_array_size(*ret_list), most);
    return SUCCESS;
}

static void add_metric(struct compiled *c, const char *evaluator,
                       const char *metric)
{
    c->metrics = xrealloc(c->metrics, (c->metric_count + 1) * sizeof(char *));
    c->metrics[c->metric_count++] = xasprintf("%s.%s", evaluator, metric);
}

MUST_CHECK static struct status read_metrics(struct compiled *c,
                                             const json_t *json,
                                             const char *evaluator)
{
    const json_t *list = NULL;

    TRY_PLAIN(read_list(json, "metrics", MOST_METRICS, &list));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *metric = json_string_value(json_array_get(list, i));

        if (metric == NULL || *metric == '\0' || strlen(metric) >= LIMIT_NAME)
            return FAIL(STATUS_INVALID, "metrics[%zu] is not a name", i);
        add_metric(c, evaluator, metric);
    }
    return SUCCESS;
}

MUST_CHECK static struct status read_stages(struct compiled *c)
{
    const json_t *list = NULL;

    TRY_PLAIN(read_list(c->document, "stages", COMPILED_STAGES, &list));
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY(add_stage(c, json_array_get(list, i), false), "stages[%zu]", i);
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY(read_variants(c, json_array_get(list, i), &c->stages[i]),
            "stage %s", c->stages[i].name);
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY(read_metrics(c, json_array_get(list, i), c->stages[i].name),
            "stage %s", c->stages[i].name);
    return SUCCESS;
}

MUST_CHECK static struct status visit(const struct compiled *c, size_t stage,
                                      uint8_t *state)
{
    const struct stage *s = &c->stages[stage];

    if (state[stage] == 2)
        return SUCCESS;
    if (state[stage] == 1)
        return FAIL(STATUS_INVALID, "stage %s depends on itself", s->name);
    state[stage] = 1;
    for (size_t v = 0; v < s->variant_count; v++) {
        const struct template *t = s->variants[v].params;

        for (size_t i = 0; i < template_stage_count(t); i++)
            TRY_PLAIN(visit(c, (size_t)template_stage(t, i).stage, state));
    }
    state[stage] = 2;
    return SUCCESS;
}

MUST_CHECK static struct status check_cycles(const struct compiled *c)
{
    uint8_t state[COMPILED_MOST_STAGES] = { 0 };

    for (size_t i = 0; i < c->stage_count; i++)
        TRY_PLAIN(visit(c, i, state));
    return SUCCESS;
}

/* ---- evaluators ------------------------------------------------------- */

static int find_metric(const void *self, const char *name)
{
    const struct compiled *c = self;

    for (size_t i = 0; i < c->metric_count; i++) {
        if (strcmp(c->metrics[i], name) == 0)
            return (int)i;
    }
    return EXPR_UNBOUND;
}

/* A formula may name what stands before it. */
MUST_CHECK static struct status read_formula(struct compiled *c,
                                             const json_t *json)
{
    struct formula *f = &c->formulas[c->formula_count++];
    const char *text = NULL;

    TRY_PLAIN(read_plain_name(json, "name", &f->name));
    TRY_PLAIN(json_member_text(json, "expr", &text));
    TRY(expr_parse(text, &f->expr, NULL), "expr \"%.100s\"", text);
    TRY(expr_bind_all(f->expr, find_metric, c), "expr \"%.100s\"", text);
    f->metric = xasprintf("%s.value", f->name);
    if (find_metric(c, f->metric) != EXPR_UNBOUND)
        return FAIL(STATUS_INVALID, "two evaluators give %s", f->metric);
    add_metric(c, f->name, "value");
    return SUCCESS;
}

MUST_CHECK static struct status read_evaluator(struct compiled *c,
                                               const json_t *json)
{
    if (json_object_get(json, "expr") != NULL)
        return read_formula(c, json);
    TRY_PLAIN(add_stage(c, json, true));
    TRY_PLAIN(read_variants(c, json, &c->stages[c->all_count - 1]));
    return read_metrics(c, json, c->stages[c->all_count - 1].name);
}

MUST_CHECK static struct status read_evaluators(struct compiled *c)
{
    const json_t *list = NULL;

    TRY_PLAIN(read_list(c->document, "evaluate", LIMIT_EVALUATORS, &list));
    for (size_t i = 0; i < json_array_size(list); i++)
        TRY(read_evaluator(c, json_array_get(list, i)), "evaluate[%zu]", i);
    if (c->all_count + c->formula_count == 0)
        return FAIL(STATUS_INVALID,
                    "there is neither a stage nor an evaluator");
    return SUCCESS;
}

/* ---- replicates in pairs ---------------------------------------------- */

static bool has_pair(const struct stage *s)
{
    for (size_t v = 0; v < s->variant_count; v++) {
        const struct template *t = s->variants[v].params;

        for (size_t i = 0; i < template_stage_count(t); i++) {
            if (template_stage(t, i).whose != WHOSE_OWN)
                return true;
        }
    }
    return false;
}

MUST_CHECK static struct status check_pairs(struct compiled *c)
{
    for (size_t i = 0; i < c->all_count; i++) {
        if (!has_pair(&c->stages[i]))
            continue;
        if (i < c->stage_count)
            return FAIL(STATUS_INVALID,
                        "stage %s: only evaluators compare replicates",
                        c->stages[i].name);
        TRY(space_check_pairs(c->space), "evaluator %s", c->stages[i].name);
        c->has_pairs = true;
    }
    return SUCCESS;
}

/* ---- the rest --------------------------------------------------------- */

MUST_CHECK static struct status read_objective(struct compiled *c)
{
    const json_t *json = json_object_get(c->document, "objective");
    const char *goal = json_text_or(json, "goal", "maximize");

    if (json == NULL)
        return SUCCESS;
    TRY(json_member_text(json, "metric", &c->objective.metric), "objective");
    if (find_metric(c, c->objective.metric) == EXPR_UNBOUND)
        return FAIL(STATUS_INVALID, "objective: nothing measures \"%.80s\"",
                    c->objective.metric);
    c->objective.pairs = pairs_of_metric(c->document, c->objective.metric);
    c->objective.maximize = strcmp(goal, "maximize") == 0;
    if (!c->objective.maximize && strcmp(goal, "minimize") != 0)
        return FAIL(STATUS_INVALID,
                    "objective: goal must be maximize or minimize");
    return SUCCESS;
}

/* Absent: any number. */
MUST_CHECK static struct status read_most(const json_t *json, const char *key,
                                          uint64_t *ret_most)
{
    int64_t value = 0;

    TRY_PLAIN(read_int(json, key, 0, INT64_MAX, -1, &value));
    *ret_most = value < 0 ? UINT64_MAX : (uint64_t)value;
    return SUCCESS;
}

MUST_CHECK static struct status read_weight(const json_t *json,
                                            double *ret_weight)
{
    *ret_weight = 1.0;
    if (json_object_get(json, "weight") == NULL)
        return SUCCESS;
    TRY_PLAIN(json_member_real(json, "weight", ret_weight));
    if (*ret_weight < SWEEP_LEAST_WEIGHT || *ret_weight > SWEEP_MOST_WEIGHT)
        return FAIL(STATUS_INVALID, "\"weight\" must be %g to %g",
                    SWEEP_LEAST_WEIGHT, SWEEP_MOST_WEIGHT);
    return SUCCESS;
}

MUST_CHECK static struct status read_limits(struct compiled *c)
{
    const json_t *limits = json_object_get(c->document, "limits");
    const json_t *retries = json_object_get(c->document, "retries");
    struct sweep_limits *l = &c->limits;
    int64_t count = 0;

    if ((limits != NULL && !json_is_object(limits)) ||
        (retries != NULL && !json_is_object(retries)))
        return FAIL(STATUS_INVALID, "limits and retries are objects");
    TRY_PLAIN(read_int(c->document, "priority", -100, 100, 0, &l->priority));
    TRY_PLAIN(read_weight(c->document, &l->weight));
    TRY_PLAIN(read_most(limits, "failures", &l->failures));
    TRY_PLAIN(read_most(limits, "trials", &l->trials));
    TRY_PLAIN(read_int(limits, "time_ms", 0, INT64_MAX, 0, &l->time_ms));
    TRY_PLAIN(read_int(limits, "parallel", 0, INT64_MAX, 0, &count));
    l->parallel = (uint64_t)count;
    TRY_PLAIN(read_int(retries, "max", 0, 1000, DEFAULT_RETRIES, &count));
    l->retries = (uint64_t)count;
    return read_int(retries, "backoff_ms", 0, INT64_C(86400000),
                    DEFAULT_BACKOFF_MS, &l->backoff_ms);
}

MUST_CHECK static struct status check_version(const json_t *document)
{
    int64_t version = 0;

    if (!json_is_object(document))
        return FAIL(STATUS_INVALID, "a compiled sweep is a JSON object");
    TRY_PLAIN(json_member_int(document, "sinter", &version));
    if (version != 1)
        return FAIL(STATUS_INVALID,
                    "the document has format %lld, this program reads 1",
                    (long long)version);
    return SUCCESS;
}

struct status compiled_read(struct compiled *c)
{
    TRY_PLAIN(check_version(c->document));
    TRY_PLAIN(read_name(c->document, "name", &c->name));
    TRY_PLAIN(space_new(c->document, &c->space));
    TRY_PLAIN(read_stages(c));
    TRY_PLAIN(check_cycles(c));
    TRY_PLAIN(read_evaluators(c));
    TRY_PLAIN(check_pairs(c));
    TRY_PLAIN(read_objective(c));
    return read_limits(c);
}
