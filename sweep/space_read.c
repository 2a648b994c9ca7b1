#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/memory.h"
#include "common/philox.h"
#include "sweep/space_parts.h"

/* ---- names ------------------------------------------------------------ */

static int find_slot(const void *self, const char *name)
{
    return space_find(self, name);
}

/* `name` lives as long as the document, or for ever. */
MUST_CHECK static struct status slot_for(struct space *s, const char *name,
                                         int *ret_slot)
{
    *ret_slot = space_find(s, name);
    if (*ret_slot != EXPR_UNBOUND)
        return SUCCESS;
    if (*name == '\0' || strlen(name) >= LIMIT_NAME)
        return FAIL(STATUS_INVALID, "a name must have 1 to %d bytes",
                    LIMIT_NAME - 1);
    if (s->name_count == MOST_SLOTS)
        return FAIL(STATUS_TOO_BIG, "more than %d named values", MOST_SLOTS);
    *ret_slot = (int)s->name_count++;
    s->names[*ret_slot] = name;
    (void)map_put_text(s->slots, name, &s->names[*ret_slot]);
    return SUCCESS;
}

/* ---- reading the document --------------------------------------------- */

MUST_CHECK static struct status read_list(const json_t *document,
                                          const char *name, size_t most,
                                          const json_t **ret_list)
{
    const json_t *list = json_object_get(document, name);

    *ret_list = NULL;
    if (list == NULL)
        return SUCCESS;
    if (!json_is_array(list))
        return FAIL(STATUS_INVALID, "\"%s\" is not a list", name);
    if (json_array_size(list) > most)
        return FAIL(STATUS_TOO_BIG, "\"%s\" has %zu entries, at most %zu", name,
                    json_array_size(list), most);
    *ret_list = list;
    return SUCCESS;
}

MUST_CHECK static struct status read_expr(const struct space *s,
                                          const char *text, struct expr **ret)
{
    struct expr *e = NULL;
    struct status st;

    TRY(expr_parse(text, &e, NULL), "\"%.100s\"", text);
    st = expr_bind_all(e, find_slot, s);
    if (status_failed(&st)) {
        expr_free(e);
        return status_wrap(st, "\"%.100s\"", text);
    }
    *ret = e;
    return SUCCESS;
}

static bool all_numbers(const json_t *values)
{
    for (size_t i = 0; i < json_array_size(values); i++) {
        if (!json_is_number(json_array_get(values, i)))
            return false;
    }
    return true;
}

MUST_CHECK static struct status read_scale(const json_t *json, double low,
                                           double high, bool *ret_log)
{
    const char *scale = json_text_or(json, "scale", "linear");

    if (strcmp(scale, "log") != 0 && strcmp(scale, "linear") != 0)
        return FAIL(STATUS_INVALID, "scale \"%.40s\" is unknown", scale);
    *ret_log = strcmp(scale, "log") == 0;
    if (*ret_log && (low <= 0.0 || high <= 0.0))
        return FAIL(STATUS_INVALID, "a log scale needs bounds above 0");
    if (!isfinite(high - low) || (*ret_log && !isfinite(high / low)))
        return FAIL(STATUS_INVALID, "the bounds are too far apart");
    return SUCCESS;
}

MUST_CHECK static struct status read_counted(const json_t *json, struct axis *a)
{
    double from = 0.0;
    double to = 0.0;
    int64_t count = 0;
    bool log_scale = false;

    TRY_PLAIN(json_member_real(json, "from", &from));
    TRY_PLAIN(json_member_real(json, "to", &to));
    TRY_PLAIN(json_member_int(json, "count", &count));
    if (count < 1 || count > LIMIT_VALUES)
        return FAIL(STATUS_INVALID, "count must be 1 to %d", LIMIT_VALUES);
    TRY_PLAIN(read_scale(json, from, to, &log_scale));
    a->ordered = true;
    a->values = json_array();
    for (uint32_t i = 0; i < (uint32_t)count; i++)
        (void)json_array_append_new(
            a->values, space_json_number(space_between(
                           from, to, (uint32_t)count, log_scale, i)));
    return SUCCESS;
}

MUST_CHECK static struct status read_interval(const json_t *json,
                                              struct axis *a)
{
    TRY_PLAIN(json_member_real(json, "min", &a->min));
    TRY_PLAIN(json_member_real(json, "max", &a->max));
    TRY_PLAIN(read_scale(json, a->min, a->max, &a->log_scale));
    a->integer = json_bool_or(json, "integer", false);
    if (!(a->min < a->max))
        return FAIL(STATUS_INVALID, "min must be below max");
    if (a->integer && (fabs(a->min) > 9e15 || fabs(a->max) > 9e15))
        return FAIL(STATUS_INVALID, "bounds of integers are at most 9e15");
    return SUCCESS;
}

