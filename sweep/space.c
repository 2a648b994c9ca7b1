#include "sweep/space.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/philox.h"
#include "sweep/space_parts.h"

enum {
    AXIS_DIGITS = 12,
    DERIVED_DIGITS = 15,
};

double space_round(double x, int digits)
{
    char text[40];

    if (!isfinite(x))
        return x;
    (void)snprintf(text, sizeof text, "%.*g", digits, x);
    return strtod(text, NULL);
}

double space_between(double from, double to, uint32_t count, bool log_scale,
                     uint32_t i)
{
    double t = count > 1 ? (double)i / (double)(count - 1) : 0.0;

    if (i == 0)
        return from;
    if (i == count - 1)
        return to;
    return space_round(log_scale ? from * pow(to / from, t)
                                 : from + (to - from) * t,
                       AXIS_DIGITS);
}

json_t *space_json_number(double x)
{
    if (x == floor(x) && fabs(x) < 9007199254740992.0)
        return json_integer((json_int_t)x);
    return json_real(x);
}

struct status space_new(const json_t *document, struct space **ret_space)
{
    struct space *s = xnew(struct space);
    struct status st;

    s->document = document;
    s->slots = map_new();
    st = space_read(s);
    if (status_failed(&st)) {
        space_free(s);
        return st;
    }
    *ret_space = s;
    return SUCCESS;
}

static void free_room(struct room *r)
{
    free(r->fixed);
    free(r->axes);
    order_free(r->order);
}

void space_free(struct space *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->axis_count; i++) {
        json_decref(s->axes[i].values);
        expr_free(s->axes[i].when);
    }
    for (size_t i = 0; s->rooms != NULL && i < s->room_count; i++)
        free_room(&s->rooms[i]);
    for (size_t i = 0; i < s->derived_count; i++)
        expr_free(s->derived[i].expr);
    for (size_t i = 0; i < s->constraint_count; i++)
        expr_free(s->constraints[i]);
    for (size_t i = 0; s->seeds != NULL && i < s->replicates; i++)
        json_decref(s->seeds[i]);
    free(s->seeds);
    free(s->axes);
    free(s->rooms);
    free(s->derived);
    free(s->constraints);
    free(s->constraint_texts);
    free(s->sequence);
    free(s->stretches);
    map_free(s->slots);
    free(s);
}

uint64_t space_points(const struct space *s)
{
    return s->points;
}

uint64_t space_replicates(const struct space *s)
{
    return s->replicates;
}

int space_find(const struct space *s, const char *name)
{
    const char *const *found = map_get_text(s->slots, name);

    return found == NULL ? EXPR_UNBOUND : (int)(found - s->names);
}

size_t space_name_count(const struct space *s)
{
    return s->name_count;
}

const char *space_name(const struct space *s, size_t slot)
{
    return s->names[slot];
}

/* ---- a trial ---------------------------------------------------------- */

struct trial {
    const struct space *s;
    const struct room *r;
    json_t *values[MOST_SLOTS]; /* owned references; NULL: absent */
    bool coarsest[MOST_SLOTS];  /* the value is the first of its axis */
    struct space_trial *out;
};

static const struct room *deal(const struct space *s, uint64_t point,
                               uint64_t *ret_index)
{
    size_t i = s->stretch_count - 1;
    uint64_t turn;

    while (s->stretches[i].start > point)
        i--;
    *ret_index = s->stretches[i].round +
                 (point - s->stretches[i].start) / s->stretches[i].active;
    turn = (point - s->stretches[i].start) % s->stretches[i].active;
    for (i = 0;; i++) {
        if (s->rooms[i].points > *ret_index && turn-- == 0)
            return &s->rooms[i];
    }
}

/* 53 bits of the word pair that belongs to (seed, axis, point). */
static double draw(const struct space *s, const struct axis *a, uint64_t point)
{
    struct philox_key key = { .seed = s->seed,
                              .stream = 0x706f696eU, /* "poin" */
                              .tensor = a->hash };
    uint64_t high = philox_word(key, 2 * point);
    uint64_t low = philox_word(key, 2 * point + 1);

    return (double)(high << 21 | low >> 11) * 0x1p-53;
}

static json_t *draw_value(const struct space *s, const struct axis *a,
                          uint64_t point)
{
    double u = draw(s, a, point);
    double x;

    if (a->values != NULL)
        return json_incref(json_array_get(
            a->values, (size_t)(u * (double)json_array_size(a->values))));
    if (a->integer && !a->log_scale)
        return json_integer(
            (json_int_t)(a->min + floor(u * (a->max - a->min + 1.0))));
    x = a->log_scale ? a->min * pow(a->max / a->min, u)
                     : a->min + (a->max - a->min) * u;
    x = a->integer ? floor(x + 0.5) : space_round(x, AXIS_DIGITS);
    return space_json_number(x < a->min ? a->min : x > a->max ? a->max : x);
}

