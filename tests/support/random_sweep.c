#include "tests/support/random_sweep.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/macros.h"
#include "common/memory.h"
#include "common/philox.h"

enum { MOST_DEPTH = 3, TEXT = 64 };

struct maker {
    uint32_t number, drawn;
    bool random; /* the strategy */
    size_t param_count, case_count, derived_count;
    size_t stage_count; /* made so far: what a template may name */
    json_t *fuse;       /* places of the template that is being made */
};

/* A whole number below `bound`. */
static uint32_t below(struct maker *m, uint32_t bound)
{
    const struct philox_key key = { .seed = m->number, .stream = 7 };

    return philox_below(key, m->drawn++, bound);
}

static bool one_in(struct maker *m, uint32_t n)
{
    return below(m, n) == 0;
}

/* Draws stand in statements of their own: the order in which arguments are
 * worked out is the compiler's affair. */
static double number_of(struct maker *m)
{
    static const double scales[] = { 1.0,  0.1,   0.25, 1e-3, 1e-7,
                                     1e-9, 1e-12, 1e3,  1e9,  1e15 };
    double scale = scales[below(m, COUNT_OF(scales))];

    return ((double)below(m, 20001) - 10000.0) / 37.0 * scale;
}

static json_t *scalar(struct maker *m)
{
    static const char *const texts[] = {
        "",       "plain",        "two words", "a \"quoted\" one",
        "back\\", "line\nbreak",  "tab\t",     "gr\303\274\303\237e",
        "/slash", "\x01\x1f\x7f", "{\"a\":1}", "0.5",
    };

    switch (below(m, 8)) {
    case 0:
        return json_boolean(one_in(m, 2));
    case 1:
        return json_integer((json_int_t)below(m, 2000) - 1000);
    case 2:
        return json_real((double)below(m, 9) / 2.0); /* some are whole */
    case 3:
    case 4:
        return json_real(number_of(m));
    default:
        return json_string(texts[below(m, COUNT_OF(texts))]);
    }
}

static json_t *listed_value(struct maker *m)
{
    uint32_t which = below(m, 12);
    json_t *one = scalar(m);
    json_t *row;

    if (which > 2)
        return one;
    if (which == 0) {
        json_decref(one);
        return json_null();
    }
    row = which == 1 ? json_array() : json_object();
    if (which == 1) {
        (void)json_array_append_new(row, one);
        (void)json_array_append_new(row, scalar(m));
    } else {
        (void)json_object_set_new(row, "b", one);
        (void)json_object_set_new(row, "a", scalar(m));
    }
    return row;
}

static json_t *values(struct maker *m)
{
    json_t *list = json_array();
    bool numbers = one_in(m, 2);
    uint32_t count = 1 + below(m, 5);

    for (uint32_t i = 0; i < count; i++)
        (void)json_array_append_new(list, numbers ? json_real(number_of(m))
                                                  : listed_value(m));
    return list;
}

static json_t *domain(struct maker *m)
{
    const char *scale = one_in(m, 2) ? "log" : "linear";
    double low = (double)(1 + below(m, 500)) / 1000.0;
    double high = low * (double)(2 + below(m, 5000));
    int count = (int)below(m, 9) + 1;

    if (m->random && one_in(m, 2))
        return json_pack("{s:f, s:f, s:s, s:b}", "min", low, "max", high,
                         "scale", scale, "integer", (int)one_in(m, 4));
    if (one_in(m, 3))
        return json_pack("{s:f, s:f, s:i, s:s}", "from", low, "to", high,
                         "count", count, "scale", scale);
    return json_pack("{s:o}", "values", values(m));
}

static void name_of(struct maker *m, char name[TEXT])
{
    uint32_t which = below(m, (uint32_t)m->param_count + 2);

    if (which < m->param_count)
        (void)snprintf(name, TEXT, "p%u", which);
    else if (which == m->param_count)
        (void)snprintf(name, TEXT, "seed");
    else
        (void)snprintf(name, TEXT, m->case_count > 0 ? "case" : "seed");
}

/* Of one name, which stands where an @ is. */
static json_t *expression(struct maker *m)
{
    static const char *const forms[] = {
        "@ > 0.3",
        "@ != p0 or seed == 1",
        "@ * 1.7 - seed / 3",
        "1 - @",
        "if(@ > 0.4, 'high \"x\"', 'low')",
        "if(@ > 0.2, @, 'plain')",
        "@ in [0.5, plain, '']",
        "not (@ == plain)",
        "log(@) + sqrt(abs(p0))",
        "round(@ * 100) / 100",
        "@ ^ 0.7",
        "@",
    };
    char name[TEXT];
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    json_t *json;

    name_of(m, name);
    for (const char *at = forms[below(m, COUNT_OF(forms))]; *at != '\0'; at++)
        (void)fprintf(out, *at == '@' ? "%s" : "%.1s", *at == '@' ? name : at);
    (void)fclose(out);
    json = json_string(text);
    free(text);
    return json;
}