MUST_CHECK static struct status read_domain(const json_t *json, struct axis *a)
{
    json_t *values = json_object_get(json, "values");

    if (values == NULL && json_object_get(json, "from") != NULL)
        return read_counted(json, a);
    if (values == NULL)
        return read_interval(json, a);
    if (!json_is_array(values) || json_array_size(values) == 0)
        return FAIL(STATUS_INVALID, "\"values\" must be a list of one or more");
    if (json_array_size(values) > LIMIT_VALUES)
        return FAIL(STATUS_TOO_BIG, "%zu values, at most %d",
                    json_array_size(values), LIMIT_VALUES);
    a->ordered = all_numbers(values);
    a->values = json_incref(values);
    return SUCCESS;
}

static int find_room(const struct space *s, const char *name)
{
    for (size_t i = 0; i < s->room_count; i++) {
        if (s->rooms[i].name != NULL && strcmp(s->rooms[i].name, name) == 0)
            return (int)i;
    }
    return -1;
}

/* All of the space together: a few bytes can ask for any number of values. */
MUST_CHECK static struct status make_choices(struct space *s, struct axis *a)
{
    size_t count = json_array_size(a->values);

    if (count > MOST_CHOICES - s->choice_count)
        return FAIL(STATUS_TOO_BIG,
                    "the parameters have more than %d values together",
                    MOST_CHOICES);
    s->choice_count += count;
    a->choices = xcalloc(count + 1, sizeof *a->choices);
    a->choice_count = count;
    for (size_t i = 0; i < count; i++)
        a->choices[i] = choice_of(json_array_get(a->values, i));
    return SUCCESS;
}

MUST_CHECK static struct status read_axis(struct space *s, const json_t *json,
                                          struct axis *a)
{
    const char *name = NULL;
    const char *room = json_text_or(json, "case", NULL);

    TRY_PLAIN(json_member_text(json, "name", &name));
    TRY_PLAIN(slot_for(s, name, &a->slot));
    a->hash = philox_hash64(name);
    a->room = -1;
    if (room != NULL) {
        a->room = find_room(s, room);
        if (a->room < 0)
            return FAIL(STATUS_INVALID, "%s: there is no case \"%.60s\"", name,
                        room);
    }
    TRY(read_domain(json, a), "%s", name);
    return make_choices(s, a);
}

MUST_CHECK static struct status read_axes(struct space *s, const json_t *list)
{
    s->axes = xcalloc(json_array_size(list) + 1, sizeof *s->axes);
    for (size_t i = 0; i < json_array_size(list); i++) {
        s->axis_count = i + 1;
        TRY(read_axis(s, json_array_get(list, i), &s->axes[i]),
            "parameters[%zu]", i);
    }
    return SUCCESS;
}

MUST_CHECK static struct status read_set(struct space *s, const json_t *set,
                                         struct room *r)
{
    const char *name;
    json_t *value;

    if (set == NULL)
        return SUCCESS;
    if (!json_is_object(set))
        return FAIL(STATUS_INVALID, "\"set\" is not an object");
    r->fixed = xcalloc(json_object_size(set) + 1, sizeof *r->fixed);
    json_object_foreach((json_t *)(uintptr_t)set, name, value)
    {
        struct fixed *f = &r->fixed[r->fixed_count++];

        TRY_PLAIN(slot_for(s, name, &f->slot));
        f->choice = choice_of(value);
    }
    return SUCCESS;
}

MUST_CHECK static struct status read_case(struct space *s, const json_t *json,
                                          size_t i)
{
    struct room *r = &s->rooms[i];
    const char *name = NULL;

    TRY_PLAIN(json_member_text(json, "name", &name));
    if (*name == '\0' || strlen(name) >= LIMIT_NAME)
        return FAIL(STATUS_INVALID, "the name of a case has 1 to %d bytes",
                    LIMIT_NAME - 1);
    if (find_room(s, name) >= 0)
        return FAIL(STATUS_INVALID, "two cases are called \"%s\"", name);
    r->name = name;
    r->name_choice = choice_of(json_object_get(json, "name"));
    return read_set(s, json_object_get(json, "set"), r);
}

