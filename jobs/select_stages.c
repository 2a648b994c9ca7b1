#include "jobs/select_stages.h"

#include <string.h>

#include "common/memory.h"
#include "jobs/select/cluster.h"
#include "jobs/select/concepts.h"
#include "jobs/select/embed.h"
#include "jobs/select_keys.h"

const char *const select_method_words[] = { "paser",        "random",  "topjsd",
                                            "uniform",      "ifd",     "full",
                                            "proportional", "longest", NULL };

static const struct select_method methods[] = {
    { "paser", .clusters = true, .jsd = true },
    { "random", .seed = true },
    { "topjsd", .jsd = true },
    { "uniform", .clusters = true, .jsd = true },
    { "ifd", .ifd = true },
    { .name = "full" },
    { "proportional", .clusters = true, .jsd = true },
    { "longest", .lengths = true },
};

const struct select_method *select_method_of(const json_t *body)
{
    const char *name = json_text_or(body, "method", "");

    for (size_t i = 0; i < COUNT_OF(methods); i++)
        if (strcmp(methods[i].name, name) == 0)
            return &methods[i];
    return NULL;
}

const char *const select_form_words[] = { "mean_answer", "sum_instruction",
                                          NULL };

const struct catalog_key select_job_row[] = {
    { .name = "*", .type = KEY_MODEL, .help = "a job of the selection" },
    { .name = NULL },
};

/* The body, and what has been made of it. */
struct making {
    json_t *body;
    const char *stage;
    json_t *stages;
    size_t parts;
};

/* Takes `params`; gives what stands for the stage's result. */
static json_t *add(struct making *m, const char *name, const char *kind,
                   json_t *params)
{
    AUTO(free_pointer)
    char *full = xasprintf("%.40s.%s", m->stage, name);

    (void)json_array_append_new(m->stages,
                                json_pack("{s:s, s:s, s:o}", "name", full,
                                          "kind", kind, "params", params));
    return json_pack("{s:s}", "$stage", full);
}

/* Copies a member of the body under a name; nothing if it is not there. */
static void pass_on(const struct making *m, json_t *params, const char *from,
                    const char *to)
{
    json_t *value = json_object_get(m->body, from);

    if (value != NULL)
        (void)json_object_set_new(params, to, json_deep_copy(value));
}

/* Of a stage that reads the texts. */
static json_t *pool_params(const struct making *m, const char *version)
{
    json_t *params = json_pack("{s:s}", "version", version);

    pass_on(m, params, "data", "data");
    return params;
}

static json_t *add_samples(struct making *m)
{
    struct digest stops = concept_stops_digest(&concept_stops_english);
    char version[DIGEST_TEXT];

    digest_to_text(&stops, version);
    return add(m, "samples", "select_samples", pool_params(m, version));
}

/* One stage for each part, whose parameters `fill` completes. */
static json_t *add_parts(struct making *m, const char *name, const char *kind,
                         const char *version, const json_t *others,
                         void (*fill)(const struct making *m, json_t *params))
{
    json_t *list = json_array();

    for (size_t i = 0; i < m->parts; i++) {
        json_t *params = pool_params(m, version);
        AUTO(free_pointer) char *one = xasprintf("%s-%zu", name, i + 1);

        fill(m, params);
        if (others != NULL)
            (void)json_object_set(params, "hidden", json_array_get(others, i));
        (void)json_object_set_new(params, "part", json_integer((json_int_t)i));
        (void)json_object_set_new(params, "parts",
                                  json_integer((json_int_t)m->parts));
        (void)json_array_append_new(list, add(m, one, kind, params));
    }
    return list;
}

static void fill_hidden(const struct making *m, json_t *params)
{
    pass_on(m, params, "original", "model");
    pass_on(m, params, "length", "length");
}

static void fill_jsd(const struct making *m, json_t *params)
{
    pass_on(m, params, "original", "original");
    pass_on(m, params, "pruned", "pruned");
    pass_on(m, params, "length", "length");
    pass_on(m, params, "jsd", "jsd");
    pass_on(m, params, "tau", "tau");
}

static void fill_ifd(const struct making *m, json_t *params)
{
    pass_on(m, params, "pruned", "model");
    pass_on(m, params, "length", "length");
}

