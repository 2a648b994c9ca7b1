/* merge.c -- the kind `merge`: a mergekit configuration as the body of a
 * stage, brought to one form so that equal merges have equal keys. It is
 * lazy: jobs/recipe.c realises it in the job that reads the model. */
#include <assert.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/job_kind.h"
#include "jobs/merge/merge_config.h"

static const char *const method_words[] = {
    "linear",    "average", "task_arithmetic", "ties", "dare_linear",
    "dare_ties", "pcb",     "dare_pcb",        NULL,
};
static const char *const dtype_words[] = { "float32", "float16", "bfloat16",
                                           NULL };
static const char *const mismatch_words[] = { "error", "submatrix", NULL };
static const char *const rescale_words[] = { "paper", "l1", "none", NULL };

#define DEPTH(name_, help_)                                 \
    {                                                       \
        .name = (name_), .type = KEY_DEPTH, .help = (help_) \
    }
#define BOOL(name_, help_)                                 \
    {                                                      \
        .name = (name_), .type = KEY_BOOL, .help = (help_) \
    }
#define SHARE(name_, help_)                                             \
    {                                                                   \
        .name = (name_), .type = KEY_NUMBER, .least = 0.0, .most = 1.0, \
        .help = (help_)                                                 \
    }

static const struct catalog_key model_parameter_keys[] = {
    DEPTH("weight", "how much of this model is taken"),
    DEPTH("density", "share of the task vector that is kept"),
    DEPTH("lambda", "scale of this model's task vector (pcb)"),
    { .name = NULL },
};

static const struct catalog_key parameter_keys[] = {
    DEPTH("weight", "of every model that has none of its own"),
    DEPTH("density", "of every model that has none of its own"),
    DEPTH("lambda", "scale of the merged task vector"),
    SHARE("trim_density", "kept by magnitude after a drop (dare_ties/mergelm)"),
    SHARE("ratio", "share of elements that win (pcb)"),
    SHARE("clamp_quantile", "magnitudes clipped at either end (pcb)"),
    BOOL("normalize", "divide by the sum of the weights"),
    BOOL("rescale", "make up for what a random drop took away"),
    { .name = "rescale_rule",
      .type = KEY_WORD,
      .words = rescale_words,
      .help = "paper: / density; l1: keep the L1 norm of each tensor" },
    BOOL("int8_mask", "of mergekit; changes memory only, so it is accepted"),
    { .name = NULL },
};

static const struct catalog_key model_keys[] = {
    { .name = "model",
      .type = KEY_MODEL,
      .required = true,
      .help = "a fine-tune of the base" },
    { .name = "parameters",
      .type = KEY_MAP,
      .keys = model_parameter_keys,
      .help = "numbers of this model" },
    { .name = NULL },
};

static const struct catalog_key model_row[] = {
    { .name = "*",
      .type = KEY_MAP,
      .keys = model_keys,
      .help = "a model and its numbers" },
    { .name = NULL },
};

static const struct catalog_key keys[] = {
    { .name = "merge_method",
      .type = KEY_WORD,
      .required = true,
      .words = method_words,
      .help = "how models become one" },
    { .name = "variant",
      .type = KEY_TEXT,
      .help = "whose form of the method: mergekit, mergelm, nlp, root" },
    { .name = "base_model",
      .type = KEY_MODEL,
      .help = "what the models were fine-tuned from" },
    { .name = "models",
      .type = KEY_LIST,
      .keys = model_row,
      .help = "what is merged" },
    { .name = "parameters",
      .type = KEY_MAP,
      .keys = parameter_keys,
      .help = "numbers of the merge" },
    { .name = "dtype",
      .type = KEY_WORD,
      .words = dtype_words,
      .help = "of the result; sums are float32 or wider in any case" },
    { .name = "out_dtype",
      .type = KEY_WORD,
      .words = dtype_words,
      .help = "the same, and goes before dtype" },
    { .name = "tokenizer_source",
      .type = KEY_TEXT,
      .help = "base: the tokenizer of the base is kept" },
    { .name = "on_shape_mismatch",
      .type = KEY_WORD,
      .words = mismatch_words,
      .help = "submatrix: of more rows than the base has, take the first" },
    { .name = "seed",
      .type = KEY_INTEGER,
      .least = 0,
      .most = UINT32_MAX,
      .help = "of random drops; the trial's if not given" },
    { .name = "slices", .type = KEY_ANY, .help = "refused with a reason" },
    { .name = NULL },
};

