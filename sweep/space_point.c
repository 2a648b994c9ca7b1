/* space_point.c -- the values of trial i, with their texts, in memory that is
 * used again for the next trial. */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/decimal.h"
#include "common/memory.h"
#include "common/philox.h"
#include "sweep/space_parts.h"

enum { DERIVED_DIGITS = 15 };

/* Where the text of a computed value stands. */
struct written {
    char number[DECIMAL_TEXT];
    char *text; /* NULL: no text was computed here yet */
    size_t room;
};

struct space_point {
    const struct space *s;
    const struct room *r;
    struct space_value *values; /* by slot, as all rows here */
    bool *coarsest;             /* the value is the first of its axis */
    struct written *written;
    size_t room; /* of each row */
    enum space_verdict verdict;
    struct space_reason reason;
};

struct space_point *space_point_new(void)
{
    return xnew(struct space_point);
}

void space_point_free(struct space_point *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < p->room; i++)
        free(p->written[i].text);
    free(p->values);
    free(p->coarsest);
    free(p->written);
    free(p);
}

/* What stands there already is of no more use, but for its memory. */
static void make_room(struct space_point *p, size_t room)
{
    if (p->room >= room)
        return;
    p->values = xrealloc(p->values, room * sizeof *p->values);
    p->coarsest = xrealloc(p->coarsest, room * sizeof *p->coarsest);
    p->written = xrealloc(p->written, room * sizeof *p->written);
    memset(p->written + p->room, 0, (room - p->room) * sizeof *p->written);
    p->room = room;
}

const struct space_value *space_values(const struct space_point *p)
{
    return p->values;
}

struct space_reason space_point_reason(const struct space_point *p)
{
    return p->reason;
}

/* ---- values ----------------------------------------------------------- */

/* In quotes; the caller frees. */
static char *quoted(const char *text)
{
    json_t *json = json_string(text);
    char *canonical = json_canonical(json);

    json_decref(json);
    return canonical;
}

struct choice choice_of(const json_t *value)
{
    struct choice c = { .json = value };
    AUTO(free_pointer) char *text = NULL;
    AUTO(free_pointer) char *inner = NULL;

    if (json_is_null(value))
        return c;
    text = json_canonical(value);
    c.size = (uint32_t)strlen(text);
    if (json_is_object(value) || json_is_array(value)) {
        inner = quoted(text);
        c.inner_size = (uint32_t)strlen(inner) - 2;
        c.text = xasprintf("%s%.*s", text, (int)c.inner_size, inner + 1);
    } else {
        c.text = xstrdup(text);
    }
    return c;
}

void space_set_choice(struct space_value *v, const struct choice *c)
{
    v->json = c->json;
    v->value = expr_value_of(c->json);
    v->text = c->text;
    v->size = c->size;
    if (c->inner_size > 0) {
        v->inner = c->text + c->size;
        v->inner_size = c->inner_size;
    } else if (v->value.type == EXPR_TEXT) {
        v->inner = c->text + 1;
        v->inner_size = c->size - 2;
    } else {
        v->inner = c->text;
        v->inner_size = c->size;
    }
}

static void set_plain(struct space_value *v, struct expr_value value,
                      const char *text, size_t size)
{
    *v = (struct space_value){ .value = value,
                               .text = text,
                               .inner = text,
                               .size = (uint32_t)size,
                               .inner_size = (uint32_t)size };
}

static void set_number(struct space_point *p, int slot, double x)
{
    char *text = p->written[slot].number;
    size_t size = decimal_shortest(x, text);

    set_plain(&p->values[slot],
              (struct expr_value){ .type = EXPR_NUMBER, .number = x }, text,
              size);
}

static bool is_plain(const char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < ' ' || *text == '"' || *text == '\\')
            return false;
    }
    return true;
}

static void set_text(struct space_point *p, int slot, const char *text)
{
    struct written *w = &p->written[slot];
    struct space_value *v = &p->values[slot];
    AUTO(free_pointer) char *hard = is_plain(text) ? NULL : quoted(text);
    size_t size = hard != NULL ? strlen(hard) : strlen(text) + 2;

    if (w->room < size) {
        w->room = 2 * size;
        w->text = xrealloc(w->text, w->room);
    }
    if (hard != NULL) {
        memcpy(w->text, hard, size);
    } else {
        w->text[0] = '"';
        memcpy(w->text + 1, text, size - 2);
        w->text[size - 1] = '"';
    }
    *v = (struct space_value){
        .value = { .type = EXPR_TEXT, .text = text },
        .text = w->text,
        .inner = w->text + 1,
        .size = (uint32_t)size,
        .inner_size = (uint32_t)size - 2,
    };
}

/* ---- what is chosen --------------------------------------------------- */

static const struct room *deal(const struct space *s, uint64_t point,
                               uint64_t *ret_index)
{
    size_t i = s->stretch_count - 1;
    uint64_t turn;

    *ret_index = point;
    if (s->room_count == 1)
        return &s->rooms[0];
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

    return (double)(philox_pair(key, point) >> 11) * 0x1p-53;
}

