#include "support/merge_case.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"

static const char *const names[] = { "a", "b", "c" };

const struct small_row merge_model_rows[] = {
    { "ids", DTYPE_I64, 1, { 5 } },
    { "model.embed_tokens.weight", DTYPE_F32, 2, { 200, 251 } },
    { "model.layers.0.w", DTYPE_BF16, 2, { 65, 64 } },
    { "model.layers.1.w", DTYPE_F16, 2, { 7, 9 } },
    { "model.none", DTYPE_F32, 2, { 0, 4 } },
    { "model.one", DTYPE_F32, 1, { 1 } },
    { "model.scalar", DTYPE_F64, 0, { 0 } },
    { NULL, DTYPE_F32, 0, { 0 } },
};

struct merge_models merge_models_new(const struct small_row *rows)
{
    struct merge_models m = { .base = small_model_new(rows, 1, 0.5) };

    for (uint32_t i = 0; i < MERGE_TASKS; i++)
        m.tasks[i] = small_model_near(&m.base, 10 + i, 0.01);
    return m;
}

void merge_models_release(struct merge_models *m)
{
    small_model_release(&m->base);
    for (size_t i = 0; i < MERGE_TASKS; i++)
        small_model_release(&m->tasks[i]);
}

int merge_models_set_up(void **state, const struct small_row *rows)
{
    struct merge_models *m = xnew(struct merge_models);

    *m = merge_models_new(rows);
    *state = m;
    return 0;
}

int merge_models_tear_down(void **state)
{
    merge_models_release(*state);
    free(*state);
    return 0;
}

/* ---- cases ------------------------------------------------------------- */

static bool next_rule(struct merge_case *c)
{
    if (c->method->rescales && strcmp(c->rule, "paper") == 0)
        c->rule = "none";
    else if (c->method->l1 && strcmp(c->rule, "none") == 0)
        c->rule = "l1";
    else
        return false;
    return true;
}

/* The next word that is not a default. */
static bool next_word(struct merge_case *c)
{
    const struct merge_choice *choice =
        c->choice != NULL ? c->choice : c->method->choices;
    int word = c->choice != NULL ? c->word + 1 : 0;

    for (; choice != NULL && choice->option != MERGE_OPTIONS; choice++) {
        const char *const *words = merge_options[choice->option].words;

        if (words[word] != NULL && word == choice->otherwise)
            word++;
        if (words[word] != NULL) {
            c->choice = choice;
            c->word = word;
            return true;
        }
        word = 0;
    }
    return false;
}

bool merge_case_next(struct merge_case *c)
{
    if (c->method != NULL && (next_word(c) || next_rule(c)))
        return true;
    c->method = c->method == NULL ? merge_methods : c->method + 1;
    c->rule = c->method->rescales ? "paper" : NULL;
    c->choice = NULL;
    c->word = 0;
    return c->method->name != NULL;
}

const char *merge_case_name(const struct merge_case *c, char *text, size_t size)
{
    const struct merge_option_row *row =
        c->choice == NULL ? NULL : &merge_options[c->choice->option];

    (void)snprintf(text, size, "%s%s%s%s%s%s%s%s%s", c->method->name,
                   c->method->variant != NULL ? "/" : "",
                   c->method->variant != NULL ? c->method->variant : "",
                   c->rule != NULL ? " " : "", c->rule != NULL ? c->rule : "",
                   row != NULL ? " " : "", row != NULL ? row->name : "",
                   row != NULL ? "=" : "",
                   row != NULL ? row->words[c->word] : "");
    return text;
}

/* ---- bodies ------------------------------------------------------------ */

/* At the first point and what each further one adds. */
static const struct {
    double first, more;
} numbers[MERGE_PARAMETERS] = {
    [MERGE_WEIGHT] = { 0.7, 0.1 },     [MERGE_DENSITY] = { 0.4, 0.05 },
    [MERGE_LAMBDA] = { 1.0, -0.15 },   [MERGE_TRIM_DENSITY] = { 0.2, 0.1 },
    [MERGE_RATIO] = { 0.1, 0.04 },     [MERGE_CLAMP_QUANTILE] = { 0.01, 0.0 },
    [MERGE_T] = { 0.3, 0.05 },         [MERGE_GAMMA] = { 0.01, 0.02 },
    [MERGE_EPSILON] = { 0.15, -0.01 }, [MERGE_SELECT_TOPK] = { 0.5, 0.06 },
    [MERGE_SCALE] = { 1.0, 0.1 },
};

static json_t *parameters_of(const struct merge_case *c, size_t point)
{
    json_t *parameters = json_object();

    for (const struct merge_use *use = c->method->uses; use->most > 0.0;
         use++) {
        enum merge_parameter p = use->parameter;
        double number = numbers[p].first +
                        (use->fusable ? (double)point * numbers[p].more : 0.0);

        /* What a variant has its own default for is left to it. */
        if (use->required || use->fusable)
            (void)json_object_set_new(parameters, merge_parameters[p].name,
                                      json_real(number));
    }
    if (c->rule != NULL)
        (void)json_object_set_new(parameters, "rescale_rule",
                                  json_string(c->rule));
    if (c->choice != NULL) {
        const struct merge_option_row *row = &merge_options[c->choice->option];
        const char *word = row->words[c->word];

        (void)json_object_set_new(parameters, row->name,
                                  strcmp(row->words[0], "false") == 0
                                      ? json_boolean(c->word)
                                      : json_string(word));
    }
    return parameters;
}