MUST_CHECK static struct status read_cases(struct space *s,
                                           const json_t *document)
{
    const json_t *list = NULL;

    TRY_PLAIN(read_list(document, "cases", LIMIT_CASES, &list));
    s->case_slot = EXPR_UNBOUND;
    s->room_count = list == NULL ? 0 : json_array_size(list);
    s->rooms = xcalloc(s->room_count + 1, sizeof *s->rooms);
    if (s->room_count == 0) {
        s->room_count = 1;
        return SUCCESS;
    }
    TRY_PLAIN(slot_for(s, "case", &s->case_slot));
    for (size_t i = 0; i < s->room_count; i++)
        TRY(read_case(s, json_array_get(list, i), i), "cases[%zu]", i);
    return SUCCESS;
}

/* Names first, expressions when all names are known. */
MUST_CHECK static struct status read_derived_names(struct space *s,
                                                   const json_t *list)
{
    s->derived = xcalloc(json_array_size(list) + 1, sizeof *s->derived);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *name = NULL;
        size_t known = s->name_count;

        TRY(json_member_text(json_array_get(list, i), "name", &name),
            "derive[%zu]", i);
        TRY(slot_for(s, name, &s->derived[i].slot), "derive[%zu]", i);
        s->derived_count = i + 1;
        if (s->name_count == known)
            return FAIL(STATUS_INVALID, "derive: \"%s\" is declared twice",
                        name);
    }
    return SUCCESS;
}

MUST_CHECK static struct status read_derived(struct space *s,
                                             const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = NULL;

        TRY(json_member_text(json_array_get(list, i), "expr", &text),
            "derive[%zu]", i);
        TRY(read_expr(s, text, &s->derived[i].expr), "derive[%zu]", i);
    }
    return SUCCESS;
}

MUST_CHECK static struct status read_whens(struct space *s, const json_t *list)
{
    for (size_t i = 0; i < s->axis_count; i++) {
        const char *when = json_text_or(json_array_get(list, i), "when", NULL);

        if (when != NULL)
            TRY(read_expr(s, when, &s->axes[i].when), "parameters[%zu].when",
                i);
    }
    return SUCCESS;
}

MUST_CHECK static struct status read_constraints(struct space *s,
                                                 const json_t *document)
{
    const json_t *list = NULL;

    TRY_PLAIN(read_list(document, "constraints", MOST_EXPRESSIONS, &list));
    s->constraints = xcalloc(json_array_size(list) + 1, sizeof(struct expr *));
    s->constraint_texts = xcalloc(json_array_size(list) + 1, sizeof(char *));
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));

        if (text == NULL)
            return FAIL(STATUS_INVALID, "constraints[%zu] is not a text", i);
        TRY(read_expr(s, text, &s->constraints[i]), "constraints[%zu]", i);
        s->constraint_texts[i] = text;
        s->constraint_count = i + 1;
    }
    return SUCCESS;
}

MUST_CHECK static struct status read_replicates(struct space *s,
                                                const json_t *document)
{
    const json_t *json = json_object_get(document, "replicates");
    const json_t *seeds = json_object_get(json, "seeds");
    int64_t count = json_int_or(
        json, "count", seeds != NULL ? (int64_t)json_array_size(seeds) : 1);

    if (json != NULL && !json_is_object(json))
        return FAIL(STATUS_INVALID, "\"replicates\" is not an object");
    if (count < 1 || count > LIMIT_VALUES)
        return FAIL(STATUS_INVALID, "replicates: count must be 1 to %d",
                    LIMIT_VALUES);
    if (seeds != NULL &&
        (!json_is_array(seeds) || json_array_size(seeds) != (size_t)count))
        return FAIL(STATUS_INVALID, "replicates: seeds must be a list of %lld",
                    (long long)count);
    if (space_find(s, "seed") != EXPR_UNBOUND) {
        if (count > 1)
            return FAIL(STATUS_INVALID,
                        "`seed` is a parameter and varied by replicates");
        s->seed_slot = EXPR_UNBOUND;
    } else {
        TRY_PLAIN(slot_for(s, "seed", &s->seed_slot));
    }
    s->replicates = (uint64_t)count;
    s->seeds = xcalloc((size_t)count, sizeof(json_t *));
    for (size_t i = 0; i < (size_t)count; i++) {
        json_t *seed = json_array_get(seeds, i);

        if (seeds != NULL && !json_is_integer(seed))
            return FAIL(STATUS_INVALID, "replicates: seeds are integers");
        s->seeds[i] =
            seeds != NULL ? json_incref(seed) : json_integer((json_int_t)i);
    }
    s->seed_choices = xcalloc((size_t)count, sizeof *s->seed_choices);
    for (size_t i = 0; i < (size_t)count; i++)
        s->seed_choices[i] = choice_of(s->seeds[i]);
    return space_read_pair(s, json);
}

/* ---- the sequence of computed values ---------------------------------- */

