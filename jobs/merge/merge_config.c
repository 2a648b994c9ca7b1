#include "jobs/merge/merge_config.h"

#include <string.h>

#include "common/memory.h"
#include "common/philox.h"
#include "jobs/merge/merge_config_parts.h"

enum { PATH = 128, LABEL = 128 };

void merge_path(char *path, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(path, size, format, args);
    va_end(args);
}

const char *merge_model_label(const json_t *model, char *text, size_t size)
{
    const json_t *source = json_object_get(model, "$source");
    const json_t *recipe = json_object_get(model, "$recipe");
    const char *stage = json_text_or(model, "$stage", NULL);
    const char *job = json_text_or(model, "$job", NULL);
    const char *artifact = json_text_or(model, "$artifact", NULL);

    if (json_is_string(model))
        (void)snprintf(text, size, "%s", json_string_value(model));
    else if (source != NULL)
        (void)snprintf(text, size, "%s", json_text_or(source, "url", "?"));
    else if (job != NULL)
        (void)snprintf(text, size, "job %.8s", job);
    else if (artifact != NULL)
        (void)snprintf(text, size, "artifact %.8s", artifact);
    else if (stage != NULL)
        (void)snprintf(text, size, "stage %s", stage);
    else
        (void)snprintf(text, size, "a %s",
                       json_text_or(recipe, "kind", "model"));
    return text;
}

/* ---- the method -------------------------------------------------------- */

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

static bool read_method(struct merge_reader *r)
{
    char known[128];
    const char *name = json_text_or(r->body, "merge_method", NULL);
    const char *variant = json_text_or(r->body, "variant", NULL);
    const struct merge_method *first;

    if (name == NULL)
        return catalog_refuse(r->problem, "", "add `merge_method:`",
                              "there is no merge_method");
    first = merge_method_find(name, NULL);
    if (first == NULL)
        return catalog_refuse(r->problem, "/merge_method", "",
                              "unknown merge_method \"%s\"", name);
    r->c->method = variant == NULL ? first : merge_method_find(name, variant);
    if (r->c->method != NULL)
        return true;
    if (first->variant == NULL)
        return catalog_refuse(r->problem, "/variant", "leave it out",
                              "%s has no variants", name);
    return catalog_refuse(r->problem, "/variant",
                          variants_of(name, known, sizeof known),
                          "%s has no variant \"%s\"", name, variant);
}

/* ---- models ------------------------------------------------------------ */

const json_t *merge_base_of(const struct merge_config *c, const json_t *slice)
{
    const json_t *own = json_object_get(slice, "base_model");

    return own != NULL ? own : c->base;
}

bool merge_is_base(const struct merge_config *c, const json_t *slice,
                   const json_t *model)
{
    return c->deltas && json_equal(model, merge_base_of(c, slice));
}

bool merge_need_base(const struct merge_reader *r, const char *path)
{
    if (r->c->method->base_is_model)
        return catalog_refuse(r->problem, path, "add `base_model:`",
                              "%s needs a base_model: the one of its models "
                              "that it starts from",
                              r->c->method->name);
    return catalog_refuse(
        r->problem, path, "add `base_model:`",
        "%s needs a base_model: it merges differences from it",
        r->c->method->name);
}

bool merge_check_count(const struct merge_reader *r, size_t count,
                       const char *path)
{
    const struct merge_method *m = r->c->method;
    const char *beside = r->c->deltas ? " beside the base" : "";
    size_t most = m->most_models == 0 ? LIMIT_MODELS : m->most_models;

    if (count >= m->least_models && count <= most)
        return true;
    if (m->least_models == most)
        return catalog_refuse(
            r->problem, path, "", "%s takes exactly %zu model%s%s, not %zu",
            m->name, most, most == 1 ? "" : "s", beside, count);
    if (count < m->least_models)
        return catalog_refuse(
            r->problem, path, "", "%s needs at least %zu model%s%s", m->name,
            m->least_models, m->least_models == 1 ? "" : "s", beside);
    return catalog_refuse(r->problem, path, "",
                          "%zu models, at most %zu are "
                          "merged",
                          count, most);
}

static void put_first(struct merge_config *c, size_t at, const json_t *model,
                      const json_t *own)
{
    for (; at > 0; at--) {
        c->models[at] = c->models[at - 1];
        c->own[at] = c->own[at - 1];
    }
    c->models[0] = model;
    c->own[0] = own;
}

/* Methods that start from one of their models have it as the first. */
static void base_first(struct merge_config *c)
{
    for (size_t i = 0; i < c->count; i++) {
        if (json_equal(c->models[i], c->base)) {
            put_first(c, i, c->models[i], c->own[i]);
            return;
        }
    }
    if (c->count < LIMIT_MODELS)
        put_first(c, c->count++, c->base, NULL);
}

