#include <math.h>
#include <string.h>

#include "jobs/merge/merge_config_parts.h"
#include "jobs/merge/merge_survey.h"

enum { PATH = 192 };

static const char *const rescale_words[] = {
    [MERGE_RESCALE_NONE] = "none",
    [MERGE_RESCALE_PAPER] = "paper",
    [MERGE_RESCALE_L1] = "l1",
};

/* ---- the form of values ------------------------------------------------ */

/* Parameters of one level of the body. */
struct level {
    const struct merge_config *c;
    bool open;
    struct catalog_problem *problem;
    const json_t *parameters;
    const char *what; /* "model" or "slice", NULL: the merge */
    char path[PATH];  /* of the parameters */
};

/* One value of a level. */
struct value {
    const struct level *level;
    const struct merge_use *use; /* NULL: a yes or no */
    const char *name;
};

static bool refuse_at(const struct value *v, const char *path, const char *why)
{
    char place[256];

    merge_path(place, sizeof place, "%s/%s%s", v->level->path, v->name, path);
    return catalog_refuse(v->level->problem, place, "", "%s", why);
}

static bool in_range(const struct merge_use *use, double number)
{
    return number <= use->most &&
           (use->above_least ? number > use->least : number >= use->least);
}

static bool check_scalar(void *self, const char *path, const json_t *value)
{
    const struct value *v = self;
    const struct merge_use *use = v->use;
    double number = json_number_value(value);
    char why[256];

    if (use == NULL)
        return json_is_boolean(value) ||
               refuse_at(v, path, "true or false is needed here");
    if (!json_is_number(value))
        return refuse_at(v, path, "a number is needed here");
    if (in_range(use, number))
        return true;
    (void)snprintf(why, sizeof why, "%s of %s must be in %c%g, %g], not %g",
                   v->name, v->level->c->method->name,
                   use->above_least ? '(' : '[', use->least, use->most, number);
    return refuse_at(v, path, why);
}

static void check_wrong(void *self, const char *path, const char *why)
{
    (void)refuse_at(self, path, why);
}

/* A reference stands for a value that is checked when it is known; in what a
 * job gets there is none left. */
static bool check_value(const struct level *l, const struct merge_use *use,
                        const char *name)
{
    const json_t *value = json_object_get(l->parameters, name);
    struct value v = { .level = l, .use = use, .name = name };
    const struct depth_visitor visitor = { .self = &v,
                                           .open = l->open,
                                           .scalar = check_scalar,
                                           .wrong = check_wrong };

    if (value == NULL)
        return true;
    if (use != NULL && use->plain && json_is_array(value))
        return refuse_at(&v, "",
                         "this method looks at the model as a whole and takes "
                         "one number");
    return depth_visit(value, &visitor);
}

/* ---- of one source or model -------------------------------------------- */

/* Does a number that belongs to a level above stand here? */
static bool misplaced(const struct level *l, const char *name)
{
    char place[256];

    if (json_object_get(l->parameters, name) == NULL)
        return false;
    merge_path(place, sizeof place, "%s/%s", l->path, name);
    (void)catalog_refuse(
        l->problem, place, "put it under the parameters of the merge",
        "%s of %s is not said of one %s", name, l->c->method->name, l->what);
    return true;
}

/* What is said once for the merge. */
static bool check_words_absent(const struct level *l)
{
    const struct merge_method *m = l->c->method;

    for (int o = 0; o < MERGE_OPTIONS; o++) {
        if (merge_method_choice(m, (enum merge_option)o) != NULL &&
            misplaced(l, merge_options[o].name))
            return false;
    }
    return !m->rescales ||
           (!misplaced(l, "rescale") && !misplaced(l, "rescale_rule"));
}

static bool check_own(const struct level *l)
{
    const struct merge_method *m = l->c->method;

    for (const struct merge_use *use = m->uses; use->most > 0.0; use++) {
        const char *name = merge_parameters[use->parameter].name;

        if (!use->per_model && misplaced(l, name))
            return false;
        if (!check_value(l, use, name))
            return false;
    }
    if (m->normalize != MERGE_NO_NORMALIZE && misplaced(l, "normalize"))
        return false;
    return check_words_absent(l);
}

