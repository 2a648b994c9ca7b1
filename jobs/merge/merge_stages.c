/* merge_stages.c -- the stages that count for a merge (merge_body.h). */
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/merge/merge_body.h"
#include "jobs/merge/merge_config.h"
#include "jobs/merge/merge_parts.h"

/* What a round needs to know of the body. */
struct wanted {
    const struct merge_method *method;
    size_t round;
    enum merge_reach least; /* numbers that do not reach so far are left out */
};

static void reduce_parameters(const struct wanted *w, json_t *holder)
{
    /* They say how elements are written, not which. */
    static const char *const never[] = { "normalize", "elect" };
    json_t *parameters = json_object_get(holder, "parameters");

    for (int p = 0; p < MERGE_PARAMETERS; p++) {
        if (merge_parts_reach(w->method, (enum merge_parameter)p, w->round) <
            w->least)
            (void)json_object_del(parameters, merge_parameters[p].name);
    }
    for (size_t i = 0; i < COUNT_OF(never); i++)
        (void)json_object_del(parameters, never[i]);
    if (json_object_size(parameters) == 0)
        (void)json_object_del(holder, "parameters");
}

static void reduce_list(const struct wanted *w, json_t *holder, const char *key)
{
    json_t *list = json_object_get(holder, key);

    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *item = json_array_get(list, i);

        reduce_parameters(w, item);
        reduce_list(w, item, "sources");
    }
}

/* The body as far as it matters; the caller decrefs. */
static json_t *reduced(const struct wanted *w, const json_t *body)
{
    static const char *const never[] = { "statistics", "dtype",
                                         "chat_template" };
    json_t *copy = json_deep_copy(body);

    for (size_t i = 0; i < COUNT_OF(never); i++)
        (void)json_object_del(copy, never[i]);
    reduce_parameters(w, copy);
    reduce_list(w, copy, "models");
    reduce_list(w, copy, "slices");
    return copy;
}

/* Takes `params`. */
static json_t *add_stage(json_t *stages, const char *name, const char *kind,
                         json_t *params)
{
    (void)json_array_append_new(stages,
                                json_pack("{s:s, s:s, s:o}", "name", name,
                                          "kind", kind, "params", params));
    return json_pack("{s:s}", "$stage", name);
}

/* Of one round; takes `after`, gives what stands for its result. */
static json_t *add_round(json_t *stages, const struct wanted *round,
                         const json_t *body, const char *stage, size_t parts,
                         json_t *after)
{
    struct wanted w = *round;
    json_t *counted = json_array();
    AUTO(free_pointer)
    char *settle = xasprintf("%.40s.settle-%zu", stage, w.round + 1);

    w.least = MERGE_REACHES_COUNT;
    for (size_t k = 0; k < parts; k++) {
        AUTO(free_pointer)
        char *name =
            xasprintf("%.40s.count-%zu-%zu", stage, w.round + 1, k + 1);
        json_t *params =
            json_pack("{s:o, s:I, s:I}", "merge", reduced(&w, body), "part",
                      (json_int_t)k, "parts", (json_int_t)parts);

        if (after != NULL)
            (void)json_object_set(params, "after", after);
        (void)json_array_append_new(
            counted, add_stage(stages, name, "merge_count", params));
    }
    json_decref(after);
    w.least = MERGE_REACHES_SETTLE;
    return add_stage(stages, settle, "merge_settle",
                     json_pack("{s:o, s:o}", "merge", reduced(&w, body),
                               "counted", counted));
}

json_t *merge_body_before(json_t *body, const char *stage)
{
    json_int_t parts =
        json_int_or(json_object_get(body, "statistics"), "parts", 0);
    AUTO(json_release) json_t *given = NULL;
    struct catalog_problem problem;
    struct merge_config c;
    json_t *stages, *after = NULL;

    if (parts <= 0)
        return NULL;
    given = json_deep_copy(body);
    if (!merge_config_check(given, true, &c, &problem))
        return NULL; /* which the caller knew */
    stages = json_array();
    for (size_t r = 0; r < merge_parts_rounds(&c); r++) {
        const struct wanted w = { .method = c.method, .round = r };

        after = add_round(stages, &w, given, stage, (size_t)parts, after);
    }
    (void)json_object_set_new(body, "statistics", after);
    return stages;
}