static const char *const structural[] = { "merge_method", "variant", NULL };

/* What normalise() carries from step to step. */
struct body {
    json_t *json;
    const struct merge_method *method;
    struct catalog_problem *problem;
};

static bool refuse(const struct body *b, const char *path,
                   const char *suggestion, const char *format, ...)
    PRINTF_LIKE(4, 5);

static bool refuse(const struct body *b, const char *path,
                   const char *suggestion, const char *format, ...)
{
    va_list args;

    (void)snprintf(b->problem->path, sizeof b->problem->path, "%s", path);
    (void)snprintf(b->problem->suggestion, sizeof b->problem->suggestion, "%s",
                   suggestion);
    va_start(args, format);
    (void)vsnprintf(b->problem->message, sizeof b->problem->message, format,
                    args);
    va_end(args);
    return false;
}

/* "mergekit, mergelm": the variants of a method. */
static const char *variants_of(const char *name, char *text, size_t size)
{
    size_t used = 0;

    for (const struct merge_method *m = merge_methods; m->name != NULL; m++) {
        if (strcmp(m->name, name) == 0 && used < size)
            used += (size_t)snprintf(text + used, size - used, "%s%s",
                                     used == 0 ? "" : ", ", m->variant);
    }
    return text;
}

static bool take_method(struct body *b)
{
    char known[128];
    const char *name = json_text_or(b->json, "merge_method", "");
    const char *variant = json_text_or(b->json, "variant", NULL);
    const struct merge_method *method = merge_method_find(name, NULL);

    if (method == NULL)
        return refuse(b, "/merge_method", "", "unknown merge_method \"%s\"",
                      name);
    b->method = variant == NULL ? method : merge_method_find(name, variant);
    if (b->method == NULL && method->variant == NULL)
        return refuse(b, "/variant", "leave it out", "%s has no variants",
                      name);
    if (b->method == NULL)
        return refuse(b, "/variant", variants_of(name, known, sizeof known),
                      "%s has no variant \"%s\"", name, variant);
    if (b->method->variant != NULL)
        (void)json_object_set_new(b->json, "variant",
                                  json_string(b->method->variant));
    return true;
}

static bool take_tokenizer(const struct body *b)
{
    const char *source = json_text_or(b->json, "tokenizer_source", "base");

    if (json_object_get(b->json, "slices") != NULL)
        return refuse(b, "/slices", "list whole models under `models:`",
                      "merges of layer slices are not supported");
    if (strcmp(source, "base") != 0)
        return refuse(b, "/tokenizer_source", "use `tokenizer_source: base`",
                      "tokenizer_source \"%s\" is not supported", source);
    (void)json_object_del(b->json, "tokenizer_source");
    return true;
}

/* The default says nothing, so it is not kept. */
static void take_mismatch(const struct body *b)
{
    const char *rule = json_text_or(b->json, "on_shape_mismatch", "");

    if (strcmp(rule, "error") == 0)
        (void)json_object_del(b->json, "on_shape_mismatch");
}

static bool take_base(const struct body *b)
{
    const json_t *base = json_object_get(b->json, "base_model");
    const json_t *models = json_object_get(b->json, "models");
    const json_t *first = json_object_get(json_array_get(models, 0), "model");

    if (base == NULL && b->method->base)
        return refuse(b, "", "add `base_model:`",
                      "%s needs a base_model: it merges differences from it",
                      b->method->name);
    if (models == NULL)
        return refuse(b, "", "add `models:`",
                      "%s merges nothing: there are "
                      "no models",
                      b->method->name);
    /* Without a base the first model's files go along. */
    if (base != NULL && !b->method->base && json_equal(base, first))
        (void)json_object_del(b->json, "base_model");
    return true;
}

/* Of one number: path to what holds it, for messages. */
struct number {
    const struct body *body;
    const struct merge_use *use;
    const char *path;
};

static bool check_number(void *self, const char *path, double number)
{
    const struct number *n = self;
    const struct merge_use *use = n->use;
    const char *name = merge_parameters[use->parameter].name;
    char place[256];
    bool low = use->above_least ? number <= use->least : number < use->least;

    if (!low && number <= use->most)
        return true;
    (void)snprintf(place, sizeof place, "%s/%s%s", n->path, name, path);
    return refuse(n->body, place, "", "%s of %s must be in %c%g, %g], not %g",
                  name, n->body->method->name, use->above_least ? '(' : '[',
                  use->least, use->most, number);
}