static bool check_required(const struct level *own, const json_t *slice)
{
    const struct merge_method *m = own->c->method;
    char suggestion[64];

    for (const struct merge_use *use = m->uses; use->most > 0.0; use++) {
        const char *name = merge_parameters[use->parameter].name;

        if (!use->required || !use->per_model ||
            json_object_get(own->parameters, name) != NULL ||
            json_object_get(slice, name) != NULL ||
            json_object_get(own->c->top, name) != NULL)
            continue;
        (void)snprintf(suggestion, sizeof suggestion, "add `%s: 1.0`", name);
        return catalog_refuse(own->problem, own->path, suggestion,
                              "%s needs a %s for each model", m->name, name);
    }
    return true;
}

/* `path` of the model or source. */
static bool check_model(const struct merge_config *c, bool open,
                        const json_t *item, const json_t *slice,
                        const char *path, struct catalog_problem *problem)
{
    struct level own = { .c = c,
                         .open = open,
                         .problem = problem,
                         .what = "model",
                         .parameters = json_object_get(item, "parameters") };

    merge_path(own.path, sizeof own.path, "%s%s", path,
               own.parameters != NULL ? "/parameters" : "");
    return check_own(&own) && check_required(&own, slice);
}

/* ---- of the levels above ----------------------------------------------- */

static bool check_numbers(const struct level *l)
{
    const struct merge_method *m = l->c->method;

    for (const struct merge_use *use = m->uses; use->most > 0.0; use++) {
        if (use->plain && l->what != NULL &&
            misplaced(l, merge_parameters[use->parameter].name))
            return false;
        if (!check_value(l, use, merge_parameters[use->parameter].name))
            return false;
    }
    return m->normalize == MERGE_NO_NORMALIZE ||
           check_value(l, NULL, "normalize");
}

/* Numbers of the whole merge that have no default. */
static bool check_shared(const struct level *l, const char *path)
{
    const struct merge_method *m = l->c->method;
    char suggestion[64];

    for (const struct merge_use *use = m->uses; use->most > 0.0; use++) {
        const char *name = merge_parameters[use->parameter].name;

        if (!use->required || use->per_model ||
            json_object_get(l->parameters, name) != NULL ||
            json_object_get(l->c->top, name) != NULL)
            continue;
        (void)snprintf(suggestion, sizeof suggestion, "add `%s: 0.5`", name);
        return catalog_refuse(l->problem, path, suggestion,
                              "%s needs a %s under parameters", m->name, name);
    }
    return true;
}

static bool check_slice(const struct merge_config *c, bool open,
                        const json_t *slice, const char *path,
                        struct catalog_problem *problem)
{
    const json_t *sources = json_object_get(slice, "sources");
    struct level l = { .c = c,
                       .open = open,
                       .problem = problem,
                       .what = "slice",
                       .parameters = json_object_get(slice, "parameters") };
    char place[PATH];

    merge_path(l.path, sizeof l.path, "%s/parameters", path);
    if (!check_numbers(&l) || !check_words_absent(&l))
        return false;
    for (size_t i = 0; i < json_array_size(sources); i++) {
        const json_t *source = json_array_get(sources, i);

        merge_path(place, sizeof place, "%s/sources/%zu", path, i);
        if (!merge_is_base(c, slice, json_object_get(source, "model")) &&
            !check_model(c, open, source, l.parameters, place, problem))
            return false;
    }
    return check_shared(&l, path);
}

static bool check_models(const struct merge_config *c, bool open,
                         const json_t *models, struct catalog_problem *problem)
{
    char path[PATH];

    for (size_t i = 0; i < json_array_size(models); i++) {
        const json_t *item = json_array_get(models, i);

        merge_path(path, sizeof path, "/models/%zu", i);
        if (!merge_is_base(c, NULL, json_object_get(item, "model")) &&
            !check_model(c, open, item, NULL, path, problem))
            return false;
    }
    return true;
}

