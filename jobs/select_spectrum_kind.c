/* select_spectrum_kind.c -- the kind `select_spectrum`: the manifold that the
 * samples' points lie on. One serves all numbers of clusters. */
#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/model_input.h"
#include "jobs/select_keys.h"
#include "jobs/select_manifold.h"

static const char *const route_words[] = { "auto", "dense", "knn", "landmarks",
                                           NULL };

static const struct catalog_key keys[] = {
    { .name = "embedded",
      .type = KEY_MODEL,
      .required = true,
      .help = "a select_embed" },
    SELECT_SIGMA_KEY,
    { .name = "graph",
      .type = KEY_WORD,
      .words = route_words,
      .otherwise = "\"auto\"",
      .help = "by the number of samples, or one route" },
    { .name = "pairs",
      .type = KEY_INTEGER,
      .least = 2,
      .most = SPECTRUM_PAIRS_MOST,
      .help = "eigenpairs" },
    { .name = NULL },
};

MUST_CHECK static struct status make(const float *points, size_t count,
                                     size_t width, const json_t *params,
                                     struct job_context *context,
                                     struct spectrum *ret_spectrum)
{
    const struct crew crew = select_crew(context);
    struct spectrum_how how = {
        .sigma = { .scale = json_real_or(params, "sigma_scale", 1.0) },
        .pairs = (size_t)json_int_or(params, "pairs", 0),
    };
    const char *route = json_text_or(params, "graph", "auto");

    if (!spectrum_route_find(route, &how.route))
        return FAIL(STATUS_INVALID, "`graph` is \"%.40s\"", route);
    TRY_PLAIN(model_input_fits(
        (size_t)spectrum_memory(count, width, &how, context->threads) +
            count * width * sizeof(float),
        "the spectrum of the samples", context));
    context->progress(context->self, 0, 1, "spectrum");
    return spectrum_make(&crew, points, count, width, &how, ret_spectrum);
}

MUST_CHECK static struct status work(const json_t *params,
                                     struct job_context *context,
                                     struct spectrum *s)
{
    AUTO(select_opened_release) struct select_opened o = { .file = NULL };
    AUTO(free_pointer) void *points = NULL;
    char line[256];
    size_t width, count;

    TRY_PLAIN(select_open(json_object_get(params, "embedded"), context, &o));
    width = (size_t)json_int_or(o.notes, "width", 1);
    TRY_PLAIN(select_take(&o, "points", DTYPE_F32, width, &points, &count));
    TRY_PLAIN(make(points, count, width, params, context, s));
    spectrum_note(s, line, sizeof(line));
    context->log(context->self, line);
    return SUCCESS;
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    AUTO(spectrum_release) struct spectrum s = { .n = 0 };
    char artifact[DIGEST_TEXT];

    TRY(work(params, context, &s), "select: spectrum");
    TRY(select_manifold_put(&s, context, artifact), "select: spectrum");
    *ret_result = json_pack("{ss s{sI sI sf}}", "artifact", artifact, "metrics",
                            "samples", (json_int_t)s.n, "pairs",
                            (json_int_t)s.pairs, "sigma", s.sigma);
    return SUCCESS;
}

extern const struct job_kind job_select_spectrum;
const struct job_kind job_select_spectrum = {
    .catalog = { .name = "select_spectrum",
                 .summary = "eigenvectors of what is near what; made by "
                            "`select`",
                 .sort = STAGE_ARTIFACT,
                 .keys = keys },
    .run = run,
};