static void check_wrong(void *self, const char *path, const char *why)
{
    const struct number *n = self;
    const char *name = merge_parameters[n->use->parameter].name;
    char place[256];

    (void)snprintf(place, sizeof place, "%s/%s%s", n->path, name, path);
    (void)refuse(n->body, place, "", "%s: %s", name, why);
}

static bool check_value(const struct body *b, const struct merge_use *use,
                        const char *path, const json_t *value)
{
    struct number n = { .body = b, .use = use, .path = path };
    const struct depth_visitor visitor = { .self = &n,
                                           .number = check_number,
                                           .wrong = check_wrong };

    if (use->plain && json_is_array(value)) {
        check_wrong(&n, "",
                    "this method looks at the model as a whole and "
                    "takes one number");
        return false;
    }
    return depth_visit(value, &visitor);
}

/* The object under a name, made if it is not there. */
static json_t *object_at(json_t *parent, const char *name)
{
    json_t *object = json_object_get(parent, name);

    if (!json_is_object(object)) {
        object = json_object();
        (void)json_object_set_new(parent, name, object);
    }
    return object;
}

/* Put the value of one number where it belongs: `from` and `to` are
 * parameters of the file and of the form that is kept. */
static bool take_number(const struct body *b, const struct merge_use *use,
                        json_t *from, const char *path, json_t *otherwise,
                        json_t *to)
{
    const char *name = merge_parameters[use->parameter].name;
    json_t *value = json_object_get(from, name);
    char suggestion[64];

    if (value == NULL)
        value = otherwise;
    else if (!check_value(b, use, path, value))
        return false;
    if (value != NULL) {
        (void)json_object_set(to, name, value);
        return true;
    }
    (void)snprintf(suggestion, sizeof suggestion, "add `%s: 1.0`", name);
    if (use->required)
        return refuse(b, path, suggestion, "%s needs a %s for each model",
                      b->method->name, name);
    (void)json_object_set_new(to, name, json_real(use->otherwise));
    return true;
}

static bool take_model(const struct body *b, size_t at, json_t *top)
{
    json_t *item = json_array_get(json_object_get(b->json, "models"), at);
    json_t *own = json_object_get(item, "parameters");
    json_t *kept = json_object();
    bool fine = true;
    char path[64];

    (void)snprintf(path, sizeof path,
                   own != NULL ? "/models/%zu/parameters" : "/models/%zu", at);
    for (const struct merge_use *use = b->method->uses; fine && use->most > 0.0;
         use++) {
        const char *name = merge_parameters[use->parameter].name;

        if (use->per_model)
            fine = take_number(b, use, own, path, json_object_get(top, name),
                               kept);
    }
    if (json_object_size(kept) > 0)
        (void)json_object_set(item, "parameters", kept);
    else
        (void)json_object_del(item, "parameters");
    json_decref(kept);
    return fine;
}

static bool is_base(const struct body *b, size_t at)
{
    const json_t *base = json_object_get(b->json, "base_model");
    const json_t *item = json_array_get(json_object_get(b->json, "models"), at);

    return b->method->base && json_equal(json_object_get(item, "model"), base);
}

/* mergekit files list the base among the models, where it means nothing. */
static bool take_models(const struct body *b, json_t *top)
{
    json_t *models = json_object_get(b->json, "models");
    size_t count = json_array_size(models);

    for (size_t i = 0; i < count; i++) {
        if (!is_base(b, i) && !take_model(b, i, top))
            return false;
    }
    for (size_t i = count; i-- > 0;) {
        if (is_base(b, i))
            (void)json_array_remove(models, i);
    }
    count = json_array_size(models);
    if (count < b->method->least_models)
        return refuse(b, "/models", "",
                      "%s needs at least %zu model%s beside "
                      "the base",
                      b->method->name, b->method->least_models,
                      b->method->least_models == 1 ? "" : "s");
    if (count > LIMIT_MODELS)
        return refuse(b, "/models", "", "%zu models, at most %d are merged",
                      count, LIMIT_MODELS);
    return true;
}