static void set_name(json_t *json, const char *form, size_t i)
{
    AUTO(free_pointer) char *name = xasprintf("%s%zu", form, i);

    (void)json_object_set_new(json, "name", json_string(name));
}

static json_t *parameters(struct maker *m)
{
    json_t *list = json_array();

    for (size_t i = 0; i < m->param_count; i++) {
        json_t *p = domain(m);

        set_name(p, "p", i);
        if (i > 0 && m->case_count > 0 && one_in(m, 3)) {
            AUTO(free_pointer)
            char *name = xasprintf("c%u", below(m, (uint32_t)m->case_count));

            (void)json_object_set_new(p, "case", json_string(name));
        }
        if (i > 0 && one_in(m, 4))
            (void)json_object_set_new(
                p, "when", json_string(one_in(m, 2) ? "p0 > 0.3" : "seed > 0"));
        (void)json_array_append_new(list, p);
    }
    return list;
}

static json_t *cases(struct maker *m)
{
    json_t *list = json_array();

    for (size_t i = 0; i < m->case_count; i++) {
        const char *method = one_in(m, 2) ? "one" : "two";
        json_t *c = json_pack("{s:{s:s, s:o}}", "set", "method", method,
                              "extra", listed_value(m));

        set_name(c, "c", i);
        (void)json_array_append_new(list, c);
    }
    return list;
}

static json_t *expressions(struct maker *m, bool named, uint32_t most)
{
    json_t *list = json_array();
    uint32_t count = below(m, most + 1);

    for (uint32_t i = 0; i < count; i++) {
        json_t *e = expression(m);
        json_t *d;

        if (named) {
            d = json_pack("{s:o}", "expr", e);
            set_name(d, "d", i);
            m->derived_count = i + 1;
            e = d;
        }
        (void)json_array_append_new(list, e);
    }
    return list;
}

/* ---- templates -------------------------------------------------------- */

static json_t *param(struct maker *m, const char *place)
{
    char name[TEXT];

    name_of(m, name);
    if (m->derived_count > 0 && one_in(m, 3))
        (void)snprintf(name, TEXT, "d%u", below(m, (uint32_t)m->derived_count));
    else if (m->case_count > 0 && one_in(m, 5))
        (void)snprintf(name, TEXT, "extra"); /* of a case */
    if (place != NULL && one_in(m, 3))
        (void)json_array_append_new(m->fuse, json_string(place));
    return json_pack("{s:s}", "$param", name);
}

static json_t *joined(struct maker *m)
{
    json_t *parts = json_array();
    uint32_t count = below(m, 4);

    for (uint32_t i = 0; i < count; i++)
        (void)json_array_append_new(
            parts, one_in(m, 2) ? param(m, NULL) : json_string("part \"n\" "));
    return json_pack("{s:o}", "$text", parts);
}

static json_t *node(struct maker *m, const char *place, int depth);

static json_t *row(struct maker *m, const char *place, int depth)
{
    static const char *const names[] = { "zeta",    "alpha", "mid",
                                         "a \"b\"", "steps", "model" };
    bool is_list = one_in(m, 2);
    json_t *out = is_list ? json_array() : json_object();
    uint32_t count = below(m, COUNT_OF(names));

    for (uint32_t i = 0; i < count; i++) {
        AUTO(free_pointer)
        char *index = is_list ? xasprintf("%u", i) : xstrdup(names[i]);
        AUTO(free_pointer) char *inner = xasprintf("%s/%s", place, index);
        json_t *child = node(m, inner, depth + 1);

        if (is_list)
            (void)json_array_append_new(out, child);
        else
            (void)json_object_set_new(out, names[i], child);
    }
    return out;
}

static json_t *node(struct maker *m, const char *place, int depth)
{
    char stage[TEXT];

    switch (below(m, depth < MOST_DEPTH ? 10 : 7)) {
    case 0:
        return joined(m);
    case 1:
    case 2:
    case 3:
        return param(m, place);
    case 4:
        if (m->stage_count == 0)
            return json_pack("{s:{s:s}}", "$source", "url", "hf://o/m@1");
        (void)snprintf(stage, sizeof stage, "s%u",
                       below(m, (uint32_t)m->stage_count));
        return json_pack("{s:s}", "$stage", stage);
    case 5:
    case 6:
        return scalar(m);
    default:
        return row(m, place, depth);
    }
}

static json_t *params(struct maker *m)
{
    json_t *out = NULL;

    do {
        json_decref(out);
        json_decref(m->fuse);
        m->fuse = json_array();
        out = row(m, "", 0);
    } while (!json_is_object(out));
    return out;
}

static json_t *variants(struct maker *m, bool lazy)
{
    json_t *list = json_array();
    uint32_t count = 1 + below(m, 3);

    for (uint32_t i = 0; i < count; i++) {
        json_t *v = json_pack("{s:o}", "params", params(m));

        if (lazy || (m->number + i) % 4 == 0) /* a job: others of its kind */
            (void)json_object_set(v, "fuse", m->fuse);
        if ((i + 1 < count || one_in(m, 8)) && m->case_count > 0)
            (void)json_object_set_new(
                v, "when",
                one_in(m, 2) ? json_pack("{s:s}", "method", "one")
                             : json_pack("{s:s, s:o}", "case", "c0", "extra",
                                         listed_value(m)));
        (void)json_array_append_new(list, v);
    }
    json_decref(m->fuse);
    m->fuse = NULL;
    return list;
}

