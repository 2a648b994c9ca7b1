/* What a merge of these models would trip over, in sentences. */
#include <stdarg.h>
#include <stdio.h>

#include "cli/inspect_report.h"

enum { SENTENCE = 512, EACH = 10 /* lines about one kind of trouble */ };

/* A fine-tune of the right base changes few weights so much. */
static const double wrong_base_share = 0.05;
/* PCB clips at such quantiles: what lies between must not all be zero. */
static const double degenerate_share = 0.99;

/* Like lines, of which only the first are told. */
struct told {
    json_t *warnings;
    size_t count;
};

PRINTF_LIKE(2, 3)
static void tell(struct told *t, const char *format, ...)
{
    char text[SENTENCE];
    va_list args;

    if (t->count++ >= EACH)
        return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    (void)json_array_append_new(t->warnings, json_string(text));
}

static void tell_rest(struct told *t, const char *label, const char *what)
{
    char text[SENTENCE];

    if (t->count <= EACH)
        return;
    (void)snprintf(text, sizeof text, "%s: %zu more tensors %s", label,
                   t->count - EACH, what);
    (void)json_array_append_new(t->warnings, json_string(text));
}

void inspect_warn_model(const struct inspect_model *m, json_t *warnings)
{
    struct told t = { warnings, 0 };

    for (size_t i = 0; i < m->set->count; i++) {
        const struct inspect_counts *c = &m->counts[i];

        if (c->not_finite > 0)
            tell(&t,
                 "%s: %s has %llu element%s that %s NaN or infinite, the "
                 "first is element %llu; such a model cannot be merged",
                 m->label, m->set->items[i].name,
                 (unsigned long long)c->not_finite,
                 c->not_finite == 1 ? "" : "s",
                 c->not_finite == 1 ? "is" : "are",
                 (unsigned long long)c->first_bad);
    }
    tell_rest(&t, m->label, "hold NaN or infinities");
}

static void warn_missing(const struct inspect_model *base,
                         const struct inspect_model *m, size_t model,
                         const struct inspect_diff *d, json_t *warnings)
{
    struct told t = { warnings, 0 };

    for (size_t i = 0; i < d->base->count; i++) {
        if (d->matches[i * d->models + model] == INSPECT_MISSING)
            tell(&t, "%s lacks %s, which %s has", m->label,
                 d->base->items[i].name, base->label);
    }
    tell_rest(&t, m->label, "are missing");
}

static void warn_extra(const struct inspect_model *base,
                       const struct inspect_model *m, json_t *warnings)
{
    struct told t = { warnings, 0 };

    for (size_t i = 0; i < m->set->count; i++) {
        const char *name = m->set->items[i].name;

        if (tensor_find(base->set, name) == NULL)
            tell(&t, "%s has %s, which %s lacks", m->label, name, base->label);
    }
    tell_rest(&t, m->label, "are extra");
}

static void warn_unlike(const struct inspect_model *base,
                        const struct inspect_model *m, size_t model,
                        const struct inspect_diff *d, json_t *warnings)
{
    struct told t = { warnings, 0 };

    for (size_t i = 0; i < d->base->count; i++) {
        const struct tensor *a = &d->base->items[i];
        const struct tensor *b = tensor_find(m->set, a->name);
        enum inspect_match match = d->matches[i * d->models + model];
        char was[32 * LIMIT_RANK], is[32 * LIMIT_RANK];

        if (b == NULL)
            continue;
        if (match == INSPECT_SHAPE)
            tell(&t, "%s: %s is %s, in %s it is %s", m->label, a->name,
                 tensor_shape_text(b, is, sizeof is), base->label,
                 tensor_shape_text(a, was, sizeof was));
        else if (match == INSPECT_NO_FLOAT &&
                 dtype_is_float(a->dtype) != dtype_is_float(b->dtype))
            tell(&t, "%s: %s is %s, in %s it is %s", m->label, a->name,
                 dtype_name(b->dtype), base->label, dtype_name(a->dtype));
    }
    tell_rest(&t, m->label, "are of another shape or type");
}

static void warn_numbers(const struct inspect_model *base,
                         const struct inspect_model *m,
                         const struct inspect_delta *d, json_t *warnings)
{
    struct told t = { warnings, 0 };
    double elements = (double)d->elements;

    if (d->elements == 0)
        tell(&t, "%s has no tensor that can be compared with %s", m->label,
             base->label);
    else if (d->zeros == d->elements)
        tell(&t,
             "%s is equal to %s: its task vector is zero, and PCB gives it "
             "the weight 0",
             m->label, base->label);
    else if ((double)d->zeros >= degenerate_share * elements)
        tell(&t,
             "%s: %.4g %% of its task vector are zero; PCB gives such a row "
             "the weight 0 (its clip bounds fall together)",
             m->label, 100.0 * (double)d->zeros / elements);
    if (elements > 0.0 && (double)d->large >= wrong_base_share * elements)
        tell(&t,
             "%s: %.3g %% of its differences from %s are larger than %g: the "
             "base looks wrong. DARE fails on such task vectors",
             m->label, 100.0 * (double)d->large / elements, base->label,
             (double)INSPECT_LARGE);
}

void inspect_warn_diff(const struct inspect_model *base,
                       const struct inspect_model *models,
                       const struct inspect_diff *diff, json_t *warnings)
{
    for (size_t m = 0; m < diff->models; m++) {
        struct inspect_delta sum = { 0 };

        for (size_t t = 0; t < diff->base->count; t++)
            inspect_delta_add(&sum, &diff->deltas[t * diff->models + m]);
        warn_missing(base, &models[m], m, diff, warnings);
        warn_extra(base, &models[m], warnings);
        warn_unlike(base, &models[m], m, diff, warnings);
        warn_numbers(base, &models[m], &sum, warnings);
    }
}
