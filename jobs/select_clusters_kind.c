/* select_clusters_kind.c -- the kind `select_clusters`: a label for each
 * sample, of a spectrum that is there. */
#include <math.h>
#include <stdlib.h>

#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/model_input.h"
#include "jobs/select/cluster.h"
#include "jobs/select_keys.h"
#include "jobs/select_manifold.h"

enum { NEAREST = 3 }; /* examples of a cluster, for people */

static const struct catalog_key keys[] = {
    { .name = "spectrum",
      .type = KEY_MODEL,
      .required = true,
      .help = "a select_spectrum" },
    { .name = "embedded",
      .type = KEY_MODEL,
      .required = true,
      .help = "the select_embed it is of" },
    { .name = "samples",
      .type = KEY_MODEL,
      .required = true,
      .help = "the select_samples of both" },
    { .name = "clusters",
      .type = KEY_INTEGER,
      .least = 0,
      .most = NMF_RANK,
      .otherwise = "0",
      .help = "how many; 0: by the largest gap" },
    SELECT_TIME_KEY,
    { .name = NULL },
};

struct clustering {
    const json_t *params;
    struct job_context *context;
    struct spectrum spectrum;
    json_t *spectrum_notes;
    struct clusters clusters;
    struct select_opened embedded, samples;
};

static void release(struct clustering *c)
{
    spectrum_release(&c->spectrum);
    json_decref(c->spectrum_notes);
    clusters_release(&c->clusters);
    select_opened_release(&c->embedded);
    select_opened_release(&c->samples);
}

MUST_CHECK static struct status open_all(struct clustering *c)
{
    TRY_PLAIN(select_manifold_open(json_object_get(c->params, "spectrum"),
                                   c->context, &c->spectrum,
                                   &c->spectrum_notes));
    TRY_PLAIN(select_open(json_object_get(c->params, "embedded"), c->context,
                          &c->embedded));
    return select_open(json_object_get(c->params, "samples"), c->context,
                       &c->samples);
}

MUST_CHECK static struct status make(struct clustering *c)
{
    const struct crew crew = select_crew(c->context);
    const struct cluster_how how = {
        .k = (size_t)json_int_or(c->params, "clusters", 0),
        .time = json_real_or(c->params, "time", 0.0),
    };
    char line[256];

    TRY_PLAIN(model_input_fits(
        (size_t)cluster_memory(c->spectrum.n, how.k, c->context->threads),
        "the clusters of the samples", c->context));
    c->context->progress(c->context->self, 0, 1, "clusters");
    TRY_PLAIN(cluster_make(&crew, &c->spectrum, &how, &c->clusters));
    cluster_note(&c->clusters, line, sizeof(line));
    c->context->log(c->context->self, line);
    return SUCCESS;
}

/* What people are shown of a cluster. */
struct shown {
    float *points;
    size_t width;
    uint32_t *kept;
    uint64_t *begin;
    char *texts;
};

static void shown_release(struct shown *s)
{
    free(s->points);
    free(s->kept);
    free(s->begin);
    free(s->texts);
}

MUST_CHECK static struct status open_shown(const struct clustering *c,
                                           struct shown *s)
{
    size_t n = c->clusters.n, size;
    void *data;

    s->width = (size_t)json_int_or(c->embedded.notes, "width", 1);
    TRY_PLAIN(select_take_rows(&c->embedded, "points", DTYPE_F32, s->width, n,
                               &data));
    s->points = data;
    TRY_PLAIN(select_take_rows(&c->samples, "kept", DTYPE_U32, 1, n, &data));
    s->kept = data;
    TRY_PLAIN(select_take_rows(&c->samples, "excerpt_begin", DTYPE_U64, 1,
                               n + 1, &data));
    s->begin = data;
    TRY_PLAIN(select_take(&c->samples, "excerpts", DTYPE_U8, 1, &data, &size));
    s->texts = data;
    if (s->begin[n] != size)
        return FAIL(STATUS_CORRUPT, "the excerpts of the samples are cut off");
    return SUCCESS;
}

static json_t *nearest_json(const struct clustering *c, const struct shown *s,
                            uint32_t label)
{
    json_t *list = json_array();
    size_t found[NEAREST];

    cluster_nearest(&c->clusters, label, s->points, s->width, NEAREST, found);
    for (size_t i = 0; i < NEAREST && found[i] != SIZE_MAX; i++) {
        uint64_t at = s->begin[found[i]];
        json_t *text =
            json_stringn(s->texts + at, (size_t)(s->begin[found[i] + 1] - at));

        (void)json_array_append_new(
            list, json_pack("{sI so}", "id", (json_int_t)s->kept[found[i]],
                            "text", text));
    }
    return list;
}

static json_t *notes_of(const struct clustering *c, const struct shown *s)
{
    const struct clusters *k = &c->clusters;
    json_t *list = json_array();
    char line[256];

    cluster_note(k, line, sizeof(line));
    for (size_t i = 0; i < k->count; i++)
        (void)json_array_append_new(
            list, json_pack("{sI sI so}", "label", (json_int_t)i, "size",
                            (json_int_t)k->sizes[i], "nearest",
                            nearest_json(c, s, (uint32_t)i)));
    return json_pack("{so sI sI so sb sb sb sb sb sI ss sO}", "clusters", list,
                     "count", (json_int_t)k->count, "k", (json_int_t)k->k,
                     "gap", isfinite(k->gap) ? json_real(k->gap) : json_null(),
                     "by_gap", (int)k->by_gap, "repeated", (int)k->repeated,
                     "merged", (int)k->merged, "one", (int)k->one, "lone",
                     (int)k->lone, "dropped", (json_int_t)k->dropped, "note",
                     line, "spectrum", c->spectrum_notes);
}

MUST_CHECK static struct status store(const struct clustering *c,
                                      char ret_artifact[DIGEST_TEXT])
{
    size_t n = c->clusters.n;
    AUTO(shown_release) struct shown shown = { .points = NULL };
    AUTO(free_pointer) float *plane = xcalloc(2 * n + 1, sizeof(*plane));
    AUTO(json_release) json_t *notes = NULL;
    struct select_store out = { .count = 0 };

    TRY_PLAIN(open_shown(c, &shown));
    notes = notes_of(c, &shown);
    spectrum_plane(&c->spectrum, plane);
    select_store_add(&out, "labels", DTYPE_U32, n, 1, c->clusters.labels);
    select_store_add(&out, "plane", DTYPE_F32, n, 2, plane);
    return select_store_put(&out, notes, c->context, ret_artifact);
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    AUTO(release)
    struct clustering c = { .params = params, .context = context };
    char artifact[DIGEST_TEXT];

    TRY(open_all(&c), "select: clusters");
    TRY(make(&c), "select: clusters");
    TRY(store(&c, artifact), "select: clusters");
    *ret_result =
        json_pack("{ss s{sI so*}}", "artifact", artifact, "metrics", "clusters",
                  (json_int_t)c.clusters.count, "gap",
                  isfinite(c.clusters.gap) ? json_real(c.clusters.gap) : NULL);
    return SUCCESS;
}

extern const struct job_kind job_select_clusters;
const struct job_kind job_select_clusters = {
    .catalog = { .name = "select_clusters",
                 .summary = "which samples are alike; made by `select`",
                 .sort = STAGE_ARTIFACT,
                 .keys = keys },
    .run = run,
};