json_t *merge_case_body(const struct merge_case *c, size_t point)
{
    const struct merge_method *m = c->method;
    size_t most = m->most_models == 0 ? MERGE_TASKS : m->most_models;
    json_t *models = json_array();
    json_t *body =
        json_pack("{s:s, s:i, s:o, s:o}", "merge_method", m->name, "seed", 5,
                  "models", models, "parameters", parameters_of(c, point));

    if (m->variant != NULL)
        (void)json_object_set_new(body, "variant", json_string(m->variant));
    if (m->base || m->base_is_model || m->base_optional)
        (void)json_object_set_new(body, "base_model", json_string("base"));
    if (m->base_is_model)
        (void)json_array_append_new(models,
                                    json_pack("{s:s}", "model", "base"));
    for (size_t i = 0; json_array_size(models) < most && i < MERGE_TASKS; i++)
        (void)json_array_append_new(models,
                                    json_pack("{s:s}", "model", names[i]));
    return body;
}

/* ---- merges ------------------------------------------------------------ */

static const struct tensor_set *set_of(const struct merge_models *m,
                                       const json_t *model)
{
    const char *name = json_string_value(model);

    for (size_t i = 0; name != NULL && i < MERGE_TASKS; i++) {
        if (strcmp(name, names[i]) == 0)
            return &m->tasks[i].set;
    }
    return &m->base.set;
}

struct merge_inputs merge_inputs_of(const struct merge_models *m,
                                    const struct merge_config *config)
{
    struct merge_inputs inputs = { .base = NULL };

    if (config->base != NULL)
        inputs.base = set_of(m, config->base);
    for (size_t i = 0; i < config->count; i++)
        inputs.tasks[i] = set_of(m, config->models[i]);
    return inputs;
}

static void new_targets(struct merge_output *o)
{
    for (size_t p = 0; p < o->points; p++) {
        o->targets[p] = xcalloc(o->layout->count + 1, sizeof **o->targets);
        for (size_t i = 0; i < o->layout->count; i++)
            o->targets[p][i] =
                xcalloc(1, (size_t)tensor_bytes(&o->layout->items[i]) + 1);
    }
}

static struct status run(struct merge_output *o,
                         const struct merge_config *configs,
                         const struct merge_inputs *inputs,
                         const struct merge_runtime *runtime)
{
    void *const *targets[MERGE_POINTS];

    TRY_PLAIN(merge_new(configs, o->points, inputs, &o->merge));
    o->layout = merge_layout(o->merge);
    new_targets(o);
    for (size_t p = 0; p < o->points; p++)
        targets[p] = o->targets[p];
    return merge_run(o->merge, runtime, targets);
}

struct status merge_output_make(const struct merge_models *m,
                                json_t *const *bodies, size_t points,
                                const struct merge_runtime *runtime,
                                struct merge_output *ret_output)
{
    struct merge_config *configs = xcalloc(points, sizeof *configs);
    struct merge_output o = { .points = points };
    struct merge_inputs inputs;
    struct status s = SUCCESS;

    for (size_t p = 0; p < points && !status_failed(&s); p++)
        s = merge_config_read(bodies[p], &configs[p]);
    if (!status_failed(&s)) {
        inputs = merge_inputs_of(m, configs);
        s = run(&o, configs, &inputs, runtime);
    }
    /* The plan points to the configurations; what is left of it does not. */
    if (status_failed(&s))
        merge_output_release(&o);
    else
        *ret_output = o;
    free(configs);
    return s;
}

struct status merge_output_of(const struct merge_models *m,
                              const struct merge_case *c, size_t first,
                              size_t points,
                              const struct merge_runtime *runtime,
                              struct merge_output *ret_output)
{
    json_t *bodies[MERGE_POINTS] = { NULL };
    struct status s;

    for (size_t p = 0; p < points; p++)
        bodies[p] = merge_case_body(c, first + p);
    s = merge_output_make(m, bodies, points, runtime, ret_output);
    for (size_t p = 0; p < points; p++)
        json_decref(bodies[p]);
    return s;
}

void merge_output_release(struct merge_output *o)
{
    for (size_t p = 0; p < o->points && o->targets[p] != NULL; p++) {
        for (size_t i = 0; i < o->layout->count; i++)
            free(o->targets[p][i]);
        free(o->targets[p]);
    }
    merge_free(o->merge);
}

const char *merge_output_differs(const struct merge_output *a, size_t point,
                                 const struct merge_output *b, size_t other)
{
    for (size_t i = 0; i < a->layout->count; i++) {
        const struct tensor *t = &a->layout->items[i];

        if (memcmp(a->targets[point][i], b->targets[other][i],
                   (size_t)tensor_bytes(t)) != 0)
            return t->name;
    }
    return NULL;
}
