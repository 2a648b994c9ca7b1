/* select_kind.c -- the kind `select`: which samples a pruned model heals by.
 *
 *     select:
 *       original: base
 *       pruned: $stages.prune.model
 *       data: alpaca.jsonl
 *       budget: 0.1
 *
 * Source: He et al., "PASER: Post-training data selection for efficient pruned
 * large language model recovery", 2025. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/data_parts.h"
#include "jobs/job_kind.h"
#include "jobs/select/nmf.h"
#include "jobs/select/pick.h"
#include "jobs/select_choose.h"
#include "jobs/select_keys.h"
#include "jobs/select_remark.h"
#include "jobs/select_stages.h"

static const char *const embed_words[] = { "hidden", "tfidf", "minilm", NULL };
/* What `minilm` stands for. */
static const char minilm_url[] = "hf://sentence-transformers/all-MiniLM-L6-v2";
static const char *const graph_words[] = { "auto", "dense", "knn", "landmarks",
                                           NULL };
static const char *const cost_words[] = { "square", "linear", "none", NULL };
static const char *const mode_words[] = { "capped", "remainder", "floor",
                                          NULL };
static const char *const order_words[] = { "canonical", "degradation", NULL };

static const struct catalog_key keys[] = {
    { .name = "method",
      .type = KEY_WORD,
      .words = select_method_words,
      .otherwise = "\"paser\"",
      .help = "how samples are chosen" },
    { .name = "original",
      .type = KEY_MODEL,
      .help = "the model before pruning" },
    { .name = "pruned", .type = KEY_MODEL, .help = "the model that heals" },
    { .name = "data",
      .type = KEY_DATA,
      .required = true,
      .keys = data_keys,
      .help = "what is selected from: instructions and answers, or tasks" },
    { .name = "budget",
      .type = KEY_NUMBER,
      .least = 0.0,
      .most = 1e9,
      .otherwise = "0.2",
      .help = "share of the samples, or above 1 their number" },
    { .name = "embed",
      .type = KEY_MODEL,
      .words = embed_words,
      .otherwise = "\"hidden\"",
      .help = "what instructions are compared by: hidden states of the "
              "original, tfidf of their words, minilm (all-MiniLM-L6-v2 of "
              "the hub), or an encoder's directory" },
    { .name = "clusters",
      .type = KEY_TEXT,
      .otherwise = "\"auto\"",
      .help = "auto: by the largest gap of the spectrum; or how many" },
    SELECT_SIGMA_KEY,
    { .name = "graph",
      .type = KEY_WORD,
      .words = graph_words,
      .otherwise = "\"auto\"",
      .help = "dense up to 6,000 samples, knn beyond, landmarks for more than "
              "100,000" },
    SELECT_TIME_KEY,
    { .name = "jsd",
      .type = KEY_WORD,
      .words = select_form_words,
      .otherwise = "\"mean_answer\"",
      .help = "mean over the tokens of the answer, or sum over those of the "
              "instruction, as released" },
    { .name = "tau",
      .type = KEY_NUMBER,
      .least = 1e-6,
      .most = 1e6,
      .otherwise = "1",
      .help = "temperature of the models' predictions" },
    { .name = "length",
      .type = KEY_INTEGER,
      .least = 2,
      .most = LIMIT_SEQUENCE,
      .help = "most tokens of a sample; 512, or the model's positions" },
    { .name = "cost",
      .type = KEY_WORD,
      .words = cost_words,
      .otherwise = "\"square\"",
      .help = "what a sample's divergence is divided by the logarithm of: "
              "tokens squared, tokens, or nothing" },
    { .name = "budget_mode",
      .type = KEY_WORD,
      .words = mode_words,
      .otherwise = "\"capped\"",
      .help = "how clusters share the budget: what one cannot use goes to "
              "others; the rest by fractions; rounded down, as released" },
    { .name = "min_per_cluster",
      .type = KEY_INTEGER,
      .least = 0,
      .most = 1e6,
      .otherwise = "0",
      .help = "samples each cluster gives at least" },
    { .name = "conflicts",
      .type = KEY_BOOL,
      .otherwise = "true",
      .help = "leave out what joins concepts that no accepted sample joins" },
    { .name = "cluster_order",
      .type = KEY_WORD,
      .words = order_words,
      .otherwise = "\"canonical\"",
      .help = "by first appearance, or the most degraded first" },
    { .name = "seed",
      .type = KEY_INTEGER,
      .least = 0,
      .most = UINT32_MAX,
      .help = "of the method random; the trial's if not given" },
    { .name = "parts",
      .type = KEY_INTEGER,
      .least = 1,
      .most = SELECT_PARTS,
      .otherwise = "4",
      .help = "jobs that share the samples' passes through a model" },
    { .name = NULL },
};

static const char *const structural[] = { "method", "clusters", "parts", NULL };

static void drop(json_t *body, const char *const *names)
{
    for (; *names != NULL; names++)
        (void)json_object_del(body, *names);
}

/* What the method has no use for, so that equal work has equal keys. */
static void drop_useless(json_t *body, const struct select_method *m)
{
    static const char *const clusters[] = { "embed",
                                            "clusters",
                                            "sigma_scale",
                                            "graph",
                                            "time",
                                            "budget_mode",
                                            "min_per_cluster",
                                            "conflicts",
                                            "cluster_order",
                                            "cost",
                                            NULL };
    static const char *const jsd[] = { "jsd", "tau", NULL };
    static const char *const original[] = { "original", NULL };
    static const char *const pruned[] = { "pruned", NULL };
    static const char *const passes[] = { "length", "parts", NULL };
    static const char *const budget[] = { "budget", NULL };

    if (!m->clusters)
        drop(body, clusters);
    if (!m->jsd)
        drop(body, jsd);
    if (!m->jsd && !m->lengths)
        drop(body, original);
    if (!m->jsd && !m->ifd)
        drop(body, pruned);
    if (!m->jsd && !m->ifd && !m->lengths)
        drop(body, passes);
    if (strcmp(m->name, "full") == 0)
        drop(body, budget);
    if (!m->seed)
        (void)json_object_del(body, "seed");
    else if (json_object_get(body, "seed") == NULL)
        (void)json_object_set_new(body, "seed",
                                  json_pack("{s:s}", "$param", "seed"));
}

