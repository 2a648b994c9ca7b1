/* prune_kind.c -- the kind `prune`: weights of a model become 0. It is lazy:
 * jobs/recipe.c realises it in the job that reads the model. */
#include <string.h>

#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/prune.h"
#include "jobs/prune_body.h"
#include "jobs/prune_walk.h"

static const char *const flow_words[] = { "pruned", "dense", NULL };

static const struct catalog_key name_row[] = {
    { .name = "*", .type = KEY_TEXT, .help = "a part of a tensor's name" },
    { .name = NULL },
};

const struct catalog_key prune_keys[] = {
    { .name = "model",
      .type = KEY_MODEL,
      .required = true,
      .help = "what is pruned" },
    { .name = "method",
      .type = KEY_WORD,
      .required = true,
      .words = prune_method_words,
      .help = "by what weights are chosen" },
    { .name = "sparsity",
      .type = KEY_NUMBER,
      .least = 0.0,
      .most = 1.0,
      .help = "share of the weights that go, below 1" },
    { .name = "density",
      .type = KEY_NUMBER,
      .least = 0.0,
      .most = 1.0,
      .help = "share that stays, in place of `sparsity`" },
    { .name = "pattern",
      .type = KEY_TEXT,
      .otherwise = "\"unstructured\"",
      .help = "unstructured, or 2:4: of each 4 inputs of an output 2 go" },
    { .name = "scope",
      .type = KEY_WORD,
      .words = prune_scope_words,
      .help = "layer: each matrix loses its share; global: all together; row: "
              "each output" },
    { .name = "rule",
      .type = KEY_WORD,
      .words = prune_rule_words,
      .help = "how the share is counted and ties are broken" },
    { .name = "include",
      .type = KEY_LIST,
      .keys = name_row,
      .help = "only matrices with one of these in their names" },
    { .name = "exclude",
      .type = KEY_LIST,
      .keys = name_row,
      .help = "but for those with one of these" },
    { .name = "seed",
      .type = KEY_INTEGER,
      .least = 0,
      .most = UINT32_MAX,
      .help = "of the method random; the trial's if not given" },
    { .name = "calibration",
      .type = KEY_MAP,
      .keys = prune_calibration_keys,
      .help = "what the model is fed (wanda, sparsegpt)" },
    { .name = "flow",
      .type = KEY_WORD,
      .words = flow_words,
      .help = "a layer is fed what pruned layers leave, or dense ones" },
    { .name = "block",
      .type = KEY_INTEGER,
      .least = 1,
      .most = 1 << 16,
      .help = "inputs that sparsegpt chooses from together; 128" },
    { .name = "damping",
      .type = KEY_NUMBER,
      .least = 0.0,
      .most = 1e6,
      .help = "share of its mean added to the Hessian's diagonal; 0.01" },
    { .name = NULL },
};

static const char *const structural[] = { "method", "pattern", "flow", NULL };

/* Shares that leave nothing, where they are plain numbers. */
static bool check_shares(const json_t *body, struct catalog_problem *problem)
{
    const json_t *sparsity = json_object_get(body, "sparsity");
    const json_t *density = json_object_get(body, "density");

    if (json_is_number(sparsity) && json_number_value(sparsity) >= 1.0)
        return catalog_refuse(problem, "/sparsity", "below 1",
                              "a sparsity of 1 leaves no weight");
    if (json_is_number(density) && json_number_value(density) <= 0.0)
        return catalog_refuse(problem, "/density", "above 0",
                              "a density of 0 leaves no weight");
    return true;
}

static void drop(json_t *body, const char *const *names)
{
    for (; *names != NULL; names++)
        (void)json_object_del(body, *names);
}

static void drop_empty(json_t *body, const char *name)
{
    if (json_array_size(json_object_get(body, name)) == 0)
        (void)json_object_del(body, name);
}

static void put_otherwise(json_t *body, const char *name, const char *word)
{
    if (json_object_get(body, name) == NULL)
        (void)json_object_set_new(body, name, json_string(word));
}