/* "mean, sum, max" */
static const char *list_words(const char *const *words, char *text, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; words[i] != NULL && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s",
                                 i == 0 ? "" : ", ", words[i]);
    return text;
}

static bool read_option(struct merge_config *c, const struct level *l,
                        const struct merge_choice *choice)
{
    const struct merge_option_row *row = &merge_options[choice->option];
    const json_t *value = json_object_get(l->parameters, row->name);
    const char *word = json_is_true(value)    ? "true"
                       : json_is_false(value) ? "false"
                                              : json_string_value(value);
    char path[PATH], known[64];

    c->options[choice->option] = choice->otherwise;
    if (value == NULL || (l->open && depth_is_reference(value)))
        return true;
    for (int i = 0; row->words[i] != NULL; i++) {
        if (word == NULL || strcmp(row->words[i], word) != 0)
            continue;
        c->options[choice->option] = i;
        return true;
    }
    merge_path(path, sizeof path, "%s/%s", l->path, row->name);
    return catalog_refuse(l->problem, path,
                          list_words(row->words, known, sizeof known),
                          "unknown %s of %s", row->name, c->method->name);
}

static bool read_options(struct merge_config *c, const struct level *l)
{
    for (int o = 0; o < MERGE_OPTIONS; o++) {
        const struct merge_choice *choice =
            merge_method_choice(c->method, (enum merge_option)o);

        if (choice != NULL && !read_option(c, l, choice))
            return false;
    }
    return true;
}

static bool read_rule(struct merge_config *c, const struct level *l)
{
    const json_t *rule = json_object_get(l->parameters, "rescale_rule");
    const char *word = json_string_value(rule);

    if (rule == NULL || (l->open && depth_is_reference(rule)))
        return true;
    for (size_t i = 0; i < COUNT_OF(rescale_words); i++) {
        if (word == NULL || strcmp(rescale_words[i], word) != 0)
            continue;
        c->rescale = (enum merge_rescale)i;
        return i != MERGE_RESCALE_L1 || c->method->l1 ||
               catalog_refuse(l->problem, "/parameters/rescale_rule",
                              "use paper or none",
                              "%s/%s divides by the density, it has no rule l1",
                              c->method->name, c->method->variant);
    }
    return catalog_refuse(
        l->problem, "/parameters/rescale_rule", "paper, l1 or none",
        "rescale_rule \"%s\" is not known", word == NULL ? "?" : word);
}

static bool read_rescale(struct merge_config *c, const struct level *l)
{
    const json_t *flag = json_object_get(l->parameters, "rescale");

    c->rescale = MERGE_RESCALE_NONE;
    if (!c->method->rescales)
        return true;
    if (flag != NULL && !json_is_boolean(flag) &&
        !(l->open && depth_is_reference(flag)))
        return catalog_refuse(l->problem, "/parameters/rescale", "",
                              "true or false is needed here");
    c->rescale = c->method->rescale;
    if (json_is_true(flag) && c->rescale == MERGE_RESCALE_NONE)
        c->rescale = MERGE_RESCALE_PAPER;
    if (!read_rule(c, l))
        return false;
    if (json_is_false(flag))
        c->rescale = MERGE_RESCALE_NONE;
    return true;
}

bool merge_config_check_values(struct merge_config *c, const json_t *body,
                               bool open, struct catalog_problem *problem)
{
    const struct level top = { .c = c,
                               .open = open,
                               .problem = problem,
                               .parameters = c->top,
                               .path = "/parameters" };
    char path[PATH];

    if (!check_numbers(&top) || !read_options(c, &top) ||
        !read_rescale(c, &top))
        return false;
    if (c->slices == NULL)
        return check_models(c, open, json_object_get(body, "models"),
                            problem) &&
               check_shared(&top, "");
    for (size_t i = 0; i < json_array_size(c->slices); i++) {
        merge_path(path, sizeof path, "/slices/%zu", i);
        if (!check_slice(c, open, json_array_get(c->slices, i), path, problem))
            return false;
    }
    return true;
}

