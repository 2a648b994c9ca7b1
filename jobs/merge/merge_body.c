#include "jobs/merge/merge_body.h"

#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "jobs/merge/merge_config_parts.h"
#include "jobs/merge/merge_parts.h"

/* ---- modules and tokenizer --------------------------------------------- */

/* Parameters of the module go before those of the merge. */
static void chain_parameters(json_t *module, json_t *body)
{
    const json_t *own = json_object_get(module, "parameters");
    json_t *all = json_object_get(body, "parameters");
    const char *name;
    json_t *value;

    if (own == NULL)
        return;
    if (all == NULL) {
        all = json_object();
        (void)json_object_set_new(body, "parameters", all);
    }
    json_object_foreach((json_t *)(uintptr_t)own, name, value)
    {
        (void)json_object_set_new(
            all, name, depth_chain(value, json_object_get(all, name)));
    }
}

/* The only module is the model. `prefix` is where its keys stand. */
static bool take_modules(json_t *body, char *prefix, size_t size,
                         struct catalog_problem *problem)
{
    static const char *const keys[] = { "models", "slices" };
    json_t *modules = json_object_get(body, "modules");
    const char *name = json_object_iter_key(json_object_iter(modules));
    json_t *module = json_object_get(modules, name == NULL ? "" : name);

    if (modules == NULL)
        return true;
    if (json_object_size(modules) != 1)
        return catalog_refuse(problem, "/modules", "merge them one by one",
                              "%zu modules; models of several modules (image "
                              "and text) are not merged as one",
                              json_object_size(modules));
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        json_t *value = json_object_get(module, keys[i]);

        if (json_object_get(body, keys[i]) != NULL)
            return catalog_refuse(
                problem, "/modules", "keep the one that is meant",
                "`modules` and `%s` exclude each other", keys[i]);
        if (value != NULL)
            (void)json_object_set(body, keys[i], value);
    }
    (void)snprintf(prefix, size, "/modules/%s", name);
    chain_parameters(module, body);
    (void)json_object_del(body, "modules");
    return true;
}

/* The longer form of tokenizer_source. */
static bool take_tokenizer(json_t *body, struct catalog_problem *problem)
{
    json_t *map = json_object_get(body, "tokenizer");
    json_t *source = json_object_get(map, "source");

    if (map == NULL)
        return true;
    if (json_object_get(body, "tokenizer_source") != NULL)
        return catalog_refuse(problem, "/tokenizer", "keep one of them",
                              "`tokenizer` and `tokenizer_source` exclude each "
                              "other");
    if (json_object_size(json_object_get(map, "tokens")) > 0)
        return catalog_refuse(problem, "/tokenizer/tokens", "leave them out",
                              "embeddings are not chosen token by token: each "
                              "model brings those it knows");
    if (json_object_get(map, "pad_to_multiple_of") != NULL)
        return catalog_refuse(problem, "/tokenizer/pad_to_multiple_of",
                              "leave it out",
                              "embeddings have a row for each token, and no "
                              "more");
    if (source != NULL)
        (void)json_object_set(body, "tokenizer_source", source);
    (void)json_object_del(body, "tokenizer");
    return true;
}

/* They decide which stages there are. */
static bool check_statistics(const json_t *body,
                             struct catalog_problem *problem)
{
    const json_t *parts =
        json_object_get(json_object_get(body, "statistics"), "parts");

    if (parts == NULL || json_is_integer(parts))
        return true;
    return catalog_refuse(
        problem, "/statistics/parts", "write a number",
        "into how many parts statistics are counted cannot be "
        "a parameter");
}

/* ---- numbers ----------------------------------------------------------- */

/* Put a number as all levels from `levels[0]` on say it. */
static void put_number(const struct merge_use *use, json_t *const levels[3],
                       json_t *to)
{
    const char *name = merge_parameters[use->parameter].name;
    json_t *value = NULL;

    for (size_t i = 0; i < 3; i++) {
        json_t *longer = depth_chain(value, json_object_get(levels[i], name));

        json_decref(value);
        value = longer;
    }
    if (!use->required && !depth_is_total(value)) {
        AUTO(json_release) json_t *otherwise = json_real(use->otherwise);
        json_t *longer = depth_chain(value, otherwise);

        json_decref(value);
        value = longer;
    }
    if (value != NULL)
        (void)json_object_set_new(to, name, value);
}

static void set_parameters(json_t *item, json_t *kept)
{
    if (json_object_size(kept) > 0)
        (void)json_object_set(item, "parameters", kept);
    else
        (void)json_object_del(item, "parameters");
    json_decref(kept);
}

/* Of a model or source; `slice` may be NULL. */
static void put_own(const struct merge_config *c, json_t *item, json_t *slice,
                    json_t *top)
{
    json_t *const levels[3] = { json_object_get(item, "parameters"), slice,
                                top };
    json_t *kept = json_object();

    for (const struct merge_use *use = c->method->uses; use->most > 0.0;
         use++) {
        if (use->per_model)
            put_number(use, levels, kept);
    }
    set_parameters(item, kept);
}