static json_t *stages(struct maker *m)
{
    json_t *list = json_array();
    uint32_t count = below(m, 5);

    for (uint32_t i = 0; i < count; i++) {
        bool lazy = one_in(m, 2);
        json_t *s = json_pack(
            "{s:s, s:s, s:o}", "kind", lazy ? "merge" : "train", "sort",
            lazy ? "lazy" : "artifact", "variants", variants(m, lazy));

        set_name(s, "s", i);
        (void)json_array_append_new(list, s);
        m->stage_count++;
    }
    return list;
}

static json_t *evaluators(struct maker *m)
{
    json_t *list = json_array();
    uint32_t count = 1 + below(m, 3);

    for (uint32_t i = 0; i < count; i++) {
        int memory = (int)below(m, 1000);
        json_t *e = json_pack(
            "{s:s, s:o, s:[s], s:i}", "kind", "evaluate.accuracy", "variants",
            variants(m, false), "metrics", "value", "memory", memory);

        set_name(e, "e", i);
        (void)json_array_append_new(list, e);
    }
    return list;
}

json_t *random_sweep(uint32_t number)
{
    struct maker m = { .number = number };
    json_t *document = json_pack("{s:i, s:s}", "sinter", 1, "name", "any");
    json_t *strategy;

    m.random = one_in(&m, 2);
    m.param_count = 1 + below(&m, 4);
    m.case_count = one_in(&m, 2) ? 0 : 1 + below(&m, 3);
    strategy = json_pack("{s:s, s:i}", "method", m.random ? "random" : "grid",
                         "seed", (int)below(&m, 1000));
    if (m.random)
        (void)json_object_set_new(strategy, "trials",
                                  json_integer(1 + below(&m, 40)));
    (void)json_object_set_new(document, "strategy", strategy);
    (void)json_object_set_new(document, "parameters", parameters(&m));
    if (m.case_count > 0)
        (void)json_object_set_new(document, "cases", cases(&m));
    (void)json_object_set_new(document, "derive", expressions(&m, true, 3));
    (void)json_object_set_new(document, "constraints",
                              expressions(&m, false, 1));
    (void)json_object_set_new(
        document, "replicates",
        json_pack("{s:i}", "count", (int)below(&m, 3) + 1));
    (void)json_object_set_new(document, "stages", stages(&m));
    (void)json_object_set_new(document, "evaluate", evaluators(&m));
    return document;
}

/* ---- pairs ------------------------------------------------------------- */

static json_t *without_seed(const char *expr)
{
    AUTO(free_pointer) char *text = xstrdup(expr);

    for (char *at = strstr(text, "seed"); at != NULL; at = strstr(at, "seed"))
        memcpy(at, " p0 ", 4);
    return json_string(text);
}

static void forget_seed(json_t *list, const char *member)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        json_t *one = json_array_get(list, i);
        json_t *expr = member == NULL ? one : json_object_get(one, member);

        if (expr == NULL)
            continue;
        expr = without_seed(json_string_value(expr));
        if (member == NULL)
            (void)json_array_set_new(list, i, expr);
        else
            (void)json_object_set_new(one, member, expr);
    }
}

static json_t *pair_of(struct maker *m, const json_t *stages)
{
    static const char *const whose[] = { "$lower", "$higher", "$stage" };
    json_t *models = json_array();
    uint32_t count = 2 + below(m, 3);

    for (uint32_t i = 0; i < count; i++) {
        size_t stage = below(m, (uint32_t)json_array_size(stages));

        (void)json_array_append_new(
            models,
            json_pack("{s:O}", whose[i < 2 ? i : below(m, 3)],
                      json_object_get(json_array_get(stages, stage), "name")));
    }
    return json_pack("{s:s, s:s, s:[{s:{s:o, s:{s:s}}}], s:[s]}", "name",
                     "pair", "kind", "evaluate.lmc", "variants", "params",
                     "models", models, "p", "$param", "p0", "metrics",
                     "barrier");
}

json_t *random_sweep_of_pairs(uint32_t number)
{
    struct maker m = { .number = number, .drawn = 1000 * 1000 };
    json_t *document = random_sweep(number);
    json_t *stages = json_object_get(document, "stages");
    int count = 2 + (int)below(&m, 3);

    forget_seed(json_object_get(document, "parameters"), "when");
    forget_seed(json_object_get(document, "derive"), "expr");
    forget_seed(json_object_get(document, "constraints"), NULL);
    (void)json_object_set_new(document, "replicates",
                              json_pack("{s:i}", "count", count));
    if (json_array_size(stages) > 0)
        (void)json_array_append_new(json_object_get(document, "evaluate"),
                                    pair_of(&m, stages));
    return document;
}