static bool take_rescale(const struct body *b, const json_t *top, json_t *kept)
{
    json_t *rescale = json_object_get(top, "rescale");
    json_t *rule = json_object_get(top, "rescale_rule");

    if (!b->method->draws)
        return true;
    if (json_is_string(rule) && strcmp(json_string_value(rule), "l1") == 0 &&
        b->method->survey != NULL)
        return refuse(b, "/parameters/rescale_rule", "use paper",
                      "%s/%s divides by the density, it has no rule l1",
                      b->method->name, b->method->variant);
    if (json_is_object(rescale))
        (void)json_object_set(kept, "rescale", rescale);
    if (json_is_false(rescale))
        (void)json_object_set_new(kept, "rescale_rule", json_string("none"));
    else if (rule != NULL)
        (void)json_object_set(kept, "rescale_rule", rule);
    else
        (void)json_object_set_new(kept, "rescale_rule", json_string("paper"));
    return true;
}

static void take_normalize(const struct body *b, const json_t *top,
                           json_t *kept)
{
    json_t *normalize = json_object_get(top, "normalize");

    if (b->method->normalize == MERGE_NO_NORMALIZE)
        return;
    if (normalize != NULL)
        (void)json_object_set(kept, "normalize", normalize);
    else
        (void)json_object_set_new(
            kept, "normalize",
            json_boolean(b->method->normalize == MERGE_NORMALIZED));
}

static bool take_parameters(const struct body *b)
{
    AUTO(json_release)
    json_t *top = json_incref(object_at(b->json, "parameters"));
    json_t *kept = json_object();

    (void)json_object_set_new(b->json, "parameters", kept);
    for (const struct merge_use *use = b->method->uses; use->most > 0.0;
         use++) {
        const char *name = merge_parameters[use->parameter].name;
        const json_t *shared = json_object_get(top, name);

        if (use->per_model && shared != NULL &&
            !check_value(b, use, "/parameters", shared))
            return false;
        if (!use->per_model &&
            !take_number(b, use, top, "/parameters", NULL, kept))
            return false;
    }
    take_normalize(b, top, kept);
    if (!take_rescale(b, top, kept) || !take_models(b, top))
        return false;
    if (json_object_size(kept) == 0)
        (void)json_object_del(b->json, "parameters");
    return true;
}

static bool normalise(json_t *body, struct catalog_problem *ret_problem)
{
    struct body b = { .json = body, .problem = ret_problem };
    json_t *out_dtype;

    if (!take_method(&b))
        return false;
    assert(b.method != NULL);
    if (!take_tokenizer(&b) || !take_base(&b) || !take_parameters(&b))
        return false;
    take_mismatch(&b);
    out_dtype = json_object_get(body, "out_dtype");
    if (out_dtype != NULL)
        (void)json_object_set(body, "dtype", out_dtype);
    (void)json_object_del(body, "out_dtype");
    if (!b.method->draws)
        (void)json_object_del(body, "seed");
    else if (json_object_get(body, "seed") == NULL)
        (void)json_object_set_new(body, "seed",
                                  json_pack("{s:s}", "$param", "seed"));
    return true;
}

/* Numbers over depth are checked tensor by tensor, when the names are known. */
static bool over_depth(const struct merge_config *c)
{
    for (int p = 0; p < MERGE_PARAMETERS; p++) {
        for (size_t i = 0; i < c->count; i++) {
            if (json_is_array(c->numbers[p][i]))
                return true;
        }
    }
    return false;
}

static bool check(const json_t *params, struct catalog_problem *ret_problem)
{
    const struct body b = { .problem = ret_problem };
    struct merge_config config;
    struct merge_values values;
    struct status s = merge_config_read(params, &config);

    if (!status_failed(&s) && !over_depth(&config))
        s = merge_config_values(&config, depth_place("", 0), &values);
    return !status_failed(&s) || refuse(&b, "", "", "%s", s.message);
}

extern const struct job_kind job_merge;
const struct job_kind job_merge = {
    .catalog = { .name = "merge",
                 .summary = "models of one shape become one",
                 .example = "merge_method: dare_ties\n"
                            "base_model: base\n"
                            "models:\n"
                            "  - model: base\n"
                            "  - model: math\n"
                            "    parameters: {weight: 0.5, density: 0.5}\n"
                            "  - model: code\n"
                            "    parameters:\n"
                            "      weight: [0.3, 0.7]\n"
                            "      density:\n"
                            "        - {filter: mlp, value: 0.9}\n"
                            "        - value: 0.5\n"
                            "parameters: {normalize: true, int8_mask: true}\n"
                            "dtype: bfloat16\n",
                 .sort = STAGE_LAZY,
                 .keys = keys,
                 .structural = structural,
                 .normalise = normalise,
                 .check = check },
};
