#include "sweep/compiled.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/memory.h"
#include "sweep/compiled_parts.h"

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

struct status compiled_of(json_t *document, struct compiled **ret_compiled)
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

    if (trial >= compiled_trial_count(c))
        return FAIL(STATUS_NOT_FOUND, "there is no trial %llu, only %llu",
                    (unsigned long long)trial,
                    (unsigned long long)compiled_trial_count(c));
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

/* ---- jobs of a trial -------------------------------------------------- */

/* Keys of jobs, each once. */
struct keys {
    struct digest *items;
    size_t count;
};

/* A stage as this trial needs it. */
struct resolved {
    bool done;
    char *model;       /* what stands for it in a consumer's parameters */
    struct keys needs; /* what a consumer waits for */
};

struct resolver {
    const struct compiled *c;
    const char **texts;    /* canonical values by slot, owned */
    const json_t **values; /* the same, borrowed */
    struct resolved *stages;
    struct stage_jobs *jobs;                /* NULL: only the model is wanted */
    const struct compiled_visitor *visitor; /* NULL: none */
    struct keys *collect; /* of the stage whose template is being written */
};

static void add_key(struct keys *k, const struct digest *key)
{
    for (size_t i = 0; i < k->count; i++) {
        if (digest_equal(&k->items[i], key))
            return;
    }
    k->items = xrealloc(k->items, (k->count + 1) * sizeof *k->items);
    k->items[k->count++] = *key;
}

static void open_resolver(struct resolver *r, const struct compiled *c,
                          const json_t *values, struct stage_jobs *jobs)
{
    size_t names = space_name_count(c->space);

    *r = (struct resolver){
        .c = c,
        .texts = xcalloc(names, sizeof(char *)),
        .values = xcalloc(names, sizeof(json_t *)),
        .stages = xcalloc(c->all_count, sizeof(struct resolved)),
        .jobs = jobs,
    };
    for (size_t i = 0; i < names; i++) {
        r->values[i] = json_object_get(values, space_name(c->space, i));
        if (r->values[i] != NULL && !json_is_null(r->values[i]))
            r->texts[i] = json_canonical(r->values[i]);
    }
}

static void close_resolver(struct resolver *r)
{
    for (size_t i = 0; i < space_name_count(r->c->space); i++)
        free_pointer(&r->texts[i]);
    for (size_t i = 0; i < r->c->all_count; i++) {
        free(r->stages[i].model);
        free(r->stages[i].needs.items);
    }
    free(r->texts);
    free(r->values);
    free(r->stages);
}

static bool fits(const struct resolver *r, const struct variant *v)
{
    for (size_t i = 0; i < v->condition_count; i++) {
        const char *text = r->texts[v->conditions[i].slot];

        if (text == NULL || strcmp(text, v->conditions[i].text) != 0)
            return false;
    }
    return true;
}

MUST_CHECK static struct status find_variant(const struct resolver *r,
                                             const struct stage *s,
                                             const struct variant **ret)
{
    for (size_t i = 0; i < s->variant_count; i++) {
        if (fits(r, &s->variants[i])) {
            *ret = &s->variants[i];
            return SUCCESS;
        }
    }
    return FAIL(STATUS_INVALID, "stage %s has no variant for these values",
                s->name);
}

static struct status write_stage(void *self, int stage, struct buf *out);

/* The stage's parameters, and the keys of the jobs they name. */
MUST_CHECK static struct status write_params(struct resolver *r, size_t stage,
                                             struct keys *ret_needs,
                                             char **ret_params)
{
    const struct stage *s = &r->c->stages[stage];
    const struct template_values values = {
        .texts = r->texts,
        .values = r->values,
        .stage = write_stage,
        .self = r,
    };
    const struct variant *v = NULL;
    struct keys *outer = r->collect;
    struct buf out;
    struct status st = find_variant(r, s, &v);

    if (status_failed(&st))
        return st;
    buf_init(&out, LIMIT_PARAMS);
    r->collect = ret_needs;
    st = template_write(v->params, &values, &out);
    r->collect = outer;
    if (status_failed(&st)) {
        buf_release(&out);
        return status_wrap(st, "parameters of stage %s", s->name);
    }
    *ret_params = buf_take(&out);
    return SUCCESS;
}

static void add_job(struct resolver *r, const struct stage *s,
                    const struct digest *key, char *params, struct keys needs)
{
    struct stage_jobs *jobs = r->jobs;
    struct stage_job *job;

    if (jobs == NULL) {
        free(params);
        free(needs.items);
        return;
    }
    jobs->items =
        xrealloc(jobs->items, (jobs->count + 1) * sizeof *jobs->items);
    job = &jobs->items[jobs->count++];
    *job = (struct stage_job){
        .stage = s->name,
        .kind = s->kind,
        .sort = s->sort,
        .key = *key,
        .params = params,
        .inputs = needs.items,
        .input_count = needs.count,
        .memory_bytes = s->memory_bytes,
        .stall_ms = s->stall_ms,
        .limit_ms = s->limit_ms,
    };
}