/* ---- values of one tensor ---------------------------------------------- */

enum { LEVELS = 3 }; /* source, slice, merge */

static bool find_number(const json_t *const levels[LEVELS], const char *name,
                        struct depth_place place, double *ret_number)
{
    for (size_t i = 0; i < LEVELS; i++) {
        const json_t *value = json_object_get(levels[i], name);

        if (value != NULL && depth_at(value, place, ret_number))
            return true;
    }
    return false;
}

static struct status set_number(const struct merge_config *c,
                                const struct merge_use *use,
                                const json_t *const levels[LEVELS],
                                struct depth_place place, double *ret_number)
{
    const char *name = merge_parameters[use->parameter].name;

    *ret_number = use->otherwise;
    if (find_number(levels, name, place, ret_number) || !use->required)
        return SUCCESS;
    return FAIL(STATUS_INVALID,
                "%s: no filter of %s fits tensor %s; add an item without "
                "filter",
                c->method->name, name, place.tensor);
}

static bool find_normalize(const struct merge_config *c,
                           const json_t *const levels[LEVELS],
                           struct depth_place place)
{
    bool flag = c->method->normalize == MERGE_NORMALIZED;

    if (c->method->normalize == MERGE_NO_NORMALIZE)
        return false;
    for (size_t i = 1; i < LEVELS; i++) {
        const json_t *value = json_object_get(levels[i], "normalize");

        if (value != NULL && depth_flag_at(value, place, &flag))
            break;
    }
    return flag;
}

static struct status check_weights(const struct merge_config *c,
                                   const struct merge_step *step)
{
    double sum = 0.0;

    for (size_t i = 0; i < step->models; i++)
        sum += step->values.number[MERGE_WEIGHT][i];
    if (c->deltas || !step->normalize || fabs(sum) >= 1e-8)
        return SUCCESS;
    return FAIL(STATUS_INVALID,
                "%s: the weights add up to 0 and cannot be normalized; set "
                "normalize: false or other weights",
                c->method->name);
}

static struct status check_together(const struct merge_config *c,
                                    const struct merge_step *step)
{
    for (size_t i = 0; c->method->misfit != NULL && i < step->models; i++) {
        const char *why = c->method->misfit(step, i);

        if (why != NULL)
            return FAIL(STATUS_INVALID, "%s: %s", c->method->name, why);
    }
    return check_weights(c, step);
}

struct status merge_config_step(const struct merge_config *c,
                                const struct merge_slice *slice,
                                struct depth_place place,
                                struct merge_step *ret_step)
{
    const json_t *levels[LEVELS] = { NULL, slice->parameters, c->top };

    *ret_step =
        (struct merge_step){ .method = c->method,
                             .models = slice->count,
                             .normalize = find_normalize(c, levels, place),
                             .rescale = c->rescale };
    memcpy(ret_step->options, c->options, sizeof c->options);
    for (size_t i = 0; i < slice->count; i++) {
        ret_step->values.number[MERGE_WEIGHT][i] = 1.0;
        ret_step->values.number[MERGE_DENSITY][i] = 1.0;
    }
    for (const struct merge_use *use = c->method->uses; use->most > 0.0;
         use++) {
        double *numbers = ret_step->values.number[use->parameter];

        for (size_t i = 0; i < (use->per_model ? slice->count : 1); i++) {
            levels[0] = use->per_model ? slice->sources[i].own : NULL;
            TRY_PLAIN(set_number(c, use, levels, place, &numbers[i]));
        }
    }
    return check_together(c, ret_step);
}

const struct merge_survey *merge_config_survey(const struct merge_config *c)
{
    struct merge_step step = { .method = c->method,
                               .normalize =
                                   c->method->normalize == MERGE_NORMALIZED,
                               .rescale = c->rescale };

    memcpy(step.options, c->options, sizeof c->options);
    return c->method->survey == NULL ? NULL : c->method->survey(&step);
}

bool merge_config_is_global(const struct merge_config *c)
{
    const struct merge_survey *survey = merge_config_survey(c);

    return survey != NULL && survey->global;
}