/* mergekit files list the base among the models, where it means nothing. */
static bool read_models(struct merge_reader *r, const json_t *models)
{
    struct merge_config *c = r->c;
    char path[PATH];

    for (size_t i = 0; i < json_array_size(models); i++) {
        const json_t *item = json_array_get(models, i);
        const json_t *model = json_object_get(item, "model");

        merge_path(path, sizeof path, "/models/%zu", i);
        if (model == NULL)
            return catalog_refuse(r->problem, path, "",
                                  "models[%zu] names no model", i);
        if (merge_is_base(c, NULL, model))
            continue;
        if (c->count == LIMIT_MODELS)
            return catalog_refuse(r->problem, path, "", "more than %d models",
                                  LIMIT_MODELS);
        c->own[c->count] = json_object_get(item, "parameters");
        c->models[c->count++] = model;
    }
    if (c->method->base_is_model)
        base_first(c);
    return merge_check_count(r, c->count, "/models");
}

static bool any_base(const json_t *body)
{
    const json_t *slices = json_object_get(body, "slices");
    bool any = json_object_get(body, "base_model") != NULL;

    for (size_t i = 0; i < json_array_size(slices); i++)
        any = any ||
              json_object_get(json_array_get(slices, i), "base_model") != NULL;
    return any;
}

static bool read_parts(struct merge_reader *r)
{
    struct merge_config *c = r->c;
    const json_t *models = json_object_get(r->body, "models");
    const json_t *slices = json_object_get(r->body, "slices");

    c->base = json_object_get(r->body, "base_model");
    c->deltas =
        c->method->base || (c->method->base_optional && any_base(r->body));
    if (models != NULL && slices != NULL)
        return catalog_refuse(r->problem, "/slices",
                              "keep the one that is meant",
                              "`models` and `slices` exclude each other");
    if (slices != NULL)
        return merge_read_slices(r, slices);
    if (c->base == NULL && (c->deltas || c->method->base_is_model))
        return merge_need_base(r, "");
    if (models == NULL)
        return catalog_refuse(r->problem, "", "add `models:`",
                              "%s merges nothing: there are no models",
                              c->method->name);
    return read_models(r, models);
}

/* ---- the rest ---------------------------------------------------------- */

static bool is_open(const struct merge_reader *r, const json_t *value)
{
    return r->open && depth_is_reference(value);
}

static bool read_dtype(struct merge_reader *r)
{
    const char *key =
        json_object_get(r->body, "out_dtype") != NULL ? "out_dtype" : "dtype";
    const json_t *value = json_object_get(r->body, key);
    const char *name = json_string_value(value);
    char path[PATH];

    if (value == NULL || is_open(r, value))
        return true;
    r->c->has_dtype = true;
    if (name != NULL && dtype_find(name, strlen(name), &r->c->dtype) &&
        dtype_is_float(r->c->dtype))
        return true;
    merge_path(path, sizeof path, "/%s", key);
    return catalog_refuse(
        r->problem, path, "",
        "dtype \"%s\" is not one of float32, float16, bfloat16",
        name == NULL ? "?" : name);
}

static bool read_mismatch(struct merge_reader *r)
{
    static const char *const words[] = {
        [MERGE_MISMATCH_ERROR] = "error",
        [MERGE_MISMATCH_SUBMATRIX] = "submatrix",
        [MERGE_MISMATCH_SKIP] = "skip",
    };
    const json_t *value = json_object_get(r->body, "on_shape_mismatch");
    const char *word = json_string_value(value);

    if (value == NULL || is_open(r, value))
        return true;
    for (size_t i = 0; i < COUNT_OF(words) && word != NULL; i++) {
        if (strcmp(words[i], word) != 0)
            continue;
        r->c->mismatch = (enum merge_mismatch)i;
        if (i == MERGE_MISMATCH_SKIP && merge_config_is_global(r->c))
            return catalog_refuse(r->problem, "/on_shape_mismatch",
                                  "use submatrix",
                                  "%s looks at the model as a whole; no model "
                                  "can be left out of one tensor",
                                  r->c->method->name);
        return true;
    }
    return catalog_refuse(
        r->problem, "/on_shape_mismatch", "error, submatrix or skip",
        "on_shape_mismatch \"%s\" is not known", word == NULL ? "?" : word);
}

static bool read_tokenizer(struct merge_reader *r)
{
    const json_t *value = json_object_get(r->body, "tokenizer_source");
    const char *word = json_string_value(value);
    char label[LABEL];

    if (value == NULL || is_open(r, value))
        return true;
    r->c->tokenizer = value;
    if (word != NULL &&
        (strcmp(word, "base") == 0 || strcmp(word, "union") == 0))
        return true;
    if (merge_index_of(r->c, value) != SIZE_MAX ||
        json_equal(value, r->c->base))
        return true;
    return catalog_refuse(r->problem, "/tokenizer_source",
                          "base, union or one of the models",
                          "the tokenizer_source %s is no model of this merge",
                          merge_model_label(value, label, sizeof label));
}