static void choose(struct trial *t, uint64_t point, uint64_t index)
{
    const struct room *r = t->r;
    uint32_t indices[MOST_SLOTS];

    if (r->order != NULL && t->s->random)
        index = order_shuffle(t->s->seed, r->points, index);
    if (r->order != NULL)
        order_point(r->order, index, indices);
    for (size_t i = 0; i < r->axis_count; i++) {
        const struct axis *a = r->axes[i];

        t->values[a->slot] =
            r->order != NULL
                ? json_incref(json_array_get(a->values, indices[i]))
                : draw_value(t->s, a, point);
        t->coarsest[a->slot] = r->order == NULL || indices[i] == 0;
    }
    for (size_t i = 0; i < r->fixed_count; i++) {
        if (!json_is_null(r->fixed[i].value))
            t->values[r->fixed[i].slot] = json_incref(r->fixed[i].value);
    }
    if (t->s->case_slot != EXPR_UNBOUND)
        t->values[t->s->case_slot] = json_incref(r->name_json);
}

static struct expr_value value_in_trial(const void *self, int slot)
{
    const struct trial *t = self;

    return expr_value_of(t->values[slot]);
}

static struct expr_value eval_in(const struct trial *t, const struct expr *e)
{
    return expr_eval(e,
                     (struct expr_scope){ .value = value_in_trial, .self = t });
}

/* The first reason is kept. `why` may be "". */
static void judge(struct trial *t, enum space_verdict verdict, const char *what,
                  const char *why)
{
    if (t->out->verdict != SPACE_TAKEN)
        return;
    t->out->verdict = verdict;
    (void)snprintf(t->out->reason, sizeof t->out->reason, "%s%s%s", what,
                   *why == '\0' ? "" : ": ", why);
}

static json_t *json_of(struct trial *t, const char *name, struct expr_value v)
{
    switch (v.type) {
    case EXPR_NUMBER:
        if (isfinite(v.number))
            return space_json_number(space_round(v.number, DERIVED_DIGITS));
        judge(t, SPACE_WRONG, name, "not a finite number");
        return NULL;
    case EXPR_BOOL:
        return json_boolean(v.number != 0.0);
    case EXPR_TEXT:
        return json_string(v.text);
    case EXPR_WRONG:
        judge(t, SPACE_WRONG, name, v.text);
        return NULL;
    default:
        return NULL;
    }
}

static const struct axis *axis_of(const struct room *r, int slot)
{
    for (size_t i = 0; i < r->axis_count; i++) {
        if (r->axes[i]->slot == slot)
            return r->axes[i];
    }
    return NULL;
}

static void apply_when(struct trial *t, const struct axis *a)
{
    struct expr_value v = eval_in(t, a->when);

    if (v.type == EXPR_WRONG)
        judge(t, SPACE_WRONG, t->s->names[a->slot], v.text);
    if (expr_is_true(v))
        return;
    json_decref(t->values[a->slot]);
    t->values[a->slot] = NULL;
    if (!t->coarsest[a->slot])
        judge(t, SPACE_REPEATED, t->s->names[a->slot], "has no meaning here");
}

static void compute(struct trial *t)
{
    const struct space *s = t->s;

    for (size_t i = 0; i < s->sequence_count; i++) {
        int slot = s->sequence[i];
        const struct axis *a = axis_of(t->r, slot);

        if (a != NULL && a->when != NULL)
            apply_when(t, a);
        for (size_t j = 0; j < s->derived_count; j++) {
            if (s->derived[j].slot == slot)
                t->values[slot] =
                    json_of(t, s->names[slot], eval_in(t, s->derived[j].expr));
        }
    }
}

/* A constraint on a value that does not exist here says nothing. */
static void constrain(struct trial *t)
{
    for (size_t i = 0; i < t->s->constraint_count; i++) {
        struct expr_value v = eval_in(t, t->s->constraints[i]);

        if (v.type == EXPR_WRONG)
            judge(t, SPACE_WRONG, t->s->constraint_texts[i], v.text);
        else if (v.type != EXPR_ABSENT && !expr_is_true(v))
            judge(t, SPACE_FORBIDDEN, t->s->constraint_texts[i], "");
    }
}

void space_trial(const struct space *s, uint64_t trial,
                 struct space_trial *ret_trial)
{
    struct trial t = { .s = s, .out = ret_trial };
    uint64_t point = trial / s->replicates;
    uint64_t index = 0;

    assert(point < s->points);
    *ret_trial = (struct space_trial){ .values = json_object() };
    t.r = deal(s, point, &index);
    choose(&t, point, index);
    if (s->seed_slot != EXPR_UNBOUND)
        t.values[s->seed_slot] = json_incref(s->seeds[trial % s->replicates]);
    compute(&t);
    constrain(&t);
    for (size_t i = 0; i < s->name_count; i++) {
        if (t.values[i] != NULL)
            (void)json_object_set_new_nocheck(ret_trial->values, s->names[i],
                                              t.values[i]);
    }
}
