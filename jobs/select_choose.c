#include "jobs/select_choose.h"

#include <stdlib.h>

#include "common/file.h"
#include "common/memory.h"
#include "jobs/model_input.h"
#include "jobs/select_keys.h"
#include "jobs/select_manifold.h"

static void release(struct selection *s)
{
    select_opened_release(&s->pool);
    free(s->kept);
    free(s->line);
    free(s->same);
    free(s->begin);
    free(s->concepts);
    json_decref(s->cluster_notes);
    free(s->labels);
    free(s->plane);
    json_decref(s->damage_notes);
    free(s->damage);
    free(s->prompt);
    free(s->answer);
    pick_release(&s->pick);
}

/* ---- what is known --------------------------------------------------------- */

MUST_CHECK static struct status take_numbers(const struct selection *s,
                                             const char *name, size_t rows,
                                             uint32_t **ret_numbers)
{
    void *data;

    TRY_PLAIN(select_take_rows(&s->pool, name, DTYPE_U32, 1, rows, &data));
    *ret_numbers = data;
    return SUCCESS;
}

MUST_CHECK static struct status open_pool(struct selection *s)
{
    TRY(select_open(json_object_get(s->params, "samples"), s->context,
                    &s->pool),
        "samples");
    s->count = (size_t)json_int_or(s->pool.notes, "samples", 0);
    s->kept_count = (size_t)json_int_or(s->pool.notes, "kept", 0);
    TRY_PLAIN(take_numbers(s, "kept", s->kept_count, &s->kept));
    TRY_PLAIN(take_numbers(s, "line", s->count, &s->line));
    return take_numbers(s, "same", s->count, &s->same);
}

MUST_CHECK static struct status open_concepts(struct selection *s)
{
    void *data;

    TRY_PLAIN(select_take_rows(&s->pool, "begin", DTYPE_U64, 1,
                               s->kept_count + 1, &data));
    s->begin = data;
    return take_numbers(s, "concepts", (size_t)s->begin[s->kept_count],
                        &s->concepts);
}

MUST_CHECK static struct status open_clusters(struct selection *s)
{
    AUTO(select_opened_release) struct select_opened o = { .file = NULL };
    void *data;

    TRY(select_open(json_object_get(s->params, "clusters"), s->context, &o),
        "clusters");
    s->cluster_notes = json_incref(o.notes);
    TRY_PLAIN(
        select_take_rows(&o, "labels", DTYPE_U32, 1, s->kept_count, &data));
    s->labels = data;
    TRY_PLAIN(
        select_take_rows(&o, "plane", DTYPE_F32, 2, s->kept_count, &data));
    s->plane = data;
    return SUCCESS;
}

MUST_CHECK static struct status take_column(const struct selection *s,
                                            size_t column, void **ret_data)
{
    const json_t *list = json_object_get(s->params, "damage");
    size_t rows;

    TRY_PLAIN(select_parts_take(
        list, s->context, &select_damage_columns[column], ret_data, &rows));
    if (rows == s->kept_count)
        return SUCCESS;
    free(*ret_data);
    return FAIL(STATUS_CORRUPT,
                "the parts of the selection have %zu samples, not %zu", rows,
                s->kept_count);
}

MUST_CHECK static struct status open_damage(struct selection *s)
{
    const json_t *list = json_object_get(s->params, "damage");
    AUTO(select_opened_release) struct select_opened o = { .file = NULL };
    void *data;

    TRY_PLAIN(select_open(json_array_get(list, 0), s->context, &o));
    s->damage_notes = json_incref(o.notes);
    if (!s->method->lengths) {
        TRY_PLAIN(take_column(s, SELECT_DAMAGE, &data));
        s->damage = data;
    }
    TRY_PLAIN(take_column(s, SELECT_PROMPT, &data));
    s->prompt = data;
    TRY_PLAIN(take_column(s, SELECT_ANSWER, &data));
    s->answer = data;
    return SUCCESS;
}