/* The names of ready-made templates that mergekit knows are not texts. */
static bool read_template(struct merge_reader *r)
{
    const json_t *value = json_object_get(r->body, "chat_template");
    const char *text = json_string_value(value);

    if (value == NULL || is_open(r, value))
        return true;
    r->c->template = text;
    if (text != NULL &&
        (strcmp(text, "auto") == 0 || strcmp(text, "none") == 0 ||
         strchr(text, '{') != NULL))
        return true;
    return catalog_refuse(
        r->problem, "/chat_template", "auto, none or the template itself",
        "chat_template \"%.60s\" is no template", text == NULL ? "?" : text);
}

static bool read_exclude(struct merge_reader *r)
{
    const json_t *list = json_object_get(r->body, "exclude");
    bool good = list == NULL || (json_is_array(list) &&
                                 json_array_size(list) <= MERGE_EXCLUDES);

    r->c->exclude = list;
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);

        good = good && (is_open(r, item) || json_string_length(item) > 0);
    }
    return good || catalog_refuse(r->problem, "/exclude", "as in [classifier]",
                                  "exclude is a list of at most %d parts of "
                                  "names of tensors",
                                  MERGE_EXCLUDES);
}

/* What a model is, without the digests and versions by which its files are
 * checked: a mask is the same whether they are known or not. */
static void strip_digests(json_t *json)
{
    json_t *source = json_object_get(json, "$source");
    const char *name;
    json_t *member;
    void *next;

    if (json_is_object(source)) {
        json_object_foreach_safe(source, next, name, member)
        {
            if (strcmp(name, "url") != 0)
                (void)json_object_del(source, name);
        }
        return;
    }
    json_object_foreach(json, name, member)
    {
        strip_digests(member);
    }
    for (size_t i = 0; i < json_array_size(json); i++)
        strip_digests(json_array_get(json, i));
}

static bool read_draws(struct merge_reader *r)
{
    const json_t *seed = json_object_get(r->body, "seed");
    json_int_t number = json_integer_value(seed);

    if (!r->c->method->draws)
        return true;
    if (seed != NULL && !is_open(r, seed) &&
        (!json_is_integer(seed) || number < 0 || number > UINT32_MAX))
        return catalog_refuse(r->problem, "/seed", "",
                              "seed is %lld, it must be in 0 ... %u",
                              (long long)number, UINT32_MAX);
    r->c->seed = (uint32_t)number;
    for (size_t i = 0; i < r->c->count; i++) {
        json_t *bare = json_deep_copy(r->c->models[i]);
        AUTO(free_pointer) char *identity = NULL;

        strip_digests(bare);
        identity = json_canonical(bare);
        r->c->streams[i] = philox_hash(identity);
        json_decref(bare);
    }
    return true;
}

/* One row of values for each model has no meaning where models change from
 * slice to slice. */
static bool check_global(const struct merge_reader *r)
{
    if (r->c->slices == NULL || !merge_config_is_global(r->c))
        return true;
    return catalog_refuse(r->problem, "/slices", "list whole models",
                          "%s looks at the model as a whole, not at slices",
                          r->c->method->name);
}

bool merge_config_check(const json_t *body, bool open,
                        struct merge_config *ret_config,
                        struct catalog_problem *ret_problem)
{
    struct merge_reader r = {
        .body = body, .open = open, .c = ret_config, .problem = ret_problem
    };

    *ret_config = (struct merge_config){ .method = NULL };
    ret_config->top = json_object_get(body, "parameters");
    ret_config->statistics = json_object_get(body, "statistics");
    if (json_object_get(ret_config->statistics, "$job") == NULL &&
        json_object_get(ret_config->statistics, "$artifact") == NULL)
        ret_config->statistics = NULL;
    return read_method(&r) && read_parts(&r) &&
           merge_config_check_values(ret_config, body, open, ret_problem) &&
           check_global(&r) && read_dtype(&r) && read_mismatch(&r) &&
           read_tokenizer(&r) && read_template(&r) && read_exclude(&r) &&
           read_draws(&r);
}

struct status merge_config_read(const json_t *params,
                                struct merge_config *ret_config)
{
    struct catalog_problem problem = { .path = "" };

    if (merge_config_check(params, false, ret_config, &problem))
        return SUCCESS;
    return FAIL(STATUS_INVALID, "merge%s%s: %s%s%s",
                problem.path[0] == '\0' ? "" : " ", problem.path,
                problem.message, problem.suggestion[0] == '\0' ? "" : "; ",
                problem.suggestion);
}
