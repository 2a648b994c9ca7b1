/* compare_lmc.c -- linear mode connectivity: what is met on the straight line
 * between two models.
 *
 * At each point norms over the batch get the statistics of the data, which is
 * that of the training, and the error (of text: the loss) is measured on the
 * same. Source: Yang et al., "Taxonomizing local versus global structure in
 * neural network loss landscapes", 2021. */
#include <string.h>

#include "common/memory.h"
#include "jobs/compare.h"
#include "jobs/evaluation.h"
#include "jobs/job_kind.h"
#include "model/similarity.h"

enum { POINTS_MOST = 101 };

static const struct catalog_key keys[] = {
    { .name = "models",
      .type = KEY_LIST,
      .keys = compare_row,
      .help = "both ends; or `across: replicates`" },
    { .name = "data",
      .type = KEY_DATA,
      .required = true,
      .keys = data_keys,
      .help = "what both were trained on" },
    { .name = "points",
      .type = KEY_INTEGER,
      .least = 2,
      .most = POINTS_MOST,
      .otherwise = "11",
      .help = "of the line, ends included" },
    { .name = "context",
      .type = KEY_INTEGER,
      .least = 2,
      .most = LIMIT_SEQUENCE,
      .help = "tokens of a window of text" },
    { .name = NULL },
};

static json_t *metrics(const json_t *body)
{
    (void)body;
    return json_pack("[ssss]", "connectivity", "barrier", "at", "ends");
}

struct line {
    struct compare ends;
    struct model *between;
    struct evaluation e;
    size_t points;
    double values[POINTS_MOST];
};

static void release(struct line *l)
{
    evaluation_release(&l->e);
    model_free(l->between);
    compare_release(&l->ends);
}

/* (1 - t) first + t second; the ends are exact. */
static void move_to(struct line *l, double t)
{
    struct model *m = l->between;

    for (size_t i = 0; i < m->parameter_count; i++) {
        struct model_parameter *p = &m->parameters[i];
        const float *a = l->ends.first.model->parameters[i].data;
        const float *b = l->ends.second.model->parameters[i].data;

        if (p->role == ROLE_STATISTIC)
            continue;
        for (size_t k = 0; k < p->count; k++)
            p->own[k] = (float)((1.0 - t) * (double)a[k] + t * (double)b[k]);
    }
}

static bool has_statistics(const struct model *m)
{
    for (size_t i = 0; i < m->parameter_count; i++)
        if (m->parameters[i].role == ROLE_STATISTIC)
            return true;
    return false;
}

static struct status measure(struct line *l, size_t point)
{
    AUTO(free_pointer) char *digits = NULL;
    uint64_t right;

    move_to(l, (double)point / (double)(l->points - 1));
    evaluation_rewind(&l->e);
    if (has_statistics(l->between))
        TRY_PLAIN(evaluation_statistics(&l->e, l->between));
    if (!data_has_images(&l->e.data)) {
        TRY_PLAIN(evaluation_losses(&l->e));
        l->values[point] = evaluation_mean_loss(&l->e);
        return SUCCESS;
    }
    TRY_PLAIN(evaluation_answers(&l->e, 0, &digits, &right));
    l->values[point] = (double)(l->e.items - right) / (double)l->e.items;
    return SUCCESS;
}

static struct status prepare(struct line *l, const json_t *params,
                             struct job_context *context)
{
    const struct model_config *c;

    l->points = (size_t)json_int_or(params, "points", 11);
    if (l->points < 2 || l->points > POINTS_MOST)
        return FAIL(STATUS_INVALID, "a line of %zu points", l->points);
    TRY_PLAIN(compare_open(params, context, &l->ends));
    c = &l->ends.first.model->config;
    TRY_PLAIN(model_input_fits(sizeof(float) * model_size(c),
                               "a model between two", context));
    TRY_PLAIN(model_new(c, 0, &l->between));
    return evaluation_open(
        l->between, l->ends.first.tokenizer, json_object_get(params, "data"),
        (size_t)json_int_or(params, "context", 0), context, &l->e);
}

static json_t *curve_of(const struct line *l)
{
    json_t *curve = json_array();

    for (size_t i = 0; i < l->points; i++)
        (void)json_array_append_new(curve, json_real(l->values[i]));
    return curve;
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    AUTO(release) struct line l = { .between = NULL };
    double found;
    size_t at;

    TRY(prepare(&l, params, context), "lmc");
    for (size_t i = 0; i < l.points; i++)
        TRY(measure(&l, i), "lmc, point %zu of %zu", i + 1, l.points);
    found = connectivity(l.values, l.points, &at);
    *ret_result = json_pack("{s{sf sf sf sf} so}", "metrics", "connectivity",
                            found, "barrier", found < 0.0 ? -found : 0.0, "at",
                            (double)at / (double)(l.points - 1), "ends",
                            (l.values[0] + l.values[l.points - 1]) / 2.0,
                            "curve", curve_of(&l));
    return SUCCESS;
}

extern const struct job_kind job_evaluate_lmc;
const struct job_kind job_evaluate_lmc = {
    .catalog = { .name = "evaluate.lmc",
                 .summary = "whether a straight line of good models leads from "
                            "one to the other",
                 .example = "models: [./a, ./b]\n"
                            "data: {builtin: teacher10k, split: train}\n"
                            "points: 11\n",
                 .sort = STAGE_VALUE,
                 .keys = keys,
                 .normalise = compare_normalise,
                 .metrics = metrics },
    .run = run,
};