/* Once a trial; consumers find it in `r->stages`. Recursion ends because the
 * stages have no cycle. */
MUST_CHECK static struct status resolve(struct resolver *r, size_t stage)
{
    const struct stage *s = &r->c->stages[stage];
    struct resolved *out = &r->stages[stage];
    struct keys needs = { 0 };
    char *params = NULL;
    struct status st;

    if (out->done)
        return SUCCESS;
    st = write_params(r, stage, &needs, &params);
    if (status_failed(&st)) {
        free(needs.items);
        return st;
    }
    assert(params != NULL);
    if (r->visitor != NULL)
        r->visitor->seen(r->visitor->self, stage, params);
    if (s->sort == STAGE_LAZY) {
        out->model = xasprintf("{\"$recipe\":{\"kind\":\"%s\",\"params\":%s}}",
                               s->kind, params);
        out->needs = needs;
        free(params);
    } else {
        struct digest key = compiled_key(s->kind, params);
        char hex[DIGEST_TEXT];

        digest_to_text(&key, hex);
        out->model = xasprintf("{\"$job\":\"%s\"}", hex);
        add_key(&out->needs, &key);
        add_job(r, s, &key, params, needs);
    }
    out->done = true;
    return SUCCESS;
}

static struct status write_stage(void *self, int stage, struct buf *out)
{
    struct resolver *r = self;
    const struct resolved *done = &r->stages[stage];

    TRY_PLAIN(resolve(r, (size_t)stage));
    for (size_t i = 0; i < done->needs.count; i++)
        add_key(r->collect, &done->needs.items[i]);
    return buf_add_text(out, done->model);
}

MUST_CHECK static struct status resolve_all(struct resolver *r)
{
    const struct compiled *c = r->c;

    if (c->stage_count > 0 && c->stages[c->stage_count - 1].sort != STAGE_LAZY)
        TRY_PLAIN(resolve(r, c->stage_count - 1));
    for (size_t i = c->stage_count; i < c->all_count; i++) {
        const struct variant *v = NULL;

        TRY_PLAIN(find_variant(r, &c->stages[i], &v));
        for (size_t j = 0; j < template_stage_count(v->params); j++)
            TRY_PLAIN(resolve(r, (size_t)template_stage(v->params, j)));
    }
    for (size_t i = c->stage_count; i < c->all_count; i++)
        TRY_PLAIN(resolve(r, i));
    return SUCCESS;
}

struct status compiled_stages(const struct compiled *c, const json_t *values,
                              struct stage_jobs *ret_jobs)
{
    struct stage_jobs jobs = { 0 };
    struct resolver r;
    struct status st;

    open_resolver(&r, c, values, &jobs);
    st = resolve_all(&r);
    close_resolver(&r);
    if (status_failed(&st)) {
        stage_jobs_release(&jobs);
        return st;
    }
    *ret_jobs = jobs;
    return SUCCESS;
}

struct status compiled_visit(const struct compiled *c, const json_t *values,
                             const struct compiled_visitor *visitor)
{
    struct resolver r;
    struct status st;

    open_resolver(&r, c, values, NULL);
    r.visitor = visitor;
    st = resolve_all(&r);
    close_resolver(&r);
    return st;
}

void stage_jobs_release(struct stage_jobs *jobs)
{
    for (size_t i = 0; i < jobs->count; i++) {
        free(jobs->items[i].params);
        free(jobs->items[i].inputs);
    }
    free(jobs->items);
    *jobs = (struct stage_jobs){ 0 };
}

struct status compiled_model(const struct compiled *c, const json_t *values,
                             json_t **ret_model)
{
    struct resolver r;
    struct status st;

    if (c->stage_count == 0)
        return FAIL(STATUS_INVALID, "%s has no stage that makes a model",
                    c->name);
    open_resolver(&r, c, values, NULL);
    st = resolve(&r, c->stage_count - 1);
    if (!status_failed(&st)) {
        const char *text = r.stages[c->stage_count - 1].model;

        st = json_parse(text, strlen(text), "model", ret_model);
    }
    close_resolver(&r);
    return st;
}

/* ---- metrics ---------------------------------------------------------- */

static void copy_numbers(const char *evaluator, const json_t *result,
                         json_t *metrics)
{
    json_t *numbers = json_object_get(result, "metrics");
    const char *name;
    json_t *value;

    json_object_foreach(numbers, name, value)
    {
        AUTO(free_pointer)
        char *full = xasprintf("%s.%s", evaluator, name);

        if (json_is_number(value))
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

    for (size_t i = c->stage_count; i < c->all_count; i++) {
        const char *name = c->stages[i].name;

        copy_numbers(name, json_object_get(results, name), metrics);
    }
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