/* Keys that mean something to some methods only; their words by default. */
struct method_keys {
    const char *scope, *rule; /* NULL: it has none */
    bool draws, fed, solves;
};
static const struct method_keys methods[PRUNE_METHODS] = {
    [PRUNE_MAGNITUDE] = { "layer", "exact", false, false, false },
    [PRUNE_RANDOM] = { "layer", "exact", true, false, false },
    [PRUNE_WANDA] = { "row", "exact", false, true, false },
    [PRUNE_SPARSEGPT] = { NULL, "exact", false, true, true },
};

static const struct method_keys *keys_of(const json_t *body)
{
    const char *method = json_text_or(body, "method", "");
    size_t i = 0;

    while (i + 1 < PRUNE_METHODS && strcmp(prune_method_words[i], method) != 0)
        i++;
    return &methods[i];
}

static bool is_word(const json_t *body, const char *name, const char *word)
{
    return strcmp(json_text_or(body, name, ""), word) == 0;
}

/* Words that the method has no use for. */
static bool check_words(const json_t *body, const struct method_keys *m,
                        struct catalog_problem *problem)
{
    bool alpha = is_word(body, "rule", "alpha");

    if (m->fed && is_word(body, "scope", "global"))
        return catalog_refuse(
            problem, "/scope", "row or layer",
            "scores of different layers are not compared by this "
            "method");
    if (alpha && (!m->fed || m->solves))
        return catalog_refuse(problem, "/rule", "exact",
                              "`alpha` is a rule of wanda alone");
    return true;
}

static bool put_method(json_t *body, struct catalog_problem *problem)
{
    static const char *const fed[] = { "calibration", "flow", NULL };
    static const char *const solved[] = { "block", "damping", NULL };
    const struct method_keys *m = keys_of(body);

    if (!m->draws)
        (void)json_object_del(body, "seed");
    else if (json_object_get(body, "seed") == NULL)
        (void)json_object_set_new(body, "seed",
                                  json_pack("{s:s}", "$param", "seed"));
    if (!m->solves)
        drop(body, solved);
    if (m->scope == NULL)
        (void)json_object_del(body, "scope");
    if (!m->fed) {
        drop(body, fed);
        return check_words(body, m, problem);
    }
    put_otherwise(body, "flow", "pruned");
    if (json_object_get(body, "calibration") == NULL)
        return catalog_refuse(problem, "", "as in calibration: {data: FILE}",
                              "the method has to see what the model is fed");
    if (!data_normalise(json_object_get(body, "calibration"), "train", problem))
        return catalog_refuse_below(problem, "/calibration");
    return check_words(body, m, problem);
}

/* How much goes: a pattern says it, or one number. */
static bool put_share(json_t *body, struct catalog_problem *problem)
{
    static const char *const unstructured[] = { "sparsity", "density", "scope",
                                                "rule", NULL };
    bool both = json_object_get(body, "sparsity") != NULL &&
                json_object_get(body, "density") != NULL;
    size_t go, of;

    if (!prune_read_pattern(json_text_or(body, "pattern", ""), &go, &of))
        return catalog_refuse(
            problem, "/pattern", "unstructured, 2:4, 4:8 ...",
            "a pattern is N:M with 0 < N < M: of M inputs N go");
    if (of > 0) {
        drop(body, unstructured);
        return true;
    }
    if (both)
        return catalog_refuse(problem, "/density", "keep one of them",
                              "`sparsity` and `density` exclude each other");
    if (json_object_get(body, "sparsity") == NULL &&
        json_object_get(body, "density") == NULL)
        return catalog_refuse(problem, "", "as in sparsity: 0.5",
                              "how many weights go is not said");
    if (keys_of(body)->scope != NULL)
        put_otherwise(body, "scope", keys_of(body)->scope);
    put_otherwise(body, "rule", keys_of(body)->rule);
    return check_shares(body, problem);
}

static bool normalise(json_t *body, struct catalog_problem *problem)
{
    drop_empty(body, "include");
    drop_empty(body, "exclude");
    return put_method(body, problem) && put_share(body, problem);
}