static void draw_value(struct space_point *p, const struct axis *a,
                       uint64_t point)
{
    double u = draw(p->s, a, point);
    double x;

    if (a->values != NULL) {
        space_set_choice(&p->values[a->slot],
                         &a->choices[(size_t)(u * (double)a->choice_count)]);
        return;
    }
    if (a->integer && !a->log_scale) {
        x = trunc(a->min + floor(u * (a->max - a->min + 1.0)));
    } else {
        x = a->log_scale ? a->min * pow(a->max / a->min, u)
                         : a->min + (a->max - a->min) * u;
        x = a->integer ? floor(x + 0.5) : decimal_round(x, SPACE_AXIS_DIGITS);
        x = x < a->min ? a->min : x > a->max ? a->max : x;
    }
    set_number(p, a->slot, x);
}

static void choose(struct space_point *p, uint64_t point, uint64_t index)
{
    const struct room *r = p->r;
    uint32_t indices[MOST_SLOTS];

    if (r->order != NULL && p->s->random)
        index = order_shuffle(p->s->seed, r->points, index);
    if (r->order != NULL)
        order_point(r->order, index, indices);
    for (size_t i = 0; i < r->axis_count; i++) {
        const struct axis *a = r->axes[i];

        if (r->order != NULL)
            space_set_choice(&p->values[a->slot], &a->choices[indices[i]]);
        else
            draw_value(p, a, point);
        p->coarsest[a->slot] = r->order == NULL || indices[i] == 0;
    }
    for (size_t i = 0; i < r->fixed_count; i++) {
        if (r->fixed[i].choice.text != NULL)
            space_set_choice(&p->values[r->fixed[i].slot], &r->fixed[i].choice);
    }
    if (p->s->case_slot != EXPR_UNBOUND)
        space_set_choice(&p->values[p->s->case_slot], &r->name_choice);
}

/* ---- what follows from it --------------------------------------------- */

static struct expr_value value_in_point(const void *self, int slot)
{
    const struct space_point *p = self;

    return p->values[slot].value;
}

static struct expr_value eval_in(const struct space_point *p,
                                 const struct expr *e)
{
    return expr_eval(e,
                     (struct expr_scope){ .value = value_in_point, .self = p });
}

/* The first reason is kept. */
static void judge(struct space_point *p, enum space_verdict verdict,
                  const char *what, const char *why)
{
    if (p->verdict != SPACE_TAKEN)
        return;
    p->verdict = verdict;
    p->reason = (struct space_reason){ what, why };
}

static void derive(struct space_point *p, const struct derived *d)
{
    struct expr_value v = eval_in(p, d->expr);
    const char *name = p->s->names[d->slot];

    if (v.type == EXPR_NUMBER && isfinite(v.number))
        set_number(p, d->slot, decimal_round(v.number, DERIVED_DIGITS));
    else if (v.type == EXPR_NUMBER)
        judge(p, SPACE_WRONG, name, "not a finite number");
    else if (v.type == EXPR_BOOL)
        set_plain(&p->values[d->slot], v, v.number != 0.0 ? "true" : "false",
                  v.number != 0.0 ? 4 : 5);
    else if (v.type == EXPR_TEXT)
        set_text(p, d->slot, v.text);
    else if (v.type == EXPR_WRONG)
        judge(p, SPACE_WRONG, name, v.text);
}

static void apply_when(struct space_point *p, const struct axis *a)
{
    struct expr_value v = eval_in(p, a->when);

    if (v.type == EXPR_WRONG)
        judge(p, SPACE_WRONG, p->s->names[a->slot], v.text);
    if (expr_is_true(v))
        return;
    p->values[a->slot] = (struct space_value){ 0 };
    if (!p->coarsest[a->slot])
        judge(p, SPACE_REPEATED, p->s->names[a->slot], "has no meaning here");
}

static void compute(struct space_point *p)
{
    for (size_t i = 0; i < p->r->step_count; i++) {
        const struct step *step = &p->r->steps[i];

        if (step->axis != NULL)
            apply_when(p, step->axis);
        else
            derive(p, step->derived);
    }
}

/* A constraint on a value that does not exist here says nothing. */
static void constrain(struct space_point *p)
{
    for (size_t i = 0; i < p->s->constraint_count; i++) {
        struct expr_value v = eval_in(p, p->s->constraints[i]);

        if (v.type == EXPR_WRONG)
            judge(p, SPACE_WRONG, p->s->constraint_texts[i], v.text);
        else if (v.type != EXPR_ABSENT && !expr_is_true(v))
            judge(p, SPACE_FORBIDDEN, p->s->constraint_texts[i], "");
    }
}

enum space_verdict space_place(const struct space *s, uint64_t trial,
                               struct space_point *p)
{
    uint64_t point = s->replicates == 1 ? trial : trial / s->replicates;
    uint64_t index = 0;

    assert(point < s->points_limit);
    p->s = s;
    p->verdict = SPACE_TAKEN;
    p->reason = (struct space_reason){ 0 };
    make_room(p, s->name_count);
    memset(p->values, 0, s->name_count * sizeof *p->values);
    p->r = deal(s, point, &index);
    choose(p, point, index);
    if (s->seed_slot != EXPR_UNBOUND)
        space_set_choice(&p->values[s->seed_slot],
                         &s->seed_choices[trial - point * s->replicates]);
    compute(p);
    constrain(p);
    return p->verdict;
}
