#include "sweep/space.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/decimal.h"
#include "common/memory.h"
#include "sweep/space_parts.h"

double space_round(double x, int digits)
{
    return decimal_round(x, digits);
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
                       SPACE_AXIS_DIGITS);
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

static void free_choices(struct choice *choices, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(choices[i].text);
    free(choices);
}

static void free_room(struct room *r)
{
    for (size_t i = 0; i < r->fixed_count; i++)
        free(r->fixed[i].choice.text);
    free(r->name_choice.text);
    free(r->fixed);
    free(r->axes);
    free(r->steps);
    order_free(r->order);
}

void space_free(struct space *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->axis_count; i++) {
        free_choices(s->axes[i].choices, s->axes[i].choice_count);
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
    free_choices(s->seed_choices, s->seed_choices == NULL ? 0 : s->replicates);
    json_decref(s->twin_seed);
    free(s->twin_choice.text);
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

uint64_t space_points_limit(const struct space *s)
{
    return s->points_limit;
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

/* ---- a trial as JSON -------------------------------------------------- */

/* NULL: absent. */
static json_t *json_of(const struct space_value *v)
{
    if (v->json != NULL)
        return json_deep_copy(v->json);
    switch (v->value.type) {
    case EXPR_NUMBER:
        return space_json_number(v->value.number);
    case EXPR_BOOL:
        return json_boolean(v->value.number != 0.0);
    case EXPR_TEXT:
        return json_string(v->value.text);
    default:
        return NULL;
    }
}

void space_trial(const struct space *s, uint64_t trial,
                 struct space_trial *ret_trial)
{
    struct space_point *p = space_point_new();
    struct space_reason why;

    *ret_trial = (struct space_trial){ .values = json_object(),
                                       .verdict = space_place(s, trial, p) };
    why = space_point_reason(p);
    if (why.what != NULL)
        (void)snprintf(ret_trial->reason, sizeof ret_trial->reason, "%s%s%s",
                       why.what, *why.why == '\0' ? "" : ": ", why.why);
    for (size_t i = 0; i < s->name_count; i++) {
        json_t *value = json_of(&space_values(p)[i]);

        if (value != NULL)
            (void)json_object_set_new_nocheck(ret_trial->values, s->names[i],
                                              value);
    }
    space_point_free(p);
}
