#include "sweep/compiled.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "sweep/compiled_parts.h"

/* Takes the reference, also on failure. */
MUST_CHECK static struct status compiled_of(json_t *document,
                                            struct compiled **ret_compiled)
{
    struct compiled *c = xnew(struct compiled);
    struct status st;

    c->document = document;
    st = compiled_read(c);
    if (status_failed(&st)) {
        compiled_free(c);
        return status_wrap(st, "compiled sweep");
    }
    *ret_compiled = c;
    return SUCCESS;
}

struct status compiled_parse(const char *json, size_t size,
                             struct compiled **ret_compiled)
{
    json_t *document = NULL;

    if (size > LIMIT_COMPILED)
        return FAIL(STATUS_TOO_BIG, "the compiled sweep has %zu bytes of %d",
                    size, LIMIT_COMPILED);
    TRY_PLAIN(json_parse(json, size, "compiled sweep", &document));
    return compiled_of(document, ret_compiled);
}

static void free_stage(struct stage *s)
{
    for (size_t i = 0; i < s->variant_count; i++) {
        struct variant *v = &s->variants[i];

        for (size_t j = 0; j < v->condition_count; j++)
            free(v->conditions[j].text);
        free(v->conditions);
        template_free(v->params);
    }
    free(s->variants);
    free(s->labels);
}

void compiled_free(struct compiled *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < COMPILED_MOST_STAGES; i++)
        free_stage(&c->stages[i]);
    for (size_t i = 0; i < c->formula_count; i++) {
        free(c->formulas[i].metric);
        expr_free(c->formulas[i].expr);
    }
    for (size_t i = 0; i < c->metric_count; i++)
        free(c->metrics[i]);
    free(c->metrics);
    space_free(c->space);
    json_decref(c->document);
    free(c);
}

const char *compiled_name(const struct compiled *c)
{
    return c->name;
}

const json_t *compiled_document(const struct compiled *c)
{
    return c->document;
}

const struct space *compiled_space(const struct compiled *c)
{
    return c->space;
}

uint64_t compiled_trial_count(const struct compiled *c)
{
    return space_points(c->space) * space_replicates(c->space);
}

uint64_t compiled_trial_limit(const struct compiled *c)
{
    return space_points_limit(c->space) * space_replicates(c->space);
}

size_t compiled_stage_count(const struct compiled *c)
{
    return c->all_count;
}

uint64_t compiled_replicates(const struct compiled *c)
{
    return space_replicates(c->space);
}

struct objective compiled_objective(const struct compiled *c)
{
    return c->objective;
}

struct sweep_limits compiled_limits(const struct compiled *c)
{
    return c->limits;
}

struct status compiled_trial(const struct compiled *c, uint64_t trial,
                             json_t **ret_values, bool *ret_excluded)
{
    struct space_trial t;

    if (trial >= compiled_trial_limit(c))
        return FAIL(STATUS_NOT_FOUND, "there is no trial %llu, only %llu",
                    (unsigned long long)trial,
                    (unsigned long long)compiled_trial_limit(c));
    space_trial(c->space, trial, &t);
    *ret_values = t.values;
    *ret_excluded = t.verdict != SPACE_TAKEN;
    return SUCCESS;
}

struct digest compiled_key(const char *kind, const char *canonical_params)
{
    static const char tag[] = "sinter-key-1";
    char numerics[16];
    struct digest_stream *s = digest_begin();

    (void)snprintf(numerics, sizeof numerics, "%d", SWEEP_NUMERICS);
    digest_add(s, tag, sizeof tag);
    digest_add(s, kind, strlen(kind) + 1);
    digest_add(s, numerics, strlen(numerics) + 1);
    digest_add(s, canonical_params, strlen(canonical_params) + 1);
    return digest_end(s);
}

/* ---- metrics ---------------------------------------------------------- */

static bool is_listed(const struct compiled *c, const char *metric)
{
    for (size_t i = 0; i < c->metric_count; i++) {
        if (strcmp(c->metrics[i], metric) == 0)
            return true;
    }
    return false;
}

/* Of an evaluator all it measured, of a stage what the document lists. */
static void copy_numbers(const struct compiled *c, size_t stage,
                         const json_t *results, json_t *metrics)
{
    const char *owner = c->stages[stage].name;
    const json_t *result = json_object_get(results, owner);
    json_t *numbers = json_object_get(result, "metrics");
    const char *name;
    json_t *value;

    json_object_foreach(numbers, name, value)
    {
        AUTO(free_pointer)
        char *full = xasprintf("%s.%s", owner, name);

        if (json_is_number(value) &&
            (stage >= c->stage_count || is_listed(c, full)))
            (void)json_object_set(metrics, full, value);
    }
}

struct metric_scope {
    const struct compiled *c;
    const json_t *metrics;
};

static struct expr_value metric_value(const void *self, int slot)
{
    const struct metric_scope *scope = self;

    return expr_value_of(
        json_object_get(scope->metrics, scope->c->metrics[slot]));
}

struct status compiled_metrics(const struct compiled *c, const json_t *results,
                               json_t **ret_metrics)
{
    json_t *metrics = json_object();
    const struct metric_scope scope = { c, metrics };

    for (size_t i = 0; i < c->all_count; i++)
        copy_numbers(c, i, results, metrics);
    for (size_t i = 0; i < c->formula_count; i++) {
        struct expr_value v = expr_eval(
            c->formulas[i].expr,
            (struct expr_scope){ .value = metric_value, .self = &scope });

        if ((v.type == EXPR_NUMBER || v.type == EXPR_BOOL) &&
            isfinite(v.number))
            (void)json_object_set_new(metrics, c->formulas[i].metric,
                                      json_real(v.number));
    }
    *ret_metrics = metrics;
    return SUCCESS;
}