static bool need(const json_t *body, const char *key, const char *method,
                 struct catalog_problem *problem)
{
    return json_object_get(body, key) != NULL ||
           catalog_refuse(problem, "", "", "`%s` is missing: %s compares by it",
                          key, method);
}

static void read_embed(json_t *body)
{
    if (strcmp(json_text_or(body, "embed", ""), "minilm") == 0)
        (void)json_object_set_new(
            body, "embed", json_pack("{s{ss}}", "$source", "url", minilm_url));
}

/* auto becomes 0, digits a number. */
static bool read_clusters(json_t *body, struct catalog_problem *problem)
{
    const char *text = json_text_or(body, "clusters", "auto");
    char *end;
    long count;

    if (strcmp(text, "auto") == 0) {
        (void)json_object_set_new(body, "clusters", json_integer(0));
        return true;
    }
    count = strtol(text, &end, 10);
    if (end == text || *end != '\0' || count < 1 || count > NMF_RANK)
        return catalog_refuse(problem, "/clusters", "clusters: auto, or 10",
                              "`clusters` is auto or 1 to %d", NMF_RANK);
    (void)json_object_set_new(body, "clusters", json_integer(count));
    return true;
}

static bool check_budget(const json_t *body, struct catalog_problem *problem)
{
    const json_t *budget = json_object_get(body, "budget");
    double value = json_number_value(budget);

    if (!json_is_number(budget) || value <= 1.0 || value == floor(value))
        return true;
    return catalog_refuse(problem, "/budget",
                          "a share from 0 to 1, or a whole number of samples",
                          "a budget of %g samples", value);
}

/* What a job would refuse as well, where the file already says it. */
static bool check_pool(const json_t *body, struct catalog_problem *problem)
{
    const json_t *data = json_object_get(body, "data");
    char known[128];
    const struct data_form *form = data_form_of(data, known, sizeof(known));

    if (json_object_get(data, "$stage") != NULL)
        return catalog_refuse(problem, "/data", "name the data it chose from",
                              "what `select` chose is no pool to select from");
    if (form != NULL && form != &data_form_tasks && form != &data_form_jsonl)
        return catalog_refuse(
            problem, "/data",
            "a .jsonl of {\"instruction\", \"input\", \"output\"} or "
            "{\"prompt\", \"answer\"}, or tasks",
            "only instructions with answers can be selected, not data of the "
            "form `%s`",
            form->name);
    if (form == &data_form_tasks && json_object_get(data, "items") == NULL)
        return catalog_refuse(problem, "/data", "items: 1000",
                              "tasks without end are no pool to select from");
    return true;
}

static bool normalise(json_t *body, struct catalog_problem *problem)
{
    const struct select_method *m = select_method_of(body);

    if (m == NULL)
        return catalog_refuse(problem, "/method", "", "no such method");
    drop_useless(body, m);
    read_embed(body);
    if ((m->jsd || m->lengths) && !need(body, "original", m->name, problem))
        return false;
    if ((m->jsd || m->ifd) && !need(body, "pruned", m->name, problem))
        return false;
    if (m->clusters && !read_clusters(body, problem))
        return false;
    return check_budget(body, problem) &&
           data_normalise(body, "train", problem) && check_pool(body, problem);
}

static bool check(const json_t *params, struct catalog_problem *problem)
{
    return check_budget(params, problem);
}

/* All points over the same divergences are one behind the other in a slot. */
static json_t *fusable(const json_t *body)
{
    static const char *const names[] = {
        "budget",        "budget_mode", "clusters",        "conflicts", "cost",
        "cluster_order", "seed",        "min_per_cluster", "graph",
    };
    json_t *places = json_array();

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        AUTO(free_pointer) char *place = xasprintf("/%s", names[i]);

        if (json_object_get(body, names[i]) != NULL)
            (void)json_array_append_new(places, json_string(place));
    }
    return places;
}

static json_t *metrics(const json_t *body)
{
    const struct select_method *m = select_method_of(body);
    json_t *names = json_pack("[ss]", "selected", "rejected");

    if (m != NULL && m->clusters) {
        (void)json_array_append_new(names, json_string("clusters"));
        (void)json_array_append_new(names, json_string("gap"));
        (void)json_array_append_new(names, json_string("coverage"));
    }
    return names;
}

static struct status run(const json_t *params, struct job_context *context,
                         json_t **ret_result)
{
    TRY(select_choose(params, context, ret_result), "select");
    return SUCCESS;
}

extern const struct job_kind job_select;
const struct job_kind job_select = {
    .catalog = { .name = "select",
                 .summary = "chooses the data by which a pruned model heals",
                 .example = "original: base\n"
                            "pruned: base\n"
                            "data: {builtin: tasks, items: 500}\n"
                            "budget: 0.1\n"
                            "clusters: 5\n",
                 .sort = STAGE_ARTIFACT,
                 .gives_data = true,
                 .keys = keys,
                 .structural = structural,
                 .normalise = normalise,
                 .check = check,
                 .fusable = fusable,
                 .before = select_stages,
                 .metrics = metrics,
                 .remark = select_remark },
    .run = run,
};
