#include "cli/view.h"

#include <ctype.h>
#include <string.h>

static bool has_choice(const json_t *parameter)
{
    const json_t *values = json_object_get(parameter, "values");

    return values == NULL || json_array_size(values) > 1;
}

json_t *view_varying(const json_t *spec)
{
    const json_t *parameters = json_object_get(spec, "parameters");
    const json_t *replicates = json_object_get(spec, "replicates");
    json_t *names = json_array();
    json_t *seen = json_object();

    if (json_array_size(json_object_get(spec, "cases")) > 1)
        (void)json_array_append_new(names, json_string("case"));
    for (size_t i = 0; i < json_array_size(parameters); i++) {
        const json_t *p = json_array_get(parameters, i);
        const char *name = json_text_or(p, "name", "?");

        if (!has_choice(p) || json_object_get(seen, name) != NULL)
            continue;
        (void)json_object_set_new(seen, name, json_true());
        (void)json_array_append_new(names, json_string(name));
    }
    if (json_int_or(replicates, "count", 1) > 1)
        (void)json_array_append_new(names, json_string("seed"));
    json_decref(seen);
    return names;
}

const char *view_objective(const json_t *spec, bool *ret_maximize)
{
    const json_t *objective = json_object_get(spec, "objective");

    *ret_maximize =
        strcmp(json_text_or(objective, "goal", "maximize"), "minimize") != 0;
    return json_text_or(objective, "metric", NULL);
}

static bool is_name_part(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.';
}

/* Does `name` stand in the expression as a word? */
static bool mentions(const char *expr, const char *name)
{
    size_t size = strlen(name);

    for (const char *at = strstr(expr, name); at != NULL;
         at = strstr(at + 1, name)) {
        bool starts = at == expr || !is_name_part(at[-1]);

        if (starts && !is_name_part(at[size]))
            return true;
    }
    return false;
}

static void add_metric(json_t *all, const char *evaluator, const char *metric)
{
    (void)json_array_append_new(all, json_sprintf("%s.%s", evaluator, metric));
}

static const json_t *evaluator_of(const json_t *spec, const char *metric)
{
    const json_t *list = json_object_get(spec, "evaluate");
    size_t size = strcspn(metric, ".");

    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = json_text_or(json_array_get(list, i), "name", "");

        if (strlen(name) == size && strncmp(name, metric, size) == 0)
            return json_array_get(list, i);
    }
    return NULL;
}

/* Of evaluators, or of stages: those of them that the file names. */
static void add_metrics(json_t *all, const json_t *owners)
{
    for (size_t i = 0; i < json_array_size(owners); i++) {
        const json_t *e = json_array_get(owners, i);
        const json_t *metrics = json_object_get(e, "metrics");
        const char *name = json_text_or(e, "name", "?");

        if (json_text_or(e, "expr", NULL) != NULL)
            add_metric(all, name, "value");
        for (size_t j = 0; j < json_array_size(metrics); j++) {
            const char *metric = json_string_value(json_array_get(metrics, j));

            add_metric(all, name, metric == NULL ? "?" : metric);
        }
    }
}

json_t *view_metrics(const json_t *spec, size_t *ret_main)
{
    const json_t *evaluators = json_object_get(spec, "evaluate");
    bool maximize = false;
    const char *objective = view_objective(spec, &maximize);
    const char *expr =
        objective == NULL
            ? ""
            : json_text_or(evaluator_of(spec, objective), "expr", "");
    json_t *all = json_array();
    json_t *ranked = json_array();

    add_metrics(all, evaluators);
    add_metrics(all, json_object_get(spec, "stages"));
    /* rank 0: the objective, 1: in its expression, 2: the rest */
    for (int rank = 0; rank < 3; rank++) {
        for (size_t i = 0; i < json_array_size(all); i++) {
            json_t *metric = json_array_get(all, i);
            const char *name = json_string_value(metric);
            bool is_first = objective != NULL && strcmp(name, objective) == 0;
            int own = is_first ? 0 : mentions(expr, name) ? 1 : 2;

            if (own == rank)
                (void)json_array_append(ranked, metric);
        }
        if (rank == 1)
            *ret_main = json_array_size(ranked);
    }
    json_decref(all);
    return ranked;
}