MUST_CHECK static struct status open_all(struct selection *s)
{
    TRY_PLAIN(open_pool(s));
    if (json_bool_or(s->params, "conflicts", false))
        TRY_PLAIN(open_concepts(s));
    if (s->method->clusters)
        TRY_PLAIN(open_clusters(s));
    if (s->method->jsd || s->method->ifd || s->method->lengths)
        TRY_PLAIN(open_damage(s));
    return SUCCESS;
}

/* ---- how it is chosen --------------------------------------------------------- */

MUST_CHECK static struct status read_words(const json_t *params,
                                           struct pick_how *how)
{
    const char *method = json_text_or(params, "method", "");
    const char *mode = json_text_or(params, "budget_mode", "capped");
    const char *cost = json_text_or(params, "cost", "square");
    const char *order = json_text_or(params, "cluster_order", "canonical");

    if (!pick_method_find(method, &how->method))
        return FAIL(STATUS_INVALID, "there is no method \"%.40s\"", method);
    if (!budget_mode_find(mode, &how->budget.mode))
        return FAIL(STATUS_INVALID, "`budget_mode` is \"%.40s\"", mode);
    if (!priority_cost_find(cost, &how->cost))
        return FAIL(STATUS_INVALID, "`cost` is \"%.40s\"", cost);
    if (!pick_order_find(order, &how->order))
        return FAIL(STATUS_INVALID, "`cluster_order` is \"%.40s\"", order);
    return SUCCESS;
}

MUST_CHECK static struct status read_how(const struct selection *s,
                                         struct pick_how *how)
{
    double budget = json_real_or(s->params, "budget", 1.0);

    TRY_PLAIN(read_words(s->params, how));
    how->budget.budget = budget <= 1.0
                             ? budget_of_fraction(budget, s->kept_count)
                             : (size_t)budget;
    how->budget.min_per_cluster =
        (size_t)json_int_or(s->params, "min_per_cluster", 0);
    how->conflicts = json_bool_or(s->params, "conflicts", false);
    how->seed = (uint32_t)json_int_or(s->params, "seed", 0);
    return SUCCESS;
}

MUST_CHECK static struct status choose(struct selection *s)
{
    const struct crew crew = select_crew(s->context);
    struct pick_how how = { .conflicts = false };
    const struct pick_samples samples = {
        .n = s->kept_count,
        .jsd = s->method->jsd ? s->damage : NULL,
        .ifd = s->method->ifd ? s->damage : NULL,
        .labels = s->labels,
        .clusters = (size_t)json_int_or(s->cluster_notes, "count", 0),
        .x_tokens = s->prompt,
        .y_tokens = s->answer,
        .concepts = s->concepts,
        .begin = s->begin,
    };

    TRY_PLAIN(read_how(s, &how));
    TRY_PLAIN(model_input_fits((size_t)pick_memory(samples.n, samples.clusters),
                               "the selection", s->context));
    return pick_make(&crew, &samples, &how, &s->pick);
}

struct status select_choose(const json_t *params, struct job_context *context,
                            json_t **ret_result)
{
    AUTO(release)
    struct selection s = { .params = params,
                           .context = context,
                           .method = select_method_of(params) };
    AUTO(free_pointer)
    char *directory = xasprintf("%s/selection", context->scratch);
    char artifact[DIGEST_TEXT];

    if (s.method == NULL)
        return FAIL(STATUS_INVALID, "there is no such method");
    TRY_PLAIN(open_all(&s));
    TRY_PLAIN(choose(&s));
    TRY_PLAIN(file_make_directories(directory));
    TRY_PLAIN(select_report(&s, directory));
    TRY_PLAIN(context->put_artifact(context->self, directory, artifact));
    *ret_result = json_pack("{ss so}", "artifact", artifact, "metrics",
                            select_report_metrics(&s));
    return SUCCESS;
}