struct visit {
    struct space *s;
    uint8_t state[MOST_SLOTS]; /* 0 new, 1 open, 2 placed */
};

MUST_CHECK static struct status place(struct visit *v, int slot);

MUST_CHECK static struct status place_names(struct visit *v,
                                            const struct expr *e)
{
    for (size_t i = 0; i < expr_name_count(e); i++) {
        struct expr_name n = expr_name(e, i);
        int slot = n.quoted ? EXPR_UNBOUND : space_find(v->s, n.text);

        if (slot != EXPR_UNBOUND)
            TRY_PLAIN(place(v, slot));
    }
    return SUCCESS;
}

/* Depth is at most the number of slots. */
MUST_CHECK static struct status place(struct visit *v, int slot)
{
    struct space *s = v->s;
    bool computed = false;

    if (v->state[slot] == 2)
        return SUCCESS;
    if (v->state[slot] == 1)
        return FAIL(STATUS_INVALID, "`%s` depends on itself", s->names[slot]);
    v->state[slot] = 1;
    for (size_t i = 0; i < s->axis_count; i++) {
        if (s->axes[i].slot == slot && s->axes[i].when != NULL) {
            TRY_PLAIN(place_names(v, s->axes[i].when));
            computed = true;
        }
    }
    for (size_t i = 0; i < s->derived_count; i++) {
        if (s->derived[i].slot == slot) {
            TRY_PLAIN(place_names(v, s->derived[i].expr));
            computed = true;
        }
    }
    v->state[slot] = 2;
    if (computed)
        s->sequence[s->sequence_count++] = slot;
    return SUCCESS;
}

MUST_CHECK static struct status make_sequence(struct space *s)
{
    struct visit v = { .s = s };

    s->sequence = xcalloc(s->name_count, sizeof *s->sequence);
    for (size_t i = 0; i < s->name_count; i++)
        TRY_PLAIN(place(&v, (int)i));
    return SUCCESS;
}

/* ---- rooms ------------------------------------------------------------ */

static const struct fixed *find_fixed(const struct room *r, int slot)
{
    for (size_t i = 0; i < r->fixed_count; i++) {
        if (r->fixed[i].slot == slot)
            return &r->fixed[i];
    }
    return NULL;
}

struct room_scope {
    const struct space *s;
    const struct room *r;
};

static struct expr_value value_in_room(const void *self, int slot)
{
    const struct room_scope *scope = self;
    const struct fixed *f = find_fixed(scope->r, slot);

    if (slot == scope->s->case_slot)
        return expr_value_of(scope->r->name_choice.json);
    return expr_value_of(f == NULL ? NULL : f->choice.json);
}

/* All names of `when` have one value in this room. */
static bool is_settled(const struct space *s, const struct room *r,
                       const struct expr *when)
{
    for (size_t i = 0; i < expr_name_count(when); i++) {
        struct expr_name n = expr_name(when, i);
        int slot = n.quoted ? EXPR_UNBOUND : space_find(s, n.text);

        if (slot != EXPR_UNBOUND && slot != s->case_slot &&
            find_fixed(r, slot) == NULL)
            return false;
    }
    return true;
}

/* An axis of this very case stands before one of all cases, and a value the
 * case sets before both. */
static bool is_in_room(const struct space *s, size_t room, const struct axis *a)
{
    const struct room *r = &s->rooms[room];
    struct room_scope scope = { s, r };

    if ((a->room >= 0 && a->room != (int)room) ||
        find_fixed(r, a->slot) != NULL)
        return false;
    for (size_t i = 0; a->room < 0 && i < s->axis_count; i++) {
        if (s->axes[i].slot == a->slot && s->axes[i].room == (int)room)
            return false;
    }
    if (a->when != NULL && is_settled(s, r, a->when))
        return expr_is_true(
            expr_eval(a->when, (struct expr_scope){ .value = value_in_room,
                                                    .self = &scope }));
    return true;
}

MUST_CHECK static struct status order_room(struct room *r)
{
    struct order_axis sizes[MOST_SLOTS];

    for (size_t i = 0; i < r->axis_count; i++) {
        const struct axis *a = r->axes[i];

        if (a->values == NULL) {
            r->points = ENDLESS_POINTS;
            return SUCCESS;
        }
        sizes[i] = (struct order_axis){
            .size = (uint32_t)json_array_size(a->values),
            .ordered = a->ordered,
        };
    }
    TRY_PLAIN(order_new(sizes, r->axis_count, &r->order));
    r->points = order_count(r->order);
    return SUCCESS;
}