static void put_normalize(const struct merge_config *c, json_t *slice,
                          json_t *top, json_t *to)
{
    AUTO(json_release)
    json_t *otherwise = json_boolean(c->method->normalize == MERGE_NORMALIZED);
    AUTO(json_release)
    json_t *first = depth_chain(json_object_get(slice, "normalize"),
                                json_object_get(top, "normalize"));

    if (c->method->normalize != MERGE_NO_NORMALIZE)
        (void)json_object_set_new(to, "normalize",
                                  depth_is_total(first)
                                      ? json_incref(first)
                                      : depth_chain(first, otherwise));
}

/* What is said of all models: in each slice what may differ between them. */
static void put_shared(const struct merge_config *c, bool plain, json_t *slice,
                       json_t *top, json_t *to)
{
    json_t *const levels[3] = { NULL, slice, top };

    for (const struct merge_use *use = c->method->uses; use->most > 0.0;
         use++) {
        if (!use->per_model && use->plain == plain)
            put_number(use, levels, to);
    }
    if (!plain)
        put_normalize(c, slice, top, to);
}

static void put_rescale(const struct merge_config *c, const json_t *top,
                        json_t *to)
{
    static const char *const words[] = {
        [MERGE_RESCALE_NONE] = "none",
        [MERGE_RESCALE_PAPER] = "paper",
        [MERGE_RESCALE_L1] = "l1",
    };
    json_t *flag = json_object_get(top, "rescale");
    json_t *rule = json_object_get(top, "rescale_rule");

    if (!c->method->rescales)
        return;
    if (depth_is_reference(flag))
        (void)json_object_set(to, "rescale", flag);
    if (depth_is_reference(rule) && !json_is_false(flag))
        (void)json_object_set(to, "rescale_rule", rule);
    else
        (void)json_object_set_new(to, "rescale_rule",
                                  json_string(words[c->rescale]));
}

static void put_options(const struct merge_config *c, const json_t *top,
                        json_t *to)
{
    for (int o = 0; o < MERGE_OPTIONS; o++) {
        const struct merge_option_row *row = &merge_options[o];
        json_t *value = json_object_get(top, row->name);
        const char *word = row->words[c->options[o]];

        if (merge_method_choice(c->method, (enum merge_option)o) == NULL)
            continue;
        if (depth_is_reference(value))
            (void)json_object_set(to, row->name, value);
        else if (strcmp(row->words[0], "false") == 0)
            (void)json_object_set_new(to, row->name,
                                      json_boolean(c->options[o]));
        else
            (void)json_object_set_new(to, row->name, json_string(word));
    }
}

/* ---- models and slices ------------------------------------------------- */

static void put_models(const struct merge_config *c, json_t *body, json_t *top)
{
    json_t *list = json_array();

    for (size_t i = 0; i < c->count; i++) {
        json_t *item = json_pack("{s:O}", "model", c->models[i]);

        if (c->own[i] != NULL)
            (void)json_object_set(item, "parameters",
                                  (json_t *)(uintptr_t)c->own[i]);
        put_own(c, item, NULL, top);
        (void)json_array_append_new(list, item);
    }
    (void)json_object_set_new(body, "models", list);
}

/* The source that a method starts from comes first. */
static void sort_sources(const struct merge_config *c, json_t *slice)
{
    json_t *sources = json_object_get(slice, "sources");
    json_t *own = json_object_get(slice, "base_model");
    const json_t *base = own != NULL ? own : c->base;

    for (size_t i = 1; i < json_array_size(sources); i++) {
        json_t *source = json_incref(json_array_get(sources, i));

        if ((c->deltas || c->method->base_is_model) &&
            json_equal(json_object_get(source, "model"), base)) {
            (void)json_array_remove(sources, i);
            (void)json_array_insert(sources, 0, source);
        }
        json_decref(source);
    }
    if (own != NULL &&
        ((!c->deltas && !c->method->base_is_model) || json_equal(own, c->base)))
        (void)json_object_del(slice, "base_model");
}

static void put_slice(const struct merge_config *c, json_t *slice, json_t *top)
{
    json_t *sources = json_object_get(slice, "sources");
    AUTO(json_release)
    json_t *own = json_incref(json_object_get(slice, "parameters"));
    json_t *kept = json_object();

    put_shared(c, false, own, top, kept);
    set_parameters(slice, kept);
    for (size_t i = 0; i < json_array_size(sources); i++) {
        json_t *source = json_array_get(sources, i);

        if (merge_is_base(c, slice, json_object_get(source, "model")))
            (void)json_object_del(source, "parameters");
        else
            put_own(c, source, own, top);
    }
    sort_sources(c, slice);
}

/* Of a method without one, the base only says whose files go along, and
 * without it that is the first model. */
static void put_base(const struct merge_config *c, json_t *body)
{
    if (c->base != NULL && !c->deltas && !c->method->base_is_model &&
        json_equal(c->base, c->models[0]))
        (void)json_object_del(body, "base_model");
}