static void fill_encode(const struct making *m, json_t *params)
{
    pass_on(m, params, "embed", "model");
}

/* Takes nothing; `hidden`: parts of the original, if there are some. */
static json_t *add_embed(struct making *m, const json_t *hidden)
{
    const char *word = json_string_value(json_object_get(m->body, "embed"));
    json_t *params;

    if (word != NULL && strcmp(word, "tfidf") == 0) {
        params = pool_params(m, select_embed_version);
        (void)json_object_set_new(params, "embed", json_string("tfidf"));
    } else if (word != NULL) {
        params = json_pack("{s:s, s:s, s:O}", "embed", "hidden", "version",
                           select_embed_version, "parts", hidden);
    } else {
        params = json_pack("{s:s, s:s, s:o}", "embed", "encoder", "version",
                           select_embed_version, "parts",
                           add_parts(m, "encode", "select_encode",
                                     select_embed_version, NULL, fill_encode));
    }
    return add(m, "embed", "select_embed", params);
}

/* All small numbers of clusters share a spectrum; larger ones by doubling. */
static size_t pairs_for(size_t clusters)
{
    size_t most = SPECTRUM_PAIRS - 1;

    while (most < clusters)
        most *= 2;
    return most + 1 < SPECTRUM_PAIRS_MOST ? most + 1
                                          : (size_t)SPECTRUM_PAIRS_MOST;
}

static json_t *add_clusters(struct making *m, const json_t *samples,
                            const json_t *hidden)
{
    json_int_t k = json_int_or(m->body, "clusters", 0);
    AUTO(json_release) json_t *embedded = add_embed(m, hidden);
    json_t *params = json_pack("{s:O, s:I}", "embedded", embedded, "pairs",
                               (json_int_t)pairs_for((size_t)k));
    json_t *spectrum;

    pass_on(m, params, "sigma_scale", "sigma_scale");
    pass_on(m, params, "graph", "graph");
    spectrum = add(m, "spectrum", "select_spectrum", params);
    params = json_pack("{s:o, s:O, s:O, s:I}", "spectrum", spectrum, "embedded",
                       embedded, "samples", samples, "clusters", k);
    pass_on(m, params, "time", "time");
    return add(m, "clusters", "select_clusters", params);
}

/* Which of the method's numbers are there; NULL: it needs none. */
static json_t *add_damage(struct making *m, const struct select_method *method,
                          const json_t *hidden)
{
    if (method->jsd)
        return add_parts(m, "jsd", "select_jsd", select_template, hidden,
                         fill_jsd);
    if (method->ifd)
        return add_parts(m, "ifd", "select_ifd", select_template, NULL,
                         fill_ifd);
    if (method->lengths)
        return add_parts(m, "length", "select_length", select_template, NULL,
                         fill_hidden);
    return NULL;
}

json_t *select_stages(json_t *body, const char *stage)
{
    static const char *const done[] = {
        "original",    "pruned", "embed", "length", "jsd",
        "sigma_scale", "time",   "tau",   "parts",
    };
    const struct select_method *method = select_method_of(body);
    struct making m = { .body = body,
                        .stage = stage,
                        .stages = json_array(),
                        .parts = (size_t)json_int_or(body, "parts", 1) };
    json_t *samples = add_samples(&m);
    AUTO(json_release) json_t *hidden = NULL;
    json_t *damage;

    if (method->jsd)
        hidden = add_parts(&m, "hidden", "select_hidden", select_template, NULL,
                           fill_hidden);
    if (method->clusters)
        (void)json_object_set_new(body, "clusters",
                                  add_clusters(&m, samples, hidden));
    damage = add_damage(&m, method, hidden);
    if (damage != NULL)
        (void)json_object_set_new(body, "damage", damage);
    (void)json_object_set_new(body, "samples", samples);
    if (strcmp(json_text_or(body, "graph", ""), "auto") == 0)
        (void)json_object_del(body, "graph"); /* else `plan` tells it */
    for (size_t i = 0; i < COUNT_OF(done); i++)
        (void)json_object_del(body, done[i]);
    return m.stages;
}