static bool check(const json_t *params, struct catalog_problem *problem)
{
    struct prune_config config;
    struct status st;

    if (json_object_get(params, "fitted") != NULL)
        return true; /* the stage before it was checked */
    if (!check_shares(params, problem))
        return false;
    st = prune_config_read(params, &config);
    return !status_failed(&st) ||
           catalog_refuse(problem, "", "", "%s", st.message);
}

/* What a dense model is fed is there once for all. */
static bool is_dense(const json_t *body)
{
    return is_word(body, "flow", "dense");
}

/* ... and its norms are all that a pass over the weights needs. */
static bool by_norms(const json_t *body)
{
    return is_word(body, "method", "wanda") && is_dense(body);
}

/* One sort serves all thresholds. */
static json_t *fusable(const json_t *body)
{
    static const char *const names[] = { "sparsity", "density" };
    json_t *places = json_array();

    if (keys_of(body)->fed && !by_norms(body))
        return places;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        AUTO(free_pointer) char *place = xasprintf("/%s", names[i]);

        if (json_object_get(body, names[i]) != NULL)
            (void)json_array_append_new(places, json_string(place));
    }
    return places;
}

/* A copy of what is in the list, or of what is not. */
static json_t *split(json_t *body, const char *const *names, bool listed)
{
    json_t *copy = json_deep_copy(body);
    const char *key;
    json_t *value;
    void *next;

    json_object_foreach_safe(copy, next, key, value)
    {
        bool found = false;

        for (const char *const *name = names; *name != NULL; name++)
            found = found || strcmp(*name, key) == 0;
        if (found != listed)
            (void)json_object_del(copy, key);
    }
    return copy;
}

/* A stage `stage`.`suffix` of those members of the body: it is added to the
 * list, and the member `as` of `reader` names it. */
static void add_stage(json_t *list, const char *stage, const char *suffix,
                      const char *kind, json_t *params, json_t *reader,
                      const char *as)
{
    AUTO(free_pointer) char *name = xasprintf("%.40s.%s", stage, suffix);

    (void)json_array_append_new(list,
                                json_pack("{s:s, s:s, s:o}", "name", name,
                                          "kind", kind, "params", params));
    (void)json_object_set_new(reader, as, json_pack("{s:s}", "$stage", name));
}

/* What a model is fed has to be seen by a job: by the one that prunes, whose
 * result stands for the model, or, of a dense one, by one that only looks for
 * all of them. */
static json_t *before(json_t *body, const char *stage)
{
    static const char *const seen[] = { "model",       "method",  "damping",
                                        "calibration", "include", "exclude",
                                        NULL };
    static const char *const looked[] = { "calibration", "flow", "damping",
                                          NULL };
    static const char *const kept[] = { "model", "method", NULL };
    AUTO(json_release) json_t *rest = NULL;
    json_t *stages, *prunes;

    if (!keys_of(body)->fed)
        return NULL;
    stages = json_array();
    prunes = is_dense(body) ? split(body, looked, false) : json_deep_copy(body);
    if (is_dense(body))
        add_stage(stages, stage, "inputs", "prune_inputs",
                  split(body, seen, true), prunes, "inputs");
    if (by_norms(body)) {
        rest = prunes;
    } else {
        rest = split(body, kept, true);
        add_stage(stages, stage, "fit", "prune_fit", prunes, rest, "fitted");
    }
    (void)json_object_clear(body);
    (void)json_object_update(body, rest);
    return stages;
}

extern const struct job_kind job_prune;
const struct job_kind job_prune = {
    .catalog = { .name = "prune",
                 .summary = "weights of a model become 0",
                 .example = "model: base\n"
                            "method: magnitude\n"
                            "sparsity: 0.5\n"
                            "exclude: [down_proj]\n",
                 .sort = STAGE_LAZY,
                 .keys = prune_keys,
                 .structural = structural,
                 .normalise = normalise,
                 .check = check,
                 .fusable = fusable,
                 .before = before },
};