/* ---- the rest ---------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
    json_t *const *x = a;
    json_t *const *y = b;
    AUTO(free_pointer) char *s = json_canonical(*x);
    AUTO(free_pointer) char *t = json_canonical(*y);

    return strcmp(s, t);
}

static void sort_exclude(json_t *body)
{
    json_t *list = json_object_get(body, "exclude");
    size_t count = json_array_size(list);
    json_t *items[MERGE_EXCLUDES];
    json_t *sorted = json_array();

    for (size_t i = 0; i < count; i++)
        items[i] = json_array_get(list, i);
    if (count > 0)
        qsort(items, count, sizeof(json_t *), by_text);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !json_equal(items[i], items[i - 1]))
            (void)json_array_append(sorted, items[i]);
    }
    if (count > 0)
        (void)json_object_set(body, "exclude", sorted);
    else
        (void)json_object_del(body, "exclude");
    json_decref(sorted);
}

static void put_rest(const struct merge_config *c, json_t *body)
{
    json_t *out_dtype = json_object_get(body, "out_dtype");
    const char *mismatch = json_text_or(body, "on_shape_mismatch", "");

    if (c->method->variant != NULL)
        (void)json_object_set_new(body, "variant",
                                  json_string(c->method->variant));
    if (out_dtype != NULL)
        (void)json_object_set(body, "dtype", out_dtype);
    (void)json_object_del(body, "out_dtype");
    if (strcmp(mismatch, "error") == 0)
        (void)json_object_del(body, "on_shape_mismatch");
    sort_exclude(body);
    if (merge_parts_rounds(c) == 0 ||
        json_int_or(json_object_get(body, "statistics"), "parts", 0) == 0)
        (void)json_object_del(body, "statistics");
    if (!c->method->draws)
        (void)json_object_del(body, "seed");
    else if (json_object_get(body, "seed") == NULL)
        (void)json_object_set_new(body, "seed",
                                  json_pack("{s:s}", "$param", "seed"));
}

static void rewrite(const struct merge_config *c, json_t *body)
{
    AUTO(json_release)
    json_t *top = json_incref(json_object_get(body, "parameters"));
    json_t *slices = json_object_get(body, "slices");
    json_t *kept = json_object();

    put_shared(c, true, NULL, top, kept);
    if (slices == NULL)
        put_shared(c, false, NULL, top, kept);
    put_rescale(c, top, kept);
    put_options(c, top, kept);
    if (slices == NULL)
        put_models(c, body, top);
    for (size_t i = 0; i < json_array_size(slices); i++)
        put_slice(c, json_array_get(slices, i), top);
    put_base(c, body);
    put_rest(c, body);
    set_parameters(body, kept);
}

/* One base for all slices is the base of the merge. */
static void hoist_base(json_t *body)
{
    json_t *slices = json_object_get(body, "slices");
    json_t *base = json_object_get(json_array_get(slices, 0), "base_model");

    if (base == NULL || json_object_get(body, "base_model") != NULL)
        return;
    for (size_t i = 1; i < json_array_size(slices); i++) {
        if (!json_equal(
                json_object_get(json_array_get(slices, i), "base_model"), base))
            return;
    }
    (void)json_object_set(body, "base_model", base);
}

bool merge_body_normalise(json_t *body, struct catalog_problem *ret_problem)
{
    char prefix[128] = "";
    AUTO(json_release) json_t *given = NULL;
    struct merge_config c;

    if (!take_modules(body, prefix, sizeof prefix, ret_problem) ||
        !take_tokenizer(body, ret_problem) ||
        !check_statistics(body, ret_problem))
        return false;
    hoist_base(body);
    /* What `c` borrows must stay while the body is rewritten. */
    given = json_deep_copy(body);
    if (merge_config_check(given, true, &c, ret_problem)) {
        rewrite(&c, body);
        return true;
    }
    if (strncmp(ret_problem->path, "/models", 7) == 0 ||
        strncmp(ret_problem->path, "/slices", 7) == 0)
        return catalog_refuse_below(ret_problem, prefix);
    return false;
}

/* Numbers over depth are checked tensor by tensor, when the names are known. */
static bool over_depth(const json_t *json)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)json, name, value)
    {
        if (json_is_array(value))
            return true;
    }
    return false;
}

static bool slice_over_depth(const struct merge_slice *s)
{
    for (size_t i = 0; i < s->count; i++) {
        if (over_depth(s->sources[i].own))
            return true;
    }
    return over_depth(s->parameters);
}

bool merge_body_check(const json_t *params, struct catalog_problem *ret_problem)
{
    struct merge_config c;

    if (!merge_config_check(params, false, &c, ret_problem))
        return false;
    for (size_t i = 0; i < merge_config_slices(&c); i++) {
        struct merge_slice slice;
        struct merge_step step;
        struct status s = SUCCESS;

        merge_config_slice(&c, i, &slice);
        if (!over_depth(c.top) && !slice_over_depth(&slice))
            s = merge_config_step(&c, &slice, depth_place("", 0), &step);
        if (status_failed(&s))
            return catalog_refuse(ret_problem, "", "", "%s", s.message);
    }
    return true;
}