static void make_steps(const struct space *s, struct room *r)
{
    r->steps = xcalloc(s->sequence_count + 1, sizeof *r->steps);
    for (size_t i = 0; i < s->sequence_count; i++) {
        for (size_t j = 0; j < r->axis_count; j++) {
            if (r->axes[j]->slot == s->sequence[i] && r->axes[j]->when != NULL)
                r->steps[r->step_count++].axis = r->axes[j];
        }
        for (size_t j = 0; j < s->derived_count; j++) {
            if (s->derived[j].slot == s->sequence[i])
                r->steps[r->step_count++].derived = &s->derived[j];
        }
    }
}

MUST_CHECK static struct status furnish(struct space *s, size_t room)
{
    struct room *r = &s->rooms[room];

    r->axes = xcalloc(s->axis_count + 1, sizeof(struct axis *));
    for (size_t i = 0; i < s->axis_count; i++) {
        const struct axis *a = &s->axes[i];

        if (!is_in_room(s, room, a))
            continue;
        for (size_t j = 0; j < r->axis_count; j++) {
            if (r->axes[j]->slot == a->slot)
                return FAIL(STATUS_INVALID, "parameter \"%s\" stands twice",
                            s->names[a->slot]);
        }
        r->axes[r->axis_count++] = a;
    }
    make_steps(s, r);
    return order_room(r);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Rooms take turns; one with fewer points drops out when it has no more. */
MUST_CHECK static struct status make_stretches(struct space *s)
{
    uint64_t sizes[LIMIT_CASES] = { 0 };
    uint64_t round = 0;

    for (size_t i = 0; i < s->room_count; i++)
        sizes[i] = s->rooms[i].points;
    qsort(sizes, s->room_count, sizeof sizes[0], by_size);
    s->stretches = xcalloc(s->room_count, sizeof *s->stretches);
    for (size_t i = 0; i < s->room_count; i++) {
        uint64_t active = s->room_count - i;
        uint64_t rounds = sizes[i] - round;

        s->stretches[s->stretch_count++] = (struct stretch){ .start = s->points,
                                                             .round = round,
                                                             .active = active };
        if (rounds > (ENDLESS_POINTS - s->points) / active)
            s->points = ENDLESS_POINTS;
        else
            s->points += rounds * active;
        round = sizes[i];
    }
    return SUCCESS;
}

MUST_CHECK static struct status read_strategy(struct space *s,
                                              const json_t *document)
{
    const json_t *json = json_object_get(document, "strategy");
    const char *method = json_text_or(json, "method", "grid");
    int64_t trials = json_int_or(json, "trials", 0);
    int64_t seed = json_int_or(json, "seed", 0);

    s->random = strcmp(method, "random") == 0;
    if (!s->random && strcmp(method, "grid") != 0)
        return FAIL(STATUS_INVALID, "strategy \"%.40s\" is unknown", method);
    if (trials < 0 || seed < 0 || seed > UINT32_MAX)
        return FAIL(STATUS_INVALID,
                    "strategy: trials and seed must not be negative, and seed "
                    "at most 4294967295");
    s->seed = (uint32_t)seed;
    if (s->points >= ENDLESS_POINTS && (!s->random || trials == 0))
        return FAIL(STATUS_INVALID,
                    "the space is endless: it needs a random strategy with a "
                    "number of trials");
    s->points_limit = s->points;
    if (s->points_limit > MOST_TRIALS / s->replicates)
        s->points_limit = MOST_TRIALS / s->replicates;
    if (trials > 0 && (uint64_t)trials < s->points)
        s->points = (uint64_t)trials;
    if (s->points > MOST_TRIALS / s->replicates)
        return FAIL(STATUS_TOO_BIG, "more than 2^%d trials", MOST_TRIALS_BITS);
    return SUCCESS;
}

struct status space_read(struct space *s)
{
    const json_t *axes = NULL;
    const json_t *derive = NULL;

    TRY_PLAIN(read_list(s->document, "parameters", MOST_AXES, &axes));
    TRY_PLAIN(read_list(s->document, "derive", MOST_EXPRESSIONS, &derive));
    TRY_PLAIN(read_cases(s, s->document));
    TRY_PLAIN(read_axes(s, axes));
    TRY_PLAIN(read_derived_names(s, derive));
    TRY_PLAIN(read_replicates(s, s->document));
    TRY_PLAIN(read_whens(s, axes));
    TRY_PLAIN(read_derived(s, derive));
    TRY_PLAIN(read_constraints(s, s->document));
    TRY_PLAIN(make_sequence(s));
    for (size_t i = 0; i < s->room_count; i++)
        TRY_PLAIN(furnish(s, i));
    TRY_PLAIN(make_stretches(s));
    return read_strategy(s, s->document);
}
